"""What a person says in one chat of a group is shown in its others, once and attributed, and
changed there when it is changed. What strangers say never comes here; nor does what is said by
pressing a button, since what was asked tells in each chat what came of it."""

from __future__ import annotations

from pynchy_cli.model import FROM_API, FROM_TERMINAL, PRESSED, Group, Message
from pynchy_cli.security.senders import SHELL_CHANNELS
from pynchy_cli.store import chats, messages, outbound
from pynchy_cli.store.connection import Connection

NAME = 80
"""Characters of a name that are shown."""
MARKUP = str.maketrans("", "", "*`~[]<>|\\")
"""Taken out of names, so that they look like nothing else."""
DELETED = "(deleted)"


def show(db: Connection, group: Group, message: Message, now: str) -> None:
    """Show a message that somebody was allowed to say; an edit or a deletion changes what was
    shown of its message."""
    if message.verdict != "allowed" or message.is_from_me or message.metadata == PRESSED:
        return
    match message.message_type:
        case "user":
            if outbound.is_elsewhere(db, message, group.folder):
                (whole,) = messages.with_files(db, [message])
                outbound.show(db, message, group.folder, _words(db, whole, _said(whole)), now)
        case "edit" | "deletion":
            original = messages.replaced(db, message)
            if original is not None:
                text = message.content if message.message_type == "edit" else DELETED
                outbound.amend(db, outbound.shown(original), _words(db, original, text))


def _said(message: Message) -> str:
    files = [f"📎 {_name(one.name)}" for one in message.files]
    return "\n".join([message.content, *files] if message.content.strip() else files)


def _words(db: Connection, message: Message, text: str) -> str:
    said = f"**{_name(message.sender_name)}** ({_place(db, message)}):"
    lines = text.splitlines()
    # Each line marked, so that none of them passes for somebody else's words, or for ours.
    return "\n".join([said, *(f"> {line}" for line in lines)]) if lines[1:] else f"{said} {text}"


def _place(db: Connection, message: Message) -> str:
    channel = message.chat_jid.partition(":")[0]
    if message.metadata == FROM_API:
        return "HTTP"
    if message.metadata == FROM_TERMINAL or channel in SHELL_CHANNELS:
        return "terminal"
    chat = chats.get(db, message.chat_jid)
    where = _name((chat.name if chat is not None else None) or message.chat_jid)
    return f"{where}, in a thread" if message.thread else where


def _name(name: str) -> str:
    line = " ".join(name.translate(MARKUP).split())
    return "".join(one for one in line if one.isprintable())[:NAME] or "?"
