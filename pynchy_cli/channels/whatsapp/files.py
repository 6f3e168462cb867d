"""Where the files are that people share on WhatsApp: encrypted, on a host that gives them to
whoever knows the path, for some weeks. They are opened as they come, and never held in memory."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

from pynchy_cli.channels.base import Away, NeverSent, NotSent
from pynchy_cli.channels.fetching import (
    CONNECTING,
    HOPS,
    IDLE,
    LONGEST,
    PIECE,
    patience_asked,
    too_large,
    written,
)
from pynchy_cli.channels.whatsapp.media import BLOCK, MAC, Opening, media_of
from pynchy_cli.errors import PynchyError
from pynchy_cli.model import SharedFile

if TYPE_CHECKING:
    # The extra brings it, and has loaded it when the first file comes.
    import httpx

HOST = "https://mmg.whatsapp.net"
OF_WHATSAPP = (".whatsapp.net", ".fbcdn.net")
HEADERS = {
    "Origin": "https://web.whatsapp.com",
    "Referer": "https://web.whatsapp.com/",
    "Accept-Encoding": "identity",
}
GONE = "WhatsApp doesn't keep it any more; let it be shared again"
STATUS = {403: GONE, 404: GONE, 410: GONE}


class WhatsAppFiles:
    """The files that one account is sent, each `limit` bytes at most. `host` is where they are,
    `idle` are the seconds of IDLE."""

    def __init__(self, limit: int, host: str = HOST, idle: float = IDLE) -> None:
        self._limit = limit
        self._host = host
        self._idle = idle

    async def fetch(self, file: SharedFile, part: Path) -> None:
        """Write all of a file at `part`. Raises NotSent, NeverSent, Away, OSError."""
        import httpx

        media = media_of(file.remote_id)
        if max(media.length or 0, file.size or 0) > self._limit:
            raise too_large(self._limit)
        opening = Opening(media)
        try:
            async with asyncio.timeout(LONGEST), self._found(media.path + media.query()) as found:
                if int(found.headers.get("Content-Length") or 0) > self._limit + BLOCK + MAC:
                    raise too_large(self._limit)
                # As it came: whoever says that it is packed, too, would only make it grow.
                pieces = found.aiter_raw(PIECE)
                await written(pieces, part, self._limit, opening.open, opening.end)
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, ConnectionError) as error:
            raise _outcome(error) from error

    @contextlib.asynccontextmanager
    async def _found(self, path: str) -> AsyncIterator[httpx.Response]:
        """What is behind a path, or where that leads within WhatsApp."""
        import httpx

        url = httpx.URL(f"{self._host}{path}")
        patience = httpx.Timeout(self._idle, connect=CONNECTING)
        async with httpx.AsyncClient(headers=HEADERS, timeout=patience) as client:
            for _ in range(HOPS):
                async with client.stream("GET", url) as response:
                    if 300 <= response.status_code < 400:
                        url = self._whatsapps(url, response.headers.get("Location", ""))
                        continue
                    _require_given(response)
                    yield response
                    return
        raise NeverSent("WhatsApp leads from one address to the next")

    def _whatsapps(self, url: httpx.URL, there: str) -> httpx.URL:
        """Where an address leads, if that is WhatsApp's. Raises NeverSent, and InvalidURL."""
        led = url.join(there)
        own = url.copy_with(raw_path=b"/").join(self._host)
        is_known = (led.scheme, led.host, led.port) == (own.scheme, own.host, own.port) or (
            led.scheme == "https" and f".{led.host}".endswith(OF_WHATSAPP)
        )
        if not is_known:
            raise NeverSent("it is kept outside of WhatsApp")
        return led


def _require_given(response: httpx.Response) -> None:
    if (why := STATUS.get(response.status_code)) is not None:
        raise NeverSent(why)
    if response.status_code != 200:
        why = f"WhatsApp doesn't give it: HTTP {response.status_code}"
        raise NotSent(why, patience_asked(response.headers))


def _outcome(error: Exception) -> PynchyError:
    import httpx

    why = getattr(error, "strerror", None) or str(error) or type(error).__name__
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.ProxyError):
        return Away(f"WhatsApp's files can't be reached: {why}.")
    return NotSent(f"WhatsApp broke off: {why}.")
