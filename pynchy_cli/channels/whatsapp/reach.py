"""Whether WhatsApp's door can be reached at all. It is asked before neonize is had to dial, since
each of its attempts that fails costs an open file and a quarter of a megabyte for good."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Mapping
from urllib.parse import urlsplit

HOST, PORT = "web.whatsapp.com", 443
PORTS = {"http": 80, "https": 443, "socks5": 1080, "socks5h": 1080}
PATIENCE = 20.0
"""Seconds in which somebody must answer there."""


async def obstacle(environ: Mapping[str, str] = os.environ) -> str | None:
    """Why nobody answers where Go will dial, the proxy of the environment or WhatsApp itself; None
    where somebody does."""
    host, port = door(environ)
    try:
        async with asyncio.timeout(PATIENCE):
            _, writer = await asyncio.open_connection(host, port)
    except TimeoutError:
        return f"{_named(host, port)} doesn't answer"
    except OSError as error:
        return f"{_named(host, port)}: {_reason(error)}"
    writer.close()
    return None


def _named(host: str, port: int) -> str:
    return host if (host, port) == (HOST, PORT) else f"the proxy {host}:{port}"


def _reason(error: OSError) -> str:
    # asyncio's own words are its call, or those of all addresses in a row.
    if isinstance(error, socket.gaierror):
        return error.strerror or "no such host"
    return os.strerror(error.errno) if error.errno else "no connection can be made"


def door(environ: Mapping[str, str]) -> tuple[str, int]:
    """Where Go dials first, as its net/http reads the environment."""
    proxy = environ.get("HTTPS_PROXY") or environ.get("https_proxy")
    spared = environ.get("NO_PROXY") or environ.get("no_proxy") or ""
    if not proxy or _is_spared(spared.replace(" ", "").split(",")):
        return HOST, PORT
    parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    return parts.hostname or HOST, parts.port or PORTS.get(parts.scheme, PORT)


def _is_spared(domains: list[str]) -> bool:
    bare = [one.removeprefix("*").removeprefix(".") for one in domains if one]
    return "*" in domains or any(one and f".{HOST}".endswith(f".{one}") for one in bare)
