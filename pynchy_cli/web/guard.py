"""Who is asking, and whether they may: pure functions of a connection's facts and a call's headers.
What a header claims makes nobody more than they are; only the token and the unix socket do."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Literal

from pynchy_cli.config.settings import Serve

Who = Literal["owner", "api"]
"""The owner may do all; `api` reads, and says what is never obeyed."""
BEARER = "bearer "
FORWARDED = ("Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP")
"""Headers by which proxies tell for whom they speak; to claim that makes nobody more."""
OURS = ("same-origin", "none")
"""What a browser says of calls that come from our own pages, or from its address line."""


class Refused(Exception):
    """A call that is not carried out: the HTTP status, a stable code, and what to do."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


@dataclass(frozen=True)
class Door:
    """By which way a call came: the unix socket, or an address. `is_beyond` says that other
    machines can reach it, too; `address` is our own one at the connection's end."""

    is_unix: bool
    is_beyond: bool = False
    address: str = ""


@dataclass(frozen=True)
class Headers:
    """What a call says of itself, as far as it matters here."""

    hosts: Sequence[str] = ()
    origin: str | None = None
    fetch_site: str | None = None
    authorization: str | None = None
    is_forwarded: bool = False
    """Whether a proxy says that it speaks for somebody, who may be anywhere."""


def who(door: Door, headers: Headers, serve: Serve, token: str) -> Who:
    """Who is asking. Raises Refused."""
    if door.is_unix and not headers.is_forwarded:
        return "owner"
    _require_ours(door, headers, serve)
    if headers.authorization is not None:
        if not shows(headers.authorization, token):
            raise Refused(401, "token_wrong", "That is not the token that .env has.")
        return "owner"
    if door.is_beyond or headers.is_forwarded:
        raise Refused(401, "token_needed", "Show the token: Authorization: Bearer TOKEN.")
    return "api"


def require_owner(who: Who) -> None:
    """Raises Refused where somebody else asks for what is the owner's to do."""
    if who != "owner":
        raise Refused(
            401,
            "token_needed",
            "That is the owner's to do: use the unix socket, or show the token "
            "(Authorization: Bearer TOKEN).",
        )


def shows(authorization: str, token: str) -> bool:
    """Whether a header shows the token; in a time that tells nothing of it."""
    if not authorization.lower().startswith(BEARER):
        return False
    given = authorization[len(BEARER) :].strip().encode("utf-8", "surrogateescape")
    return hmac.compare_digest(given, token.encode()) and bool(token)


def is_trusted(peer: str, address: str, serve: Serve) -> bool:
    """Whether people may come from an address at all; this machine always may."""
    if peer == address:
        return True
    try:
        there = ip_address(peer.partition("%")[0])
    except ValueError:
        return False
    there = getattr(there, "ipv4_mapped", None) or there
    networks = [ip_network(one) for one in serve.trusted_networks]
    return there.is_loopback or any(there in one for one in networks)


def _require_ours(door: Door, headers: Headers, serve: Serve) -> None:
    """No name that others made mean us, and no page of somebody else's."""
    if len(headers.hosts) != 1 or not _is_our_name(headers.hosts[0], door, serve):
        raise Refused(
            403,
            "host_unknown",
            "The call is for a name that isn't ours. [serve] hosts takes further ones.",
        )
    host = headers.hosts[0].lower()
    if headers.origin is not None and headers.origin.lower() not in (
        f"http://{host}",
        f"https://{host}",
    ):
        raise Refused(403, "origin_foreign", "Pages of other sites may not call here.")
    if headers.fetch_site is not None and headers.fetch_site.lower() not in OURS:
        raise Refused(403, "origin_foreign", "Pages of other sites may not call here.")


def _is_our_name(host: str, door: Door, serve: Serve) -> bool:
    name = _name(host)
    ours = {"localhost", "127.0.0.1", "::1", door.address, serve.host, *serve.hosts}
    return bool(name) and name in {one.lower().rstrip(".") for one in ours if one}


def _name(host: str) -> str:
    """The name or address in a Host header, without its port."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].rstrip(".").lower()
