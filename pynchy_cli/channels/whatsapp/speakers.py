"""Who speaks in which of WhatsApp's chats, and what they go by. Statuses, newsletters and programs
are nobody's speech; what comes by a broadcast list is said to us by whoever sent it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pynchy_cli.channels.seen import passes_for
from pynchy_cli.channels.whatsapp import addresses
from pynchy_cli.channels.whatsapp.addresses import BROADCAST, Address, plain
from pynchy_cli.channels.whatsapp.names import Names
from pynchy_cli.security.senders import OWNER

if TYPE_CHECKING:
    from neonize.proto.Neonize_pb2 import MessageInfo, MessageSource

PROGRAM = "pynchy"
"""By this name our own host speaks to agents."""


@dataclass(frozen=True)
class Identity:
    """Whose account it is: its phone number and its LID, as digits, and the assistant's name, with
    `waking` words besides it; what the account calls itself, and the number of its `owner`, where
    that is another. `is_assistants` where the account is the assistant's own, and who is mentioned
    by it is the assistant. `device` is the number of ours among the account's, 0 where it isn't
    known."""

    number: str
    lid: str
    agent_name: str
    waking: tuple[str, ...] = ()
    is_assistants: bool = False
    device: int = 0
    called: str = ""
    owner: str = ""

    def is_own(self, id: str) -> bool:
        """Whether somebody, as `addresses.person` gives them, is the account itself."""
        return id == self.number or (bool(self.lid) and id == f"{self.lid}@{addresses.LIDS}")


@dataclass(frozen=True)
class Where:
    """Who says something in which chat; `jid` is the sender's as the network wrote it."""

    chat: Address
    sender: str
    jid: str


def where(info: MessageInfo, who: Identity, names: Names) -> Where | None:
    """Who says it where; None where nobody does whom one could answer."""
    source = info.MessageSource
    sender, other = addresses.address(source.Sender), addresses.address(source.SenderAlt)
    person = addresses.person(sender, other, names)
    if person is None:
        return None
    is_own = source.IsFromMe or who.is_own(person)
    if is_own and who.device and source.Sender.Device == who.device:
        return None  # what we have sent ourselves: whoever answered that would never end
    if plain(source.Chat.Server) == BROADCAST:
        # Ours go to many. One that comes is said to us, as between two; a status is said to nobody.
        is_list = plain(source.Chat.User) != "status" and not is_own
        chat = addresses.of_person(person) if is_list else None
    else:
        chat = addresses.address(source.Chat)
        if chat is not None and not chat.is_group:
            whose = _recipient(chat, source, who, names) if is_own else person
            chat = addresses.of_person(whose)
    if chat is None:
        return None
    if not is_own:
        return Where(chat, person, addresses.raw(source.Sender))
    # In the chat with oneself the sender is who the chat is with, whichever way both came.
    is_alone = bool(who.number) and chat.user == who.number and not chat.is_group
    return Where(chat, OWNER, str(chat) if is_alone else addresses.raw(source.Sender))


def _recipient(chat: Address, source: MessageSource, who: Identity, names: Names) -> str:
    """With whom the account's owner speaks, who may be the owner alone."""
    person = addresses.person(chat, addresses.address(source.RecipientAlt), names) or str(chat)
    return who.number if who.number and who.is_own(person) else person


def shown_name(sender: str, who: Identity, names: Names, chat: Address) -> str:
    """What a person is called in a chat. People choose their names; one by which the owner, the
    assistant or somebody else there goes, as far as that is known, tells whose it is."""
    name = names.called(sender)
    if name is None or sender in (OWNER, who.owner):
        return name or sender
    owners = (who.called, *map(names.called, (OWNER, who.owner)))
    taken = (OWNER, PROGRAM, who.agent_name, *who.waking, *filter(None, owners))
    is_taken = passes_for(name, taken) or names.is_anothers(name, sender, str(chat))
    return f"{name} ({sender})" if is_taken else name


def chat_name(chat: Address, names: Names) -> str | None:
    """What a chat is called, where that is known."""
    return names.called(str(chat) if chat.is_group else addresses.person(chat, None, names) or "")
