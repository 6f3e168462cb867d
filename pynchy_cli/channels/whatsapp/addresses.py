"""WhatsApp's addresses: a user and a server, such as `4912345@s.whatsapp.net`. A person has two, by
phone number and by a LID that tells no number; here everybody goes by the number where it is known.
What isn't a person or a group with whom one can speak has no address here."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from neonize.proto.Neonize_pb2 import JID

CHANNEL = "whatsapp"
NUMBERS, LIDS, GROUPS = "s.whatsapp.net", "lid", "g.us"
BROADCAST = "broadcast"
SAME = {"c.us": NUMBERS, "hosted": NUMBERS, "hosted.lid": LIDS}
"""Further servers that people are on: an old one, and those of businesses' hosted devices."""
_DIGITS = re.compile(r"[1-9][0-9]{3,19}")
_GROUP = re.compile(r"[0-9]{5,24}(?:-[0-9]{5,24})?")
_BOT = re.compile(r"1313555[0-9]{4}|131655500[0-9]{2}")
"""Numbers of Meta's programs."""
_WRITTEN = re.compile(r"([^@.:]{1,64})(?:[.:][0-9.:]{1,16})?@([a-z.]{1,32})")


class Numbers(Protocol):
    """Whose LID is whose."""

    def number_of(self, lid: str) -> str | None:
        """The phone number of a LID, both as digits, where it is known."""

    def same(self, lid: str, number: str) -> None:
        """They are one person's."""


@dataclass(frozen=True)
class Address:
    """A person or a group."""

    user: str
    server: str

    def __str__(self) -> str:
        return f"{self.user}@{self.server}"

    @property
    def is_group(self) -> bool:
        """Whether it is a group's."""
        return self.server == GROUPS


def address(jid: JID) -> Address | None:
    """What a JID is the address of, without the device; None where it is none of ours."""
    return _address(plain(jid.User), plain(jid.Server))


def written(text: str) -> Address | None:
    """The same of a JID that is written out."""
    found = _WRITTEN.fullmatch(text)
    return _address(found[1], found[2]) if found else None


def raw(jid: JID) -> str:
    """A JID as its network wrote it, without the device."""
    return f"{plain(jid.User)}@{plain(jid.Server)}"


def chat_of(address: Address) -> str:
    """The chat with an address."""
    return f"{CHANNEL}:{address}"


def person(address: Address | None, other: Address | None, numbers: Numbers) -> str | None:
    """Who has an address, by which other one they may go as well: the phone number, or where that
    isn't known `88001@lid`. None where it is no person's."""
    if address is None or address.is_group:
        return None
    if other is not None and {address.server, other.server} == {NUMBERS, LIDS}:
        lid, number = (address, other) if address.server == LIDS else (other, address)
        numbers.same(lid.user, number.user)
        return number.user
    if address.server == NUMBERS:
        return address.user
    return numbers.number_of(address.user) or str(address)


def of_person(id: str) -> Address:
    """The address of a person, as `person` gives them."""
    user, _, server = id.partition("@")
    return Address(user, server or NUMBERS)


def plain(text: str | bytes) -> str:
    """A text of the network's; what isn't UTF-8 the library leaves as bytes."""
    return text if isinstance(text, str) else text.decode("utf-8", "replace")


def _address(user: str, server: str) -> Address | None:
    server = SAME.get(server, server)
    if server == GROUPS:
        return Address(user, server) if _GROUP.fullmatch(user) else None
    if server not in (NUMBERS, LIDS) or _DIGITS.fullmatch(user) is None:
        return None
    is_program = server == NUMBERS and _BOT.fullmatch(user) is not None
    return None if is_program else Address(user, server)
