"""One connection of the library for as long as somebody links an account or takes it off: all that
it says, in order. Only `library.load` makes this module importable."""

from __future__ import annotations

import asyncio
import ctypes
import os
import sys
from pathlib import Path
from threading import Thread
from typing import Any

from neonize._binder import func_callback_bytes, func_callback_bytes2, func_string, gocode
from neonize.aioze.client import NewAClient
from neonize.exc import NeonizeError
from neonize.utils.enum import ClientType

from pynchy_cli import log
from pynchy_cli.channels.whatsapp import go
from pynchy_cli.channels.whatsapp.states import (
    CONNECT_FAILURE,
    CONNECTED,
    fatal,
    refusal,
    undialled,
    unkept,
)
from pynchy_cli.errors import NetworkAway, PairingFailed

EVENTS = bytes(range(CONNECTED, CONNECT_FAILURE + 2))
"""From Connected to ClientOutdated, as Go numbers them."""
NAME = b"pynchy-auth"
PARTING = 15.0
"""Seconds that a farewell may take."""
STDERR = 2


class Talk:
    """One connection. `is_paired`: the file has a device already; `complaint` is what the library
    complained of last."""

    def __init__(self, database: Path, *, is_paired: bool) -> None:
        self.is_paired = is_paired
        self._loop = asyncio.get_running_loop()
        self._said: asyncio.Queue[tuple[str, Any]] = asyncio.Queue()
        self._log = log.get("whatsapp")
        self._database = database
        self._client = NewAClient(str(database), uuid=NAME.decode())
        self._client._stop_finalizer.detach()  # it would wait for what doesn't end
        self._stderr: int | None = None
        # Go calls these for as long as it likes: they go when the process does.
        self._calls = (
            func_string(lambda name, text: self._tell("code", _text(text))),
            func_string(lambda name, text: self._status(_text(text))),
            func_callback_bytes(self._event),
            func_callback_bytes2(self._logged),
        )
        self.complaint = ""

    def begin(self) -> None:
        """Dial, in a thread; what comes of it is told by `next`."""
        if self.is_paired:
            self._hush()
        Thread(target=self._run, name="whatsapp", daemon=True).start()

    async def next(self, limit: float) -> tuple[str, Any]:
        """What is said next: `code` with the text in it, `status` with the word for the end of the
        codes, or `event` with an event's number and itself. Raises NetworkAway where nothing comes
        within `limit` seconds, or there is no connection, ChannelBroken where the file can't be
        written."""
        try:
            async with asyncio.timeout(limit):
                kind, said = await self._said.get()
        except TimeoutError:
            raise NetworkAway("WhatsApp says nothing. Try again later.") from None
        if kind == "ended":
            why = undialled(said)
            raise unkept(said) or NetworkAway(f"WhatsApp can't be reached: {why}. Try again later.")
        return kind, said

    async def connected(self, limit: float) -> None:
        """Wait until the device is let in. Raises NetworkAway, LoggedOut, ChannelBroken."""
        until = self._loop.time() + limit
        while True:
            kind, said = await self.next(max(1.0, until - self._loop.time()))
            if kind != "event":
                continue
            number, event = said
            if number == CONNECTED:
                return
            if (error := fatal(number, event)) is not None:
                raise error
            if number == CONNECT_FAILURE:
                raise NetworkAway(f"{refusal(event)}. Try again later.")

    async def code_for(self, phone: str) -> str:
        """A code to be typed into the phone of this number. Raises PairingFailed."""
        try:
            return str(await self._client.PairPhone(phone, True, client_type=ClientType.CHROME))
        except NeonizeError as error:
            raise PairingFailed(
                f"WhatsApp gives no code for +{phone}: {error}. Is that the number of the account,"
                " with its country's code? After several attempts it gives none for some hours;"
                " without --phone there is a code that the phone reads."
            ) from error

    async def part(self) -> None:
        """Close the connection, so that nothing more comes in. Raises TimeoutError."""
        async with asyncio.timeout(PARTING):
            await self._client.disconnect()

    async def log_out(self) -> None:
        """Have WhatsApp forget this device. Raises NetworkAway."""
        try:
            async with asyncio.timeout(PARTING):
                await self._client.logout()
        except (NeonizeError, TimeoutError) as error:
            why = str(error) or "it doesn't answer"
            raise NetworkAway(
                f"WhatsApp didn't take the device off: {why}. Try again, or do it on the phone:"
                " Settings, Linked devices."
            ) from error

    def _run(self) -> None:
        why = go.dial(gocode, self._database, NAME, b"INFO", self._calls, EVENTS)
        self._tell("ended", why or "it has ended")

    def _status(self, word: str) -> None:
        self._hush()
        self._tell("status", word)

    def _event(self, name: bytes, data: int, size: int, number: int) -> None:
        self._speak()
        self._tell("event", (number, go.event(number, data, size)))

    def _logged(self, data: int, size: int) -> None:
        entry = go.entry(data, size)
        if entry is None:
            return
        self._log.debug(entry.Message, level=entry.Level.lower(), of=entry.Name)
        if entry.Level in ("WARN", "ERROR"):
            self.complaint = entry.Message

    def _tell(self, kind: str, said: Any) -> None:
        self._loop.call_soon_threadsafe(self._said.put_nowait, (kind, said))

    def _hush(self) -> None:
        """Keep off the one line that Go prints on standard error when it begins to hand on events:
        that one should press Ctrl-C. `sys.stderr` goes on writing where it did."""
        if self._stderr is None and sys.stderr is not None:
            sys.stderr.flush()
            self._stderr = os.dup(STDERR)
            sys.stderr = os.fdopen(os.dup(STDERR), "w", buffering=1)
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, STDERR)
            os.close(null)

    def _speak(self) -> None:
        """Let Go say again what it has to say, should it break down."""
        if self._stderr is not None:
            os.dup2(self._stderr, STDERR)


def _text(address: int) -> str:
    return ctypes.string_at(address).decode("utf-8", "replace")
