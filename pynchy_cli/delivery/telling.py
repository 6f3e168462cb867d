"""Replies that didn't get to their chats, as documents: what of each is told in a list, and what of
one that is shown."""

from __future__ import annotations

from typing import Any

from pynchy_cli.model import Delivery, Part
from pynchy_cli.store import outbound, outbox
from pynchy_cli.store.connection import Connection

SHORT = 200
"""Characters of a reply's first line, in a list."""


def row(one: Delivery) -> dict[str, Any]:
    """One in a list."""
    return {
        "id": one.reply.id,
        "state": one.state,
        "chat": one.chat_jid,
        "channel": one.channel,
        "group": one.reply.group_folder,
        "created_at": one.reply.created_at,
        "attempts": one.attempts,
        "next_attempt_at": one.next_attempt_at,
        "waits_for_a_person": one.held or one.state == "dead",
        "error": one.error,
        "content": first_line(one.reply.content),
    }


def document(db: Connection, deliveries: list[Delivery]) -> dict[str, Any]:
    """All that is known of one reply; `deliveries` are its own, of which there is at least one."""
    reply = deliveries[0].reply
    return {
        "id": reply.id,
        "key": reply.key,
        "group": reply.group_folder,
        "chat": reply.chat_jid,
        "thread": reply.thread or None,
        "run": reply.run_id,
        "source": reply.source,
        "created_at": reply.created_at,
        "is_final": reply.is_final,
        "version": reply.version,
        "files": [one.name for one in outbound.files(db, reply.id)],
        "content": reply.content,
        "deliveries": [_delivery(db, one) for one in deliveries],
    }


def first_line(text: str) -> str:
    """The first line of a text that holds anything, cut short."""
    line = next(filter(None, map(str.strip, text[: 4 * SHORT].splitlines())), "")
    return line if len(line) <= SHORT else f"{line[:SHORT]}…"


def _delivery(db: Connection, one: Delivery) -> dict[str, Any]:
    return {
        "chat": one.chat_jid,
        "channel": one.channel,
        "state": one.state,
        "waits_for_a_person": one.held or one.state == "dead",
        "attempts": one.attempts,
        "next_attempt_at": one.next_attempt_at,
        "delivered_at": one.delivered_at,
        "delivered_version": one.delivered_version,
        "error": one.error,
        "parts": [_part(part) for part in outbox.parts(db, one)],
    }


def _part(part: Part) -> dict[str, Any]:
    return {
        "number": part.number,
        "state": part.state,
        "remote_id": part.remote_id,
        "begun_at": part.begun_at,
        "again": part.again,
    }
