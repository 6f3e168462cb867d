"""What the owner's phone does when it links a device: it signs the device's identity.

The device believes it by a secret that it showed in its QR code, or that was agreed upon with a
code that was typed.
"""

from __future__ import annotations

import hmac
import secrets
from base64 import b64decode
from dataclasses import dataclass, field

from tests.whatsapp_server import protos
from tests.whatsapp_server.keys import KeyPair, is_signed

ACCOUNT_PREFIX, DEVICE_PREFIX = b"\x06\x00", b"\x06\x01"


@dataclass(frozen=True)
class Companion:
    """A device to be linked: its identity key, and the secret that it believes the phone by."""

    identity: bytes
    secret: bytes


def scanned(code: str) -> Companion:
    """What a QR code tells; ValueError where it is none of WhatsApp's.

    Its fields are a reference, the key of the connection, the identity and the secret.
    """
    fields = code.rpartition("#")[2].split(",")
    if len(fields) < 4:
        raise ValueError(f"a QR code of {len(fields)} fields isn't WhatsApp's")
    return Companion(identity=b64decode(fields[2]), secret=b64decode(fields[3]))


@dataclass(frozen=True)
class Account:
    """The owner's account; its key is the identity of the phone itself, too."""

    keys: KeyPair = field(default_factory=KeyPair.make)
    number: int = field(default_factory=lambda: secrets.randbits(31))

    def link(self, companion: Companion, now: int, index: int = 1) -> bytes:
        """The content of `device-identity` in `pair-success`, for the device of that index."""
        details = protos.adv.ADVDeviceIdentity(rawID=self.number, timestamp=now, keyIndex=index)
        signed = protos.adv.ADVSignedDeviceIdentity(details=details.SerializeToString())
        signed.accountSignatureKey = self.keys.public
        signed.accountSignature = self.keys.sign(
            ACCOUNT_PREFIX + signed.details + companion.identity
        )
        content = signed.SerializeToString()
        proof = hmac.digest(companion.secret, content, "sha256")
        container = protos.adv.ADVSignedDeviceIdentityHMAC(details=content, HMAC=proof)
        return bytes(container.SerializeToString())

    def is_accepted(self, companion: Companion, answer: bytes) -> bool:
        """Whether a device signed in its turn: the `device-identity` of `pair-device-sign`."""
        signed = protos.adv.ADVSignedDeviceIdentity.FromString(answer)
        message = DEVICE_PREFIX + signed.details + companion.identity + self.keys.public
        return is_signed(companion.identity, message, signed.deviceSignature)
