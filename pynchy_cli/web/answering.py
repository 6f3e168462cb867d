"""Between HTTP and the table of calls: finds the call, asks who may, takes the body in its bounds,
and turns what went wrong into JSON."""

from __future__ import annotations

import asyncio
import sqlite3

from aiohttp import web

from pynchy_cli import errors
from pynchy_cli.errors import PynchyError
from pynchy_cli.store.connection import translate
from pynchy_cli.web import guard, shapes
from pynchy_cli.web.call import JSON, Answer, Call
from pynchy_cli.web.guard import Door, Refused
from pynchy_cli.web.headers import HEADERS
from pynchy_cli.web.routes import STREAM, Route, find
from pynchy_cli.web.site import Site
from pynchy_cli.web.stream import stream

STATUSES: dict[type[PynchyError], int] = {
    errors.ApprovalUnknown: 404,
    errors.GroupUnknown: 404,
    errors.ApprovalDecided: 409,
    errors.ApprovalExpired: 409,
    errors.ApprovalForbidden: 403,
}
"""What of the errors is the asker's; for any other there is no answer just now."""


async def answer(site: Site, door: Door, request: web.BaseRequest) -> web.StreamResponse:
    """The answer to one call, whatever it is."""
    try:
        return await _answer(site, door, request)
    except Refused as refused:
        return _refusal(refused)
    except PynchyError as error:
        return _refusal(Refused(STATUSES.get(type(error), 503), error.name, str(error)))
    except sqlite3.Error as error:
        known = translate(site.home.database, error)
        name = known.name if isinstance(known, PynchyError) else "database_error"
        site.log.warning("a call failed", path=request.rel_url.path, reason=str(known))
        return _refusal(Refused(503, name, str(known)))


async def _answer(site: Site, door: Door, request: web.BaseRequest) -> web.StreamResponse:
    who = guard.who(door, _headers(request), site.settings.serve, site.settings.secrets.api_token)
    is_head = request.method == "HEAD"  # as GET, of which the body isn't sent
    route, path = find("GET" if is_head else request.method, request.raw_path)
    if route.is_owners:
        guard.require_owner(who)
    call = Call(
        site,
        who,
        path,
        dict(request.rel_url.query),
        await _body(site, request, route),
        request.headers.get("Last-Event-ID"),
    )
    if route.gives == STREAM:
        if is_head:
            raise Refused(405, "method_unknown", "GET")
        return await stream(request, call)
    return _response(route.answer(call))


def _headers(request: web.BaseRequest) -> guard.Headers:
    return guard.Headers(
        tuple(request.headers.getall("Host", ())),
        request.headers.get("Origin"),
        request.headers.get("Sec-Fetch-Site"),
        request.headers.get("Authorization"),
        any(name in request.headers for name in guard.FORWARDED),
    )


async def _body(site: Site, request: web.BaseRequest, route: Route) -> bytes:
    """The body where the call takes one. Raises Refused."""
    if route.takes is None:
        return b""
    if request.content_type != JSON or (request.charset or "utf-8").lower() != "utf-8":
        raise Refused(415, "json_needed", "Send JSON: Content-Type: application/json.")
    limit = site.settings.serve.max_body
    too_large = Refused(413, "too_large", f"A body may have {limit} bytes.")
    if (request.content_length or 0) > limit:
        raise too_large
    found = bytearray()
    try:
        async with asyncio.timeout(site.patience.body):
            async for piece in request.content.iter_any():
                found += piece
                if len(found) > limit:
                    raise too_large
    except TimeoutError:
        raise Refused(408, "too_slow", "The body did not come.") from None
    except web.RequestPayloadError as error:
        raise Refused(400, "input_wrong", f"The body can't be read: {error}.") from error
    return bytes(found)


def broken(status: int) -> web.Response:
    """What is answered to what is no HTTP, and where we have failed."""
    if status < 500:
        return _refusal(Refused(status, "http_wrong", "That is no HTTP that can be understood."))
    return _refusal(Refused(status, "failed", "This is a fault of pynchy's; its log has it."))


def _refusal(refused: Refused) -> web.Response:
    message, more = str(refused), {}
    if refused.status == 401:
        more = {"WWW-Authenticate": "Bearer"}
    elif refused.status == 405:
        more = {"Allow": message}
        message = f"There is only: {message}."
    elif refused.status == 503:
        more = {"Retry-After": "1"}
    failure = shapes.Failure(shapes.Problem(refused.code, message))
    response = _response(Answer(failure, refused.status))
    response.headers.update(more)
    if refused.status in (408, 413):
        response.force_close()  # what of the body is still to come is nobody's
    return response


def _response(answer: Answer) -> web.Response:
    response = web.Response(body=answer.encoded(), status=answer.status, headers=HEADERS)
    response.headers["Content-Type"] = answer.content_type
    return response
