"""Reads one message of WhatsApp's: who speaks in it, in which chat, what is said, and what it does
to what was said before. Whatever comes, nothing is raised."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from pynchy_cli import clock
from pynchy_cli.channels.base import Event
from pynchy_cli.channels.whatsapp import addresses, contents, speakers
from pynchy_cli.channels.whatsapp.addresses import plain
from pynchy_cli.channels.whatsapp.mentions import Mentions
from pynchy_cli.channels.whatsapp.names import Names
from pynchy_cli.channels.whatsapp.shared import files
from pynchy_cli.channels.whatsapp.speakers import Identity, Where, chat_name, shown_name
from pynchy_cli.model import NewMessage
from pynchy_cli.security.senders import OWNER

if TYPE_CHECKING:
    from neonize.proto.Neonize_pb2 import Message
    from neonize.proto.waE2E.WAWebProtobufsE2E_pb2 import Message as Said

__all__ = ["Identity", "id_of", "read"]

HEARD = {"👀": "eyes", "❌": "x", "✖": "x"}
"""Emojis that are heard as reactions, and what they are called."""
QUOTED = 4000
"""Characters of a quoted text that are kept."""
EARLIEST = datetime(2009, 1, 1, tzinfo=UTC)
AHEAD = timedelta(days=1)
"""So much later than our clock another one may be."""
_ID = re.compile(r"[A-Za-z0-9]{1,64}")
_REVOKE, _EDIT = 0, 14


def read(event: Message, who: Identity, names: Names, now: str | None = None) -> Event | None:
    """What a message says; None where nobody says anything in it. Names that it tells are learnt.
    `now` is the moment at which it came."""
    where = speakers.where(event.Info, who, names)
    if where is None or plain(event.Info.Category) == "peer" or not plain(event.Info.ID):
        return None
    push_name = plain(event.Info.Pushname)
    names.learn(where.sender, push_name)
    if where.sender == OWNER and who.number:
        names.learn(who.number, push_name)
    blank = NewMessage(
        id=id_of(event.Info.ID),
        chat_jid=addresses.chat_of(where.chat),
        sender=where.sender,
        sender_name=shown_name(where.sender, who, names, where.chat),
        content="",
        timestamp=_time(event.Info.Timestamp, now or clock.now()),
        metadata=json.dumps({"jid": where.jid}),
    )
    said = _Reading(who, names, where, blank).message(contents.unwrapped(event.Message))
    return Event(said, chat_name(where.chat, names)) if said is not None else None


class _Reading:
    """Reads what stands in one message. `blank` is it without anything in it."""

    def __init__(self, who: Identity, names: Names, where: Where, blank: NewMessage) -> None:
        self.who, self.names, self.where, self.blank = who, names, where, blank

    def message(self, said: Said) -> NewMessage | None:
        if said.HasField("reactionMessage"):
            return self._reaction(said.reactionMessage)
        if said.HasField("protocolMessage"):
            return self._protocol(said.protocolMessage)
        content, found = self._words(said), files(said, self.blank.timestamp)
        if not content and not found:
            return None
        facts: dict[str, Any] = {"jid": self.where.jid}
        if quoted := self._quoted(said):
            facts["quoted"] = quoted
        return replace(self.blank, content=content, files=found, metadata=json.dumps(facts))

    def _protocol(self, protocol: Any) -> NewMessage | None:
        target = plain(protocol.key.ID)
        # The default of its type would be to take something back.
        if not protocol.HasField("type") or not target:
            return None
        if protocol.type == _REVOKE:
            return self._deletion(target, is_own=protocol.key.fromMe)
        if protocol.type != _EDIT or not protocol.HasField("editedMessage"):
            return None
        content = self._content(contents.unwrapped(protocol.editedMessage))
        return self._about(target, "edit", "edit", content) if content else None

    def _deletion(self, target: str, *, is_own: bool) -> NewMessage:
        """What is taken back is the sender's own, by whatever else it is called. Only the account's
        owner is believed to take back what others said, which those may who run a group."""
        gone = self._about(target, "deleted", "deletion", "")
        is_others = self.where.sender == OWNER and not is_own
        return replace(gone, sender="", sender_name="") if is_others else gone

    def _reaction(self, reaction: Any) -> NewMessage | None:
        """A reaction; one that is taken back has no text."""
        emoji = HEARD.get(plain(reaction.text).rstrip("\ufe0f"))
        target = plain(reaction.key.ID)
        if emoji is None or not target:
            return None
        said = self._about(target, emoji, "reaction", emoji)
        return replace(said, metadata=json.dumps({"jid": self.where.jid, "on": id_of(target)}))

    def _about(self, target: str, what: str, kind: str, content: str) -> NewMessage:
        """Something that is done to another message."""
        id = f"{id_of(target)}-{what}-{self.blank.id}"
        return replace(
            self.blank, id=id, message_type=kind, content=content, replaces=id_of(target)
        )

    def _words(self, said: Said) -> str:
        """What somebody says; of what he passes on each line is marked, so that none of it calls or
        commands: it may be anybody's."""
        content, context = self._content(said), contents.context(said)
        if context is None or not context.isForwarded or not content:
            return content
        return "\n".join(["[forwarded]", *(f"> {line}" for line in content.splitlines())])

    def _content(self, said: Said) -> str:
        mentioned = contents.context(said)
        jids = [plain(one) for one in mentioned.mentionedJID] if mentioned is not None else []
        return Mentions(self.who, self.names).named(contents.content(said), jids)

    def _quoted(self, said: Said) -> dict[str, str] | None:
        """What it quotes, as whoever says it tells."""
        context = contents.context(said)
        if context is None or not context.HasField("quotedMessage"):
            return None
        address = addresses.written(plain(context.participant))
        person = addresses.person(address, None, self.names) or ""
        text = self._content(contents.unwrapped(context.quotedMessage))
        return {
            "id": id_of(context.stanzaID) if context.stanzaID else "",
            "sender": self._whose(person),
            "text": text[:QUOTED],
        }

    def _whose(self, person: str) -> str:
        """Whom a quote names. By the account of the owner the assistant speaks, too."""
        if person and self.who.is_own(person):
            return self.who.agent_name if self.who.is_assistants else ""
        return shown_name(person, self.who, self.names, self.where.chat) if person else ""


def id_of(given: str | bytes) -> str:
    """What a message is called. Whoever says it gives the id: one of an odd shape could pass for
    another's, and is known by its hash."""
    id = plain(given)
    if _ID.fullmatch(id):
        return id
    return f"odd{hashlib.sha256(id.encode('utf-8', 'replace')).hexdigest()[:40]}"


def _time(told: int, now: str) -> str:
    """When it was said, as the file writes it; of what can't be, when it came. The library tells
    milliseconds, and WhatsApp itself seconds."""
    try:
        moment = datetime.fromtimestamp(told / 1000 if abs(told) > 10**11 else told, UTC)
    except (ValueError, OverflowError, OSError):
        return now
    return clock.stamp(moment) if EARLIEST < moment < clock.parse(now) + AHEAD else now
