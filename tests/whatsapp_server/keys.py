"""Curve25519 key pairs as Signal uses them: for secrets agreed upon, and for signatures (XEdDSA).

Public keys are 32 bytes here; Signal's messages put the byte 5 before them.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from functools import cached_property

import xeddsa
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

KIND = b"\x05"


@dataclass(frozen=True)
class KeyPair:
    """A private key (32 bytes, clamped) that knows its public one."""

    private: bytes

    @classmethod
    def make(cls) -> KeyPair:
        """A new random pair."""
        scalar = bytearray(secrets.token_bytes(32))
        scalar[0] &= 248
        scalar[31] = scalar[31] & 127 | 64
        return cls(bytes(scalar))

    @cached_property
    def public(self) -> bytes:
        """32 bytes, without Signal's kind."""
        return X25519PrivateKey.from_private_bytes(self.private).public_key().public_bytes_raw()

    @property
    def typed(self) -> bytes:
        """The public key as in Signal's messages: 33 bytes."""
        return KIND + self.public

    def agree(self, public: bytes) -> bytes:
        """The secret shared with the owner of a public key of 32 or 33 bytes."""
        other = X25519PublicKey.from_public_bytes(public[-32:])
        return X25519PrivateKey.from_private_bytes(self.private).exchange(other)

    def sign(self, message: bytes) -> bytes:
        """64 bytes."""
        return xeddsa.ed25519_priv_sign(xeddsa.priv_force_sign(self.private, False), message)


def is_signed(public: bytes, message: bytes, signature: bytes) -> bool:
    """Whether the owner of a public key of 32 or 33 bytes signed a message.

    Signal's own signatures carry the sign of the Edwards point in their last bit; XEdDSA as it
    was published leaves that bit 0. Both hold here.
    """
    sign = bool(signature[63] & 128)
    plain = signature[:63] + bytes([signature[63] & 127])
    key = xeddsa.curve25519_pub_to_ed25519_pub(public[-32:], sign)
    return xeddsa.ed25519_verify(plain, key, message)


def derive(secret: bytes, length: int, salt: bytes | None = None, info: bytes = b"") -> bytes:
    """HKDF with SHA-256; no salt is 32 zero bytes."""
    return HKDF(algorithm=SHA256(), length=length, salt=salt, info=info).derive(secret)
