"""Who supervises a home, as the file of its lock tells: a JSON object with `pid`, `started_at` and
the `unit` of the service manager that started it. Whether it still runs, the lock itself says."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pynchy_cli.locks import Lock

KEEP = 30.0
"""Seconds between two looks whether the file is still there."""


def note(lock: Lock, environ: Mapping[str, str], now: str) -> None:
    """Write into the lock's file who holds it. A full disk is no reason not to start."""
    facts = {"pid": os.getpid(), "started_at": now, "unit": unit(environ)}
    data = json.dumps(facts).encode() + b"\n"
    with contextlib.suppress(OSError):
        os.pwrite(lock.fd, data, 0)
        os.ftruncate(lock.fd, len(data))


async def keep(lock: Lock, environ: Mapping[str, str], since: str, seconds: float = KEEP) -> None:
    """Put the file back where somebody tidies its folder: without it nobody seems to run, and
    another would end what we supervise. Comes back where another holds the lock since."""
    while True:
        await asyncio.sleep(seconds)
        with contextlib.suppress(OSError):
            before = lock.fd
            if not lock.keep():
                return
            if lock.fd != before:
                note(lock, environ, since)


def holder(path: Path) -> dict[str, Any]:
    """What the file says; nothing where it says nothing yet."""
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def described(facts: Mapping[str, Any]) -> str:
    """Who it is, in words, such as `process 123, since …, unit pynchy.service`."""
    words = [
        f"process {facts['pid']}" if facts.get("pid") else "",
        f"since {facts['started_at']}" if facts.get("started_at") else "",
        f"unit {facts['unit']}" if facts.get("unit") else "",
    ]
    return ", ".join(word for word in words if word)


def unit(environ: Mapping[str, str], cgroup: Path = Path("/proc/self/cgroup")) -> str | None:
    """The service manager's name for us; None where a person started us."""
    if label := environ.get("XPC_SERVICE_NAME", "").strip("0"):
        return label
    if "INVOCATION_ID" not in environ:
        return None
    try:
        parts = cgroup.read_text().strip().split("/")
    except OSError:
        return None
    return next((part for part in reversed(parts) if part.endswith(".service")), None)
