"""Kills a stage at each of its system calls that change something, lets the pipeline run
again, and counts. A home is prepared once for each stage, as it is just before that stage
runs, and put back before each kill; the agents' site folder stays.

A stage that starts nothing leaves the same rows after most kills once it has run again. What comes
of these rows is found out once: where they are the same, the stages after it are not run again."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from pynchy_cli import locks
from tests.stage_server import LIMIT, Begun, StageServer

CALLS = (
    "pwrite64",
    "write",
    "fdatasync",
    "fsync",
    "rename",
    "renameat2",
    "unlink",
    "unlinkat",
    "sendto",
    "sendmsg",
    "ftruncate",
    "mkdir",
)
KEPT = "agent-site"
TEXT = "What is the answer to message %d?"
LISTEN = '{"id": "net-%d", "text": "%s", "sender": "owner"}\n'
TIME = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z")
PROCESSES = re.compile(r'INSERT INTO "?(processes|sqlite_sequence)"? .*')
ROUNDS = 6
"""Times that the stages are run again before something counts as stuck."""


@dataclass(frozen=True)
class Point:
    """One place to kill at: the n-th call of a name."""

    call: str
    number: int

    def __str__(self) -> str:
        return f"{self.call}:{self.number}"


@dataclass(frozen=True)
class Story:
    """What comes for a run at work, as a trigger of the database: it is there with the commit
    that it belongs to, and no clock decides."""

    messages: int = 1
    trigger: str = ""
    states: frozenset[str] = frozenset({"done"})
    sources: frozenset[str] = frozenset({"agent"})


PLAIN = Story()
FOLLOWED = Story(
    messages=2,
    trigger="""
    CREATE TRIGGER follow_up AFTER UPDATE OF state ON runs
    WHEN NEW.state = 'running' AND (SELECT max(routed_seq) FROM registered_groups) < 2 BEGIN
      INSERT INTO runs(group_folder, lane, kind, state, first_seq, last_seq, chat_jid, created_at)
      SELECT NEW.group_folder, NEW.lane, NEW.kind, 'queued', 2, 2, NEW.chat_jid, NEW.started_at;
      UPDATE registered_groups SET routed_seq = 2;
    END""",
    states=frozenset({"done", "superseded"}),
)
"""More is said as soon as the run is at work."""
STOPPED = Story(
    trigger="""
    CREATE TRIGGER stop AFTER UPDATE OF state ON runs WHEN NEW.state = 'running' BEGIN
      UPDATE runs SET asked = 'stop' WHERE id = NEW.id;
    END""",
    states=frozenset({"done", "cancelled"}),
    sources=frozenset({"agent", "host"}),
)
"""Somebody wants the run to end as soon as it is at work."""


@dataclass
class Sweep:
    """One stage to be killed, in a home of its own. `package` is where pynchy's code is taken
    from, so that a copy with a planted fault can be swept too."""

    root: Path
    stage: str
    core: str
    environ: Mapping[str, str]
    package: Path | None = None
    story: Story = PLAIN
    problems: list[str] = field(default_factory=list)
    tried: int = 0
    killed: int = 0
    _sound: set[str] = field(default_factory=set)
    """How the rows stood from which all went well."""
    _server: StageServer | None = None

    def __enter__(self) -> Sweep:
        self.root.mkdir()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._server is not None:
            self._server.__exit__(kind, error, trace)

    @property
    def home(self) -> Path:
        return self.root / "home"

    @property
    def snapshot(self) -> Path:
        return self.root / "snapshot"

    def prepare(self) -> None:
        """Make the home as it is just before the stage runs."""
        self._run("pynchy_cli", "--home", str(self.home), "init", "--yes")
        # Makes the site folder, which no kill is about.
        self._run(
            "pynchy_cli",
            "--home",
            str(self.home),
            "run-agent",
            "main",
            input="warm up",
            core="echo",
        )
        if self.stage != "listen@stdin":
            self._stage("listen@stdin")
        if self.stage == "run-agent":
            self._stage("route")
        for number in range(2, self.story.messages + 1):
            self._stage("listen@stdin", number)
        self._rows(self.story.trigger)
        shutil.copytree(self.home / "data", self.snapshot, ignore=shutil.ignore_patterns(KEPT))

    def restore(self) -> None:
        """Put the home back to what `prepare` made."""
        data = self.home / "data"
        for entry in data.iterdir():
            if entry.name == KEPT:
                continue
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        shutil.copytree(self.snapshot, data, dirs_exist_ok=True)

    def points(self) -> list[Point]:
        """Every call that the stage makes when nobody kills it."""
        self.restore()
        log = self.root / "calls"
        self._traced(["-o", str(log), "-e", f"trace={','.join(CALLS)}"])
        counts: dict[str, int] = {}
        for line in log.read_text("utf-8", "replace").splitlines():
            found = re.match(r"(\w+)\(", line)
            if found:
                counts[found[1]] = counts.get(found[1], 0) + 1
        self.heal()
        self.check("no kill")
        return [Point(call, n + 1) for call in CALLS for n in range(counts.get(call, 0))]

    def kill_at(self, point: Point) -> None:
        """Kill the stage there, run all stages again, and note what is wrong then."""
        self.restore()
        inject = f"inject={point.call}:signal=SIGKILL:when={point.number}"
        code = self._traced(["-o", os.devnull, "-e", f"trace={point.call}", "-e", inject])
        self.tried += 1
        self.killed += code == -signal.SIGKILL
        before = len(self.problems)
        if self.stage == "run-agent":
            self.heal()
            self.check(str(point))
            return
        self._stage(self.stage)
        stands = self._as_it_stands()
        if stands in self._sound:
            self.problems += [f"killed at {point}: {one}" for one in self._check_processes()]
            return
        self.heal()
        self.check(str(point))
        if len(self.problems) == before:
            self._sound.add(stands)

    def heal(self) -> None:
        """Let the network send again, and the stages run until nothing is left to do."""
        if self.stage == "listen@stdin":
            self._stage("listen@stdin")
        for _ in range(ROUNDS):
            self._stage("route")
            self._stage("run-agent")
            if not self._rows("SELECT 1 FROM runs WHERE state IN ('queued', 'running')"):
                return

    def _as_it_stands(self) -> str:
        """All rows but those of processes, without their times."""
        db = sqlite3.connect(self.home / "data" / "messages.db")
        try:
            lines = [one for one in db.iterdump() if not PROCESSES.match(one)]
        finally:
            db.close()
        return TIME.sub("then", "\n".join(lines))

    def check(self, where: str) -> None:
        """Every message answered once, cursors and runs agree, and nothing lives on."""
        for problem in (*self._check_rows(), *self._check_processes()):
            self.problems.append(f"{self.stage} killed at {where}: {problem}")

    def _check_rows(self) -> Iterator[str]:
        heard = self._rows("SELECT seq, content FROM messages WHERE message_type = 'user'")
        if len(heard) != self.story.messages:
            yield f"{len(heard)} messages are stored"
        said = self._rows("SELECT content, is_final, source FROM outbound_ledger")
        yield from self._check_said(said)
        shown = self._rows("SELECT count(*) FROM messages WHERE id LIKE 'pynchy:run:%'")[0][0]
        if shown != len(said):
            yield f"{shown} answers are among the messages"
        delivered = self._rows("SELECT state FROM outbound_deliveries")
        if delivered != [("sent",)] * len(said):
            yield f"deliveries are {delivered}"
        runs = self._rows("SELECT state FROM runs WHERE kind = 'chat'")
        if not runs or not {state for (state,) in runs} <= self.story.states:
            yield f"runs are {runs}"
        cursors = self._rows("SELECT routed_seq, answered_seq FROM registered_groups")
        if heard and any(
            answered < heard[-1][0] or routed < answered for routed, answered in cursors
        ):
            yield f"cursors are {cursors}, the message is {heard[-1][0]}"
        for name, owner in self._rows(
            "SELECT sandbox, owner FROM sessions WHERE owner IS NOT NULL"
        ):
            yield f"the session of {name} still belongs to {owner}"
        doubled = self._rows("SELECT id FROM messages GROUP BY chat_jid, id HAVING count(*) > 1")
        if doubled:
            yield f"doubled messages {doubled}"
        for row in self._rows("PRAGMA integrity_check"):
            if row != ("ok",):
                yield f"integrity: {row}"

    def _check_said(self, said: Sequence[tuple[object, ...]]) -> Iterator[str]:
        is_whole = all(one[1] == 1 and one[2] in self.story.sources for one in said)
        if not is_whole or not 1 <= len(said) <= self.story.messages:
            yield f"the ledger holds {said}"
        if any(one[2] != "agent" for one in said):
            return
        for number in range(1, self.story.messages + 1):
            if sum(str(one[0]).count(TEXT % number) for one in said) != 1:
                yield f"message {number} is not answered once: {said}"

    def _check_processes(self) -> Iterator[str]:
        data = self.home / "data"
        until = time.monotonic() + 20
        while left := [lock.name for lock in (data / "run").glob("*.lock") if locks.is_held(lock)]:
            if time.monotonic() > until:
                yield f"somebody holds {left}"
                return
            time.sleep(0.02)
        folders = [str(one.relative_to(data)) for one in (data / "ipc").glob("*/*")]
        if folders:
            yield f"folders of sandboxes are left: {folders}"

    def _rows(self, query: str) -> list[tuple[object, ...]]:
        db = sqlite3.connect(self.home / "data" / "messages.db")
        try:
            return [tuple(row) for row in db.execute(query)]
        finally:
            db.close()

    def _stage(self, name: str, number: int = 1) -> None:
        begun = self._begun(name, number)
        if (code := begun.end()) != 0:
            self.problems.append(f"{name} ended with {code}: {begun.errors[-600:]}")

    def _traced(self, options: Sequence[str]) -> int:
        """Run the stage under strace; its exit code."""
        begun = self._begun(self.stage, held=True)
        strace = subprocess.Popen(["strace", "-qq", "-p", str(begun.pid), *options])
        begun.go_on()
        code = begun.end()
        strace.wait(LIMIT)
        return code

    def _begun(self, name: str, number: int = 1, *, held: bool = False) -> Begun:
        if self._server is None:
            self._server = StageServer(self.root, self._environment(self.core))
        environ = self._environment(self.core)
        return self._server.start(
            name, self._asked(name), self._input(name, number), environ, held=held
        )

    def _asked(self, name: str) -> str:
        options = {"channel": "stdin", "chat": "local:main"} if name.startswith("listen") else {}
        return json.dumps({"home": str(self.home), "once": True, "options": options})

    def _input(self, name: str, number: int) -> str:
        return LISTEN % (number, TEXT % number) if name.startswith("listen") else ""

    def _environment(self, core: str) -> dict[str, str]:
        more = {"PYTHONPATH": str(self.package)} if self.package else {}
        return {**self.environ, "PYNCHY_AGENT__CORE": core, "PYNCHY_LOG__LEVEL": "error", **more}

    def _run(self, *arguments: str, input: str = "", core: str | None = None) -> None:
        done = subprocess.run(
            [sys.executable, "-P", "-m", *arguments],
            input=input,
            env=self._environment(core or self.core),
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        if done.returncode != 0:
            self.problems.append(f"{arguments} ended with {done.returncode}: {done.stderr[-600:]}")
