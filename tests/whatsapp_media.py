"""Files, encrypted as WhatsApp's apps do it."""

from __future__ import annotations

import hmac
import secrets
from hashlib import sha256

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from pynchy_cli.channels.whatsapp.media import BLOCK, MAC, Kind, Media

PURPOSES = {"image": b"Image", "video": b"Video", "audio": b"Audio", "document": b"Document"}


def sealed(
    kind: Kind, plain: bytes, mac: bytes | None = None, fill: bytes | None = None
) -> tuple[Media, bytes]:
    """What a message says of a file, and the file as the media host has it; with a MAC or an end of
    the last block other than the right ones, where they are given."""
    key = secrets.token_bytes(32)
    iv, cipher, mac_key = _keys(key, b"WhatsApp " + PURPOSES[kind] + b" Keys")
    count = BLOCK - len(plain) % BLOCK
    encryptor = Cipher(algorithms.AES(cipher), modes.CBC(iv)).encryptor()
    whole = plain + (bytes([count]) * count if fill is None else fill)
    body = encryptor.update(whole) + encryptor.finalize()
    right = hmac.digest(mac_key, iv + body, "sha256")[:MAC]
    content = body + (right if mac is None else mac)
    hashes = sha256(content).digest(), sha256(plain).digest()
    path = f"/v/t62.7118-24/{secrets.token_hex(8)}.enc?ccb=11-4&oh=01%7E&oe=ff"
    return Media(kind, path, len(plain), *hashes, key), content


def _keys(key: bytes, purpose: bytes) -> tuple[bytes, bytes, bytes]:
    """HKDF with SHA-256 and without a salt, as RFC 5869 has it: IV, cipher key and MAC key."""
    extracted = hmac.digest(bytes(32), key, "sha256")
    block, all_of_them = b"", b""
    for number in range(1, 5):
        block = hmac.digest(extracted, block + purpose + bytes([number]), "sha256")
        all_of_them += block
    return all_of_them[:16], all_of_them[16:48], all_of_them[48:80]
