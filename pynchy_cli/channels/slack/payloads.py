"""Fields of what Slack sends, each as strictly as it is needed: ids that can't pass for anything
else, times that are some, texts that aren't endless. What isn't so is odd."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pynchy_cli import clock
from pynchy_cli.channels.seen import line, whole
from pynchy_cli.channels.slack.text_in import ID, LONGEST
from pynchy_cli.model import SharedFile

MOST_FILES = 20
"""Files of one message that are looked at."""
_LARGEST = 2**53
_TS = re.compile(r"[1-9][0-9]{9}\.[0-9]{6}")
_TOKEN = re.compile(r"[\w.:-]{1,200}", re.ASCII)
_URL = re.compile(r"https?://[!-~]{1,2000}")


class Odd(Exception):
    """A payload that isn't what Slack sends; says why."""


@dataclass(frozen=True)
class Press:
    """A button that was pressed: where, by whom and when, and what it says."""

    channel: str
    ts: str
    thread: str
    user: str
    at: str
    action: str
    says: str
    app_id: str


def mapping(payload: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """An object of the payload. Raises Odd."""
    value = payload.get(key)
    if not isinstance(value, dict):
        raise Odd(f"no {key}")
    return value


def before(event: Mapping[str, Any]) -> Mapping[str, Any]:
    """The message as it was, where that is told."""
    message = event.get("previous_message")
    return message if isinstance(message, dict) else {}


def channel(payload: Mapping[str, Any], key: str) -> str:
    """A channel's id. Raises Odd."""
    return _matching(payload, key, ID)


def chat(payload: Mapping[str, Any], key: str) -> str:
    """The chat that a channel is. Raises Odd."""
    return f"slack:{channel(payload, key)}"


def user(payload: Mapping[str, Any], key: str = "user") -> str:
    """A user's id. Raises Odd."""
    return _matching(payload, key, ID)


def ts(payload: Mapping[str, Any], key: str = "ts") -> str:
    """A message's time, which is its id; such texts are ordered as their times are. Raises Odd."""
    return _matching(payload, key, _TS)


def mark(message: Mapping[str, Any]) -> str:
    """What tells one edit of a message from another in the same second, which is all that Slack
    tells of when it was."""
    text = message.get("text")
    said = text if isinstance(text, str) else ""
    return f"-{hashlib.sha256(said.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"


def require_text(message: Mapping[str, Any]) -> None:
    """Raises Odd where what a message says is no text, or longer than any."""
    text = message.get("text")
    if not isinstance(text, str | None):
        raise Odd("its text is none")
    if len(text or "") > LONGEST:
        raise Odd(f"its text is longer than {LONGEST} characters")


def trigger(payload: Mapping[str, Any]) -> str:
    """What tells one slash command from another. Raises Odd."""
    return _matching(payload, "trigger_id", _TOKEN)


def thread(message: Mapping[str, Any]) -> str:
    """The time of the first message of the thread that a message replies in; empty outside of
    one. Raises Odd."""
    if message.get("thread_ts") is None:
        return ""
    first = ts(message, "thread_ts")
    return first if first != message.get("ts") else ""


def time(ts: str) -> str:
    """A message's time as the file writes it."""
    seconds, _, micros = ts.partition(".")
    moment = datetime.fromtimestamp(int(seconds), UTC).replace(microsecond=int(micros))
    return clock.stamp(moment)


def press(payload: Mapping[str, Any]) -> Press:
    """The press of a button. Raises Odd."""
    actions = payload.get("actions")
    action = actions[0] if isinstance(actions, list) and actions else None
    if not isinstance(action, dict):
        raise Odd("no action")
    place = payload.get("container")
    place = place if isinstance(place, dict) else {}
    message = payload.get("message")
    message = message if isinstance(message, dict) else {}
    posted = ts(message) if "ts" in message else ts(place, "message_ts")
    in_thread = {"ts": posted, "thread_ts": message.get("thread_ts") or place.get("thread_ts")}
    says, app_id = action.get("value"), payload.get("api_app_id")
    return Press(
        channel=channel(place, "channel_id")
        if "channel_id" in place
        else channel(mapping(payload, "channel"), "id"),
        ts=posted,
        thread=thread(in_thread),
        user=user(mapping(payload, "user"), "id"),
        at=ts(action, "action_ts"),
        action=shown(action.get("action_id")),
        says=whole(says).strip() if isinstance(says, str) else "",
        app_id=app_id if isinstance(app_id, str) else "",
    )


def files(message: Mapping[str, Any]) -> tuple[SharedFile, ...]:
    """The files that came with a message. What they are fetched by is the file's id and, where it
    is known, its address, with a space between."""
    found = message.get("files")
    listed = found[:MOST_FILES] if isinstance(found, list) else []
    return tuple(_file(one) for one in listed if isinstance(one, dict) and _is_id(one.get("id")))


def shown(value: object) -> str:
    """A value in a reason, in short."""
    return line(value) if isinstance(value, str) else type(value).__name__


def _file(one: Mapping[str, Any]) -> SharedFile:
    id, url = one["id"], one.get("url_private_download") or one.get("url_private")
    name, mime, size = one.get("name") or one.get("title"), one.get("mimetype"), one.get("size")
    is_address = isinstance(url, str) and _URL.fullmatch(url) is not None
    why = _unfetchable(one)
    return SharedFile(
        remote_id=f"{id} {url}" if is_address else id,
        name=line(name) if isinstance(name, str) and line(name) else id,
        mime=line(mime) if isinstance(mime, str) else "",
        size=size if type(size) is int and 0 <= size < _LARGEST else None,
        state="failed" if why else "waiting",
        error=why,
    )


def _unfetchable(one: Mapping[str, Any]) -> str | None:
    if one.get("mode") == "tombstone":
        return "it was deleted"
    if one.get("mode") == "hidden_by_limit":
        return "Slack keeps it no longer"
    return "it is kept outside of Slack" if one.get("is_external") is True else None


def _is_id(value: object) -> bool:
    return isinstance(value, str) and ID.fullmatch(value) is not None


def _matching(payload: Mapping[str, Any], key: str, pattern: re.Pattern[str]) -> str:
    value = payload.get(key)
    if not isinstance(value, str) or pattern.fullmatch(value) is None:
        raise Odd(f"no {key}" if value is None else f"its {key} is none")
    return value
