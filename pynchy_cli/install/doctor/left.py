"""What dead processes left: locks that nobody holds, sockets where nobody listens. And whether
sockets can be made at all."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from pynchy_cli import locks
from pynchy_cli.errors import GatewayUnavailable
from pynchy_cli.gateway.sockets import NAME, require_ours
from pynchy_cli.install.doctor.facts import Facts
from pynchy_cli.install.doctor.finding import Seen, failed, ok, warning

OLD = 60.0
"""Seconds after which who made a file must have taken its lock."""
OF_PROCESSES = ("owner-*.lock", "sandbox-*.lock")
"""Locks that are made anew each time; those of stages stay, and are taken again."""
LONGEST = 107
"""Bytes of a socket's path."""
SESSION = "s1234567-12345"
"""As long as the folder of a sandbox's socket may be called."""


def stale_locks(facts: Facts) -> Iterator[Seen]:
    """No lock is left of a process that is gone."""
    found = [path for path in _locks(facts) if _is_left(path)]
    if not found:
        yield ok("No lock is left of a process that is gone.")
        return
    names = ", ".join(path.name for path in found[:5])
    yield warning(
        f"{len(found)} locks in {facts.home.locks} are held by nobody: {names}.",
        "They harm nobody; `pynchy doctor --fix` removes them.",
        partial(_unlock, found),
    )


def _locks(facts: Facts) -> Iterator[Path]:
    for pattern in OF_PROCESSES:
        yield from sorted(facts.home.locks.glob(pattern))


def _is_left(path: Path) -> bool:
    try:
        found = path.lstat()
    except FileNotFoundError:
        return False
    young = time.time() - found.st_mtime < OLD
    return stat.S_ISREG(found.st_mode) and not young and not locks.is_held(path)


def _unlock(found: list[Path]) -> str:
    gone = [path for path in found if _is_left(path)]
    for path in gone:
        # Who is just opening it sees that it is gone once he holds it, and begins again.
        path.unlink(missing_ok=True)
    return f"{len(gone)} locks are removed."


def stale_sockets(facts: Facts) -> Iterator[Seen]:
    """No socket is left where nobody listens."""
    if _anybody(facts):
        yield ok("Stages run; sockets are theirs.")
        return
    found = [path for path in _sockets(facts) if _is_deaf(path)]
    if not found:
        yield ok("No socket is left where nobody listens.")
        return
    names = ", ".join(str(path) for path in found[:5])
    yield warning(
        f"{len(found)} sockets where nobody listens: {names}.",
        "They harm nobody; `pynchy doctor --fix` removes them.",
        partial(_unplug, facts, found),
    )


def _anybody(facts: Facts) -> bool:
    return any(locks.is_held(path) for path in facts.home.locks.glob("*.lock"))


def _sockets(facts: Facts) -> Iterator[Path]:
    for root in facts.home.all_sockets(facts.environ):
        with contextlib.suppress(OSError, GatewayUnavailable):
            require_ours(root.parent)
            require_ours(root)
            yield from sorted(one for one in (*root.glob("*"), *root.glob("*/*")) if _is_one(one))


def _is_one(path: Path) -> bool:
    with contextlib.suppress(OSError):
        return stat.S_ISSOCK(path.lstat().st_mode)
    return False


def _is_deaf(path: Path) -> bool:
    """Whether nobody listens, be it for connections or for datagrams."""
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(socket.AF_UNIX, kind) as door:
            door.setblocking(False)
            try:
                door.connect(str(path))
            except OSError as error:
                if error.errno == errno.EPROTOTYPE:
                    continue
                return error.errno == errno.ECONNREFUSED
            return False
    return False


def _unplug(facts: Facts, found: list[Path]) -> str:
    gone = [] if _anybody(facts) else [path for path in found if _is_deaf(path)]
    for path in gone:
        path.unlink(missing_ok=True)
    return f"{len(gone)} sockets are removed."


def path_length(facts: Facts) -> Iterator[Seen]:
    """The paths of sockets are short enough for the kernel."""
    longest = facts.home.sockets(facts.environ) / SESSION / NAME
    length = len(os.fsencode(longest))
    if length > LONGEST:
        yield failed(
            f"{longest} has {length} bytes, and a socket's path at most {LONGEST}: no sandbox could"
            " reach its model.",
            "Set XDG_RUNTIME_DIR to a folder with a shorter path.",
        )
    else:
        yield ok(f"Sockets lie in {longest.parent.parent}.")


def folder(facts: Facts) -> Iterator[Seen]:
    """The folder of sockets is ours alone."""
    root = facts.home.sockets(facts.environ)
    for path in (root.parent, root):
        try:
            require_ours(path)
        except FileNotFoundError:
            pass  # It is made when it is needed.
        except GatewayUnavailable as error:
            yield failed(str(error), f"See `ls -ld {path}`; `chmod go-w {path}` where it is yours.")
            return
    yield ok(f"{root} is yours, or can be made.")
