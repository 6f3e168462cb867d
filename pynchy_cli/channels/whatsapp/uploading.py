"""Sends files that agents give. Until WhatsApp's media host has all of a file nobody sees anything
of it, and that may take as long as it takes: whoever waits for it is told to come again. The
library takes a file as a whole and makes three copies of it, so that there is but one at a time,
and a limit."""

from __future__ import annotations

import asyncio
from ctypes import c_char
from dataclasses import dataclass
from mmap import ACCESS_COPY, mmap
from pathlib import Path
from typing import Any

from pynchy_cli.channels.base import Away, NeverSent, NotSent, OutgoingFile, Place
from pynchy_cli.channels.whatsapp.kinds import HEAD, kind_of
from pynchy_cli.channels.whatsapp.media import Kind
from pynchy_cli.channels.whatsapp.outcomes import CLOSED, CUT, LOGGED_OUT
from pynchy_cli.channels.whatsapp.sending import Line, Sending, address_of
from pynchy_cli.errors import PynchyError

WAIT = 1.5
"""Seconds that an upload is waited for at once: less than a stage that stops gives to what is being
sent, so that nothing is left unknown that nobody saw."""
SOON = 2.0
PATIENCE = 900.0
"""Seconds after which an upload counts as one that failed, though it may still come to its end."""


@dataclass(frozen=True)
class _Uploaded:
    """A file that the media host has, as the library's UploadResponse tells of it."""

    kind: Kind
    mime: str
    where: Any


@dataclass(frozen=True)
class _Upload:
    """One that was begun, at a time of the loop's clock."""

    path: Path
    client: Any
    task: asyncio.Task[_Uploaded]
    begun: float


class Uploads:
    """The files that go out for one account, each `limit` bytes at most."""

    def __init__(
        self,
        line: Line,
        sending: Sending,
        limit: int,
        wait: float = WAIT,
        patience: float = PATIENCE,
    ) -> None:
        self._line = line
        self._sending = sending
        self._limit = limit
        self._wait = wait
        self._patience = patience
        self._last: _Upload | None = None

    async def send_file(self, place: Place, file: OutgoingFile) -> str:
        """Post a file; its id. Raises NotSent, NeverSent, Unsure, Away."""
        client = self._line.require()
        if file.size == 0:
            raise NeverSent(f"WhatsApp takes no empty file, such as {file.name}.")
        if file.size > self._limit:
            most = f"{self._limit / 1024**2:g} MiB"
            raise NeverSent(f"The file {file.name} is larger than {most}, which is max_upload.")
        upload = self._upload_of(client, file)
        await asyncio.wait({upload.task}, timeout=self._wait)
        if not upload.task.done():
            age = asyncio.get_running_loop().time() - upload.begun
            is_late = age >= self._patience
            raise NotSent(f"{file.name} is still being uploaded.", None if is_late else SOON)
        try:
            message = _message(file.name, upload.task.result())
        except PynchyError:
            self._forget(upload)
            raise
        id = await self._sending.send(address_of(place.chat_jid), message)
        self._forget(upload)
        return id

    def _upload_of(self, client: Any, file: OutgoingFile) -> _Upload:
        """The upload of a file: that which was begun, or else a new one."""
        last = self._last
        if last is not None and last.client is client:
            if last.path == file.path:
                return last
            if not last.task.done():
                raise NotSent("Another file is still being uploaded.", SOON)
        loop = asyncio.get_running_loop()
        task = loop.create_task(self._uploaded(client, file))
        task.add_done_callback(_let_go)
        self._last = _Upload(file.path, client, task, loop.time())
        return self._last

    def _forget(self, upload: _Upload) -> None:
        if self._last is upload:
            self._last = None

    async def _uploaded(self, client: Any, file: OutgoingFile) -> _Uploaded:
        """Have the media host take a file. Raises NotSent, NeverSent, Away."""
        from neonize.exc import NeonizeError
        from neonize.utils.enum import MediaType

        try:
            content = _mapped(file.path)
            kind, mime = kind_of(file.name, content[:HEAD], len(content))
            where = await client.upload(content, MediaType[f"Media{kind.capitalize()}"])
        except FileNotFoundError as error:
            raise NeverSent(f"The file {file.name} isn't there any more.") from error
        except OSError as error:
            why = error.strerror or str(error)
            raise NotSent(f"The file {file.name} can't be read: {why}.") from error
        except NeonizeError as error:
            raise _outcome(file.name, str(error)) from error
        return _Uploaded(kind, mime, where)


def _mapped(path: Path) -> Any:
    """A file's bytes as they lie on the disk, for as long as somebody has them: in the library
    there will be copies enough. Raises OSError."""
    with path.open("rb") as there:
        content = mmap(there.fileno(), 0, access=ACCESS_COPY)
    return (c_char * len(content)).from_buffer(content)


def _outcome(name: str, said: str) -> PynchyError:
    if said in LOGGED_OUT or said.endswith(CLOSED) or CUT.search(said):
        return Away(f"WhatsApp can't be reached: {said}.")
    return NotSent(f"WhatsApp didn't take the file {name}: {said}.")


def _message(name: str, uploaded: _Uploaded) -> Any:
    """What is said of a file that was uploaded."""
    from neonize.proto.waE2E import WAWebProtobufsE2E_pb2 as said

    where = uploaded.where
    known = {
        "URL": where.url,
        "directPath": where.DirectPath,
        "mediaKey": where.MediaKey,
        "fileEncSHA256": where.FileEncSHA256,
        "fileSHA256": where.FileSHA256,
        "fileLength": where.FileLength,
        "mimetype": uploaded.mime,
    }
    if uploaded.kind == "image":
        return said.Message(imageMessage=said.ImageMessage(**known, caption=name))
    if uploaded.kind == "video":
        return said.Message(videoMessage=said.VideoMessage(**known, caption=name))
    if uploaded.kind == "audio":
        return said.Message(audioMessage=said.AudioMessage(**known))
    document = said.DocumentMessage(**known, fileName=name, title=name)
    return said.Message(documentMessage=document)


def _let_go(task: asyncio.Task[_Uploaded]) -> None:
    """Whoever waited for it may be gone."""
    if not task.cancelled():
        task.exception()
