"""A process's standing in the file: a row in `processes` and a lock that dies with it. What it
owns carries the row's number; whoever finds the lock free may take that over."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from pynchy_cli import __version__, clock, locks, log
from pynchy_cli.config.load import config_hash, section_hashes, shown
from pynchy_cli.config.paths import Home
from pynchy_cli.config.settings import Settings
from pynchy_cli.errors import AlreadyRunning, HomeUnusable, PynchyError
from pynchy_cli.store import check, processes
from pynchy_cli.store.connection import Store


@contextmanager
def only_one(home: Home, stage: str) -> Iterator[locks.Lock]:
    """Hold the lock of a stage that may run once; the lock. Raises AlreadyRunning, HomeUnusable."""
    lock = _take(home, f"{stage}.lock")
    if lock is None:
        raise AlreadyRunning(
            f"{stage} already runs in {home.root}, and one is enough. "
            "`pynchy status` shows it; stop it first, or choose another home with --home."
        )
    try:
        yield lock
    finally:
        lock.release()


@contextmanager
def present(
    store: Store,
    home: Home,
    stage: str,
    settings: Settings,
    held: list[locks.Lock] | None = None,
) -> Iterator[int]:
    """Be in `processes`, with the owner's lock held, from before the row can be seen until
    after it is ended; gives the owner's number. The lock is put into `held`, to be kept."""
    lock: locks.Lock | None = None
    try:
        with store.atomic() as db:
            now = clock.now()
            lost = check.note_lost(db, store.bell, now)
            processes.sweep(db, home.locks, now)
            owner = processes.start(
                db,
                stage=stage,
                pid=os.getpid(),
                version=__version__,
                config_hash=config_hash(settings),
                settings=json.dumps(_noted(settings)),
                hashes=json.dumps(section_hashes(settings)),
                now=now,
            )
            lock = _take(home, processes.owner_lock(home.locks, owner).name)
            if lock is None:
                raise AlreadyRunning(f"Somebody holds the lock of process {owner}. Try again.")
        if held is not None:
            held.append(lock)
        if lost:
            log.get(stage).error("the database lost its last commits", lost=lost)
        try:
            yield owner
        finally:
            # Where it can't be noted, the lock tells it.
            with suppress(PynchyError), store.atomic() as db:
                processes.end(db, owner, clock.now())
    finally:
        if lock is not None:
            lock.release(remove=True)


def _noted(settings: Settings) -> dict[str, Any]:
    """The settings that others read of a process; tasks and jobs, which may be long, have rows."""
    document = shown(settings)
    return {section: document[section] for section in document if section not in ("tasks", "jobs")}


def _take(home: Home, name: str) -> locks.Lock | None:
    try:
        return locks.take(home.locks / name)
    except OSError as error:
        raise HomeUnusable(f"{home.locks} can't be written: {error.strerror}.") from error
