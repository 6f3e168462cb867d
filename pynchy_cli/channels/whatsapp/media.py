"""A file as WhatsApp keeps it: encrypted by who shares it, behind a path, under a key that only the
message tells. What is opened here is believed only once all of it was read, and checked."""

from __future__ import annotations

import hashlib
import hmac
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec

from pynchy_cli.channels.base import NeverSent, NotSent

Kind = Literal["image", "video", "audio", "document"]
PURPOSES: Mapping[Kind, bytes] = {
    "image": b"WhatsApp Image Keys",
    "video": b"WhatsApp Video Keys",
    "audio": b"WhatsApp Audio Keys",
    "document": b"WhatsApp Document Keys",
}
"""The kinds of files, and what their keys are derived for. A sticker is an image."""
PATH = r"\A/[A-Za-z0-9_!$%&'()*+,./:;=?@~-]*\Z"
"""A path leads to no other host."""
MAC = 10
"""Bytes that follow upon what is encrypted."""
BLOCK = 16
_OTHER = "it isn't what was shared: "


class Media(msgspec.Struct, frozen=True, array_like=True):
    """What a message says of a file: its `kind`, the path that it is behind (directPath), its
    length in bytes, the hashes of it encrypted (fileEncSHA256) and plain (fileSHA256), and its key.
    Hashes are empty, and the length None, where the message doesn't tell them."""

    kind: Kind
    path: Annotated[str, msgspec.Meta(pattern=PATH)]
    length: Annotated[int, msgspec.Meta(ge=0)] | None
    sealed_hash: bytes
    plain_hash: bytes
    key: Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]

    def remote_id(self) -> str:
        """All of it, as a `SharedFile` has it."""
        return msgspec.json.encode(self).decode()

    def query(self) -> str:
        """What is added to the path when the file is asked for."""
        joint = "&" if "?" in self.path else "?"
        hash = urlsafe_b64encode(self.sealed_hash).decode()
        return f"{joint}hash={hash}&mms-type={self.kind}&__wa-mms="


def media_of(remote_id: str) -> Media:
    """What a `SharedFile` tells of where it is. Raises NeverSent where that can't be."""
    try:
        return msgspec.json.decode(remote_id, type=Media)
    except (msgspec.DecodeError, UnicodeEncodeError) as error:
        raise NeverSent("the message doesn't tell where it is") from error


class Opening:
    """Opens one file, piece by piece."""

    def __init__(self, media: Media) -> None:
        # What the extra brings, and only those need who are sent files.
        from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
        from cryptography.hazmat.primitives.hashes import SHA256
        from cryptography.hazmat.primitives.kdf.hkdf import HKDF

        keys = HKDF(SHA256(), length=112, salt=None, info=PURPOSES[media.kind]).derive(media.key)
        iv, cipher, mac = keys[:16], keys[16:48], keys[48:80]
        self._media = media
        self._cipher: Any = Cipher(algorithms.AES(cipher), modes.CBC(iv)).decryptor()
        self._mac = hmac.new(mac, iv, "sha256")
        self._sealed, self._plain = hashlib.sha256(), hashlib.sha256()
        self._kept = b""
        self._last = b""
        self.size = 0
        """Bytes of the file that are known."""

    def open(self, piece: bytes) -> bytes:
        """What a further piece of it holds, as far as that can be told already."""
        self._sealed.update(piece)
        held = self._kept + piece
        body, self._kept = held[:-MAC], held[-MAC:]
        self._mac.update(body)
        opened = self._last + self._cipher.update(body)
        # The last block tells how much of it is none of the file's.
        known, self._last = opened[:-BLOCK], opened[-BLOCK:]
        return self._told(known)

    def end(self) -> bytes:
        """What is left, all of it having been read. Raises NotSent where something else was read
        than was shared, and NeverSent where what was shared can't be right."""
        media = self._media
        if media.sealed_hash and self._sealed.digest() != media.sealed_hash:
            raise NotSent(f"{_OTHER}it came damaged")
        is_whole = hmac.compare_digest(self._mac.digest()[:MAC], self._kept)
        fill = self._last[-1] if len(self._last) == BLOCK else 0
        if not is_whole or not 1 <= fill <= BLOCK or set(self._last[-fill:]) != {fill}:
            raise (NeverSent if media.sealed_hash else NotSent)(f"{_OTHER}the key doesn't fit")
        rest = self._told(self._last[:-fill])
        if media.plain_hash and self._plain.digest() != media.plain_hash:
            raise NeverSent(f"{_OTHER}its hash is another")
        if media.length is not None and self.size != media.length:
            raise NeverSent(f"{_OTHER}it has {self.size} bytes instead of {media.length}")
        return rest

    def _told(self, plain: bytes) -> bytes:
        self._plain.update(plain)
        self.size += len(plain)
        return plain
