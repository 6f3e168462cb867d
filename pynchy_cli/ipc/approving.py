"""Puts a request to a person: what exactly would be done, where and by whom it may be answered, and
until when. What becomes of the answer is decided in the store, by whoever hears it."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from agent_runner.protocol.requests import Request
from pynchy_cli import clock
from pynchy_cli.config.settings import Settings
from pynchy_cli.errors import RequestRefused
from pynchy_cli.ipc.effects import Effect
from pynchy_cli.output import revealed
from pynchy_cli.store import approvals, groups, outbound, requests, runs
from pynchy_cli.store.connection import Connection
from pynchy_cli.store.requests import Request as Row

SHOWN = 12_000
"""Characters of what would be done that a chat is shown; a terminal shows all."""
MOST = 50
"""Requests of one group that may wait for people at the same time."""
EXPIRED = "⌛ Nobody answered {id} in time, so it is not done: {what}"


def require_room(db: Connection, group_folder: str) -> None:
    """Raises RequestRefused where people are asked too much already: nobody would read it all."""
    if requests.gated(db, group_folder) >= MOST:
        raise RequestRefused(
            "too_many", f"{MOST} requests of this group wait for a person already. Wait for them."
        )


def ask(
    db: Connection,
    settings: Settings,
    row: Row,
    request: Request,
    effect: Effect[Any],
    now: str,
    prepared: Any = None,
) -> None:
    """Have a request wait for a person, and ask in the group's chats, and in the admin group's
    where that is wanted. Raises RequestRefused."""
    requests.wait(db, row.id)
    id = approvals.new_id(db, now)
    chats = {row.group_folder: groups.chats(db, row.group_folder)}
    if settings.approvals.in_admin_chat:
        admins = [group.folder for group in groups.all(db) if group.is_admin]
        chats |= {folder: groups.chats(db, folder) for folder in admins}
    summary = summarised(row, request, effect, prepared)
    approval = approvals.ask(
        db,
        id=id,
        request=row,
        chats=[jid for each in chats.values() for jid in each],
        summary=summary,
        approvers=settings.approvals.approvers,
        expires_at=clock.after(now, settings.approvals.expiry),
        now=now,
    )
    for folder, jids in chats.items():
        is_own = folder == row.group_folder
        jid = row.chat_jid or jids[0] if is_own else jids[0]
        outbound.say(
            db,
            key=f"approval:{id}" + ("" if is_own else f":{folder}"),
            chat_jid=jid,
            content=_asked(approval, row),
            source="host",
            now=now,
            group_folder=folder,
            thread=runs.thread_of(db, row.run_id, jid) if is_own else "",
        )


def summarised(row: Row, request: Request, effect: Effect[Any], prepared: Any = None) -> str:
    """All that would be done, as a person reads it; nothing in it can hide what follows."""
    text = effect.summary(request) if effect.summary is not None else _fields(request)
    if prepared is not None:  # first, for no length of text is to push it out of a chat's view
        text = f"{effect.pinned(prepared)}\n{text}"
    return f"{row.type}\n{revealed(text)}"


def expire(db: Connection, now: str) -> int:
    """No answer means no: end what has waited too long, and say so where it was asked."""
    found = approvals.due(db, now)
    for approval in found:
        approvals.decide(db, approval, "expired", "nobody", now)
        row = requests.get(db, approval.request)
        if row is not None and row.session == requests.HOST:
            continue  # a chat of no group goes on as it was
        outbound.say(
            db,
            key=f"approval:{approval.id}:expired",
            chat_jid=(row.chat_jid if row is not None else None) or approval.chats[0],
            content=EXPIRED.format(id=approval.id, what=approval.summary.partition("\n")[0]),
            source="host",
            now=now,
            group_folder=approval.group_folder,
            thread=outbound.thread_of(db, f"approval:{approval.id}"),
        )
    return len(found)


def _fields(request: Request) -> str:
    said = {
        name: value
        for name, value in msgspec.to_builtins(request).items()
        if value is not None and name not in ("type", "request_id")
    }
    return "\n".join(
        f"{name}: {value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}"
        for name, value in said.items()
    )


def _asked(approval: approvals.Approval, row: Row) -> str:
    id = approval.id
    shown = approval.summary
    if len(shown) > SHOWN:
        rest = len(shown) - SHOWN
        shown = f"{shown[:SHOWN]}\n… {rest} more characters: `pynchy approvals show {id}`"
    until = clock.parse(approval.expires_at).strftime("%H:%M UTC")
    return (
        f"🔐 The agent of {row.group_folder} asks for a yes:\n\n{_quoted(shown)}\n\n"
        f"`approve {id}` or `deny {id} [reason]`, until {until}."
    )


def _quoted(text: str) -> str:
    """Each line marked, so that none of it can pass for our own words."""
    return "\n".join(f"> {line}" for line in text.splitlines())
