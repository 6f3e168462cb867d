"""Signal's sessions (X3DH and the double ratchet) between the server's people and the client.

A session may begin from either side, and from both at once: the latest is written in, and what
belongs to an older one can still be read.
"""

from __future__ import annotations

import secrets
from copy import deepcopy
from dataclasses import dataclass, field

from tests.whatsapp_server.chains import VERSION, Undecryptable, padded, unpadded
from tests.whatsapp_server.fields import pack, unpack
from tests.whatsapp_server.keys import KIND, KeyPair, derive
from tests.whatsapp_server.ratchet import Ratchet

RATCHETS_KEPT = 40
SIGNED_ID = 1


@dataclass(frozen=True)
class Bundle:
    """What one publishes so that others can begin; keys of 32 bytes, as nodes carry them."""

    registration: int
    identity: bytes
    signed_id: int
    signed: bytes
    signature: bytes
    prekey_id: int | None = None
    prekey: bytes | None = None


@dataclass
class Person:
    """One device of a person's, with the keys that it publishes."""

    identity: KeyPair = field(default_factory=KeyPair.make)
    registration: int = field(default_factory=lambda: secrets.randbelow(16380) + 1)
    signed: KeyPair = field(default_factory=KeyPair.make)
    prekeys: dict[int, KeyPair] = field(default_factory=dict)
    last_prekey: int = 0

    def bundle(self) -> Bundle:
        """The keys to begin a session with, its one-time key a new one."""
        self.last_prekey += 1
        self.prekeys[self.last_prekey] = prekey = KeyPair.make()
        return Bundle(
            registration=self.registration,
            identity=self.identity.public,
            signed_id=SIGNED_ID,
            signed=self.signed.public,
            signature=self.identity.sign(self.signed.typed),
            prekey_id=self.last_prekey,
            prekey=prekey.public,
        )


class Session:
    """A person's device and one of the client's: messages between the two."""

    def __init__(self, person: Person) -> None:
        self._person = person
        self._ratchets: list[Ratchet] = []
        self._announced: dict[int, int | bytes | None] = {}

    @property
    def is_begun(self) -> bool:
        """Whether it can encrypt; before that, `start` or a message of the client's begins it."""
        return bool(self._ratchets)

    def start(self, bundle: Bundle) -> None:
        """Begin (anew) with the keys that the client published."""
        identity, base = self._person.identity, KeyPair.make()
        secret = identity.agree(bundle.signed) + base.agree(bundle.identity)
        secret += base.agree(bundle.signed)
        if bundle.prekey is not None:
            secret += base.agree(bundle.prekey)
        ratchet = Ratchet(
            ours=identity.typed,
            theirs=KIND + bundle.identity,
            base=base.typed,
            root=_root(secret),
            keys=KeyPair.make(),
        )
        ratchet.sending = ratchet.turn(bundle.signed)
        self._add(ratchet)
        self._announced = {1: bundle.prekey_id, 2: base.typed, 6: bundle.signed_id}

    def encrypt(self, plain: bytes) -> tuple[str, bytes]:
        """The kind, `pkmsg` until the client answered and `msg` from then on, and the bytes."""
        if not self._ratchets:
            raise Undecryptable("no session was begun")
        message = self._ratchets[0].encrypt(padded(plain))
        if not self._announced:
            return "msg", message
        fields = self._announced | {3: self._person.identity.typed, 4: message}
        return "pkmsg", VERSION + pack(fields | {5: self._person.registration})

    def decrypt(self, kind: str, sealed: bytes) -> bytes:
        """What the client encrypted as that kind; Undecryptable where no key fits."""
        if kind == "pkmsg":
            return self._decrypt_first(sealed)
        for ratchet in list(self._ratchets):
            try:
                return self._decrypt_with(ratchet, sealed)
            except Undecryptable:
                continue
        raise Undecryptable("a message for none of the sessions")

    def _decrypt_first(self, sealed: bytes) -> bytes:
        fields = unpack(sealed[1:])
        base, message = fields.data(2), fields.data(4)
        known = next((ratchet for ratchet in self._ratchets if ratchet.base == base), None)
        if known is not None:
            return self._decrypt_with(known, message)
        number, person = fields.number(1), self._person
        prekey = person.prekeys.get(number)
        if fields.number(6) != SIGNED_ID or (number and prekey is None):
            raise Undecryptable(f"no keys {fields.number(6)} and {number} were published")
        secret = person.signed.agree(fields.data(3)) + person.identity.agree(base)
        secret += person.signed.agree(base) + (prekey.agree(base) if prekey else b"")
        ratchet = Ratchet(
            ours=person.identity.typed,
            theirs=fields.data(3),
            base=base,
            root=_root(secret),
            keys=person.signed,
        )
        plain = unpadded(ratchet.decrypt(message))
        self._add(ratchet)
        person.prekeys.pop(number, None)
        return plain

    def _decrypt_with(self, ratchet: Ratchet, sealed: bytes) -> bytes:
        tried = deepcopy(ratchet)
        plain = unpadded(tried.decrypt(sealed))
        self._ratchets.remove(ratchet)
        self._add(tried)
        return plain

    def _add(self, ratchet: Ratchet) -> None:
        self._ratchets = [ratchet, *self._ratchets][:RATCHETS_KEPT]
        self._announced = {}


def _root(secret: bytes) -> bytes:
    """The first root key; of what is derived, the half for a chain isn't needed."""
    return derive(b"\xff" * 32 + secret, 64, info=b"WhisperText")[:32]
