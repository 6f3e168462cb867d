"""How soon after its due time a task's run is queued, what a wake-up costs among thousands of
tasks, and what the stage does while nothing is due."""

from __future__ import annotations

import sqlite3
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil

from pynchy_cli import clock
from pynchy_cli.store import tasks
from pynchy_cli.store.connection import Store
from tests.benchmarks.place import Place, place, summary
from tests.clocks import task

MANY = 10_000
FIRINGS = 60
APART = 0.15
QUIET = 65.0


def figures() -> Iterator[str]:
    """The lines to print."""
    for count in (0, MANY):
        with place() as made:
            fill(made, count)
            made.start("schedule")
            yield from firing(made, count)
    with place() as made:
        fill(made, 20)
        made.start("schedule")
        yield idle(made)


def fill(made: Place, count: int) -> None:
    """So many tasks that are due in an hour or later."""
    now = clock.now()
    pattern = task(now, "interval", "1h", group_folder="main")
    with Store.open(made.home / "data/messages.db") as store, store.atomic() as db:
        for number in range(count):
            due = clock.after(now, 3600 + number)
            tasks.add(db, replace(pattern, id=f"far-{number}", anchor=due, next_run=due))


def firing(made: Place, count: int) -> Iterator[str]:
    """Milliseconds from a due time to the row of its run, and of processor time for each."""
    begin = clock.after(clock.now(), 2.0)
    due = {f"near-{number}": clock.after(begin, APART * number) for number in range(FIRINGS)}
    pattern = task(begin, "interval", "1h", group_folder="main")
    path = made.home / "data/messages.db"
    with Store.open(path) as store, store.atomic() as db:
        for id, moment in due.items():
            tasks.add(db, replace(pattern, id=id, anchor=moment, next_run=moment))
    process = psutil.Process(made.living[-1].pid)
    time.sleep(1.0)
    before = sum(process.cpu_times()[:2])
    late = [milliseconds_late(path, id, moment) for id, moment in due.items()]
    spent = (sum(process.cpu_times()[:2]) - before) * 1000 / FIRINGS
    yield (
        f"due time to queued run, {count} other tasks: {summary(late)} (goal: median 50); "
        f"{spent:.1f} ms of processor time each, wake-up and commit (goal 5)"
    )


def milliseconds_late(path: Path, id: str, due: str) -> float:
    """From a due time to when another process can read the run's row."""
    moment = clock.parse(due).timestamp()
    db = sqlite3.connect(path, isolation_level=None)
    try:
        time.sleep(max(0.0, moment - time.time() - 0.005))
        while db.execute("SELECT 1 FROM runs WHERE task = ?", (id,)).fetchone() is None:
            time.sleep(0.0005)
        return (time.time() - moment) * 1000
    finally:
        db.close()


def idle(made: Place) -> str:
    """The times at which the stage calls the kernel while nothing is due."""
    log = made.home / "calls"
    pid = made.living[-1].pid
    strace = subprocess.Popen(["strace", "-f", "-qq", "-ttt", "-o", str(log), "-p", str(pid)])
    time.sleep(QUIET)
    strace.terminate()
    strace.wait(30)
    times = [float(line.split()[1]) for line in Path(log).read_text().splitlines() if line]
    bursts = [at for n, at in enumerate(times) if n == 0 or at - times[n - 1] > 0.5]
    return f"idle for {QUIET:g} s: {len(times)} system calls in {len(bursts)} wake-ups"
