"""`python -m tests.benchmarks [NAME …]`: all figures, or some."""

from __future__ import annotations

import sys

from tests.benchmarks import (
    claude,
    containers,
    crowd,
    idle,
    latency,
    requests,
    routing,
    schedule,
    slack,
    starting,
    status,
    whatsapp,
)

ALL = {
    "starting": starting,
    "status": status,
    "routing": routing,
    "latency": latency,
    "crowd": crowd,
    "requests": requests,
    "schedule": schedule,
    "slack": slack,
    "whatsapp": whatsapp,
    "claude": claude,
    "containers": containers,
    "idle": idle,
}


def main(names: list[str]) -> None:
    for name in names or list(ALL):
        print(f"\n{name}")
        for line in ALL[name].figures():
            print(f"  {line}", flush=True)


main(sys.argv[1:])
