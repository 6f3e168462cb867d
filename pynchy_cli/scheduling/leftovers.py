"""What is left of a command whose starter died: found by the mark in its environment, or by the
session that its shell leads, and killed. A process id alone proves nothing: it may be another's by
now."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pynchy_cli import clock

MARK = "PYNCHY_JOB"
"""The variable that says which firing a process belongs to."""
NEAR = 5.0
"""Seconds between the note that a command begins and its beginning."""
ROUNDS = 50
"""Looks at the processes at most, for those that start others while they are killed."""
QUIET = 2
"""Looks that must find nothing: one that is becoming another program shows no mark just then."""
PROC = Path("/proc")


@dataclass(frozen=True)
class Process:
    """A process as the system shows it: `start` in seconds since 1970."""

    pid: int
    session: int
    start: float
    marks: frozenset[bytes]


def kill(marks: Collection[str], leaders: Mapping[int, str]) -> int:
    """Kill all that has one of these marks, and the sessions of these leaders, each of which began
    at the moment given; how many processes. What we have come from ourselves is left alone."""
    ours = os.environ.get(MARK)
    wanted = frozenset(os.fsencode(f"{MARK}={one}") for one in marks if one != ours)
    since = {pid: clock.parse(moment).timestamp() for pid, moment in leaders.items()}
    killed: set[int] = set()
    quiet = 0
    for _ in range(ROUNDS):
        found = {one.pid for one in _found(wanted, since)} - killed
        for pid in found:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        killed |= found
        quiet = 0 if found else quiet + 1
        if quiet == QUIET:
            break
    return len(killed)


def leads(one: Process, since: Mapping[int, float]) -> bool:
    """Whether a process leads its session, and is one of those that began at these moments: not
    merely one of their numbers, nor of their time."""
    if one.pid != one.session or one.pid not in since:
        return False
    return abs(one.start - since[one.pid]) <= NEAR


def _found(wanted: frozenset[bytes], since: Mapping[int, float]) -> Iterator[Process]:
    processes = list(_processes())
    sessions = {one.session for one in processes if leads(one, since)} - {os.getsid(0)}
    for one in processes:
        if one.marks & wanted or one.session in sessions:
            yield one


def _processes() -> Iterator[Process]:
    """All processes that we can see; none where the system doesn't show them as files."""
    if not (PROC / "uptime").exists():
        return
    booted = time.time() - float((PROC / "uptime").read_text().split()[0])
    tick = os.sysconf("SC_CLK_TCK")
    for folder in PROC.iterdir():
        if not folder.name.isdigit() or int(folder.name) == os.getpid():
            continue
        try:
            facts = (folder / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()
            start = booted + int(facts[19]) / tick
            yield Process(int(folder.name), int(facts[3]), start, _marks(folder))
        except (OSError, ValueError, IndexError):
            continue  # it has ended


def _marks(folder: Path) -> frozenset[bytes]:
    try:
        variables = (folder / "environ").read_bytes().split(b"\0")
    except OSError:
        return frozenset()  # somebody else's
    return frozenset(one for one in variables if one.startswith(MARK.encode()))
