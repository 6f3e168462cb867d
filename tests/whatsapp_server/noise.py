"""The encryption of the connection itself: Noise_XX_25519_AESGCM_SHA256, the server's side.

The client pins the root key that signs the server's certificates, so a test's client is given the
public key of a Root of the tests'. All bytes in and out are contents of frames, without their
lengths; Frames and `framed` see to those.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tests.whatsapp_server import protos
from tests.whatsapp_server.keys import KeyPair, derive

HEADER = b"WA\x06\x03"
ROUTING = b"ED\x00\x01"
PATTERN = b"Noise_XX_25519_AESGCM_SHA256\0\0\0\0"
DAY_SECONDS = 86400


@dataclass(frozen=True)
class Root:
    """The key that signs the server's certificates."""

    keys: KeyPair

    @classmethod
    def make(cls) -> Root:
        """A new one; `keys.private` is what to keep, `keys.public` what the client is to pin."""
        return cls(KeyPair.make())

    def certificates(self, public: bytes, now: int) -> bytes:
        """A chain for a server's static key: one between, signed by the root, and one for the key.

        `now` is in seconds; the chain holds for a month.
        """
        between = KeyPair.make()
        chain = protos.cert.CertChain()
        for place, serial, key, signer in (
            (chain.intermediate, 1, between.public, self.keys),
            (chain.leaf, 2, public, between),
        ):
            place.details = protos.cert.CertChain.NoiseCertificate.Details(
                serial=serial,
                issuerSerial=serial - 1,
                key=key,
                notBefore=now - DAY_SECONDS,
                notAfter=now + 30 * DAY_SECONDS,
            ).SerializeToString()
            place.signature = signer.sign(place.details)
        return bytes(chain.SerializeToString())


class Cipher:
    """AES-GCM with one key, the number of the message as its nonce."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)
        self._count = 0

    def _nonce(self) -> bytes:
        self._count += 1
        return (self._count - 1).to_bytes(12, "big")

    def seal(self, plain: bytes, extra: bytes = b"") -> bytes:
        """The next message, encrypted."""
        return self._cipher.encrypt(self._nonce(), plain, extra)

    def open(self, sealed: bytes, extra: bytes = b"") -> bytes:
        """The next message, decrypted; cryptography's InvalidTag where it isn't the next."""
        return self._cipher.decrypt(self._nonce(), sealed, extra)


@dataclass(frozen=True)
class Transport:
    """An established connection, seen from the server."""

    outward: Cipher
    inward: Cipher

    def seal(self, plain: bytes) -> bytes:
        """A frame's content for the client."""
        return self.outward.seal(plain)

    def open(self, sealed: bytes) -> bytes:
        """What a frame of the client's holds."""
        return self.inward.open(sealed)


class Responder:
    """One handshake: `hello` with the client's first frame, then `finish` with its second."""

    def __init__(self, root: Root, now: int) -> None:
        self._root, self._now = root, now
        self._static, self._ephemeral = KeyPair.make(), KeyPair.make()
        self._hash = self._salt = PATTERN
        self._cipher = Cipher(PATTERN)

    def hello(self, frame: bytes) -> bytes:
        """The answer to the client's hello."""
        theirs = protos.handshake.HandshakeMessage.FromString(frame).clientHello.ephemeral
        self._mix_hash(HEADER)
        self._mix_hash(theirs)
        self._mix_hash(self._ephemeral.public)
        self._mix_key(self._ephemeral.agree(theirs))
        static = self._seal(self._static.public)
        self._mix_key(self._static.agree(theirs))
        payload = self._seal(self._root.certificates(self._static.public, self._now))
        answer = protos.handshake.HandshakeMessage()
        answer.serverHello.ephemeral = self._ephemeral.public
        answer.serverHello.static = static
        answer.serverHello.payload = payload
        return bytes(answer.SerializeToString())

    def finish(self, frame: bytes) -> tuple[Any, Transport]:
        """What the client says of itself (a ClientPayload), and the connection from now on."""
        last = protos.handshake.HandshakeMessage.FromString(frame).clientFinish
        static = self._open(last.static)
        self._mix_key(self._ephemeral.agree(static))
        payload = protos.handshake.ClientPayload.FromString(self._open(last.payload))
        both = derive(b"", 64, self._salt)
        return payload, Transport(outward=Cipher(both[32:]), inward=Cipher(both[:32]))

    def _mix_hash(self, data: bytes) -> None:
        self._hash = sha256(self._hash + data).digest()

    def _mix_key(self, secret: bytes) -> None:
        both = derive(secret, 64, self._salt)
        self._salt, self._cipher = both[:32], Cipher(both[32:])

    def _seal(self, plain: bytes) -> bytes:
        sealed = self._cipher.seal(plain, self._hash)
        self._mix_hash(sealed)
        return sealed

    def _open(self, sealed: bytes) -> bytes:
        plain = self._cipher.open(sealed, self._hash)
        self._mix_hash(sealed)
        return plain


def framed(content: bytes) -> bytes:
    """A frame: three bytes of length, then the content."""
    return len(content).to_bytes(3, "big") + content


class Frames:
    """Cuts what the client sends into frames' contents, after the header that it begins with."""

    def __init__(self) -> None:
        self._data = b""
        self._is_begun = False

    def feed(self, data: bytes) -> list[bytes]:
        """The contents that are whole now; ValueError where the header isn't WhatsApp's."""
        self._data += data
        contents = []
        while (self._is_begun or self._begin()) and (content := self._cut(0)) is not None:
            contents.append(content)
        return contents

    def _begin(self) -> bool:
        if self._data.startswith(ROUTING) and self._cut(len(ROUTING)) is None:
            return False
        if len(self._data) < len(HEADER):
            return False
        if not self._data.startswith(HEADER):
            raise ValueError(f"no WhatsApp client begins with {self._data[:4].hex()}")
        self._data = self._data[len(HEADER) :]
        self._is_begun = True
        return True

    def _cut(self, start: int) -> bytes | None:
        end = start + 3 + int.from_bytes(self._data[start : start + 3], "big")
        if len(self._data) < max(end, start + 3):
            return None
        content, self._data = self._data[start + 3 : end], self._data[end:]
        return content
