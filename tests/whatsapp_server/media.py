"""Files as WhatsApp keeps them: encrypted by who shares them, behind a path, under a key that only
the message tells."""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass
from hashlib import sha256

from tests.whatsapp_server.chains import decrypt, encrypt
from tests.whatsapp_server.keys import derive

PURPOSES = {
    "image": b"WhatsApp Image Keys",
    "sticker": b"WhatsApp Image Keys",
    "video": b"WhatsApp Video Keys",
    "audio": b"WhatsApp Audio Keys",
    "voice": b"WhatsApp Audio Keys",
    "document": b"WhatsApp Document Keys",
    "history": b"WhatsApp History Keys",
}
MAC_SIZE = 10


@dataclass(frozen=True)
class Sealed:
    """A file as it lies on the media host, and what a message says of it."""

    path: str
    key: bytes
    content: bytes
    hash: bytes
    plain_hash: bytes
    size: int
    """Of what was encrypted."""


def _keys(kind: str, key: bytes) -> tuple[bytes, bytes, bytes]:
    """IV, cipher key and MAC key."""
    all_of_them = derive(key, 112, info=PURPOSES[kind])
    return all_of_them[:16], all_of_them[16:48], all_of_them[48:80]


def seal(kind: str, plain: bytes) -> Sealed:
    """A file, encrypted with a new key."""
    key = secrets.token_bytes(32)
    iv, cipher, mac = _keys(kind, key)
    body = encrypt(cipher, iv, plain)
    content = body + hmac.digest(mac, iv + body, "sha256")[:MAC_SIZE]
    path = f"/v/t62.7118-24/{secrets.token_hex(8)}.enc?ccb=11-4&oh=01&oe={secrets.token_hex(4)}"
    hashes = (sha256(content).digest(), sha256(plain).digest())
    return Sealed(path, key, content, *hashes, len(plain))


def unseal(kind: str, key: bytes, content: bytes) -> bytes:
    """What was encrypted. Raises ValueError where something doesn't fit."""
    iv, cipher, mac = _keys(kind, key)
    body, tag = content[:-MAC_SIZE], content[-MAC_SIZE:]
    if not hmac.compare_digest(hmac.digest(mac, iv + body, "sha256")[:MAC_SIZE], tag):
        raise ValueError("the file isn't what was encrypted with that key")
    return decrypt(cipher, iv, body)
