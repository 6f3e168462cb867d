"""Keeps a secret out of bytes that pass by in pieces, without holding any of them back for
longer than needed: only an end that could be the secret's beginning waits for the next piece."""

from __future__ import annotations


class Mask:
    """One stream's mask. The secret is overwritten by as many asterisks."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._stars = b"*" * len(secret)
        self._held = b""

    def feed(self, piece: bytes) -> bytes:
        """What may pass now; b"" where all of it waits."""
        data = (self._held + piece).replace(self._secret, self._stars)
        keep = self._beginning(data)
        self._held = data[len(data) - keep :]
        return data[: len(data) - keep]

    def end(self) -> bytes:
        """What was held back, once nothing more comes."""
        held, self._held = self._held, b""
        return held

    def _beginning(self, data: bytes) -> int:
        """How many bytes at the end of `data` are a beginning of the secret."""
        for size in range(min(len(self._secret) - 1, len(data)), 0, -1):
            if data.endswith(self._secret[:size]):
                return size
        return 0


def masked(text: str, secret: str) -> str:
    """A whole text without the secret."""
    return text.replace(secret, "*" * len(secret))
