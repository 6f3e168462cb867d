"""What `pynchy up` with all stages costs while nothing happens, and how soon it is ready."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from tests.benchmarks.place import Place, place

SECONDS = 30
SETTLED = 3
"""Seconds after which what the start has left to do is done."""
STARTS = 5


def figures() -> Iterator[str]:
    """The lines to print."""
    with place(PYNCHY_SERVE__PORT=str(free_port())) as made:
        starts = sorted(started(made) for _ in range(STARTS))
        yield f"up: ready after {starts[STARTS // 2]:.2f} s, the median of {STARTS} (goal 1)"
        started(made, stay=True)
        time.sleep(SETTLED)
        tree = [psutil.Process(made.living[-1].pid)]
        tree += tree[0].children(recursive=True)
        before, worked = switches(tree), seconds(tree)
        time.sleep(SECONDS)
        rate = (switches(tree) - before) / SECONDS
        share = (seconds(tree) - worked) / SECONDS
        sizes = {name_of(one): pss(one.pid) for one in tree}
        yield f"idle: {rate:.2f} context switches a second (goal 5), {share:.2%} of a core (0.2 %)"
        yield f"idle: {sum(sizes.values()):.0f} MB PSS in {len(tree)} processes (goal 170)"
        yield "MB each: " + ", ".join(f"{name} {size:.0f}" for name, size in sizes.items())


def started(made: Place, *, stay: bool = False) -> float:
    """Start `pynchy up`; seconds until it says that it is ready. It is ended unless it is to
    `stay`."""
    path = str(made.home / "ready")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        ear.bind(path)
        ear.settimeout(60)
        begun = time.monotonic()
        child = subprocess.Popen(
            [sys.executable, "-P", "-m", "pynchy_cli", "up", "--json"],
            env={**made.environ, "NOTIFY_SOCKET": path},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        made.living.append(child)
        while b"READY=1" not in ear.recv(4096).splitlines():
            pass
        took = time.monotonic() - begun
    Path(path).unlink()
    if not stay:
        made.stop(1)
    return took


def free_port() -> int:
    """A port of the loopback that nobody uses now."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def name_of(process: psutil.Process) -> str:
    """The stage's name, of its command line."""
    words = process.cmdline()
    if "pynchy_cli.stage" not in words:
        return "up"
    return words[words.index("pynchy_cli.stage") + 1]


def switches(tree: list[psutil.Process]) -> int:
    """Context switches of all threads of the processes so far."""
    counts = [one.num_ctx_switches() for one in tree]
    return sum(one.voluntary + one.involuntary for one in counts)


def seconds(tree: list[psutil.Process]) -> float:
    """Seconds of a core that the processes have used so far."""
    return sum(sum(one.cpu_times()[:2]) for one in tree)


def pss(pid: int) -> float:
    """Proportional set size in MB."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    return 0.0
