"""Messages that grow in a stream, and the status line of a thread."""

from __future__ import annotations

from tests.slack_server import shapes, typed
from tests.slack_server.calls import Answer, Call
from tests.slack_server.chat import MARKDOWN, metadata, new, writable
from tests.slack_server.state import Chat, Message, SlackError, units


def start(call: Call) -> Answer:
    """A new message in a thread, to which text can be added."""
    call.need("chat:write")
    place = writable(call)
    if not call.text("thread_ts") or call.text("thread_ts") not in place.messages:
        raise SlackError("invalid_thread_ts")
    if place.kind != "im":
        for name in ("recipient_user_id", "recipient_team_id"):
            if not call.text(name):
                raise SlackError(f"missing_{name}")
    text = _text(call)
    one = new(call, {"text": typed.by_app(text), "sent": text}, call.text("thread_ts"))
    call.work.post(place, one)
    call.back.streams[one.ts] = text
    call.back.accepted(place, one)
    return {"channel": place.id, "ts": one.ts}


def append(call: Call) -> Answer:
    """More text at the end."""
    place, one = _streaming(call)
    if not (text := _text(call)):
        raise SlackError("no_text")
    _grow(call, place, one, text)
    return {"channel": place.id, "ts": one.ts}


def stop(call: Call) -> Answer:
    """Perhaps more text, and then no more."""
    place, one = _streaming(call)
    _grow(call, place, one, _text(call))
    if call.args.get("metadata") is not None:
        one.metadata = metadata(call)
    del call.back.streams[one.ts]
    told = shapes.message(call.work, place, one)
    return {"channel": place.id, "ts": one.ts, "message": told}


def _streaming(call: Call) -> tuple[Chat, Message]:
    call.need("chat:write")
    place = call.chat()
    one = call.message(place)
    if one.user != call.actor.id:
        raise SlackError("message_not_owned_by_app")
    if one.ts not in call.back.streams:
        raise SlackError("message_not_in_streaming_state")
    return place, one


def _grow(call: Call, place: Chat, one: Message, text: str) -> None:
    whole = call.back.streams[one.ts] + text
    call.back.streams[one.ts] = whole
    call.work.edit(place, one, None, text=typed.by_app(whole), sent=whole)


def _text(call: Call) -> str:
    chunks = call.structure("chunks", "invalid_chunks") or []
    kinds = {one.get("type") for one in chunks}
    if kinds - {"markdown_text", "task_update", "plan_update"}:
        raise SlackError("invalid_chunks")
    said = call.text("markdown_text") + "".join(one.get("text", "") for one in chunks)
    if units(said) > MARKDOWN:
        raise SlackError("msg_too_long")
    return said


def set_status(call: Call) -> Answer:
    """What the app is doing, under a thread; gone at the next post."""
    call.need("chat:write")
    place = call.chat("channel_id")
    if call.text("thread_ts") not in place.messages:
        raise SlackError("invalid_thread_ts")
    loading = call.structure("loading_messages", "invalid_arguments") or []
    if len(loading) > 10:
        raise SlackError("invalid_arguments")
    where = {"channel": place.id, "thread_ts": call.text("thread_ts")}
    call.back.statuses.append({**where, "status": call.text("status"), "loading": loading})
    return {}
