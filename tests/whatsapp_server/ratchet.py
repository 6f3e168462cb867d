"""Signal's double ratchet (version 3): one session's keys, from the first secret on."""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field

from tests.whatsapp_server.chains import VERSION, Chain, Undecryptable, decrypt, encrypt
from tests.whatsapp_server.fields import pack, unpack
from tests.whatsapp_server.keys import KeyPair, derive

MAC_SIZE = 8
CHAINS_KEPT = 5


@dataclass
class Ratchet:
    """The keys between two identities; public keys are of 33 bytes here.

    `base` is the initiator's first key, which tells sessions apart.
    """

    ours: bytes
    theirs: bytes
    base: bytes
    root: bytes
    keys: KeyPair
    sending: Chain | None = None
    before: int = 0
    receiving: dict[bytes, Chain] = field(default_factory=dict)

    def turn(self, public: bytes) -> Chain:
        """The chain that our present key and one of theirs begin."""
        both = derive(self.keys.agree(public), 64, self.root, b"WhisperRatchet")
        self.root = both[:32]
        return Chain(both[32:])

    def encrypt(self, plain: bytes) -> bytes:
        """The next message out; Undecryptable before the first one in, for who didn't begin."""
        if self.sending is None:
            raise Undecryptable("nothing was received yet to answer to")
        count, seed = self.sending.next()
        key, mac, iv = _message_keys(seed)
        message = VERSION + pack(
            {1: self.keys.typed, 2: count, 3: self.before, 4: encrypt(key, iv, plain)}
        )
        return message + _mac(mac, self.ours, self.theirs, message)

    def decrypt(self, sealed: bytes) -> bytes:
        """A message in, in any order; where it is Undecryptable, this ratchet is of no use."""
        message, mac_theirs = sealed[:-MAC_SIZE], sealed[-MAC_SIZE:]
        fields = unpack(message[1:])
        key, mac, iv = _message_keys(self._chain(fields.data(1)).seed(fields.number(2)))
        if not hmac.compare_digest(_mac(mac, self.theirs, self.ours, message), mac_theirs):
            raise Undecryptable("a message that isn't what was sent")
        return decrypt(key, iv, fields.data(4))

    def _chain(self, public: bytes) -> Chain:
        if public not in self.receiving:
            self.receiving[public] = self.turn(public)
            while len(self.receiving) > CHAINS_KEPT:
                del self.receiving[next(iter(self.receiving))]
            self.before = max(self.sending.count - 1, 0) if self.sending else 0
            self.keys = KeyPair.make()
            self.sending = self.turn(public)
        return self.receiving[public]


def _message_keys(seed: bytes) -> tuple[bytes, bytes, bytes]:
    keys = derive(seed, 80, info=b"WhisperMessageKeys")
    return keys[:32], keys[32:64], keys[64:]


def _mac(key: bytes, sender: bytes, receiver: bytes, message: bytes) -> bytes:
    return hmac.digest(key, sender + receiver + message, "sha256")[:MAC_SIZE]
