"""Chats that belong to no group. They are recorded and never answered; the admin group is asked
once whether such a chat is to have a group, where we are invited or spoken to. Strangers can open
chats by the thousand, so that only so many are asked about; the others are listed."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Sequence
from typing import Literal

import msgspec

from pynchy_cli import clock
from pynchy_cli.config.settings import Settings
from pynchy_cli.model import Chat, Message, TriggerMode
from pynchy_cli.output import revealed
from pynchy_cli.security.senders import OWNER, People, name_of
from pynchy_cli.store import approvals, chats, groups, offers, outbound
from pynchy_cli.store.connection import Connection

OPEN = 10
"""Chats of no group about which the admin group is asked at the same time."""
DAILY = 20
"""Of these, so many in a day. What the owner says himself is asked about all the same."""
DAY = 86_400.0
EXPIRY = 7 * DAY
"""Seconds in which such a question can be answered."""
LONGEST = 100
"""Characters of others' names that are shown."""
ASKED = (
    "👋 {how} that belongs to no group; nobody is answered there. Shall it have one?\n\n{what}\n\n"
    "`approve {id}` or `deny {id}`, until {until}. Later `pynchy groups add` does it, too."
)
INVITED, SPOKEN = "We were invited to a chat", "Somebody spoke to us in a chat"


class Offered(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="register_group"):
    """The group that a chat is to have: what its request holds, and is approved."""

    jid: str
    folder: str
    name: str
    trigger_mode: TriggerMode
    allowed_users: tuple[str, ...]
    trigger: None = None


def met(db: Connection, settings: Settings, found: Sequence[Chat], invited: bool, now: str) -> None:
    """We are in these chats; where we were invited just now the admin group is asked about those
    of no group."""
    for chat in found:
        chats.seen(db, chat.jid, chat.name, now)
        if invited and groups.by_chat(db, chat.jid) is None:
            _offer(db, settings, chat.jid, None, now, is_owner=False)


def heard(
    db: Connection, settings: Settings, people: People, channel: str, said: Message, now: str
) -> None:
    """Somebody said something in a chat of no group."""
    if said.message_type == "user" and not said.is_from_me:
        is_owner = people.is_owner(channel, said.sender)
        _offer(db, settings, said.chat_jid, said, now, is_owner=is_owner)


def _offer(
    db: Connection, settings: Settings, jid: str, said: Message | None, now: str, *, is_owner: bool
) -> None:
    """Ask the admin group whether a chat is to have a group: once for each chat, ever."""
    admin = next((group for group in groups.all(db) if group.is_admin), None)
    if admin is None or offers.made(db, admin.folder, jid):
        return
    undecided, lately = offers.count(db, admin.folder, clock.after(now, -DAY))
    if (undecided >= OPEN or lately >= DAILY) and not is_owner:
        return
    offered = _proposal(db, admin.folder, jid, said, is_owner=is_owner)
    payload = msgspec.json.encode(offered).decode()
    row = offers.add(db, admin.folder, admin.jid, jid, payload, now)
    approval = approvals.ask(
        db,
        id=approvals.new_id(db, now),
        request=row,
        chats=groups.chats(db, admin.folder),
        summary=_summary(offered, said),
        approvers=settings.approvals.approvers,
        expires_at=clock.after(now, EXPIRY),
        now=now,
    )
    outbound.say(
        db,
        key=f"approval:{approval.id}",
        chat_jid=admin.jid,
        content=_asked(approval, INVITED if said is None else SPOKEN),
        source="host",
        now=now,
        group_folder=admin.folder,
    )


def _proposal(
    db: Connection, admin: str, jid: str, said: Message | None, *, is_owner: bool
) -> Offered:
    chat = chats.get(db, jid)
    name = (chat.name if chat is not None else None) or (said.sender_name if said else "")
    taken = {group.folder for group in groups.all(db)} | offers.folders(db, admin)
    # In a chat with the owner alone all is for the assistant.
    is_alone = is_owner and said is not None and _is_alone(said)
    mode: Literal["always", "mention"] = "always" if is_alone else "mention"
    shown = _line(name) or jid
    return Offered(jid, _free(name, jid, taken), shown, mode, (OWNER,))


def _is_alone(said: Message) -> bool:
    """Whether a chat is that of whoever spoke there with us, as far as its address tells. In
    WhatsApp the account's owner also speaks in chats with others."""
    kind, _, id = said.chat_jid.partition(":")
    if kind == "whatsapp":
        return id in (said.sender, f"{said.sender}@s.whatsapp.net", _address(said))
    return kind == "slack" and id.startswith("D")


def _address(said: Message) -> str:
    """The address of whoever spoke, as its network wrote it; empty where it didn't."""
    try:
        return str(json.loads(said.metadata or "null")["jid"])
    except (ValueError, TypeError, KeyError):
        return ""


def _free(name: str, jid: str, taken: set[str]) -> str:
    """A folder for a chat's group: the chat's name as far as it can be one, and free."""
    base = _slug(name) or _slug(jid) or "chat"
    number, folder = 1, base
    while folder in taken:
        number += 1
        folder = f"{base[:35]}-{number}"
    return folder


def _slug(text: str) -> str:
    letters = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", letters)[:41].strip("-")[:35].strip("-")


def _line(name: str) -> str:
    """Somebody else's name, in one line in which nothing is hidden."""
    return "".join(one for one in " ".join(name.split()) if one.isprintable())[:LONGEST]


def _summary(offered: Offered, said: Message | None) -> str:
    who = f"{_line(said.sender_name)} ({_line(_name(said))})" if said is not None else "we, invited"
    called = "everything that is said" if offered.trigger_mode == "always" else "its name"
    lines = [
        "Make a group of a chat, not an admin group:",
        f"chat: {offered.jid}",
        f"name: {offered.name}",
        f"first there: {who}",
        f"folder: {offered.folder} (what lies there already becomes the group's)",
        f"answers to: {called}",
        f"listens to: {OWNER} (`pynchy groups allow {offered.folder} USER` adds others)",
    ]
    return f"{offers.TYPE}\n{revealed(chr(10).join(lines))}"


def _name(said: Message) -> str:
    return name_of(Chat(said.chat_jid).channel, said.sender)


def _asked(approval: approvals.Approval, how: str) -> str:
    # Each line marked, so that none of it can pass for our own words.
    what = "\n".join(f"> {line}" for line in approval.summary.splitlines())
    until = clock.parse(approval.expires_at).strftime("%Y-%m-%d %H:%M UTC")
    return ASKED.format(how=how, what=what, id=approval.id, until=until)
