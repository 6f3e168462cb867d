"""The stage that runs host jobs and conditions, as a process, over a home whose due times have
fired already."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pynchy_cli import clock
from pynchy_cli.config.paths import Home
from pynchy_cli.scheduling import leftovers
from pynchy_cli.scheduling.commands import Key
from pynchy_cli.store import jobs, tasks, timetable
from pynchy_cli.store.connection import Store
from pynchy_cli.store.timetable import JOBS, TASKS
from tests.by_hand import LIMIT, wait_for
from tests.clocks import job, task


def lives(pid: int) -> bool:
    """Whether a process does anything any more."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


class Host:
    """A home with the group `main`, and its schedule."""

    def __init__(self, root: Path, environ: Mapping[str, str]) -> None:
        self.home = Home(root)
        self.environ = dict(environ)
        self.store = Store.open(self.home.database)
        self.errors = root.parent / "schedule.err"
        self.stage: subprocess.Popen[bytes] | None = None

    def job(self, id: str, command: str, limit: float = LIMIT, **more: Any) -> int:
        """A host job whose firing waits; the firing's number."""
        now = clock.now()
        with self.store.atomic() as db:
            made = job(now, "interval", "1h", id=id, command=command, timeout_seconds=limit)
            jobs.add(db, replace(made, **more))
        return self.fire(id)

    def check(self, id: str, condition: str, limit: float = LIMIT, **more: Any) -> int:
        """A task whose condition is to be checked; its firing's number."""
        now = clock.now()
        with self.store.atomic() as db:
            made = task(now, "interval", "1h", id=id, group_folder="main", condition=condition)
            tasks.add(db, replace(made, timeout_seconds=limit, **more))
            number = timetable.fired(db, TASKS, id, due_at=now, status="checking", now=now)
        assert number is not None
        return number

    def fire(self, id: str, by_hand: bool = False) -> int:
        """One more firing of a host job, which waits."""
        now = clock.now()
        with self.store.atomic() as db:
            number = timetable.fired(
                db, JOBS, id, due_at=now, status="waiting", now=now, by_hand=by_hand
            )
        assert number is not None
        return number

    def start(self, *, once: bool = False, **environ: str) -> subprocess.Popen[bytes]:
        """Start the stage; with `once` wait until it has ended."""
        asked = json.dumps({"home": str(self.home.root), "once": once, "options": {}})
        with self.errors.open("ab") as errors:
            self.stage = subprocess.Popen(
                [sys.executable, "-P", "-m", "pynchy_cli.stage", "schedule", asked],
                env={**self.environ, **environ},
                stdin=subprocess.DEVNULL,
                stderr=errors,
            )
        if once:
            assert self.stage.wait(LIMIT) == 0, self.said
        return self.stage

    def reopen(self) -> None:
        """Look at the file anew, after it was replaced."""
        self.store.close()
        self.store = Store.open(self.home.database)

    def stop(self, code: int = 0) -> None:
        """End the stage in good order."""
        assert self.stage is not None
        self.stage.terminate()
        assert self.stage.wait(LIMIT) == code, self.said

    def kill(self) -> None:
        """End it as the system does when there is no memory left."""
        assert self.stage is not None
        self.stage.kill()
        self.stage.wait(LIMIT)

    @property
    def said(self) -> str:
        """What the stage wrote to its log."""
        return self.errors.read_text() if self.errors.exists() else ""

    def rows(self, query: str) -> list[Any]:
        found = self.store.db.execute(query).fetchall()
        return [row[0] if len(row) == 1 else tuple(row) for row in found]

    def ended(self, id: str) -> jobs.Outcome:
        """How the last firing of a host job ended, once it did."""
        wait_for(lambda: self._last(id).finished_at, f"the end of {id}")
        return self._last(id)

    def _last(self, id: str) -> jobs.Outcome:
        return jobs.outcomes(self.store.db, id, 1)[0]

    def checked(self, id: str) -> tuple[str, str | None]:
        """What came of a task's last firing, once it was checked, and why."""

        def firing() -> Any:
            return tasks.outcomes(self.store.db, id, 1)[0].firing

        wait_for(lambda: firing().status != "checking", f"the check of {id}")
        return firing().status, firing().reason

    def written(self, name: str, lines: int = 1) -> list[str]:
        """The lines of a file that commands write in the home, once there are so many."""
        place = self.home.root / name

        def there() -> list[str]:
            return place.read_text().splitlines() if place.exists() else []

        wait_for(lambda: len(there()) >= lines, f"{lines} lines of {name}")
        return there()

    def close(self) -> None:
        """End all that is at work."""
        if self.stage is not None and self.stage.poll() is None:
            self.kill()
        root = self.home.root
        numbers = range(1, 100)
        leftovers.kill([Key(kind, n).mark(root) for kind in ("job", "check") for n in numbers], {})
        self.store.close()


def gone(pids: list[str]) -> bool:
    """Whether these processes end within a while."""
    until = time.monotonic() + LIMIT
    while any(lives(int(pid)) for pid in pids):
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True
