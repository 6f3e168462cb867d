"""Shows people that the assistant is at work: what it takes up is marked as read and gets an 👀,
and its chat shows that it types. Nothing depends on any of that: no 👀 is sent while a reply is,
one step is under way at a time, and what fails is left out."""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from pynchy_cli.channels.base import Away, Working
from pynchy_cli.channels.whatsapp.sending import OWNER, Sending, address_of, is_group, sender_of
from pynchy_cli.config.settings import WhatsAppRules
from pynchy_cli.errors import PynchyError
from pynchy_cli.model import Message

EYES = "👀"
REFRESH = 10.0
"""Seconds after which it is shown again that we type: phones forget it after some 20."""
REMEMBERED = 1000
"""Steps of which it is known that they were done."""
Step = Callable[[], Awaitable[None]]
Key = tuple[str, str, str]
"""What was done about a message: read or eyes, its chat and its id."""


class Presence:
    """What the chats of one account show of our work."""

    def __init__(self, sending: Sending, rules: WhatsAppRules, *, refresh: float = REFRESH) -> None:
        self._sending = sending
        self._rules = rules
        self._refresh = refresh
        self._working: Sequence[Working] = ()
        self._typing: dict[str, float] = {}
        self._done: OrderedDict[Key, None] = OrderedDict()
        self._changed = asyncio.Event()

    def at_work(self, working: Sequence[Working]) -> None:
        """In these chats, and in no others, runs are under way now."""
        self._working = tuple(working)
        self._changed.set()

    async def run(self) -> None:
        """Show it, until cancelled."""
        while True:
            self._changed.clear()
            await self._show(self._working)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._refresh if self._working else None):
                    await self._changed.wait()

    async def _show(self, working: Sequence[Working]) -> None:
        for one in working:
            await self._mark_read(one)
            await self._react(one)
        busy = {_address(one.chat_jid, one.answers) for one in working}
        for address in self._typing.keys() - busy:
            del self._typing[address]
            await self._type(address, on=False)
        for address in sorted(busy):
            await self._keep_typing(address)

    async def _mark_read(self, one: Working) -> None:
        """Mark what people said as read; what the account's owner says needs no mark."""
        said: dict[str, list[str]] = {}
        for message in one.messages if self._rules.read_marks else ():
            sender = sender_of(message)
            if sender and message.sender != OWNER and self._is_new("read", message):
                said.setdefault(sender, []).append(message.id)
        for sender, ids in said.items():
            chat = address_of(one.chat_jid)
            where = chat if is_group(chat) else sender
            if await self._try(partial(self._sending.mark_read, where, sender, ids)):
                self._note("read", one.chat_jid, ids)

    async def _react(self, one: Working) -> None:
        """Put the 👀 under what is answered, unless a reply would have to wait for that."""
        to = one.answers
        wanted = self._rules.reactions and sender_of(to) and self._is_new("eyes", to)
        if not wanted or self._sending.is_busy():
            return
        if await self._try(partial(self._sending.react, _address(one.chat_jid, to), to, EYES)):
            self._note("eyes", one.chat_jid, [to.id])

    async def _keep_typing(self, address: str) -> None:
        now = asyncio.get_running_loop().time()
        told_at = self._typing.get(address)
        if self._rules.typing and (told_at is None or now - told_at >= self._refresh):
            self._typing[address] = now
            await self._type(address, on=True)

    async def _type(self, address: str, *, on: bool) -> None:
        await self._try(partial(self._sending.typing, address, on=on))

    async def _try(self, step: Step) -> bool:
        """Do a step. Whether it need not be tried again. That it failed is nobody's concern; that
        something of ours is wrong is told to the loop, and the rest goes on."""
        task = asyncio.ensure_future(step())
        try:
            await asyncio.wait({task})
        finally:
            task.cancel()
        error = task.exception()
        if error is not None and not isinstance(error, PynchyError):
            context = {"message": "what shows our work went wrong", "exception": error}
            task.get_loop().call_exception_handler(context)
        return not isinstance(error, Away)

    def _is_new(self, what: str, message: Message) -> bool:
        return (what, message.chat_jid, message.id) not in self._done

    def _note(self, what: str, chat_jid: str, ids: Sequence[str]) -> None:
        self._done.update(((what, chat_jid, one), None) for one in ids)
        while len(self._done) > REMEMBERED:
            self._done.popitem(last=False)


def _address(chat_jid: str, message: Message) -> str:
    """Where what is said about a message goes: between two people to the address that it came from,
    which isn't always the one by which we know the chat."""
    chat = address_of(chat_jid)
    if is_group(chat) or message.sender == OWNER:
        return chat
    return sender_of(message) or chat
