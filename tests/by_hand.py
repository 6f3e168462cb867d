"""Agents made by hand: live sessions with folders and an owner, but without a sandbox, so that a
test writes what a hostile agent would; the stage that answers them; and effects that show what was
carried out, planted in a copy of the sources."""

from __future__ import annotations

import itertools
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from agent_runner.protocol import Answer, read_answer
from pynchy_cli import clock, locks
from pynchy_cli.agent.folder import SessionFolder
from pynchy_cli.config.paths import Home
from pynchy_cli.store import Store, approvals, groups, processes, sessions
from tests.planted import plant

LIMIT = 60.0
PLANTED = '''

import asyncio
import os
from pathlib import Path


def _mark(asked: Any, word: str) -> None:
    """One more line in a file, written in one go."""
    place = os.open(asked.context.home.data / "outside.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(place, f"{word} {asked.row.request_id} {asked.row.role}\\n".encode())
    os.close(place)


async def _once(asked: Any) -> Any:
    _mark(asked, "once")
    return {"role": asked.row.role}


async def _approved(asked: Any) -> Any:
    _mark(asked, "approved")
    return {"role": asked.row.role}


async def _slow(asked: Any) -> Any:
    _mark(asked, "begun")
    while not (asked.context.home.data / "go").exists():
        await asyncio.sleep(0.02)
    _mark(asked, "over")
    return {}


def _broken(db: Any, asked: Any, now: str, prepared: Any) -> Any:
    todos.add(db, asked.group.folder, "never", now)
    raise ValueError("a fault of the host")


async def _prepare(asked: Any) -> Any:
    await asyncio.sleep(0)
    return "prepared"


def _after(db: Any, asked: Any, now: str, prepared: Any) -> Any:
    return {"id": todos.add(db, asked.group.folder, prepared, now)}


EFFECTS |= {
    "finished_work": Effect(outside=_once),
    "sync_worktree_to_main": Effect(outside=_approved),
    "list_tasks": Effect(outside=_slow),
    "refresh_groups": Effect(rows=_broken),
    "deploy_changes": Effect(prepare=_prepare, rows=_after),
}
'''
"""Effects of types that have none, or other ones: two outside of the file, the latter of which
needs a yes, one that takes its time, one that breaks, and one that prepares itself (and needs a
yes)."""


def plant_effects(folder: Path) -> Path:
    """A copy of the sources with those effects; what PYTHONPATH is to be."""
    plant(folder)
    module = folder / "pynchy_cli/ipc/handlers/todos.py"
    module.write_text(module.read_text() + PLANTED)
    return folder


def wait_for(condition: Callable[[], object], what: str, limit: float = LIMIT) -> None:
    until = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < until, f"{what} did not come"
        time.sleep(0.01)


def _listens(stage: subprocess.Popen[bytes] | None) -> bool:
    """Whether it hears signals, which it does once it is at work."""
    assert stage is not None
    status = Path(f"/proc/{stage.pid}/status").read_text()
    caught = re.search(r"SigCgt:\s*(\w+)", status)
    return caught is not None and bool(int(caught[1], 16) >> (signal.SIGTERM - 1) & 1)


class Agent:
    """One live session, as its sandbox sees it."""

    def __init__(self, house: House, group: str, lane: str, session: str) -> None:
        self.group, self.lane, self.session = group, lane, session
        self.path = house.home.session(group, session)
        self.requests = self.path / "requests"
        self._numbers = itertools.count(1)

    def name(self, id: str) -> str:
        return f"{next(self._numbers):08}-{id}.json"

    def ask(self, id: str, type: str, /, **fields: Any) -> Path:
        """Ask as an honest agent does."""
        return self.write(self.name(id), json.dumps({"type": type, **fields}).encode())

    def write(self, name: str, data: bytes) -> Path:
        """A file that is whole once it has its name."""
        draft = self.requests / ".draft"
        draft.write_bytes(data)
        return draft.rename(self.requests / name)

    def answer(self, id: str) -> Answer:
        """What was answered, once it was."""
        place = self.path / "responses" / f"{id}.json"
        wait_for(place.exists, f"the answer to {id}")
        return read_answer(place.read_bytes())

    def code(self, id: str) -> str:
        """How it was answered, in a word."""
        answer = self.answer(id)
        return "ok" if answer.ok else answer.error.code if answer.error else "?"

    def answers(self) -> set[str]:
        return {path.stem for path in (self.path / "responses").iterdir() if path.suffix}


