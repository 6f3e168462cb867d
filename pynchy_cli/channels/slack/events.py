"""What Slack sends, as events of ours: pure functions of a payload, of who we are there and of the
names that are known. Whatever comes, nothing is raised; what is no event has one reason."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pynchy_cli import clock
from pynchy_cli.channels.base import Event
from pynchy_cli.channels.slack import payloads
from pynchy_cli.channels.slack.names import Names
from pynchy_cli.channels.slack.payloads import Odd
from pynchy_cli.channels.slack.reading import Identity, Read, Reading

__all__ = [
    "Identity",
    "Read",
    "edit_from_history",
    "from_history",
    "not_here",
    "read",
    "read_history",
]

Kind = Literal["events_api", "interactive", "slash_commands"]


def read(
    payload: Mapping[str, Any],
    kind: Kind | str,
    who: Identity,
    names: Names,
    now: str | None = None,
) -> Read:
    """What a payload of a Socket Mode envelope says. `now` is when a slash command was given."""
    reading = Reading(who, names)
    try:
        if not isinstance(payload, Mapping):
            raise Odd("no payload")
        match kind:
            case "events_api":
                return reading.callback(payload)
            case "interactive":
                return reading.pressed(payload)
            case "slash_commands":
                return reading.command(payload, now or clock.now())
        return Read(why=f"of the kind {payloads.shown(kind)}")
    except Odd as error:
        return Read(why=str(error), is_odd=True)


def not_here(chat_jid: str) -> dict[str, Any]:
    """What is answered to a slash command in a chat that belongs to no group."""
    return {
        "response_type": "ephemeral",
        "text": "This chat belongs to no group, so nobody reads along here. Whoever runs the"
        f" assistant can change that: `pynchy groups add {chat_jid} --folder NAME`.",
    }


def from_history(
    message: Mapping[str, Any], chat_jid: str, who: Identity, names: Names
) -> Event | None:
    """A message of a chat's history as the event that it was; None where it is nobody's speech."""
    return read_history(message, chat_jid, who, names).event


def read_history(message: Mapping[str, Any], chat_jid: str, who: Identity, names: Names) -> Read:
    """As `from_history`; also which names it wants, or why it is no event."""
    try:
        if not isinstance(message, Mapping):
            raise Odd("no message")
        return Reading(who, names).message(message, chat_jid)
    except Odd as error:
        return Read(why=str(error), is_odd=True)


def edit_from_history(
    message: Mapping[str, Any], chat_jid: str, who: Identity, names: Names
) -> Event | None:
    """The last edit of a message of a chat's history, as it was sent when it was made; None where
    there was none."""
    try:
        if not isinstance(message, Mapping) or not isinstance(message.get("edited"), dict):
            return None
        return Reading(who, names).edit(message, chat_jid, {}).event
    except Odd:
        return None
