"""Signal's sender keys: one encryption of a message for a whole group.

Who writes gives the others the present state of a chain (a distribution, sent to each in a session
of theirs) and from then on sends each message once, signed.
"""

from __future__ import annotations

import secrets
from copy import deepcopy

from tests.whatsapp_server.chains import (
    VERSION,
    Chain,
    Undecryptable,
    decrypt,
    encrypt,
    padded,
    unpadded,
)
from tests.whatsapp_server.fields import pack, unpack
from tests.whatsapp_server.keys import KeyPair, derive, is_signed

SIGNATURE_SIZE = 64


class SenderKey:
    """What one person's device writes to one group with."""

    def __init__(self) -> None:
        self._id = secrets.randbits(31)
        self._chain = Chain(secrets.token_bytes(32))
        self._signing = KeyPair.make()

    def distribution(self) -> bytes:
        """What the others need for all messages from here on."""
        chain, public = self._chain, self._signing.typed
        return VERSION + pack({1: self._id, 2: chain.count, 3: chain.key, 4: public})

    def encrypt(self, plain: bytes) -> bytes:
        """The next message: the bytes of an `skmsg`."""
        count, seed = self._chain.next()
        iv, key = _message_keys(seed)
        message = VERSION + pack({1: self._id, 2: count, 3: encrypt(key, iv, padded(plain))})
        return message + self._signing.sign(message)


class HeardKeys:
    """What one device of the client's writes to one group with, as one of the others knows it."""

    def __init__(self) -> None:
        self._chains: dict[int, tuple[Chain, bytes]] = {}

    def hear(self, distribution: bytes) -> None:
        """Take what the device distributed."""
        fields = unpack(distribution[1:])
        chain = Chain(fields.data(3), fields.number(2))
        self._chains[fields.number(1)] = (chain, fields.data(4))

    def decrypt(self, sealed: bytes) -> bytes:
        """What an `skmsg` holds; Undecryptable where it wasn't distributed, signed or unread."""
        message, signature = sealed[:-SIGNATURE_SIZE], sealed[-SIGNATURE_SIZE:]
        fields = unpack(message[1:])
        number = fields.number(1)
        if number not in self._chains:
            raise Undecryptable(f"the sender key {number} was never distributed")
        chain, public = self._chains[number]
        if not is_signed(public, message, signature):
            raise Undecryptable("a group's message that its sender didn't sign")
        tried = deepcopy(chain)
        iv, key = _message_keys(tried.seed(fields.number(2)))
        plain = unpadded(decrypt(key, iv, fields.data(3)))
        self._chains[number] = (tried, public)
        return plain


def _message_keys(seed: bytes) -> tuple[bytes, bytes]:
    keys = derive(seed, 48, info=b"WhisperGroup")
    return keys[:16], keys[16:]
