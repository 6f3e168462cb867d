"""`send_message`: says something in a chat in the midst of a run. It is never the run's answer: its
reply names no run."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from typing import Any

from agent_runner.protocol.requests import SendMessage
from pynchy_cli import clock
from pynchy_cli.errors import RequestRefused
from pynchy_cli.ipc import attachments
from pynchy_cli.ipc.effects import Asked, Effect, Result
from pynchy_cli.model import Attachment, Group
from pynchy_cli.output import plain
from pynchy_cli.store import groups, outbound, requests, runs
from pynchy_cli.store.connection import Connection

DAILY = 1024**3
"""Bytes of files that a group's agents may send in a day."""
DAY = 86_400.0


def _check(asked: Asked[SendMessage]) -> None:
    """Raises RequestRefused for what can't be sent, whatever the folder holds."""
    if not asked.request.text.strip():
        raise RequestRefused("invalid", "A message needs a text.")
    for path in asked.request.files:
        attachments.parts(path, asked.context.home.group(asked.group.folder))
    _chat(asked.context.store.db, asked)


async def _copied(asked: Asked[SendMessage]) -> tuple[Attachment, ...]:
    """The message's files, copied to the host."""
    _check(asked)
    context = asked.context
    if not asked.request.files:
        return ()
    return await asyncio.to_thread(
        attachments.take,
        context.home,
        context.home.group(asked.group.folder),
        asked.request.files,
        context.settings.sandbox.uid_base + asked.group.number,
        _room(asked),
    )


def _room(asked: Asked[SendMessage]) -> int:
    """Bytes that may still be copied: of the day's share, and of what the disk has to spare."""
    context = asked.context
    since = clock.after(clock.now(), -DAY)
    folder, db = asked.group.folder, context.store.db
    sent = outbound.bytes_of_files(db, folder, since) + requests.pinned_bytes(db, folder, since)
    disk = os.statvfs(context.home.data)
    spare = disk.f_bavail * disk.f_frsize - context.settings.sandbox.min_free
    return min(DAILY - sent, spare)


def _send(db: Connection, asked: Asked[SendMessage], now: str, prepared: Any) -> Result:
    files: Sequence[Attachment] = prepared or ()
    jid, group = _chat(db, asked)
    id = outbound.say(
        db,
        key=f"request:{asked.row.id}",
        chat_jid=jid,
        content=_content(asked.request),
        source="agent",
        now=now,
        group_folder=group.folder,
        thread=runs.thread_of(db, asked.row.run_id, jid),
    )
    outbound.attach(db, id, files)
    told: dict[str, Any] = {"message": "It is stored, and is delivered to the chat.", "chat": jid}
    if files:
        told["files"] = [{"name": one.name, "size": one.size} for one in files]
    return told


def _chat(db: Connection, asked: Asked[SendMessage]) -> tuple[str, Group]:
    """The chat to speak in, and whose it is now. Raises RequestRefused."""
    jid = asked.request.chat_jid
    if jid is None:
        own = groups.chats(db, asked.group.folder)
        return (asked.row.chat_jid if asked.row.chat_jid in own else own[0]), asked.group
    group = groups.by_chat(db, jid)
    if group is None:
        raise RequestRefused("chat_unknown", f"No group lives in the chat {plain(jid)!r}.")
    if group.folder != asked.group.folder and asked.row.role != "admin":
        # It was the group's when this was accepted; somebody may have decided on it since.
        raise RequestRefused("forbidden", f"{plain(jid)!r} is not a chat of this group.")
    return jid, group


def _content(request: SendMessage) -> str:
    return request.text if request.sender is None else f"{plain(request.sender)}: {request.text}"


def _summary(request: SendMessage) -> str:
    lines = ["With these files of its folder:", *request.files] if request.files else []
    # The text last: it may be long, and say what looks like the rest.
    lines += [f"Say in {request.chat_jid or 'its own chat'}:", _content(request)]
    return "\n".join(lines)


def _pinned(files: Sequence[Attachment]) -> str:
    """What would be sent of files: the copies that were made, whatever the folder holds by then."""
    return "\n".join(f"{one.name}: {one.size} bytes, sha256 {one.sha256}" for one in files)


EFFECTS: dict[str, Effect[Any]] = {
    "send_message": Effect(
        check=_check,
        rows=_send,
        prepare=_copied,
        needs_preparation=lambda request: bool(request.files),
        pins=tuple[Attachment, ...],
        pinned=_pinned,
        summary=_summary,
    )
}
