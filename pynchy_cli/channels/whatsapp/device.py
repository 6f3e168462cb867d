"""The file by which this home is a linked device of a WhatsApp account. The library writes it; here
it is only looked at, kept private, held by one process at a time, and put in its place."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pynchy_cli import locks
from pynchy_cli.errors import AlreadyRunning, ChannelBroken

PRIVATE = 0o600
BESIDE = ("-journal", "-wal", "-shm")
"""What SQLite has beside a database. An old journal would spoil a new file."""
UNUSABLE = "?#%"
"""Characters that mean something else to the library where it is told a path."""
PATIENCE = 5.0
"""Seconds for which a look waits while somebody writes."""
LOOKS, PAUSE = 10, 0.05
"""So many looks at a file in use, which may be half written just then, and seconds between them."""
# All columns: a file of an earlier version has fewer.
_DEVICE = "SELECT * FROM whatsmeow_device LIMIT 1"
_IS_THERE = "SELECT count(*) FROM sqlite_master WHERE name = 'whatsmeow_device'"


@dataclass(frozen=True)
class Device:
    """What a phone has linked: its addresses, and what the account calls itself, where known."""

    jid: str
    lid: str = ""
    name: str = ""

    @property
    def number(self) -> str:
        """The account's phone number, digits alone."""
        return self.jid.partition("@")[0].partition(":")[0].partition(".")[0]

    @property
    def number_of_device(self) -> int:
        """Which of the account's devices it is; 0 where that isn't told."""
        _, _, device = self.jid.partition("@")[0].partition(":")
        return int(device) if device.isdecimal() else 0

    def in_words(self) -> str:
        """The account as people know it: +4915550001 (Alice)."""
        return f"+{self.number} ({self.name})" if self.name else f"+{self.number}"


def paired(database: Path, *, in_use: bool = False) -> Device | None:
    """The device that is linked by this file; None where there is none, or it was logged out. Where
    the library may be writing to it, in this process or another, it is `in_use`. Raises
    ChannelBroken where the file is something else."""
    if not database.exists() or database.stat().st_size == 0:
        return None
    for left in reversed(range(LOOKS if in_use else 1)):
        try:
            return _look(database, in_use=in_use)
        except sqlite3.Error as error:
            if not left:
                raise ChannelBroken(
                    f"{database} can't be read: {error}. If it is damaged, move it away, and link"
                    " the account again with `pynchy auth whatsapp`."
                ) from error
        time.sleep(PAUSE)  # it was being written
    return None


def _look(database: Path, *, in_use: bool) -> Device | None:
    with contextlib.closing(_opened(database, in_use=in_use)) as db:
        db.execute("PRAGMA query_only = 1")
        if not db.execute(_IS_THERE).fetchone()[0]:
            return None
        db.row_factory = sqlite3.Row
        row = db.execute(_DEVICE).fetchone()
    return None if row is None else _device(dict(row))


def _opened(database: Path, *, in_use: bool) -> sqlite3.Connection:
    """The library has an SQLite of its own, of which ours sees no locks within one process: what
    that one is writing ours would take for left half written by a killed process, and take back
    (measured: its commit fails). So a file in use is read as it lies there, untouched."""
    how = "mode=ro&immutable=1" if in_use else "mode=rw"
    return sqlite3.connect(f"{database.absolute().as_uri()}?{how}", uri=True, timeout=PATIENCE)


def _device(row: dict[str, object]) -> Device:
    jid, lid, name = (str(row.get(key) or "") for key in ("jid", "lid", "push_name"))
    return Device(jid, lid, name)


@contextlib.contextmanager
def hold(database: Path) -> Iterator[None]:
    """Be the one process that uses this file, for two would spoil it. Raises AlreadyRunning,
    ChannelBroken."""
    try:
        lock = locks.take(lock_of(database))
    except OSError as error:
        raise _unwritable(lock_of(database), error) from error
    if lock is None:
        raise AlreadyRunning(
            f"Another process holds the WhatsApp account of {database.parent.parent}: `listen"
            " whatsapp`, which `pynchy up` runs, or `pynchy auth whatsapp` in another terminal."
            " Stop that one first."
        )
    try:
        yield
    finally:
        lock.release()


def is_held(database: Path) -> bool:
    """Whether a process uses this file just now."""
    return locks.is_held(lock_of(database))


def lock_of(database: Path) -> Path:
    """The lock of whoever uses this file."""
    return database.parent / "run" / "whatsapp.lock"


def prepare(database: Path) -> None:
    """Have the file there before the library opens it, for nobody else to read; what SQLite makes
    beside it gets the same rights. Raises ChannelBroken where the library couldn't open it."""
    if unusable := sorted(set(str(database)) & set(UNUSABLE)):
        raise ChannelBroken(
            f"WhatsApp can't be used in {database.parent}: the folder's name holds"
            f" {' and '.join(unusable)}, which the library doesn't understand. Choose another home."
        )
    try:
        opened = os.open(database, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE)
        try:
            os.fchmod(opened, PRIVATE)
        finally:
            os.close(opened)
    except OSError as error:
        raise _unwritable(database, error) from error


def _unwritable(path: Path, error: OSError | sqlite3.Error) -> ChannelBroken:
    why = error.strerror if isinstance(error, OSError) else error
    return ChannelBroken(f"{path} can't be written: {why}.")


def settle(fresh: Path, database: Path) -> None:
    """Put what was paired in its place, whole or not at all, though the library still has the
    fresh file open. What stood there before, and is a device no more, goes. Raises
    ChannelBroken."""
    copy = database.with_name(f"{database.name}.new")
    try:
        remove(copy)
        prepare(copy)
        with (
            contextlib.closing(_opened(fresh, in_use=True)) as before,
            contextlib.closing(sqlite3.connect(copy)) as after,
        ):
            before.backup(after)
        remove(database)
        copy.replace(database)
        remove(fresh)
    except (OSError, sqlite3.Error) as error:
        raise _unwritable(database, error) from error


def remove(database: Path) -> None:
    """Take the file away, and all that is beside it."""
    for path in (database, *(database.with_name(database.name + end) for end in BESIDE)):
        path.unlink(missing_ok=True)
