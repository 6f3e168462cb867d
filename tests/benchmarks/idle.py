"""What all stages together cost while nothing happens."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from tests.benchmarks.place import place

SECONDS = 20
STAGES = ("gateway", "route", "run-agent", "ipc-watch", "schedule")


def figures() -> Iterator[str]:
    """The lines to print."""
    with place() as made:
        made.start(*STAGES)
        time.sleep(2)
        before = switches(made.living)
        time.sleep(SECONDS)
        rate = (switches(made.living) - before) / SECONDS
        total = sum(pss(child.pid) for child in made.living)
        each = ", ".join(
            f"{name} {pss(child.pid):.0f}" for name, child in zip(STAGES, made.living, strict=True)
        )
        yield f"idle: {rate:.2f} context switches a second (goal 5), {total:.0f} MB PSS (goal 110)"
        yield f"MB each: {each}"


def switches(children: list) -> int:
    """Context switches of all threads of the processes so far."""
    return sum(
        counts.voluntary + counts.involuntary
        for child in children
        for counts in [psutil.Process(child.pid).num_ctx_switches()]
    )


def pss(pid: int) -> float:
    """Proportional set size in MB."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    return 0.0
