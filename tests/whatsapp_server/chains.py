"""Chains of message keys, as Signal's sessions and its sender keys have them.

Each message has a key of its own, and the chain moves on; the keys of messages that are skipped
are kept until those come.
"""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.padding import PKCS7

VERSION = b"\x33"
FURTHEST = 2000


class Undecryptable(ValueError):
    """A message whose key isn't there (any more), or that was changed on its way."""


@dataclass
class Chain:
    """The key (32 bytes) of the message `count`, and the keys of those that were skipped."""

    key: bytes
    count: int = 0
    skipped: dict[int, bytes] = field(default_factory=dict)

    def next(self) -> tuple[int, bytes]:
        """The number and the seed of the next message's keys; the chain moves on."""
        count, seed = self.count, hmac.digest(self.key, b"\x01", "sha256")
        self.key = hmac.digest(self.key, b"\x02", "sha256")
        self.count += 1
        return count, seed

    def seed(self, count: int) -> bytes:
        """The seed of a received message's keys, once; Undecryptable a second time."""
        if count - self.count > FURTHEST:
            raise Undecryptable(f"message {count} is too far ahead of {self.count}")
        while self.count <= count:
            skipped, seed = self.next()
            self.skipped[skipped] = seed
        if count not in self.skipped:
            raise Undecryptable(f"message {count} was decrypted already")
        return self.skipped.pop(count)


def encrypt(key: bytes, iv: bytes, plain: bytes) -> bytes:
    """AES-CBC, filled up to whole blocks."""
    filler, cipher = PKCS7(128).padder(), Cipher(AES(key), CBC(iv)).encryptor()
    return cipher.update(filler.update(plain) + filler.finalize()) + cipher.finalize()


def decrypt(key: bytes, iv: bytes, sealed: bytes) -> bytes:
    """What `encrypt` was given."""
    filler, cipher = PKCS7(128).unpadder(), Cipher(AES(key), CBC(iv)).decryptor()
    plain = filler.update(cipher.update(sealed) + cipher.finalize())
    return plain + filler.finalize()


def padded(plain: bytes) -> bytes:
    """A message as WhatsApp encrypts it: with 1 to 15 bytes after it that tell their number."""
    count = secrets.randbelow(15) + 1
    return plain + bytes([count]) * count


def unpadded(plain: bytes) -> bytes:
    """A message without the bytes that tell their number."""
    if not plain or plain[-1] > len(plain):
        raise Undecryptable(f"no WhatsApp message ends as one of {len(plain)} bytes does")
    return plain[: -plain[-1]]
