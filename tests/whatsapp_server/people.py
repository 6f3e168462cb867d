"""One person, as the linked device meets them: addresses, keys, and what both have agreed on."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.whatsapp_server.keys import KeyPair
from tests.whatsapp_server.sender_keys import HeardKeys, SenderKey
from tests.whatsapp_server.signal import Bundle, Person, Session


@dataclass
class Published:
    """The keys that the linked device has uploaded; each one-time key is given away once."""

    registration: int
    identity: bytes
    signed_id: int
    signed: bytes
    signature: bytes
    prekeys: dict[int, bytes] = field(default_factory=dict)

    def take(self) -> Bundle:
        """What somebody needs to write to it first."""
        number = next(iter(self.prekeys), None)
        prekey = self.prekeys.pop(number) if number is not None else None
        keys = (self.registration, self.identity, self.signed_id, self.signed, self.signature)
        return Bundle(*keys, number, prekey)


class Contact:
    """Somebody with one phone. The LID is `999` and the number, unless it is set."""

    def __init__(self, phone: str, identity: KeyPair) -> None:
        self.phone = phone
        self.name = phone
        self.lid = f"999{phone}"
        self.person = Person(identity)
        self.session = Session(self.person)
        self.keys: dict[str, SenderKey] = {}
        """Their own keys, by group; the client has those in here."""
        self.told: dict[str, HeardKeys] = {}
        """The client's keys that they were told, by group."""

    @property
    def jid(self) -> str:
        """By phone number."""
        return f"{self.phone}@s.whatsapp.net"

    @property
    def lid_jid(self) -> str:
        """By LID."""
        return f"{self.lid}@lid"

    def forget(self) -> None:
        """The linked device is gone, and all that was agreed on with it."""
        self.session = Session(self.person)
        self.keys.clear()
        self.told.clear()

    def begin(self, published: Published) -> None:
        """A new session with the linked device; its one-time key is used up."""
        self.session.start(published.take())

    def encrypt(self, plain: bytes, published: Published) -> tuple[str, bytes]:
        """For the linked device alone: the kind, and the bytes."""
        if not self.session.is_begun:
            self.begin(published)
        return self.session.encrypt(plain)
