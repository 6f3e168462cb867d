"""The Web API's door: tokens, faults, the table of methods, and the form of answers."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web

from tests.slack_server import chat, conversations, files, streams
from tests.slack_server.backend import Backend, Token
from tests.slack_server.calls import Answer, Call
from tests.slack_server.faults import Fault, cut
from tests.slack_server.state import SlackError

METHODS: dict[str, Callable[[Call], Answer]] = {
    "auth.test": conversations.auth_test,
    "bots.info": conversations.bots_info,
    "users.info": conversations.users_info,
    "users.list": conversations.users_list,
    "users.conversations": conversations.listing(mine=True),
    "conversations.list": conversations.listing(mine=False),
    "conversations.info": conversations.info,
    "conversations.members": conversations.members,
    "conversations.history": conversations.history,
    "conversations.replies": conversations.replies,
    "conversations.open": conversations.open_chat,
    "conversations.join": conversations.join,
    "chat.postMessage": chat.post_message,
    "chat.update": chat.update,
    "chat.delete": chat.delete,
    "chat.postEphemeral": chat.post_ephemeral,
    "chat.getPermalink": chat.permalink,
    "chat.startStream": streams.start,
    "chat.appendStream": streams.append,
    "chat.stopStream": streams.stop,
    "assistant.threads.setStatus": streams.set_status,
    "files.getUploadURLExternal": files.upload_url,
    "files.completeUploadExternal": files.complete,
    "files.info": files.info,
    "reactions.add": chat.react(on=True),
    "reactions.remove": chat.react(on=False),
    "reactions.get": chat.reactions,
}


class WebApi:
    """Answers `/api/{method}`."""

    def __init__(self, back: Backend) -> None:
        self._back = back

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """One call, with the fault that it meets."""
        method = request.match_info["method"]
        args = await arguments(request)
        given = request.headers.get("Authorization", "").removeprefix("Bearer ").strip()
        token = given or str(args.pop("token", ""))
        book = {"at": time.time(), "method": method, "args": args, "outcome": "pending"}
        self._back.calls.append(book)
        fault = self._back.faults.next(method, args)
        if fault is None:
            pause = self._back.options.latency / 2
            await asyncio.sleep(pause)
            answer, book["outcome"] = self._answer(request, method, token, args)
            await asyncio.sleep(pause)
            return answer
        book["fault"] = fault.kind
        return await self._faulty(fault, request, token, book)

    async def _faulty(
        self, fault: Fault, request: web.Request, token: str, book: dict[str, Any]
    ) -> web.StreamResponse:
        if fault.seconds and fault.kind != "sleep_after":
            await asyncio.sleep(fault.seconds)
        if fault.kind == "hold":
            await self._back.faults.hold()
        if fault.kind.startswith(("sleep", "hold", "after_")):
            answer, book["outcome"] = self._answer(request, book["method"], token, book["args"])
            if fault.kind == "sleep_after":
                await asyncio.sleep(fault.seconds)
            if fault.kind == "hold_after":
                await self._back.faults.hold()
            if fault.kind == "after_drop":
                cut(request)
            if fault.kind == "after_error":
                return refusal(SlackError(fault.error or "fatal_error"), {})
            return web.Response(status=500, text="") if fault.kind == "after_500" else answer
        book["outcome"] = fault.error or fault.kind
        if fault.kind == "drop":
            cut(request)
        return broken(fault)

    def _answer(
        self, request: web.Request, method: str, token: str, args: dict[str, Any]
    ) -> tuple[web.Response, str]:
        headers: dict[str, str] = {}
        try:
            known = self._known(token)
            headers["x-oauth-scopes"] = ",".join(sorted(known.scopes))
            told = self._do(request, method, known, args)
        except SlackError as error:
            return refusal(error, headers), error.name
        return web.json_response({"ok": True, **told}, headers=headers), "ok"

    def _known(self, token: str) -> Token:
        if not token:
            raise SlackError("not_authed")
        if token not in self._back.tokens:
            raise SlackError("invalid_auth")
        known = self._back.tokens[token]
        if known.error:
            raise SlackError(known.error)
        return known

    def _do(self, request: web.Request, method: str, known: Token, args: Answer) -> Answer:
        self._back.limited(method)
        if method == "apps.connections.open":
            return self._open(request, known)
        if method == "auth.test" and not known.user:
            return {"app_name": self._back.options.bot_name, "app_id": self._back.options.app}
        if method not in METHODS:
            raise SlackError("unknown_method", req_method=method)
        if not known.user:
            raise SlackError("not_allowed_token_type")
        actor = self._back.work.users[known.user]
        return METHODS[method](Call(self._back, method, args, actor, known.scopes))

    def _open(self, request: web.Request, known: Token) -> Answer:
        if known.user:
            raise SlackError("not_allowed_token_type")
        if "connections:write" not in known.scopes:
            provided = ",".join(sorted(known.scopes))
            raise SlackError("missing_scope", needed="connections:write", provided=provided)
        place = urlsplit(self._back.work.url).netloc
        ticket = self._back.sockets.ticket()
        return {"url": f"ws://{place}/link/?ticket={ticket}&app_id={self._back.options.app}"}


async def arguments(request: web.Request) -> dict[str, Any]:
    """What a call says, in its address, its form or its JSON."""
    found: dict[str, Any] = dict(request.query)
    if not request.can_read_body:
        return found
    if request.content_type == "application/json":
        try:
            body = json.loads(await request.text() or "{}")
        except ValueError:
            return {**found, "": "invalid_json"}
        return {**found, **body}
    return {**found, **dict(await request.post())}


def refusal(error: SlackError, headers: dict[str, str]) -> web.Response:
    """`ok: false`; a rate limit is a status and a header too."""
    more = dict(error.more)
    status = 200
    if error.name == "ratelimited":
        status = 429
        headers = {**headers, "Retry-After": str(more.pop("retry_after", 1))}
    body = {"ok": False, "error": error.name, **more}
    return web.json_response(body, status=status, headers=headers)


def broken(fault: Fault) -> web.Response:
    """The answer of a call that was not accepted."""
    if fault.kind == "429":
        return refusal(SlackError("ratelimited", retry_after=fault.retry_after), {})
    if fault.kind == "error":
        return refusal(SlackError(fault.error), {})
    if fault.kind == "not_json":
        return web.Response(text="upstream connect error", content_type="text/plain")
    if fault.kind == "html":
        return web.Response(text="<!DOCTYPE html><html>…</html>", content_type="text/html")
    return web.Response(status=int(fault.error or 500), text="")
