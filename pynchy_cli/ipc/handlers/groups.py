"""`list_groups`, `refresh_groups` and `register_group`: what an admin group's agent may know of the
others, and how it makes one more; or how the host does, for a chat of no group. Nobody makes a
group by it that is trusted."""

from __future__ import annotations

import asyncio
from typing import Any

from agent_runner.protocol.requests import ListGroups, RefreshGroups, RegisterGroup
from pynchy_cli.channels.meeting import Offered
from pynchy_cli.config import phones
from pynchy_cli.config.home import make_group
from pynchy_cli.errors import GroupInvalid, HomeUnusable, RequestRefused, UsageWrong
from pynchy_cli.ipc.effects import Asked, Effect, Result
from pynchy_cli.store import chats, groups, naming
from pynchy_cli.store.connection import Connection

SHOWN = 200
"""Groups, and chats of nobody, that are listed at most."""
CHATS = 20
"""Chats of one group that are listed at most."""
NAME = 200
"""Characters of a chat's name that are shown; its network may allow more."""


def _list(db: Connection, asked: Asked[ListGroups], now: str, prepared: Any) -> Result:
    known = groups.all(db)
    free = chats.of_nobody(db, SHOWN + 1)
    return {
        "groups": [
            {
                "folder": one.folder,
                "name": one.name,
                "chats": groups.chats(db, one.folder)[:CHATS],
                "is_admin": one.is_admin,
            }
            for one in known[:SHOWN]
        ],
        "chats_without_group": [
            {
                "jid": chat.jid,
                "name": chat.name[:NAME] if chat.name is not None else None,
                "channel": chat.channel,
                "last_message_at": last,
            }
            for chat, last in free[:SHOWN]
        ],
        "more": len(known) > SHOWN or len(free) > SHOWN,
    }


def _refresh(db: Connection, asked: Asked[RefreshGroups], now: str, prepared: Any) -> Result:
    return {"channels": naming.ask(db, now)}


Wanted = RegisterGroup | Offered


def _chat(request: Wanted) -> None:
    """Raises GroupInvalid for what is no chat, or is one that its network calls otherwise."""
    groups.require_jid(request.jid)
    if isinstance(request, Offered):
        return
    try:
        called = phones.chat(request.jid)
    except UsageWrong as error:
        raise GroupInvalid(str(error)) from error
    if called != request.jid:
        raise GroupInvalid(f"{request.jid!r} is no chat's address; that chat is {called!r}.")


def _check(asked: Asked[Any]) -> None:
    """Raises RequestRefused for a group that can't be."""
    request = asked.request
    try:
        groups.require_folder(request.folder)
        _chat(request)
        groups.require_free(asked.context.store.db, request.folder, request.jid)
        _name(request)
        _word(request)
    except GroupInvalid as error:
        raise RequestRefused("group_invalid", str(error)) from error


async def _folder(asked: Asked[Any]) -> None:
    """The group's folder, which does no harm where it comes to nothing else."""
    _check(asked)
    try:
        await asyncio.to_thread(make_group, asked.context.home, asked.request.folder)
    except HomeUnusable as error:
        asked.context.log.error("a group's folder can't be made", error=str(error))
        message = "The group's folder can't be made; the host's log says why."
        raise RequestRefused("host_failed", message) from error


def _register(db: Connection, asked: Asked[Any], now: str, prepared: Any) -> Result:
    request: Wanted = asked.request
    try:
        made = groups.add(
            db,
            folder=request.folder,
            name=_name(request),
            jid=request.jid,
            is_admin=False,
            trigger_mode=request.trigger_mode if isinstance(request, Offered) else "mention",
            trigger_pattern=_word(request),
            allowed_users=(request if isinstance(request, Offered) else asked.group).allowed_users,
            now=now,
        )
    except GroupInvalid as error:
        raise RequestRefused("group_invalid", str(error)) from error
    return {
        "folder": made.folder,
        "name": made.name,
        "jid": made.jid,
        "trigger": made.trigger_pattern,
        "is_admin": made.is_admin,
        "allowed_users": list(made.allowed_users),
    }


def _name(request: Wanted) -> str:
    name = groups.display_name(request.name)
    if not name:
        raise GroupInvalid("A group needs a name.")
    return name


def _word(request: Wanted) -> str | None:
    return groups.trigger_word(request.trigger) if request.trigger is not None else None


def _summary(request: RegisterGroup) -> str:
    trigger = f"@{request.trigger.removeprefix('@')}" if request.trigger else "the usual name"
    return "\n".join(
        [
            "Make a group, not an admin group:",
            f"chat: {request.jid}",
            f"name: {request.name}",
            f"folder: {request.folder} (what lies there already becomes the group's)",
            f"answers to: {trigger}",
            "listens to: those whom the asking group listens to",
        ]
    )


EFFECTS: dict[str, Effect[Any]] = {
    "list_groups": Effect(rows=_list, summary=lambda request: "List all groups and chats."),
    "refresh_groups": Effect(
        rows=_refresh, summary=lambda request: "Ask channels for the names of their chats."
    ),
    "register_group": Effect(check=_check, rows=_register, prepare=_folder, summary=_summary),
}
