"""Where the files are that people share on Slack. Nobody but Slack is given our token, or asked."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urljoin, urlsplit

import aiohttp

from pynchy_cli.channels.base import NeverSent, NotSent
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
from pynchy_cli.channels.slack.api import Api
from pynchy_cli.channels.slack.outcomes import FAULTS, Denied, outcome
from pynchy_cli.model import SharedFile

STATUS = {
    401: "Slack doesn't give it to this app; is the scope files:read missing?",
    403: "Slack doesn't give it to this app; is the scope files:read missing?",
    404: "it isn't there any more",
    410: "it isn't there any more",
}
TIMEOUT = aiohttp.ClientTimeout(total=LONGEST, sock_connect=CONNECTING, sock_read=IDLE)
NETWORKS = (aiohttp.ClientError, TimeoutError, ConnectionError)
"""Of the system's errors, those that aren't the disk's."""


class SlackFiles:
    """The files of one workspace."""

    def __init__(self, api: Api) -> None:
        self._api = api

    async def fetch(self, file: SharedFile, part: Path) -> None:
        """Write all of a file at `part`. Raises NotSent, NeverSent, Away, OSError."""
        try:
            await self._follow(await self._address(file), part, file)
        except Denied as error:
            raise NeverSent(str(error)) from error
        except FAULTS as error:
            if isinstance(error, OSError) and not isinstance(error, NETWORKS):
                raise
            raise outcome("the download", error, is_post=False) from error

    async def _address(self, file: SharedFile) -> str:
        """Where a file's bytes are; Slack is asked where the message didn't tell."""
        limit = self._api.rules.max_file
        if file.size is not None and file.size > limit:
            raise too_large(limit)
        id, _, url = file.remote_id.partition(" ")
        if not url:
            known = await self._api.file_info(id)
            url = str(known.get("url_private_download") or known.get("url_private") or "")
        if not url:
            raise NeverSent("Slack doesn't tell where it is")
        return self._slacks(url)

    def _slacks(self, url: str) -> str:
        """The address, if it is Slack's: nobody else is given our token, or asked by us. Raises
        NeverSent."""
        try:
            is_slacks = self._is_slacks(url)
        except ValueError:
            is_slacks = False
        if not is_slacks:
            raise NeverSent("it is kept outside of Slack")
        return url

    def _is_slacks(self, url: str) -> bool:
        there, api = urlsplit(url), urlsplit(self._api.rules.base_url)
        is_api = (there.scheme, there.netloc) == (api.scheme, api.netloc)
        host = there.hostname or ""
        return is_api or (there.scheme == "https" and f".{host}".endswith(".slack.com"))

    async def _follow(self, url: str, part: Path, file: SharedFile) -> None:
        """Write what is at an address, or where that leads within Slack."""
        headers = {"Authorization": f"Bearer {self._api.rules.bot_token}"}
        proxy = self._api.web.proxy
        for hop in range(HOPS):
            async with self._api.session.get(
                url, headers=headers, timeout=TIMEOUT, proxy=proxy, allow_redirects=False
            ) as response:
                if 300 <= response.status < 400:
                    url = self._slacks(urljoin(url, response.headers.get("Location", "")))
                    continue
                _require_file(response, file, was_led=hop > 0)
                return await written(
                    response.content.iter_chunked(PIECE), part, self._api.rules.max_file
                )
        raise NeverSent("Slack leads from one address to the next")


def _require_file(response: aiohttp.ClientResponse, file: SharedFile, *, was_led: bool) -> None:
    """Raises NotSent, or NeverSent, where it isn't the file that was given."""
    if (why := STATUS.get(response.status)) is not None:
        raise NeverSent(why)
    if response.status >= 400:
        why = f"Slack doesn't give it: HTTP {response.status}"
        raise NotSent(why, patience_asked(response.headers))
    is_page = response.content_type == "text/html"
    if is_page and (file.mime != "text/html" or was_led):
        raise NeverSent("Slack gave a login page instead of it; is the scope files:read missing?")
