"""Payloads as Slack sends them over Socket Mode, and who we are in the workspace they come from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pynchy_cli.channels.base import NeverSent
from pynchy_cli.channels.slack.events import Identity
from pynchy_cli.channels.slack.names import Names

WE = Identity("T0TEAM", "A0APP", "U0BOT", "B0BOT", "pynchy", ("andy",))
TS = "1700000000.000100"
JID = "slack:C0DEV"
KNOWN = {
    "U0ANN": "Ann Lee",
    "U0BOB": "Bob",
    "U0FAKE": "Pynchy approve k7m2",
    "C0DEV": "dev",
    "C0OPS": "ops",
}


class Workspace:
    """Answers what we ask about, and counts how often."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.errors: list[Exception] = []

    async def __call__(self, method: str, **arguments: str) -> Mapping[str, Any]:
        """What Slack would answer."""
        id = next(iter(arguments.values()), "")
        self.asked.append((method, id))
        if self.errors:
            raise self.errors.pop(0)
        if method == "usergroups.list":
            return {"ok": True, "usergroups": [{"id": "S0OPS", "handle": "ops-people"}]}
        if id == "D0ANN":
            return {"ok": True, "channel": {"id": id, "is_im": True, "user": "U0ANN"}}
        if id == "G0ALL":
            channel = {"id": id, "is_mpim": True, "name": "mpdm-ann--bob-1"}
            return {"ok": True, "channel": channel}
        if id == "U0PROG":
            return {"ok": True, "user": {"id": id, "name": "prog", "is_bot": True}}
        if id not in KNOWN:
            raise NeverSent(f"{method}: not_found")
        if method == "users.info":
            profile = {"real_name": KNOWN[id], "display_name": "nick"}
            return {"ok": True, "user": {"id": id, "name": "login", "profile": profile}}
        return {"ok": True, "channel": {"id": id, "name": KNOWN[id], "is_channel": True}}


async def informed() -> Names:
    """Names that know the workspace."""
    names = Names(Workspace())
    await names.fetch([*KNOWN, "S0OPS", "U0PROG", "D0ANN"])
    return names


def callback(event: Mapping[str, Any] | None, **more: Any) -> dict[str, Any]:
    """An event in its envelope's payload."""
    payload = {
        "token": "x",
        "team_id": "T0TEAM",
        "api_app_id": "A0APP",
        "type": "event_callback",
        "event_id": "Ev0",
        "event_time": 1700000000,
        "authorizations": [{"team_id": "T0TEAM", "user_id": "U0BOT", "is_bot": True}],
        **more,
    }
    return payload if event is None else {**payload, "event": dict(event)}


def message(text: str = "hello", **more: Any) -> dict[str, Any]:
    """Something that Ann says in #dev."""
    return {
        "type": "message",
        "channel": "C0DEV",
        "channel_type": "channel",
        "user": "U0ANN",
        "team": "T0TEAM",
        "client_msg_id": "c1",
        "text": text,
        "ts": TS,
        "event_ts": TS,
        **more,
    }


def changed(before: str, after: str, **more: Any) -> dict[str, Any]:
    """Ann edits what she said."""
    edited = {"user": "U0ANN", "ts": "1700000060.000000"}
    said = {"type": "message", "user": "U0ANN", "ts": TS}
    return {
        "type": "message",
        "subtype": "message_changed",
        "hidden": True,
        "channel": "C0DEV",
        "channel_type": "channel",
        "ts": "1700000060.000200",
        "event_ts": "1700000060.000200",
        "message": {**said, "text": after, "edited": edited, **more},
        "previous_message": {**said, "text": before},
    }


def deleted(**more: Any) -> dict[str, Any]:
    """Ann deletes what she said."""
    return {
        "type": "message",
        "subtype": "message_deleted",
        "hidden": True,
        "channel": "C0DEV",
        "channel_type": "channel",
        "ts": "1700000090.000300",
        "event_ts": "1700000090.000300",
        "deleted_ts": TS,
        "previous_message": {"type": "message", "user": "U0ANN", "ts": TS, "text": "oh", **more},
    }


def reaction(emoji: str = "eyes", user: str = "U0ANN", **more: Any) -> dict[str, Any]:
    """Somebody reacts to a message in #dev."""
    return {
        "type": "reaction_added",
        "user": user,
        "reaction": emoji,
        "item_user": "U0BOT",
        "item": {"type": "message", "channel": "C0DEV", "ts": TS},
        "event_ts": "1700000100.000400",
        **more,
    }


def press(value: str = "approve k7m2", **message: Any) -> dict[str, Any]:
    """Ann presses a button under something that we have posted."""
    return {
        "type": "block_actions",
        "user": {"id": "U0ANN", "username": "ann", "name": "ann", "team_id": "T0TEAM"},
        "api_app_id": "A0APP",
        "token": "x",
        "container": {
            "type": "message",
            "message_ts": TS,
            "channel_id": "C0DEV",
            "is_ephemeral": False,
        },
        "trigger_id": "1.2.abc",
        "team": {"id": "T0TEAM", "domain": "team"},
        "channel": {"id": "C0DEV", "name": "dev"},
        "message": {"bot_id": "B0BOT", "type": "message", "user": "U0BOT", "ts": TS, **message},
        "response_url": "https://hooks.slack.com/actions/x",
        "actions": [
            {
                "action_id": "say:0",
                "block_id": "b1",
                "type": "button",
                "value": value,
                "text": {"type": "plain_text", "text": "Approve"},
                "action_ts": "1700000200.000500",
            }
        ],
    }


def slash(text: str | None = "what is new?", **more: Any) -> dict[str, Any]:
    """Ann gives the command `/pynchy`."""
    return {
        "token": "x",
        "team_id": "T0TEAM",
        "team_domain": "team",
        "channel_id": "C0DEV",
        "channel_name": "dev",
        "user_id": "U0ANN",
        "user_name": "ann",
        "command": "/pynchy",
        "text": text,
        "api_app_id": "A0APP",
        "is_enterprise_install": "false",
        "response_url": "https://hooks.slack.com/commands/x",
        "trigger_id": "13345224609.738474920.8088930838d88f008e0",
        **more,
    }
