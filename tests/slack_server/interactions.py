"""Presses of buttons and slash commands, as the app gets them."""

from __future__ import annotations

import secrets
import time
from typing import Any

from tests.slack_server import shapes
from tests.slack_server.backend import Backend
from tests.slack_server.state import Chat, Message, SlackError, User

Payload = dict[str, Any]


def press(back: Backend, who: User, place: Chat, one: Message, action: str) -> Payload:
    """A press of the button that has this action id, value or label."""
    button, block = _button(one, action)
    work = back.work
    shape = shapes.message(work, place, one)
    taken = {
        name: button[name] for name in ("action_id", "text", "value", "style") if name in button
    }
    made = {**taken, "type": "button", "block_id": block, "action_ts": work.stamp()}
    container = {"type": "message", "message_ts": one.ts, "channel_id": place.id,
                 "is_ephemeral": False}  # fmt: skip
    if one.is_reply:
        container["thread_ts"] = one.thread_ts
    name = {"im": "directmessage", "group": "privategroup"}.get(place.kind, place.name)
    return {
        "type": "block_actions",
        "user": {"id": who.id, "username": who.name, "name": who.name, "team_id": work.team},
        "api_app_id": work.app.app_id,
        "token": "legacy",
        "container": container,
        "trigger_id": trigger(),
        "team": {"id": work.team, "domain": "pynchy"},
        "enterprise": None,
        "is_enterprise_install": False,
        "channel": {"id": place.id, "name": name},
        "message": shape,
        "state": {"values": {}},
        "response_url": back.response_url(place, one.ts),
        "actions": [made],
    }


def command(back: Backend, who: User, place: Chat, name: str, text: str) -> Payload:
    """A slash command that somebody typed."""
    kind = {"im": "directmessage", "group": "privategroup"}.get(place.kind, place.name)
    return {
        "token": "legacy",
        "team_id": back.work.team,
        "team_domain": "pynchy",
        "channel_id": place.id,
        "channel_name": kind,
        "user_id": who.id,
        "user_name": who.name,
        "command": name,
        "text": text,
        "api_app_id": back.work.app.app_id,
        "is_enterprise_install": "false",
        "response_url": back.response_url(place, ""),
        "trigger_id": trigger(),
    }


def trigger() -> str:
    """The id of something that a person did."""
    return f"{time.time_ns() // 1_000_000}.{secrets.randbelow(10**12)}.{secrets.token_hex(16)}"


def _button(one: Message, action: str) -> tuple[Payload, str]:
    for block in one.blocks:
        found = [*block.get("elements", []), block.get("accessory") or {}]
        for each in found:
            if each.get("type") != "button":
                continue
            if action in (each["action_id"], each.get("value"), each["text"]["text"]):
                return each, block["block_id"]
    raise SlackError("no_such_button")
