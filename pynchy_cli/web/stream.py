"""Server-sent events: writes what is new to one who follows, woken by the doorbell. Between news
there is a comment now and then, so that whoever has gone is noticed."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Iterable

import msgspec
from aiohttp import web

from pynchy_cli.errors import PynchyError
from pynchy_cli.web.call import Call
from pynchy_cli.web.guard import Refused
from pynchy_cli.web.headers import HEADERS
from pynchy_cli.web.news import Event, Follower, Place

BEGIN = b"retry: 2000\n: pynchy\n\n"
ALIVE = b": alive\n\n"


async def stream(request: web.BaseRequest, call: Call) -> web.StreamResponse:
    """Write events until whoever follows has gone, or we stop. Raises Refused."""
    end = Place.newest(call.site.db)
    place = Place.parse(call.last_event).within(end) if call.last_event else end
    if (rung := call.site.follow(is_owner=call.who == "owner")) is None:
        raise Refused(503, "too_many", "Too many follow the events already.")
    try:
        response = web.StreamResponse(headers={**HEADERS, "X-Accel-Buffering": "no"})
        response.content_type = "text/event-stream"
        response.charset = "utf-8"
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):  # whoever followed has gone
            await _write(request, response, BEGIN, call.site.patience.taken)
            await _follow(request, response, call, Follower(place), rung)
        return response
    finally:
        call.site.leave(rung)


async def _follow(
    request: web.BaseRequest,
    response: web.StreamResponse,
    call: Call,
    follower: Follower,
    rung: asyncio.Event,
) -> None:
    while not call.site.is_stopping:
        rung.clear()
        try:
            found = follower.read(call.site.db)
        except (PynchyError, sqlite3.Error) as error:
            call.site.log.warning("events can't be read", reason=str(error))
            return
        if found:
            await _write(request, response, _encoded(found), call.site.patience.taken)
            await asyncio.sleep(0)  # others have their turn while many are read
            continue
        try:
            async with asyncio.timeout(call.site.patience.heartbeat):
                await rung.wait()
        except TimeoutError:
            await _write(request, response, ALIVE, call.site.patience.taken)


async def _write(
    request: web.BaseRequest, response: web.StreamResponse, data: bytes, patience: float
) -> None:
    try:
        async with asyncio.timeout(patience):
            await response.write(data)
    except TimeoutError:
        if request.transport is not None:
            request.transport.abort()
        raise ConnectionResetError("whoever follows takes nothing any more") from None


def _encoded(found: Iterable[tuple[Place, Event]]) -> bytes:
    return b"".join(
        b"id: %s\ndata: %s\n\n" % (str(place).encode(), msgspec.json.encode(event))
        for place, event in found
    )
