"""HTTP on a sandbox's socket: looks which call it is, bounds it, and has the model answer.
No call that isn't in the table of doors goes anywhere."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import cast

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from pynchy_cli.gateway.doors import call_of
from pynchy_cli.gateway.model import Model
from pynchy_cli.gateway.refusals import refusal

BODY_LIMIT = 64 * 1024**2
"""Bytes in one call; the Messages API itself takes 32 MB."""
CONNECTIONS = 32
"""Connections that one sandbox may hold, so that it can't use up the descriptors of others."""


def doorkeeper(model: Model) -> web.Server:
    """What speaks with the connections of one sandbox."""

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        call = call_of(request.method, request.rel_url.raw_path)
        if call is None:
            return refusal(404, "The gateway has no such path.")
        if call == "hello":
            return web.Response()
        if (request.content_length or 0) > BODY_LIMIT:
            return refusal(413, f"A call may have {BODY_LIMIT} bytes.")
        return await model.answer(request, call, BODY_LIMIT)

    log = logging.getLogger("pynchy.gateway.http")
    log.addFilter(_is_our_fault)
    return web.Server(
        handle,
        logger=log,
        handler_cancellation=True,  # who hangs up is no longer answered, nor paid for
        access_log=None,
        auto_decompress=False,
    )


def _is_our_fault(record: logging.LogRecord) -> bool:
    """What is no HTTP is answered with 400; a line for each would let a sandbox fill the log."""
    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))


def factory(server: web.Server) -> Callable[[], asyncio.Protocol]:
    """Makes the protocol of one more connection, or of one too many."""

    def protocol() -> asyncio.Protocol:
        if len(server.connections) >= CONNECTIONS:
            return _OneTooMany()
        return cast(asyncio.Protocol, server())

    return protocol


class _OneTooMany(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()
