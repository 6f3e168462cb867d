"""A small stage that copies numbers from one counter to another, and makes what trouble it is
asked for; run in a process of its own, to see what the loop around it does."""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import subprocess
import sys
import time
from contextlib import closing

from pynchy_cli.config.paths import Home
from pynchy_cli.store.connection import Store

LIMIT = 30.0
DONE = "SELECT value FROM counters WHERE name = 'done'"

STAGE = '''
import asyncio, json, os, sys, time
from pathlib import Path
from pynchy_cli import clock, log, loop
from pynchy_cli.config.paths import Home
from pynchy_cli.config.settings import Settings
from pynchy_cli.store.counters import bump, read

class Copier:
    """Counts each unit of the counter `work` in the counter `done`; the trouble is asked for."""

    def __init__(self, context, trouble):
        self.context, self.trouble, self.busy, self.drains = context, trouble, False, 0
        self.spawned = False

    def drain(self):
        self.drains += 1
        store, trouble = self.context.store, self.trouble
        counts = {name: value for name, (value, _) in read(store.db).items()}
        if "report" in trouble:
            self.context.report(f"{counts.get('done', 0)} done")
        if "drain" in trouble and Path(trouble["drain"]).exists():
            raise ValueError("no way")
        if "gate" in trouble and Path(trouble["gate"]).exists():
            return 0
        if "slow" in trouble and counts.get("work", 0) > counts.get("done", 0):
            print("in hand", flush=True)
            time.sleep(1)
        if "task" in trouble and not self.spawned:
            self.spawned = self.busy = True
            self.context.spawn(self.task(), "long work")
        for number in range(counts.get("done", 0) + 1, counts.get("work", 0) + 1):
            subject = f"unit:{number}"
            if subject not in self.context.blocked():
                self.context.attempt(subject, lambda: self.step(number))
                return 1
            if "skip" not in trouble:
                return 0
        return 0

    def step(self, number):
        with self.context.store.atomic() as db:
            bump(db, "done", clock.now())
            poison = self.trouble.get("poison")
            if poison and Path(poison).exists() and Path(poison).read_text() == str(number):
                raise ValueError("this one is bad")

    async def task(self):
        await asyncio.sleep(self.trouble["task"])
        self.busy = False
        if "crash" in self.trouble:
            raise RuntimeError("the task broke")
        with self.context.store.atomic() as db:
            bump(db, "task", clock.now())

    def deadline(self):
        if "deadline_fails" in self.trouble and self.drains < 3:
            raise ValueError("no way")
        if "gate" in self.trouble:
            return 0.2
        return 0.2 if "deadline" in self.trouble and self.drains < 3 else None

    def is_busy(self):
        return self.busy

    async def stop(self):
        print("stopping", flush=True)
        if "stop" in self.trouble:
            await asyncio.sleep(self.trouble["stop"])
        print(json.dumps({"drains": self.drains}), flush=True)

home, asked = Home(Path(sys.argv[1])), json.loads(sys.argv[2])
log.configure(Settings().log, "copy")
sys.exit(asyncio.run(loop.run("copy", lambda context: Copier(context, asked), home, Settings(),
    single=asked.get("single", False), once=asked.get("once", False))))
'''


class Copying:
    """One process of the stage; its sd_notify messages, output and home."""

    def __init__(self, home: Home, asked: dict[str, object]) -> None:
        self.ear = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.ear.bind(str(home.root / f"ear-{time.monotonic_ns()}"))
        self.ear.settimeout(LIMIT)
        self.process = subprocess.Popen(
            [sys.executable, "-c", STAGE, str(home.root), json.dumps(asked)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "NOTIFY_SOCKET": self.ear.getsockname(), "WATCHDOG_USEC": "1000000"},
        )

    def hear(self, wanted: str) -> None:
        """Wait for a message to the supervisor."""
        while self.ear.recv(4096).decode() != wanted:
            pass

    def ended(self, *signals: int) -> tuple[int, str, str]:
        """Its exit code, output and errors, after sending it these signals."""
        for number in signals:
            self.process.send_signal(number)
        out, err = self.process.communicate(timeout=LIMIT)
        return self.process.returncode, out, err


def ask(home: Home, count: int) -> None:
    """Put more work into the counter, ringing the bell."""
    with Store.open(home.database) as store, store.atomic() as db:
        db.execute(
            "INSERT INTO counters VALUES ('work', ?1, NULL) "
            "ON CONFLICT(name) DO UPDATE SET value = value + ?1",
            (count,),
        )


def until(home: Home, sql: str, wanted: object) -> None:
    """Wait until a query's first value is the wanted one."""
    end = time.monotonic() + LIMIT
    with closing(sqlite3.connect(home.database)) as db:
        while (found := (db.execute(sql).fetchone() or (None,))[0]) != wanted:
            assert time.monotonic() < end, f"{sql} gives {found!r}, not {wanted!r}"
            time.sleep(0.02)
