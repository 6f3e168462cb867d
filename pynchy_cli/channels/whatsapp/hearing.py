"""Takes in what comes: what people said is stored before anything else is done about it, and of
chats that are nobody's business but their people's only the names are noted."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from pynchy_cli import clock, log
from pynchy_cli.channels.base import Event, Host
from pynchy_cli.channels.whatsapp import addresses, reading
from pynchy_cli.channels.whatsapp.ear import Ignored
from pynchy_cli.channels.whatsapp.names import Names
from pynchy_cli.channels.whatsapp.reading import Identity
from pynchy_cli.config.settings import WhatsAppRules
from pynchy_cli.errors import DATABASES, PynchyError
from pynchy_cli.model import Chat, NewMessage
from pynchy_cli.security.senders import OWNER


class Hearing:
    """What is done on the loop with each thing that comes. `who` tells who we are, `shared` is
    called when files came, `wall` gives the seconds since 1970."""

    def __init__(
        self,
        host: Host,
        rules: WhatsAppRules,
        names: Names,
        who: Callable[[], Identity],
        shared: Callable[[], None],
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._host = host
        self._rules = rules
        self._names = names
        self._who = who
        self._shared = shared
        self._wall = wall
        self._log = log.get("whatsapp")
        self._met: dict[str, str | None] = {}

    def heard(self, kind: str, event: Any) -> None:
        """Something came, as `Ear` has it. Raises what storing raises."""
        if kind == "Message":
            self._message(event)
        elif kind == "Ignored":
            self._ignored(event)
        elif kind == "JoinedGroup":
            self._joined(event)
        elif kind == "GroupInfo":
            self._meet(self._names.changed(event))
        else:
            self._unread(event)

    def has(self, message: Ignored) -> bool:
        """Whether a message that came again is stored."""
        written, id = self._chat_of(message), reading.id_of(message.id)
        return written is not None and self._host.has(self._chat_of_a_group(written) or written, id)

    def _unread(self, event: Any) -> None:
        """A message that can't be read; the library asks for it again. Of chats that are nobody's
        business the log says nothing."""
        address = addresses.address(event.Info.MessageSource.Chat)
        if address is not None and self._host.concerns_us(addresses.chat_of(address), ""):
            self._log.warning("a message can't be read; it is asked for again", id=event.Info.ID)

    def state(self, connected: bool, why: str | None) -> None:
        """How the connection is."""
        self._host.state(connected, why)

    def _message(self, event: Any) -> None:
        found = reading.read(event, self._who(), self._names)
        if found is None:
            return
        said = found.message
        if (chat := self._chat_of_a_group(said.chat_jid)) is not None:
            found = replace(found, message=replace(said, chat_jid=chat))
        elif self._host.concerns_us(said.chat_jid, said.content):
            found = replace(found, message=_alone(said))
        else:
            self._meet(Chat(said.chat_jid, found.chat_name))
            return
        try:
            self._host.take([self._aged(found)])
        except DATABASES:
            raise
        except PynchyError as error:
            self._log.error("can't be stored", id=said.id, chat=said.chat_jid, error=str(error))
            return
        if said.files:
            self._shared()

    def _chat_of_a_group(self, chat_jid: str) -> str | None:
        """A chat as its group calls it; None where no group lives there. With somebody whose number
        wasn't known when it became a group's, it is called by his LID, and stays so."""
        if self._host.concerns_us(chat_jid, ""):
            return chat_jid
        address = addresses.written(chat_jid.partition(":")[2])
        lid = self._names.lid_of(address.user) if address is not None else None
        if address is None or address.is_group or lid is None:
            return None
        before = addresses.chat_of(addresses.Address(lid, addresses.LIDS))
        return before if self._host.concerns_us(before, "") else None

    def _ignored(self, message: Ignored) -> None:
        """A message that came again, and can't be read any more."""
        written = self._chat_of(message)
        sender = addresses.person(addresses.written(message.sender), None, self._names)
        if written is None or sender is None:
            return
        chat, id = self._chat_of_a_group(written), reading.id_of(message.id)
        sender = OWNER if self._who().is_own(sender) else sender
        if chat is not None and self._host.lost(chat, id, sender):
            self._log.error("a message is lost", id=id, chat=chat)

    def _chat_of(self, message: Ignored) -> str | None:
        address = addresses.written(message.chat)
        if address is None:
            return None
        if not address.is_group:
            person = addresses.person(address, None, self._names)
            address = addresses.of_person(person or "")
        return addresses.chat_of(address)

    def _joined(self, event: Any) -> None:
        chat = self._names.joined(event.GroupInfo)
        if chat is not None:
            # Into groups of a person's own nobody has invited the assistant.
            self._host.met([chat], invited=bool(self._rules.owner))
            self._met[chat.jid] = chat.name

    def _meet(self, chat: Chat | None) -> None:
        """Note what a chat is called, where that is new."""
        if chat is not None and self._met.get(chat.jid, "") != chat.name:
            self._host.met([chat])
            self._met[chat.jid] = chat.name

    def _aged(self, event: Event) -> Event:
        age = self._wall() - clock.parse(event.message.timestamp).timestamp()
        return replace(event, is_old=age > self._rules.answer_within)


def _alone(said: NewMessage) -> NewMessage:
    """What somebody says, without the words of others that are quoted by it."""
    facts = json.loads(said.metadata or "{}")
    facts.pop("quoted", None)
    return replace(said, metadata=json.dumps(facts))
