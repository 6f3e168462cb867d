"""What one server knows: the account and its linked device, people, groups, what waits."""

from __future__ import annotations

import itertools
import secrets
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.whatsapp_server.adv import Account
from tests.whatsapp_server.books import Books
from tests.whatsapp_server.faults import Faults
from tests.whatsapp_server.keys import KeyPair
from tests.whatsapp_server.nodes import Node
from tests.whatsapp_server.people import Contact, Published

SERVER = "@s.whatsapp.net"
PHONES, LIDS, GROUPS = "s.whatsapp.net", "lid", "g.us"


def user(jid: str) -> str:
    """What is before the device and the server."""
    return jid.partition("@")[0].partition(":")[0]


def device(jid: str) -> int:
    """The number of the device; 0 is the phone itself."""
    return int(jid.partition("@")[0].partition(":")[2] or 0)


def bare(jid: str) -> str:
    """A JID without its device."""
    return f"{user(jid)}@{jid.partition('@')[2]}"


@dataclass
class Linked:
    """The device that the phone has linked."""

    number: int
    identity: bytes
    platform: str


@dataclass
class Group:
    """One group; its members by number."""

    jid: str
    name: str
    members: list[str]
    by_lid: bool
    creator: str
    created: int = field(default_factory=lambda: int(time.time()))


@dataclass
class Waiting:
    """A message that the client hasn't confirmed. What it says is kept, in case it asks again."""

    id: str
    sender: str
    chat: str
    plain: bytes
    attrs: dict[str, str]
    node: Node | None = None
    """As it was sent first; None while it is not encrypted yet."""
    sent: bool = False
    broken: int = 0
    """How many deliveries more have a ciphertext that can't be read."""
    confirmed: bool = False


@dataclass
class World:
    """Everything; who serves a connection or a test's call works on it."""

    folder: Path
    owner_phone: str
    books: Books
    faults: Faults = field(default_factory=Faults)
    account: Account = field(default_factory=Account)
    """It signs what the phone links."""
    linked: Linked | None = None
    qr_codes: int = 6
    """How many a device gets that wants to be linked."""
    groups: dict[str, Group] = field(default_factory=dict)
    bundle: Published | None = None
    """What the linked device has uploaded, for sessions with it."""
    messages: dict[str, Waiting] = field(default_factory=dict)
    """All that was said, by id, in order."""
    outbound: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What the client sent, by id."""
    _people: dict[str, Contact] = field(default_factory=dict)
    _numbers: Any = field(default_factory=lambda: itertools.count(1))
    _devices: Any = field(default_factory=lambda: itertools.count(12))

    @property
    def owner(self) -> Contact:
        """The person whose phone it is."""
        return self.contact(self.owner_phone)

    def contact(self, phone: str) -> Contact:
        """Somebody, who is made if need be. Raises ValueError for what is no number."""
        if not phone.isdecimal():
            raise ValueError(f"{phone!r} is no phone number, digits alone")
        if phone not in self._people:
            identity = self.account.keys if phone == self.owner_phone else KeyPair.make()
            self._people[phone] = Contact(phone, identity)
        return self._people[phone]

    def by_jid(self, jid: str) -> Contact:
        """Whose address that is, by number or by LID."""
        if jid.endswith(f"@{LIDS}"):
            for one in self._people.values():
                if one.lid == user(jid):
                    return one
            return self.contact(user(jid).removeprefix("999"))
        return self.contact(user(jid))

    def group(self, jid: str) -> Group:
        """A group by its JID. Raises ValueError where there is none."""
        if jid not in self.groups:
            raise ValueError(f"there is no group {jid}")
        return self.groups[jid]

    def by_phone(self, jid: str) -> str:
        """An address in its form with the phone number, without a device."""
        return bare(jid) if jid.endswith(f"@{GROUPS}") or "@" not in jid else self.by_jid(jid).jid

    def stanza(self) -> str:
        """The id of a node of the server's own."""
        return f"{next(self._numbers)}.{secrets.token_hex(3)}"

    def device_number(self) -> int:
        """That of a device which is linked now."""
        return int(next(self._devices))

    def group_jid(self) -> str:
        """That of a group which is made now."""
        return f"{120363000000000001 + len(self.groups)}@{GROUPS}"

    def unlink(self) -> None:
        """The linked device is none any more, and nothing waits for it."""
        self.linked = None
        self.bundle = None
        self.messages.clear()
        for one in self._people.values():
            one.forget()

    def waiting(self) -> list[Waiting]:
        """What has no receipt yet, in the order in which it was said."""
        return [one for one in self.messages.values() if not one.confirmed]


def new_id() -> str:
    """An id as phones make them."""
    return "3A" + secrets.token_hex(9).upper()
