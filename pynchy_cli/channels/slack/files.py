"""Fetches the files that people share: each into its group's folder, whole or not at all. What is
still to be fetched stands in the file, so that a restart takes nothing from anybody."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

import aiohttp

from pynchy_cli import log
from pynchy_cli.channels.base import Away, NeverSent, NotSent
from pynchy_cli.channels.slack.api import Api
from pynchy_cli.channels.slack.outcomes import FAULTS, Denied, outcome
from pynchy_cli.errors import DatabaseBusy, DatabaseFull, PynchyError
from pynchy_cli.model import SharedFile

AT_ONCE = 3
TRIES = 5
"""So often a file is tried that Slack doesn't give just now."""
PAUSE, LONGEST_PAUSE = 1.0, 30.0
PIECE = 256 * 1024
TIMEOUT = aiohttp.ClientTimeout(total=900, sock_connect=10, sock_read=60)
STATUS = {
    401: "Slack doesn't give it to this app; is the scope files:read missing?",
    403: "Slack doesn't give it to this app; is the scope files:read missing?",
    404: "it isn't there any more",
    410: "it isn't there any more",
}
NETWORKS = (aiohttp.ClientError, TimeoutError, ConnectionError)
"""Of the system's errors, those that aren't the disk's."""
Wanted = tuple[int, int, str, SharedFile]


class Host(Protocol):
    """What of a channel's host is needed here."""

    def waiting_files(self) -> list[Wanted]:
        """What is still to be fetched."""

    def file_path(self, group_folder: str, seq: int, name: str) -> Path:
        """Where a file is put. Raises OSError."""

    def file_came(self, seq: int, number: int, path: str | None, error: str | None) -> None:
        """It is there, or never will be."""


class Files:
    """Fetches what waits, a few at once."""

    def __init__(self, api: Api, host: Host) -> None:
        self._api = api
        self._host = host
        self._stirred = asyncio.Event()
        self._under_way: dict[tuple[int, int], asyncio.Task[None]] = {}
        self._places = asyncio.Semaphore(AT_ONCE)
        self._log = log.get("slack")

    def stir(self) -> None:
        """There may be something to fetch."""
        self._stirred.set()

    async def run(self) -> None:
        """Fetch what waits until cancelled."""
        self._stirred.set()
        try:
            while True:
                await self._stirred.wait()
                self._stirred.clear()
                for wanted in self._host.waiting_files():
                    self._begin(wanted)
        finally:
            tasks = list(self._under_way.values())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _begin(self, wanted: Wanted) -> None:
        key = wanted[:2]
        if key not in self._under_way:
            task = asyncio.get_running_loop().create_task(self._settle(wanted))
            self._under_way[key] = task
            task.add_done_callback(lambda _: self._under_way.pop(key, None))

    async def _settle(self, wanted: Wanted) -> None:
        """Fetch one file, or say why it can't be had."""
        seq, number, _, file = wanted
        path, error = None, None
        try:
            path = await self._fetched(wanted)
        except PynchyError as raised:
            error = str(raised)
            self._log.warning("file not fetched", seq=seq, file=file.remote_id[:20], why=error)
        while True:
            try:
                self._host.file_came(seq, number, path, error)
                return
            except (DatabaseBusy, DatabaseFull):
                await asyncio.sleep(PAUSE)

    async def _fetched(self, wanted: Wanted) -> str:
        """The name of a file in its folder, once it is there. Raises PynchyError."""
        seq, number, folder, file = wanted
        name = file.name if number == 0 else f"{number + 1}-{file.name}"
        tries = 0
        while True:
            try:
                path = self._path(folder, seq, name)
                async with self._places:
                    await self._fetch(await self._address(file), path, file)
                return path.name
            except (NeverSent, Denied):
                raise
            except (NotSent, Away) as error:
                # Without a network nothing is said of the file.
                tries += isinstance(error, NotSent)
                if tries == TRIES:
                    raise
                asked = error.retry_after if isinstance(error, NotSent) else None
                pause = min(LONGEST_PAUSE, PAUSE * 2 ** max(0, tries - 1))
                await asyncio.sleep(pause if asked is None else asked)

    def _path(self, folder: str, seq: int, name: str) -> Path:
        try:
            return self._host.file_path(folder, seq, name)
        except OSError as error:
            raise _unwritten(error) from error

    async def _address(self, file: SharedFile) -> str:
        """Where a file's bytes are; Slack is asked where the message didn't tell."""
        limit = self._api.rules.max_file
        if file.size is not None and file.size > limit:
            raise NeverSent(_too_large(limit))
        id, _, url = file.remote_id.partition(" ")
        if not url:
            known = await self._api.file_info(id)
            url = str(known.get("url_private_download") or known.get("url_private") or "")
        if not url:
            raise NeverSent("Slack doesn't tell where it is")
        if not self._is_slacks(url):
            raise NeverSent("it is kept outside of Slack")  # which is given no token of ours
        return url

    def _is_slacks(self, url: str) -> bool:
        there, api = urlsplit(url), urlsplit(self._api.rules.base_url)
        is_api = (there.scheme, there.netloc) == (api.scheme, api.netloc)
        host = there.hostname or ""
        return is_api or (there.scheme == "https" and f".{host}".endswith(".slack.com"))

    async def _fetch(self, url: str, path: Path, file: SharedFile) -> None:
        part = path.with_name(f".{path.name}.part")
        headers = {"Authorization": f"Bearer {self._api.rules.bot_token}"}
        proxy = self._api.web.proxy
        try:
            async with self._api.session.get(
                url, headers=headers, timeout=TIMEOUT, proxy=proxy
            ) as response:
                _require_file(response, file)
                await self._write(response, part)
            part.replace(path)
            _sync(path.parent)
        except FAULTS as error:
            if isinstance(error, OSError) and not isinstance(error, NETWORKS):
                raise _unwritten(error) from error
            raise outcome("the download", error, is_post=False) from error
        finally:
            part.unlink(missing_ok=True)

    async def _write(self, response: aiohttp.ClientResponse, part: Path) -> None:
        limit, size = self._api.rules.max_file, 0
        with part.open("wb") as there:
            async for piece in response.content.iter_chunked(PIECE):
                size += len(piece)
                if size > limit:
                    raise NeverSent(_too_large(limit))
                there.write(piece)
            there.flush()
            await asyncio.to_thread(os.fsync, there.fileno())


def _require_file(response: aiohttp.ClientResponse, file: SharedFile) -> None:
    """Raises NotSent, or NeverSent, where it isn't the file that was given."""
    if (why := STATUS.get(response.status)) is not None:
        raise NeverSent(why)
    if response.status >= 400:
        wait = response.headers.get("Retry-After", "")
        raise NotSent(
            f"Slack doesn't give it: HTTP {response.status}",
            float(wait) if wait.isdigit() else None,
        )
    is_page = response.content_type == "text/html"
    if is_page and (file.mime != "text/html" or response.history):
        raise NeverSent("Slack gave a login page instead of it; is the scope files:read missing?")


def _unwritten(error: OSError) -> NotSent:
    return NotSent(f"it can't be written: {error.strerror or error}")


def _too_large(limit: int) -> str:
    return f"it is larger than {limit / 1024**2:g} MiB"


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
