"""The terminal chat: a line to type in, answers above it as they grow. Into a pipe it is plain
lines, in and out."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import textwrap
from typing import TYPE_CHECKING

from pynchy_cli.channels.stdin import lines
from pynchy_cli.model import Message
from pynchy_cli.output import plain, print_text, say
from pynchy_cli.tui.follow import follow, missing, not_running
from pynchy_cli.tui.lines import CHANGES, MARKS, as_said, attached, without_marks
from pynchy_cli.tui.talk import Talk

if TYPE_CHECKING:
    from prompt_toolkit import PromptSession
    from prompt_toolkit.formatted_text import StyleAndTextTuples

GROWING = 8_000
"""Characters of a growing answer, its last ones, that are made ready to be shown."""
HISTORY = 10
"""Messages that are shown before the talk begins."""


async def in_terminal(talk: Talk, before: list[Message]) -> None:
    """Talk until Ctrl-D or Ctrl-C."""
    from prompt_toolkit import PromptSession
    from prompt_toolkit.patch_stdout import patch_stdout

    session: PromptSession[str] = PromptSession()
    _print(talk, before)
    with patch_stdout():
        showing = asyncio.create_task(
            follow(talk.home, talk.store, lambda: _show(talk, session)), name="show"
        )
        try:
            await _ask(talk, session)
        finally:
            showing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await showing


async def _ask(talk: Talk, session: PromptSession[str]) -> None:
    while True:
        try:
            text = await session.prompt_async(
                lambda: _above(talk), bottom_toolbar=lambda: talk.state() or "Ctrl-D ends."
            )
        except (EOFError, KeyboardInterrupt):
            return
        if text.strip():
            _speak(talk, text)


def _show(talk: Talk, session: PromptSession[str]) -> bool:
    _print(talk, talk.news())
    session.app.invalidate()
    return False


def _print(talk: Talk, found: list[Message]) -> None:
    for message in found:
        files = attached(talk.store.db, talk.home, message)
        print_text(as_said(message, files, talk.where(message)))


def _above(talk: Talk) -> StyleAndTextTuples:
    """The growing answer's last lines, and the place to type in."""
    columns, lines = shutil.get_terminal_size()
    room = max(3, lines - 5)
    shown = plain(without_marks(talk.growing()[-GROWING:])).splitlines()[-room:]
    # What stands before the line to type in is cut at the edge, and not continued below.
    rows = [row for line in shown for row in textwrap.wrap(line, max(20, columns - 2)) or [""]]
    text = "\n".join(rows[-room:])
    prompt = ("bold", f"{talk.group.folder}> ")
    return [("", f"{text}▌\n"), prompt] if text else [prompt]


async def in_pipe(talk: Talk, descriptor: int = 0) -> None:
    """Say each line, print what is answered, and end when there is nothing more to wait for."""
    woken = asyncio.Event()
    reading = asyncio.create_task(_read(talk, descriptor), name="read")
    reading.add_done_callback(lambda _: woken.set())

    def look() -> bool:
        if reading.done():
            reading.result()
        # Asked before the answers are read, so that none is left behind.
        is_over = reading.done() and talk.is_answered()
        for message in talk.news():
            if message.message_type not in (*MARKS, *CHANGES):
                print_text(message.content)
                for file in attached(talk.store.db, talk.home, message):
                    print_text(str(file))
        return is_over

    try:
        await follow(talk.home, talk.store, look, woken=woken)
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)


async def _read(talk: Talk, descriptor: int) -> None:
    async for line in lines(descriptor):
        text = (line or b"").decode("utf-8", "replace").strip("\r\n")
        if text.strip():
            _speak(talk, text)
        await asyncio.sleep(0)
    if not talk.is_answered() and (absent := missing(talk.store, talk.home)):
        say(f"Waiting: {not_running(absent)}.")


def _speak(talk: Talk, text: str) -> None:
    taken = talk.say(text)
    if taken.message.verdict == "refused":
        say(f"{talk.group.folder} does not listen to you: its list of users has no `owner`.")
    elif hint := talk.hint(text):
        say(hint)
    elif held := talk.held(text):
        say(held)
