"""Linking a device by a code of eight characters, as the owner's phone does it.

The device shows a code and sends its key of the moment wrapped with it (companion_hello); the
phone, where the code is typed, answers in the same way (primary_hello), and the device sends its
identity and its part of the secret, sealed for the phone (companion_finish).
"""

from __future__ import annotations

import hashlib
import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR

from tests.whatsapp_server.adv import Account, Companion
from tests.whatsapp_server.keys import KeyPair, derive

ROUNDS = 1 << 17
SALT, NONCE, IV = 32, 12, 16


class WrongCode(ValueError):
    """The code that was typed isn't the one that the device showed."""


class CodeLink:
    """One linking: the code as it was typed, and the key that the device sent wrapped with its."""

    def __init__(self, account: Account, code: str, wrapped: bytes) -> None:
        self._account = account
        self._code = code.replace("-", "").upper().encode()
        self._theirs = _wrap(self._code, wrapped[:SALT], wrapped[SALT:-32], wrapped[-32:])
        self._ours = KeyPair.make()

    @property
    def identity(self) -> bytes:
        """The phone's own key for the device: `primary_identity_pub`."""
        return self._account.keys.public

    def hello(self) -> bytes:
        """The phone's key of the moment: `link_code_pairing_wrapped_primary_ephemeral_pub`."""
        salt, iv = secrets.token_bytes(SALT), secrets.token_bytes(IV)
        return salt + iv + _wrap(self._code, salt, iv, self._ours.public)

    def finish(self, bundle: bytes) -> Companion:
        """The device and its secret, from `link_code_pairing_wrapped_key_bundle`.

        Raises WrongCode: the phone can't know sooner.
        """
        shared = self._ours.agree(self._theirs)
        salt, nonce, sealed = bundle[:SALT], bundle[SALT:][:NONCE], bundle[SALT + NONCE :]
        key = derive(shared, 32, salt, b"link_code_pairing_key_bundle_encryption_key")
        try:
            plain = AESGCM(key).decrypt(nonce, sealed, None)
        except InvalidTag:
            raise WrongCode("the device showed another code") from None
        identity, ours, random = plain[:32], plain[32:64], plain[64:]
        if ours != self.identity:
            raise WrongCode("the device was told another phone's key")
        secret = shared + self._account.keys.agree(identity) + random
        return Companion(identity, derive(secret, 32, info=b"adv_secret"))


def _wrap(code: bytes, salt: bytes, iv: bytes, key: bytes) -> bytes:
    """A key encrypted with a code, or decrypted: it is the same."""
    secret = hashlib.pbkdf2_hmac("sha256", code, salt, ROUNDS)
    cipher = Cipher(AES(secret), CTR(iv)).encryptor()
    return cipher.update(key) + cipher.finalize()
