"""A linked device for tests of files: the real neonize, with our own fetching and sending of files.

`python -P tests/contract/whatsapp_media_client.py DATABASE EVENTS LIMIT`: it connects, fetches
what people share beside EVENTS, sends the files of which it reads on its input (JSON, one a line),
and appends what came of each to the file EVENTS.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

from neonize import events
from neonize.aioze.client import NewAClient

from pynchy_cli.channels.base import OutgoingFile, Place
from pynchy_cli.channels.whatsapp.files import WhatsAppFiles
from pynchy_cli.channels.whatsapp.media import Kind, Media
from pynchy_cli.channels.whatsapp.sending import Sending
from pynchy_cli.channels.whatsapp.uploading import Uploads
from pynchy_cli.errors import PynchyError
from pynchy_cli.model import SharedFile

PARTS: dict[str, Kind] = {
    "imageMessage": "image",
    "stickerMessage": "image",
    "videoMessage": "video",
    "audioMessage": "audio",
    "documentMessage": "document",
}


class Device:
    """What is said by name is what a connection of ours would give."""

    def __init__(self, database: str, events: Path, limit: int) -> None:
        self.client: Any = NewAClient(database)
        self.events = events
        self.files = WhatsAppFiles(limit)
        self.uploads = Uploads(self, Sending(self), limit, wait=60.0)

    def require(self) -> Any:
        return self.client

    def renew(self, why: str) -> None:
        self.tell(what="renew", why=why)

    def tell(self, **row: Any) -> None:
        with self.events.open("a", encoding="utf-8") as there:
            there.write(json.dumps(row) + "\n")

    async def run(self) -> None:
        self._listen()
        await self.client.connect()
        reader = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(reader)
        await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, sys.stdin)
        while line := await reader.readline():
            asked = json.loads(line)
            path = Path(asked["path"])
            file = OutgoingFile(asked["name"], path, path.stat().st_size)
            place = Place(f"whatsapp:{asked['to']}")
            await self._told(asked["name"], self.uploads.send_file(place, file))
        os._exit(0)

    def _listen(self) -> None:
        @self.client.qr
        async def shown(_: Any, code: bytes) -> None:
            self.tell(what="qr", code=code.decode())

        @self.client.event(events.MessageEv)
        async def came(_: Any, event: Any) -> None:
            for field, part in event.Message.ListFields():
                if field.name in PARTS:
                    told = self._fetched(event.Info.ID, PARTS[field.name], part)
                    await self._told(event.Info.ID, told)

    async def _fetched(self, id: str, kind: Kind, part: Any) -> str:
        hashes = part.fileEncSHA256, part.fileSHA256
        media = Media(kind, part.directPath, part.fileLength, *hashes, part.mediaKey)
        path = self.events.with_name(id)
        await self.files.fetch(SharedFile(media.remote_id(), "x"), path)
        return str(path)

    async def _told(self, of: str, wanted: Awaitable[str]) -> None:
        try:
            self.tell(what=of, done=await wanted)
        except PynchyError as error:
            self.tell(what=of, kind=type(error).__name__, why=str(error))


if __name__ == "__main__":
    asyncio.run(Device(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])).run())
