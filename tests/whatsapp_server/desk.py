"""What tests ask for, each by its name: the methods of `control.Control`, on the server's side."""

from __future__ import annotations

import base64
from hashlib import sha256
from typing import Any

from tests.whatsapp_server import media
from tests.whatsapp_server.describing import file_of, unwrapped
from tests.whatsapp_server.desk_of_faults import OfFaults
from tests.whatsapp_server.desk_of_owner import OfGroups, OfOwner
from tests.whatsapp_server.desk_of_people import OfPeople
from tests.whatsapp_server.protos import e2e


class Desk(OfOwner, OfGroups, OfPeople, OfFaults):
    """One for a server; its own are the books."""

    def log(self, what: list[str], after: int) -> list[dict[str, Any]]:
        return [one for one in self._world.books.rows[after:] if not what or one["what"] in what]

    def waiting(self) -> list[str]:
        return [one.id for one in self._world.waiting()]

    def online(self) -> bool:
        stream = self._service.delivery.stream
        return stream is not None and stream.is_active

    def media(self, id: str) -> str:
        message = self._world.messages[id]
        file = file_of(unwrapped(e2e.Message.FromString(message.plain)))
        if file is None:
            raise ValueError(f"there is no file in the message {id}")
        return base64.b64encode(self._hosting.content(file[1].directPath)).decode()

    def file(self, id: str) -> str:
        row = self._world.outbound.get(id)
        if row is None:
            raise ValueError(f"there is no message {id}")
        file = file_of(unwrapped(e2e.Message.FromString(base64.b64decode(row["proto"]))))
        if file is None:
            raise ValueError(f"there is no file in the message {id}")
        kind, part = file
        sealed = self._hosting.content(part.directPath)
        if sha256(sealed).digest() != part.fileEncSHA256:
            raise ValueError("what was uploaded isn't what the message tells")
        plain = media.unseal(kind, part.mediaKey, sealed)
        if sha256(plain).digest() != part.fileSHA256 or len(plain) != part.fileLength:
            raise ValueError("the file isn't what the message tells")
        return base64.b64encode(plain).decode()
