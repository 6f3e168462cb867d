"""The core that answers with the text that it was given. It needs no model and no network,
and its answer depends on nothing but the prompt; for tests and first steps."""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from agent_runner.protocol import FollowUp, Record, RunInput, Started, Steer, Text, TurnEnded

if TYPE_CHECKING:
    from agent_runner.tools.toolbox import Toolbox

MESSAGE = re.compile(r"<message\b[^>]*>(.*?)</message>", re.DOTALL)
TRANSCRIPT = re.compile(r"<messages\b[^>]*>(.*)</messages>\s*\Z", re.DOTALL)
ESCAPED = {"lt": "<", "gt": ">", "quot": '"', "apos": "'", "amp": "&"}
REFERENCE = re.compile(r"&(?:#(?P<decimal>\d{1,7})|#x(?P<hex>[0-9a-fA-F]{1,6})|(?P<name>\w+));")


class EchoCore:
    """Answers a transcript with the text of its messages, anything else with itself."""

    def __init__(self) -> None:
        self.session_id: str | None = None

    async def start(self, run: RunInput, toolbox: Toolbox | None) -> None:
        """Continues any conversation that it is told to, and asks nothing of the host."""
        self.session_id = run.session_id or f"echo-{os.urandom(8).hex()}"

    async def turn(self, document: RunInput | FollowUp) -> AsyncIterator[Record]:
        """One piece of text, which is the whole answer."""
        turn, session_id = document.turn, self.session_id
        yield Started(turn=turn, session_id=session_id)
        reply = said(document.prompt)
        if reply:
            yield Text(turn=turn, text=reply)
        yield TurnEnded(turn=turn, reply=reply, session_id=session_id)

    async def steer(self, document: Steer) -> None:
        """Nobody is quick enough for that."""

    async def interrupt(self) -> None:
        """Nor for this."""

    async def stop(self) -> None:
        """Nothing is held."""


def said(prompt: str) -> str:
    """The texts of a transcript's messages, a line or more each, or the prompt as it is."""
    transcript = TRANSCRIPT.search(prompt)
    if transcript is None:
        return prompt.strip()
    return "\n".join(_plain(text) for text in MESSAGE.findall(transcript[1]))


def _plain(text: str) -> str:
    return REFERENCE.sub(_character, text)


def _character(found: re.Match[str]) -> str:
    if found["name"]:
        return ESCAPED.get(found["name"], found[0])
    number = int(found["decimal"]) if found["decimal"] else int(found["hex"], 16)
    return chr(number) if number < 0x110000 and not 0xD800 <= number < 0xE000 else found[0]
