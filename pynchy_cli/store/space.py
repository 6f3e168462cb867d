"""The room that the file takes: what is free in it is given back some pages at a time, and what
stands in the WAL is put into its place, as far as nobody has to wait for that."""

from __future__ import annotations

from dataclasses import dataclass

from pynchy_cli.store.connection import Connection

STEP = 1000
"""Pages that are given back in one transaction."""
AT_ONCE = 64 * 1024**2
"""Bytes of a file that is made anew at once: that takes less time than writers wait."""
INCREMENTAL = 2


@dataclass(frozen=True)
class Room:
    """How large the file is, in bytes, how much of that is free, and whether it can be given back
    little by little."""

    size: int
    free: int
    by_steps: bool


def room(db: Connection) -> Room:
    """How things stand."""
    size, pages, free, mode = (
        int(db.execute(f"PRAGMA {name}").fetchone()[0])
        for name in ("page_size", "page_count", "freelist_count", "auto_vacuum")
    )
    return Room(size * pages, size * free, mode == INCREMENTAL)


def give_back(db: Connection) -> bool:
    """Give back some of what is free, in a transaction of its own; whether there is more."""
    # A page is one step of the statement, which has rows without columns: `execute` takes but one.
    db.executescript(f"PRAGMA incremental_vacuum({STEP})")
    return int(db.execute("PRAGMA freelist_count").fetchone()[0]) > 0


def make_anew(db: Connection) -> None:
    """Write the whole file anew, so that nothing in it is free, and it can be made smaller bit by
    bit from then on. Nobody can write meanwhile."""
    db.execute(f"PRAGMA auto_vacuum={INCREMENTAL}")
    db.execute("VACUUM")


def checkpoint(db: Connection) -> None:
    """Put into its place what stands in the WAL, as far as nobody reads it there."""
    db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
