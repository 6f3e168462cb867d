"""Removes old traces from the file and from the disk, gives room back, and looks the database over.
It works in small steps with pauses, so that whoever works in the home hardly notices."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pynchy_cli import clock, recurrence
from pynchy_cli.agent import removal
from pynchy_cli.config.paths import Home
from pynchy_cli.config.settings import Retention
from pynchy_cli.errors import DatabaseForeign
from pynchy_cli.ipc import attachments
from pynchy_cli.store import check, findings, outbound, pruning, requests, sessions, space
from pynchy_cli.store.connection import Connection, Store

BREATH = 0.005
"""Seconds between two transactions, in which others get at the file."""
QUIET = 3600.0
"""Seconds for which nothing changes in what is left over, before it goes."""
LOGS = "logs"
Progress = Callable[[str], None]


@dataclass
class Pruned:
    """What was removed, or would be: rows by kind, leftovers on the disk; how large the file was
    and is; what is wrong with the database, where it was looked over."""

    rows: dict[str, int] = field(default_factory=dict)
    folders: int = 0
    files: int = 0
    size_before: int = 0
    size: int = 0
    free: int = 0
    findings: list[check.Finding] = field(default_factory=list)

    def document(self) -> dict[str, Any]:
        """The same as JSON."""
        return {
            "removed": self.rows,
            "session_folders": self.folders,
            "files": self.files,
            "size_before": self.size_before,
            "size": self.size,
            "free": self.free,
            "findings": [{"check": one.check, "message": one.message} for one in self.findings],
        }


class Pruning:
    """One round of housekeeping; with `dry_run` it only counts."""

    def __init__(
        self, home: Home, store: Store, rules: Retention, now: str, *, dry_run: bool = False
    ) -> None:
        self.home = home
        self.store = store
        self.rules = rules
        self.now = now
        self.dry_run = dry_run
        self.told = Pruned()

    def rows(self, progress: Progress) -> None:
        """Remove old rows."""
        rules = self.rules
        for kind, span in (
            (pruning.EVENTS, rules.events),
            (pruning.TASK_LOGS, rules.logs),
            (pruning.JOB_LOGS, rules.logs),
            (pruning.REQUESTS, rules.runs),
            (pruning.RUNS, rules.runs),
            (pruning.PROCESSES, rules.processes),
        ):
            progress(f"old {kind.name.replace('_', ' ')}")
            self.told.rows[kind.name] = self._remove(kind, recurrence.seconds_of(span))
        if not self.dry_run:
            self._outputs(clock.after(self.now, -recurrence.seconds_of(rules.logs)))

    def _remove(self, kind: pruning.Kind, seconds: float) -> int:
        removed, before = 0, pruning.moment(kind, seconds, self.now)
        for ids in pruning.pages(self.store.db, kind, before):
            if not ids or self.dry_run:
                removed += len(ids)
                continue
            with self.store.atomic() as db:
                removed += pruning.remove(db, kind, ids)
            time.sleep(BREATH)
        return removed

    def _outputs(self, before: str) -> None:
        after: int | None = 0
        while after is not None:
            with self.store.atomic() as db:
                after = pruning.leave_outputs(db, before, after)
            time.sleep(BREATH)

    def disk(self, progress: Progress, seconds: float) -> None:
        """Remove what lies on the disk and belongs to nothing; `seconds` is the clock's time."""
        progress("what was left over")
        names = {one.folder for one in sessions.all(self.store.db) if one.folder}
        for folder in self._old(self.home.ipc.glob("*/*"), seconds - QUIET):
            if folder.name not in names and not folder.is_symlink() and folder.is_dir():
                self.told.folders += 1
                if not self.dry_run:
                    removal.remove(folder)
        keep = recurrence.seconds_of(self.rules.logs)
        for log in self._old((self.home.data / LOGS).glob("*.ndjson.*"), seconds - keep):
            self.told.files += 1
            if not self.dry_run:
                log.unlink(missing_ok=True)
        if not self.dry_run:
            db = self.store.db
            named = outbound.named_files(db) | requests.pinned_files(db)
            self.told.files += attachments.sweep(self.home, named, seconds)

    def _old(self, found: Any, before: float) -> list[Path]:
        old = []
        for path in found:
            with suppress(OSError):
                if path.lstat().st_mtime < before:
                    old.append(path)
        return old

    def room(self, progress: Progress, *, at_once: bool) -> None:
        """Give back what is free in the file, where it is much; `at_once` whatever it costs."""
        db, told = self.store.db, self.told
        before = space.room(db)
        told.size_before = told.size = before.size
        told.free = before.free
        share = self.rules.free_after
        is_much = share > 0 and before.free > share * before.size
        if self.dry_run or not (is_much or at_once):
            return
        progress("giving room back")
        self.store.require_same_file()
        if before.by_steps and not at_once:
            while space.give_back(db):
                time.sleep(BREATH)
        elif at_once or before.size <= space.AT_ONCE:
            space.make_anew(db)
        space.checkpoint(db)
        after = space.room(db)
        told.size, told.free = after.size, after.free

    def integrity(self, progress: Progress) -> None:
        """Look the database over, and note what was found."""
        progress("looking the database over")
        began = time.monotonic()
        try:
            found = check.check(self.home.database, self.home.locks)
        except DatabaseForeign as error:
            found = [check.Finding("quick_check", str(error))]
        # Who works on what changes while it is looked at; `status` tells of it.
        self.told.findings = [one for one in found if one.check != "runs"]
        took = round(time.monotonic() - began, 3)
        with self.store.atomic() as db:
            note_integrity(db, self.told.findings, took, self.now)


def note_integrity(
    db: Connection, found: list[check.Finding], seconds: float, now: str
) -> findings.State:
    """Note how the database was found to be, inside a transaction; the finding's state."""
    result: dict[str, Any] = {
        "seconds": seconds,
        "findings": [{"check": one.check, "message": one.message} for one in found],
    }
    if found:
        result["message"] = found[0].message
    spoiled = any(one.check in check.SPOILED for one in found)
    state: findings.State = "failed" if spoiled else "warning" if found else "ok"
    findings.note(db, "integrity", state, result, now)
    return state
