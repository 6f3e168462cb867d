"""A process that holds the connection to WhatsApp, and nothing else: `python -m tests.whatsapp_held
DATABASE BOOK`. What it hears is a line of JSON in the file BOOK, which stands for the database: a
message whose text begins with `kill` kills it before that line is there, where the file beside BOOK
that ends with `.deadly` is there. Of what is written to it, each line
is sent to the chat named first in it. On SIGTERM it lets go."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from pynchy_cli.channels.whatsapp.link import Link
from pynchy_cli.errors import DatabaseBusy, PynchyError


class Book:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._deadly = path.with_suffix(".deadly")
        self._locked = path.with_suffix(".locked")

    def has(self, message: Any) -> bool:
        rows = self._path.read_text().splitlines() if self._path.exists() else []
        return any(f'"id": "{message.id}"' in row and '"Message"' in row for row in rows)

    def heard(self, kind: str, event: Any) -> None:
        if self._locked.exists():
            raise DatabaseBusy("It is locked.")
        if kind == "Ignored":
            self.note(heard=kind, id=event.id, sender=event.sender, chat=event.chat)
        elif kind == "Message":
            said = event.Message
            text = said.conversation or said.extendedTextMessage.text
            if text.startswith("kill") and self._deadly.exists():
                self._deadly.unlink()
                os.kill(os.getpid(), signal.SIGKILL)
            if text:
                self.note(heard=kind, id=event.Info.ID, text=text)
        else:
            self.note(heard=kind)

    def state(self, connected: bool, why: str | None) -> None:
        self.note(connected=connected, why=why)

    def note(self, **facts: Any) -> None:
        with self._path.open("a", encoding="utf-8") as book:
            book.write(json.dumps(facts) + "\n")


async def main(database: Path, path: Path) -> None:
    book = Book(path)
    link = Link(database, book, pause=lambda failures: min(1.0, 0.1 * failures))
    holding = asyncio.ensure_future(link.hold())
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, holding.cancel)
    loop.add_reader(0, lambda: sending.append(loop.create_task(send(link, book, os.read(0, 4096)))))
    sending: list[asyncio.Task[None]] = []
    try:
        await holding
    except asyncio.CancelledError:
        book.note(ended="let go")
    except PynchyError as error:
        book.note(ended=str(error), code=error.exit_code)


async def send(link: Link, book: Book, line: bytes) -> None:
    from neonize.proto.waE2E.WAWebProtobufsE2E_pb2 import Message
    from neonize.utils.jid import build_jid

    user, _, text = line.decode().strip().partition(" ")
    if user:
        book.note(sending=text)
        await link.require().send_message(build_jid(user), Message(conversation=text))
        book.note(sent=text)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2])))
