"""What an app answers to a press or a command: in the ack, or later at the response_url."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from aiohttp import web

from tests.slack_server import typed
from tests.slack_server.state import Message

if TYPE_CHECKING:
    from tests.slack_server.backend import Backend, Response


def respond(back: Backend, to: Response, said: dict[str, Any]) -> None:
    """Shows the answer: to the person alone unless it says otherwise."""
    work = back.work
    place = work.chats[to.channel]
    one = place.messages.get(to.ts)
    text = str(said.get("text") or "")
    if one is not None and said.get("delete_original"):
        work.delete(place, one)
    elif one is not None and said.get("replace_original"):
        changes = {"text": typed.by_app(text), "blocks": said.get("blocks") or []}
        work.edit(place, one, None, sent=text, **changes)
    elif not text and not said.get("blocks"):
        return
    elif said.get("response_type") == "in_channel":
        made = Message(work.stamp(), work.app.id, typed.by_app(text), subtype="bot_message")
        made.bot_id, made.app_id, made.sent = work.app.bot_id, work.app.app_id, text
        work.post(place, made)
    else:
        where = {"channel": to.channel, "user": to.user, "thread_ts": "", "ts": work.stamp()}
        back.ephemerals.append({**where, "text": typed.by_app(text), "sent": text})


def answer(back: Backend) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """What stands behind a response_url."""

    async def take(request: web.Request) -> web.StreamResponse:
        found = back.responses.get(request.match_info["name"])
        if found is None or found.left == 0:
            error = "expired_url" if found is None else "used_url"
            return web.json_response({"ok": False, "error": error}, status=404)
        try:
            said = json.loads(await request.text())
        except ValueError:
            return web.Response(status=400, text="invalid_payload")
        found.left -= 1
        respond(back, found, said)
        return web.Response(text="ok")

    return take
