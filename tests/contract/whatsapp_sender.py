"""Sends over the real connection, as the channel does, in a process of its own.

`python -P tests/contract/whatsapp_sender.py DATABASE OUTCOMES`: it does what it reads on its input
(JSON, one a line) and appends what came of it to the file OUTCOMES (JSON, one a line)."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from pynchy_cli.channels.base import Place
from pynchy_cli.channels.whatsapp.link import Link
from pynchy_cli.channels.whatsapp.sending import Sending
from pynchy_cli.errors import PynchyError
from tests.whatsapp_line import said


class Sender:
    """Two of them over one connection, of which one has little patience."""

    def __init__(self, database: str, outcomes: str) -> None:
        self.link = Link(Path(database), self)
        self.patient = Sending(self.link)
        self.hasty = Sending(self.link, patience=1.0, turn=0.1)
        self.outcomes = Path(outcomes)

    def has(self, message: Any) -> bool:
        return False

    def heard(self, kind: str, event: Any) -> None:
        pass

    def state(self, connected: bool, why: str | None) -> None:
        self.tell("state", "up" if connected else "down")

    def tell(self, name: str, outcome: str) -> None:
        with self.outcomes.open("a") as file:
            file.write(json.dumps([name, outcome]) + "\n")

    async def do(self, asked: dict[str, Any]) -> None:
        name = asked.pop("name")
        try:
            self.tell(name, str(await self._do(**asked)))
        except PynchyError as error:
            self.tell(name, type(error).__name__)

    async def _do(
        self, op: str, to: str, text: str = "", about: str = "", by: str = "", hasty: bool = False
    ) -> Any:
        sending = self.hasty if hasty else self.patient
        message = said(about, "@pynchy hello", chat=to, jid=by)
        if op == "post":
            place = Place(f"whatsapp:{to}", answers=message if about else None)
            return await sending.post(place, text)
        if op == "react":
            return await sending.react(to, message, text)
        if op == "typing":
            return await sending.typing(to, on=text == "on")
        return await sending.mark_read(to, by, [about])

    async def run(self) -> None:
        held = asyncio.create_task(self.link.hold())
        reader = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(reader)
        await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, sys.stdin)
        doing = set()
        while line := await reader.readline():
            task = asyncio.create_task(self.do(json.loads(line)))
            doing.add(task)
            task.add_done_callback(doing.discard)
        held.cancel()
        await asyncio.gather(held, return_exceptions=True)


if __name__ == "__main__":
    asyncio.run(Sender(sys.argv[1], sys.argv[2]).run())
