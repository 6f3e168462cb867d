"""How a message gets into the file: chat, sender check and row in one transaction. Every
channel's messages come in here, so that the check is made once, and in one place."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pynchy_cli.channels import meeting
from pynchy_cli.config.settings import Settings
from pynchy_cli.model import FROM_API, FROM_TERMINAL, Chat, Group, Message, NewMessage, Verdict
from pynchy_cli.security.senders import API, LOCAL, SHELL_CHANNELS, People
from pynchy_cli.store import chats, groups, messages
from pynchy_cli.store.connection import Connection


@dataclass(frozen=True)
class Taken:
    """What became of it: its row, whether that is new, and the group that it is for."""

    message: Message
    is_new: bool
    group: Group | None


def take(
    db: Connection,
    channel: str,
    said: NewMessage,
    now: str,
    chat_name: str | None = None,
    *,
    settings: Settings,
) -> Taken:
    """Store a message that came by a channel, with the verdict on its sender. One that the
    chat has already changes nothing. Where a network's chat belongs to no group, the admin group
    may be asked about it."""
    people = People.of(settings)
    jid = messages.plain(said.chat_jid)
    group = groups.by_chat(db, jid)
    verdict = _verdict(people, group, channel, said)
    if _is_foreign(db, jid, said):
        said, verdict = replace(said, replaces=None), "refused"
    # What a stranger sends is not fetched.
    files = said.files if verdict == "allowed" else ()
    metadata = _metadata(channel, said)
    checked = replace(said, verdict=verdict, files=files, metadata=metadata)
    if chat_name is not None:
        chats.seen(db, jid, messages.plain(chat_name), now)
    seq = messages.add(db, checked, now)
    stored = messages.by_id(db, jid, said.id)
    assert stored is not None
    if seq is not None and group is None and channel not in SHELL_CHANNELS:
        meeting.heard(db, settings, people, channel, stored, now)
    return Taken(stored, seq is not None, group)


def _verdict(people: People, group: Group | None, channel: str, said: NewMessage) -> Verdict:
    if channel == API:  # its text is never a command, an answer or an approval
        return "allowed" if group is not None else "refused"
    # Who writes into another channel's chat from the shell may name its people, too.
    ways = {channel}
    if channel in SHELL_CHANNELS:
        ways.add(Chat(said.chat_jid).channel)
    allowed = any(people.verdict(group, way, said.sender) == "allowed" for way in ways)
    return "allowed" if allowed else "refused"


def _is_foreign(db: Connection, jid: str, said: NewMessage) -> bool:
    """Whether somebody edits or deletes what another one said, which no network lets people do:
    some leave it to whoever reads to see to that. Who does it may not be told."""
    if said.message_type not in ("edit", "deletion") or not said.replaces or not said.sender:
        return False
    original = messages.by_id(db, jid, said.replaces)
    return original is not None and original.sender != messages.plain(said.sender)


def _metadata(channel: str, said: NewMessage) -> str | None:
    """What goes with it: our own words of the terminal and of HTTP, which nobody else can say."""
    if channel == API:
        return FROM_API
    if channel == LOCAL and Chat(said.chat_jid).channel not in SHELL_CHANNELS:
        return FROM_TERMINAL
    return None if said.metadata in (FROM_TERMINAL, FROM_API) else said.metadata
