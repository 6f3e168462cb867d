"""chat.* and reactions.*: what the app writes."""

from __future__ import annotations

import re
from typing import Any

from tests.slack_server import blocks as block_rules
from tests.slack_server import shapes, typed
from tests.slack_server.calls import Answer, Call
from tests.slack_server.conversations import moment
from tests.slack_server.state import Chat, Message, SlackError

CUT = 40_000
EDITABLE = 4_000
MARKDOWN = 12_000


def post_message(call: Call) -> Answer:
    """A new message; too long a text is cut."""
    call.need("chat:write")
    place = _writable(call)
    given = content(call)
    thread = call.text("thread_ts")
    if thread and thread not in place.messages:
        moment(thread, "invalid_thread_ts")
        raise SlackError("thread_not_found")
    metadata = _metadata(call)
    call.back.pace(place)
    one = new(call, given, thread, call.flag("reply_broadcast"))
    one.metadata = metadata
    call.work.post(place, one)
    call.back.accepted(place, one)
    told = shapes.message(call.work, place, one, metadata=True)
    return {"channel": place.id, "ts": one.ts, "message": told}


def new(call: Call, given: dict[str, Any], thread: str = "", broadcast: bool = False) -> Message:
    """A message of the app."""
    bot = {"bot_id": call.actor.bot_id, "app_id": call.actor.app_id}
    one = Message(call.work.stamp(), call.actor.id, thread_ts=thread, **bot, **given)
    if thread and broadcast:
        one.broadcast, one.subtype = True, "thread_broadcast"
    return one


def _writable(call: Call) -> Chat:
    """Where the app may write; a user id means the DM with that person."""
    name = call.text("channel")
    if not name:
        raise SlackError("channel_not_found")
    if name.startswith(("U", "W")) and name in call.work.users:
        place = call.work.together([call.actor.id, name])
    else:
        place = call.chat()
    if place.archived:
        raise SlackError("is_archived")
    return place


def content(call: Call) -> dict[str, Any]:
    """Text, blocks and attachments of a call, as they are stored."""
    given = call.structure("blocks", "invalid_blocks_format")
    blocks = block_rules.checked(given) if given is not None else []
    attachments = call.structure("attachments", "invalid_attachments") or []
    text = call.text("text")
    if markdown := call.text("markdown_text"):
        if text or blocks:
            raise SlackError("markdown_text_conflict")
        if len(markdown) > MARKDOWN:
            raise SlackError("msg_too_long")
        text = markdown
    if not text.strip() and not blocks and not attachments:
        raise SlackError("no_text")
    told = {"text": typed.by_app(text[:CUT]), "sent": text}
    return {**told, "blocks": blocks, "attachments": attachments}


def _metadata(call: Call) -> dict[str, Any] | None:
    given = call.structure("metadata", "invalid_metadata_format")
    if not given:
        return None
    if not isinstance(given, dict) or not isinstance(given.get("event_payload"), dict):
        raise SlackError("invalid_metadata_format")
    if not re.fullmatch(r"[A-Za-z0-9_]+", str(given.get("event_type", ""))):
        raise SlackError("invalid_metadata_format")
    return {"event_type": given["event_type"], "event_payload": given["event_payload"]}


def update(call: Call) -> Answer:
    """Another text for one of the app's own messages."""
    call.need("chat:write")
    place = call.chat(member=False)
    one = call.message(place)
    if one.user != call.actor.id or one.subtype == "tombstone" or one.ts in call.back.streams:
        raise SlackError("cant_update_message")
    if len(call.text("text")) > EDITABLE:
        raise SlackError("msg_too_long")
    given = content(call)
    for name in ("blocks", "attachments"):
        if call.args.get(name) is None:
            given[name] = getattr(one, name)
    if call.args.get("metadata") is not None:
        given["metadata"] = _metadata(call)
    editor = call.actor.id if one.text != given["text"] else None
    call.work.edit(place, one, editor, **given)
    told = shapes.message(call.work, place, one)
    return {"channel": place.id, "ts": one.ts, "text": one.text, "message": told}


def delete(call: Call) -> Answer:
    """Takes one of the app's own messages away."""
    call.need("chat:write")
    place = call.chat(member=False)
    one = call.message(place)
    if one.user != call.actor.id:
        raise SlackError("cant_delete_message")
    call.work.delete(place, one)
    return {"channel": place.id, "ts": one.ts}


def post_ephemeral(call: Call) -> Answer:
    """What only one person sees, and nobody finds again."""
    call.need("chat:write")
    place = _writable(call)
    if call.text("user") not in place.members:
        raise SlackError("user_not_in_channel")
    given = content(call)
    ts = call.work.stamp()
    where = {"channel": place.id, "user": call.text("user"), "thread_ts": call.text("thread_ts")}
    call.back.ephemerals.append({**where, "ts": ts, **given})
    return {"message_ts": ts}


def permalink(call: Call) -> Answer:
    """The address of a message."""
    place = call.chat(member=False)
    one = call.message(place, "message_ts")
    tail = f"?thread_ts={one.thread_ts}&cid={place.id}" if one.is_reply else ""
    address = f"{call.work.url}/archives/{place.id}/p{one.ts.replace('.', '')}{tail}"
    return {"channel": place.id, "permalink": address}


def react(on: bool) -> Any:
    """reactions.add, or reactions.remove."""

    def give(call: Call) -> Answer:
        call.need("reactions:write")
        place = call.chat()
        name = call.text("name").strip(":")
        if not re.fullmatch(r"[a-z0-9_+'-]+(::skin-tone-[2-6])?", name):
            raise SlackError("invalid_name")
        one = call.message(place, "timestamp")
        call.work.react(place, one, call.actor.id, name, on)
        return {}

    return give


def reactions(call: Call) -> Answer:
    """What stands on a message."""
    call.need("reactions:read")
    place = call.chat()
    one = call.message(place, "timestamp")
    told = shapes.message(call.work, place, one)
    return {"type": "message", "channel": place.id, "message": told}
