"""The sockets on which we listen: one in the home's folder of sockets, for its owner alone, and one
at an address. Made with the standard library, so that waiting costs nothing."""

from __future__ import annotations

import os
import socket
import struct
from pathlib import Path

from pynchy_cli.errors import GatewayUnavailable
from pynchy_cli.gateway.sockets import make_root

NAME = "serve.sock"
_DRAFT = ".serve.new"
BACKLOG = 1024
"""Connections that may wait to be taken; the kernel lets those beyond wait a second or more."""


def unix(root: Path) -> socket.socket:
    """A listening socket at `root/serve.sock`, in the place of any that was there; nobody but its
    owner may connect. Raises OSError."""
    place, draft = root / NAME, root / _DRAFT
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        try:
            make_root(root)
        except GatewayUnavailable as error:
            raise PermissionError(str(error)) from error
        draft.unlink(missing_ok=True)
        server.bind(str(draft))
        draft.chmod(0o600)
        server.setblocking(False)
        server.listen(BACKLOG)
        draft.rename(place)
    except BaseException:
        server.close()
        raise
    return server


def tcp(host: str, port: int) -> socket.socket:
    """A listening socket at an address. Raises OSError where it is taken, or not ours."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, _, _, _, address = found[0]
    server = socket.socket(family, socket.SOCK_STREAM)
    try:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        server.bind(address)
        server.setblocking(False)
        server.listen(BACKLOG)
    except BaseException:
        server.close()
        raise
    return server


def identity(root: Path) -> tuple[int, int] | None:
    """What tells the present unix socket from any other; None where there is none."""
    try:
        facts = os.lstat(root / NAME)
    except OSError:
        return None
    return facts.st_dev, facts.st_ino


def peer_uid(connection: socket.socket) -> int | None:
    """Whose process is at the other end of a unix socket; None where that can't be told."""
    try:
        # Elsewhere it is LOCAL_PEERCRED: a version, and the uid.
        option = getattr(socket, "SO_PEERCRED", None)
        level, number, form = (0, 1, "2I") if option is None else (socket.SOL_SOCKET, option, "3i")
        data = connection.getsockopt(level, number, struct.calcsize(form))
        return int(struct.unpack(form, data)[1])
    except OSError:
        return None
