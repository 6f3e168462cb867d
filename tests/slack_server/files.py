"""files.*, and where files are sent to and fetched from."""

from __future__ import annotations

import asyncio
import mimetypes
import time
from collections.abc import Awaitable, Callable

from aiohttp import web

from tests.slack_server import shapes, typed
from tests.slack_server.backend import Backend
from tests.slack_server.calls import Answer, Call
from tests.slack_server.chat import new
from tests.slack_server.faults import Fault, cut
from tests.slack_server.state import Chat, File, Message, SlackError

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
LOGIN = "<!DOCTYPE html><html><head><title>Sign in to Pynchy | Slack</title></head></html>"


def upload_url(call: Call) -> Answer:
    """Where the bytes of a new file go."""
    call.need("files:write")
    name, length = call.text("filename"), call.number("length", 0)
    if not name or length <= 0:
        raise SlackError("invalid_arguments")
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    made = File(call.work.identify("F0"), name, name, kind, call.actor.id,
                int(call.work.now()), length)  # fmt: skip
    call.work.files[made.id] = made
    return {"upload_url": f"{call.work.url}/upload/{made.id}", "file_id": made.id}


def complete(call: Call) -> Answer:
    """Shares what was uploaded, in one message."""
    call.need("files:write")
    given = call.structure("files", "invalid_arguments")
    if not given:
        raise SlackError("invalid_arguments")
    found = [_uploaded(call, one) for one in given]
    if call.text("channel_id"):
        place = call.chat("channel_id")
        thread = call.text("thread_ts")
        if thread and thread not in place.messages:
            raise SlackError("invalid_thread_ts")
        said = call.text("initial_comment")
        content = {"text": typed.by_app(said), "sent": said}
        one = new(call, content, thread)
        one.files, one.subtype = [each.id for each in found], "file_share"
        delay = call.back.options.share_delay
        asyncio.get_running_loop().call_later(delay, _share, call, place, one)
    return {"files": [shapes.whole_file(call.work, one) for one in found]}


def _share(call: Call, place: Chat, one: Message) -> None:
    one.ts = call.work.stamp()
    call.work.post(place, one)
    call.back.accepted(place, one)


def _uploaded(call: Call, given: Answer) -> File:
    found = call.work.files.get(given.get("id", ""))
    if found is None or found.content is None:
        raise SlackError("file_not_found")
    found.title = given.get("title") or found.name
    return found


def info(call: Call) -> Answer:
    """One file, and where it is shared."""
    call.need("files:read")
    found = call.work.files.get(call.text("file"))
    if found is None or not _sees(call, found):
        raise SlackError("file_not_found")
    shares: Answer = {}
    for chat, ts, thread in found.shares:
        side = "private" if call.work.chats[chat].is_private else "public"
        share = {"ts": ts, "channel_name": call.work.chats[chat].name, "team_id": call.work.team}
        more = {"thread_ts": thread} if thread else {}
        shares.setdefault(side, {}).setdefault(chat, []).append({**share, **more})
    return {"file": {**shapes.whole_file(call.work, found), "shares": shares}, "comments": []}


def _sees(call: Call, one: File) -> bool:
    chats = [call.work.chats[chat] for chat, _, _ in one.shares]
    return one.user == call.actor.id or any(call.actor.id in each.members for each in chats)


def upload(back: Backend) -> Handler:
    """Takes the bytes, as they are or in a form."""

    async def take(request: web.Request) -> web.StreamResponse:
        fault = back.faults.next("upload", {"file": request.match_info["file"]})
        if fault is not None and fault.kind == "drop":
            cut(request)
        if fault is not None and fault.kind in ("drop", "500"):
            return web.Response(status=500)
        found = back.work.files.get(request.match_info["file"])
        if found is None or found.content is not None:
            return web.Response(status=404, text="not found")
        data = await request.read()
        if request.content_type == "multipart/form-data":
            form = await request.post()
            part = next((one for one in form.values() if isinstance(one, web.FileField)), None)
            data = part.file.read() if part else b""
        if len(data) != found.length:
            return web.Response(status=400, text="length mismatch")
        found.content = data
        return web.Response(text=f"OK - {len(data)}")

    return take


def download(back: Backend) -> Handler:
    """Gives the bytes to a token that may read files, and a page to log in to all others."""

    async def give(request: web.Request) -> web.StreamResponse:
        file = request.match_info["file"].rpartition("-")[2]
        book = {"at": time.time(), "method": "download", "args": {"file": file}, "outcome": "ok"}
        back.calls.append(book)
        fault = back.faults.next("download", {"file": file})
        if fault is not None:
            book["outcome"] = fault.kind
            await asyncio.sleep(fault.seconds)
            if fault.kind not in ("sleep", "cut"):
                return faulty(request, fault)
        token = request.headers.get("Authorization", "").removeprefix("Bearer ").strip()
        known = back.tokens.get(token)
        found = back.work.files.get(file)
        if known is None or known.error or "files:read" not in known.scopes:
            book["outcome"] = "login"
            raise web.HTTPFound(f"{back.work.url}/?redir={request.path}")
        if found is None or found.content is None or found.removed:
            return web.Response(status=404, text="not found")
        if fault is not None and fault.kind == "cut":
            return await _half(request, found)
        return web.Response(body=found.content, content_type=found.mimetype)

    return give


async def login(request: web.Request) -> web.Response:
    """Where people without a token end up."""
    return web.Response(text=LOGIN, content_type="text/html")


def faulty(request: web.Request, fault: Fault) -> web.Response:
    """A download that comes to nothing."""
    if fault.kind == "drop":
        cut(request)
    if fault.kind == "lead":
        raise web.HTTPFound(fault.error)
    if fault.kind == "html":
        return web.Response(text=LOGIN, content_type="text/html")
    if fault.kind == "429":
        return web.Response(status=429, headers={"Retry-After": str(fault.retry_after)})
    return web.Response(status=int(fault.error or 500))


async def _half(request: web.Request, one: File) -> web.StreamResponse:
    """Promises all, gives half, and is gone."""
    content = one.content or b""
    answer = web.StreamResponse(headers={"Content-Type": one.mimetype})
    answer.content_length = len(content)
    await answer.prepare(request)
    await answer.write(content[: len(content) // 2])
    cut(request)
    return answer