class House:
    """A home with an owner of sessions (this process), and the stage that serves them."""

    def __init__(self, root: Path, environ: Mapping[str, str]) -> None:
        self.home = Home(root)
        self.environ = {**environ, "PYNCHY_LOG__LEVEL": "warning"}
        self.store = Store.open(self.home.database)
        with self.store.atomic() as db:
            now = clock.now()
            self.owner = processes.start(
                db,
                stage="run-agent",
                pid=os.getpid(),
                version="0",
                config_hash="",
                settings="{}",
                hashes="{}",
                now=now,
            )
            lock = locks.take(processes.owner_lock(self.home.locks, self.owner))
        assert lock is not None
        self.lock = lock
        self.errors = root.parent / "ipc-watch.err"
        self.stage: subprocess.Popen[bytes] | None = None

    def add_group(self, folder: str) -> None:
        with self.store.atomic() as db:
            groups.add(
                db,
                folder=folder,
                name=folder,
                jid=f"local:{folder}",
                is_admin=False,
                trigger_mode="mention",
                trigger_pattern=None,
                allowed_users=("owner",),
                now=clock.now(),
            )

    def agent(self, group: str, lane: str = "chat", session: str | None = None) -> Agent:
        """A live session of a group, which is made where there is none."""
        known = {one.folder for one in groups.all(self.store.db)}
        if group not in known:
            self.add_group(group)
        name = session or f"{group}-{lane.replace(':', '-')}"
        SessionFolder(self.home.session(group, name)).make()
        with self.store.atomic() as db:
            sessions.begin(
                db,
                group,
                lane,
                folder=name,
                owner=self.owner,
                sandbox="none",
                runtime="bubblewrap",
                now=clock.now(),
            )
        return Agent(self, group, lane, name)

    def start(self, *, once: bool = False, **environ: str) -> subprocess.Popen[bytes]:
        """Start the stage, and wait until it is at work; with `once`, until it has ended."""
        asked = json.dumps({"home": str(self.home.root), "once": once, "options": {}})
        with self.errors.open("ab") as errors:
            self.stage = subprocess.Popen(
                [sys.executable, "-P", "-m", "pynchy_cli.stage", "ipc-watch", asked],
                env={**self.environ, **environ},
                stdin=subprocess.DEVNULL,
                stderr=errors,
            )
        if once:
            assert self.stage.wait(LIMIT) == 0, self.said
        else:
            wait_for(lambda: _listens(self.stage), "the stage")
        return self.stage

    def stop(self) -> None:
        """End the stage in good order."""
        if self.stage is not None and self.stage.poll() is None:
            self.stage.terminate()
            assert self.stage.wait(LIMIT) == 0, self.said

    def reopen(self) -> None:
        """Look at the file anew, after it was replaced."""
        self.store.close()
        self.store = Store.open(self.home.database)

    @property
    def said(self) -> str:
        """What the stage wrote to its log."""
        return self.errors.read_text() if self.errors.exists() else ""

    @property
    def outside(self) -> list[str]:
        """What was carried out outside of the file, in order."""
        place = self.home.data / "outside.log"
        return place.read_text().splitlines() if place.exists() else []

    def rows(self, query: str) -> list[Any]:
        found = self.store.db.execute(query).fetchall()
        return [row[0] if len(row) == 1 else tuple(row) for row in found]

    def decide(self, outcome: approvals.Outcome, agent: Agent, id: str) -> bool:
        """A person's yes or no to a request, once it waits for one."""
        wait_for(lambda: self._approval(agent, id), f"the question for {id}")
        with self.store.atomic() as db:
            approval = approvals.get(db, self._approval(agent, id)[0])
            return approvals.decide(db, approval, outcome, "owner", clock.now())

    def _approval(self, agent: Agent, id: str) -> list[str]:
        return self.rows(
            "SELECT a.id FROM approvals AS a JOIN requests AS r ON r.id = a.request"
            f" WHERE r.session = '{agent.session}' AND r.request_id = '{id}'"
        )

    def close(self) -> None:
        if self.stage is not None and self.stage.poll() is None:
            self.stage.kill()
            self.stage.wait(LIMIT)
        self.store.close()
        self.lock.release(remove=True)
