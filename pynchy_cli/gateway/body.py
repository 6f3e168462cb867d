"""A call's body as it comes from a sandbox, never more of it than is allowed."""

from __future__ import annotations

from collections.abc import AsyncIterator

from aiohttp import StreamReader


class TooLarge(Exception):
    """The body has more bytes than a call may have."""


class Body:
    """Passes a body on in pieces. `is_too_large` tells why it broke off."""

    def __init__(self, content: StreamReader, limit: int) -> None:
        self._content = content
        self._limit = limit
        self.is_too_large = False

    async def pieces(self) -> AsyncIterator[bytes]:
        """The pieces as they come. Raises TooLarge."""
        size = 0
        async for piece in self._content.iter_any():
            size += len(piece)
            if size > self._limit:
                self.is_too_large = True
                raise TooLarge
            yield piece

    async def whole(self) -> bytes:
        """All of it. Raises TooLarge."""
        return b"".join([piece async for piece in self.pieces()])
