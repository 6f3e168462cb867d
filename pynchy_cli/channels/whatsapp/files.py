"""Where the files are that people share on WhatsApp: encrypted, on a host that gives them to
whoever knows the path, for some weeks. They are opened as they come, and never held in memory."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
from yarl import URL

from pynchy_cli.channels.base import Away, NeverSent, NotSent
from pynchy_cli.channels.fetching import (
    HOPS,
    NETWORKS,
    TIMEOUT,
    patience_asked,
    too_large,
    written,
)
from pynchy_cli.channels.whatsapp.media import BLOCK, MAC, Opening, media_of
from pynchy_cli.errors import PynchyError
from pynchy_cli.model import SharedFile

HOST = "https://mmg.whatsapp.net"
OF_WHATSAPP = (".whatsapp.net", ".fbcdn.net")
HEADERS = {"Origin": "https://web.whatsapp.com", "Referer": "https://web.whatsapp.com/"}
GONE = "WhatsApp doesn't keep it any more; let it be shared again"
STATUS = {403: GONE, 404: GONE, 410: GONE}


class WhatsAppFiles:
    """The files that one account is sent, each `limit` bytes at most. `host` is where they are."""

    def __init__(self, limit: int, host: str = HOST, timeout: aiohttp.ClientTimeout = TIMEOUT):
        self._limit = limit
        self._host = URL(host)
        self._timeout = timeout

    async def fetch(self, file: SharedFile, part: Path) -> None:
        """Write all of a file at `part`. Raises NotSent, NeverSent, Away, OSError."""
        media = media_of(file.remote_id)
        if max(media.length or 0, file.size or 0) > self._limit:
            raise too_large(self._limit)
        url = URL(f"{self._host.origin()}{media.path}{media.query()}", encoded=True)
        opening = Opening(media)
        try:
            async with self._found(url) as response:
                if (response.content_length or 0) > self._limit + BLOCK + MAC:
                    raise too_large(self._limit)
                await written(response, part, self._limit, opening.open, opening.end)
        except NETWORKS as error:
            raise _outcome(error) from error

    @contextlib.asynccontextmanager
    async def _found(self, url: URL) -> AsyncIterator[aiohttp.ClientResponse]:
        """What is at an address, or where that leads within WhatsApp."""
        # What comes is encrypted: whoever says that it is packed, too, would only make it grow.
        async with aiohttp.ClientSession(
            trust_env=True, auto_decompress=False, headers=HEADERS, timeout=self._timeout
        ) as session:
            for _ in range(HOPS):
                async with session.get(url, allow_redirects=False) as response:
                    if 300 <= response.status < 400:
                        url = self._whatsapps(url, response.headers.get("Location", ""))
                        continue
                    _require_given(response)
                    yield response
                    return
        raise NeverSent("WhatsApp leads from one address to the next")

    def _whatsapps(self, url: URL, there: str) -> URL:
        """Where an address leads, if that is WhatsApp's. Raises NeverSent."""
        try:
            led = url.join(URL(there, encoded=True))
            is_known = led.origin() == self._host.origin() or (
                led.scheme == "https" and f".{led.host}".endswith(OF_WHATSAPP)
            )
        except ValueError:
            is_known = False
        if not is_known:
            raise NeverSent("it is kept outside of WhatsApp")
        return led


def _require_given(response: aiohttp.ClientResponse) -> None:
    if (why := STATUS.get(response.status)) is not None:
        raise NeverSent(why)
    if response.status != 200:
        why = f"WhatsApp doesn't give it: HTTP {response.status}"
        raise NotSent(why, patience_asked(response))


def _outcome(error: Exception) -> PynchyError:
    why = getattr(error, "strerror", None) or str(error) or type(error).__name__
    if isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
        return Away(f"WhatsApp's files can't be reached: {why}.")
    return NotSent(f"WhatsApp broke off: {why}.")
