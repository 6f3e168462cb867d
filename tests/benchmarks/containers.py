"""Sandboxes as containers, against a bare container of the same image."""

from __future__ import annotations

import asyncio
import os
import statistics
import time
from collections.abc import Iterator

from tests import engine
from tests.benchmarks.latency import cold, live
from tests.benchmarks.place import place, summary


def figures() -> Iterator[str]:
    """The lines to print; one that says why, where no engine can be had."""
    if (why := engine.unavailable()) is not None:
        yield f"not measured: {why}"
        return
    with engine.shared(f"bench-{os.getpid()}") as docker:
        bare = [started(docker) for _ in range(10)]
        yield f"a bare container of the image, to its end: {summary(bare)}"
        environ = {
            "DOCKER_HOST": docker.host,
            "PYNCHY_SANDBOX__RUNTIME": "docker",
            "PYNCHY_SANDBOX__BASE_IMAGE": engine.BASE,
        }
        with place("echo", **environ) as made:
            whole = asyncio.run(cold(made, 10))
            times = statistics.median(whole) / statistics.median(bare)
            yield (
                f"message to reply, cold in Docker: {summary(whole)} (goal 900),"
                f" {times:.2f} times the bare container"
            )
            whole = asyncio.run(live(made))
            yield f"message to reply, live agent in Docker: {summary(whole)} (goal 25)"


def started(docker: engine.Engine) -> float:
    """Milliseconds of a container that does nothing."""
    start = time.monotonic()
    docker.docker(
        *("run", "--rm", "--network=none", "--init", "--entrypoint=python"),
        *(engine.IMAGE, "-S", "-c", "pass"),
    )
    return (time.monotonic() - start) * 1000
