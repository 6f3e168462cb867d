"""Sends as a linked device of the account. One message at a time is given to the library, which
lets no two out at once and waits for the answer to each: what waits for its turn here is certain
not to be sent, of what waits in the library nobody could tell. A message that is not answered is
given up after a while, never sent again from here, and the connection made anew, since until then
the library would send nothing else."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from typing import Any, Protocol

from pynchy_cli.channels.base import Away, NeverSent, NotSent, Place, Unsure
from pynchy_cli.channels.whatsapp.outcomes import outcome
from pynchy_cli.model import Message

PATIENCE = 45.0
"""Seconds in which a message is encrypted for all its readers, sent and answered; the library's own
limit is 75, and none where it has sent one again over another connection."""
BRIEFLY = 10.0
"""Seconds in which an emoji is: replies wait for it, and nothing depends on it."""
TURN = 3.0
"""Seconds that something waits for its turn: less than a stage that stops gives to what is being
sent, so that nothing is left unknown that was never begun."""
SOON = 1.0
QUOTED = 1000
"""Characters of a message that is quoted, at most; the rest can't be seen there."""
OWNER = "owner"
"""The sender of what the account itself says."""


class Line(Protocol):
    """The connection that messages go out by."""

    def require(self) -> Any:
        """The library's client, which is connected. Raises Away where there is none."""

    def renew(self, why: str) -> None:
        """Have the connection be made anew, with another client, and soon: this one is no good."""


class Sending:
    """What is said on behalf of one account, over whatever connection there is."""

    def __init__(self, line: Line, patience: float = PATIENCE, turn: float = TURN) -> None:
        self._line = line
        self._patience = patience
        self._longest_turn = turn
        self._turn = asyncio.Lock()
        self._unanswered: tuple[Any, asyncio.Task[Any]] | None = None

    async def post(self, place: Place, text: str) -> str:
        """Post a text as it is, in a group as a quote of what it answers; its id. Raises NotSent,
        NeverSent, Unsure, Away."""
        address = address_of(place.chat_jid)
        quoted = place.answers if is_group(address) else None
        # A connection first: without one, the library may not even be loaded.
        self._line.require()
        return await self.send(address, text_message(text, quoted))

    async def react(self, address: str, to: Message, emoji: str) -> None:
        """Put an emoji under a message, in place of another one of ours. Raises what `post`
        does."""
        self._line.require()
        message = reaction(address, to, emoji, int(time.time() * 1000))
        await self.send(address, message, min(self._patience, BRIEFLY))

    async def send(self, address: str, message: Any, patience: float | None = None) -> str:
        """Send a message that is built already, such as one with a file; its id. `patience` are the
        seconds of PATIENCE. Raises what `post` does."""
        self._client()
        to = jid(address)
        try:
            async with asyncio.timeout(self._longest_turn):
                await self._turn.acquire()
        except TimeoutError:
            raise NotSent("Other messages are still being sent.", SOON) from None
        try:
            return await self._sent(self._client(), to, message, patience or self._patience)
        finally:
            self._turn.release()

    def is_busy(self) -> bool:
        """Whether something is being sent."""
        return self._turn.locked()

    async def typing(self, address: str, *, on: bool) -> None:
        """Show in a chat that we are typing, or not any more; the other side forgets it by itself
        after some 20 s. Raises NotSent, Away."""
        client = self._line.require()
        from neonize.exc import NeonizeError
        from neonize.utils.enum import ChatPresence, ChatPresenceMedia

        state = ChatPresence.CHAT_PRESENCE_COMPOSING if on else ChatPresence.CHAT_PRESENCE_PAUSED
        kind = ChatPresenceMedia.CHAT_PRESENCE_MEDIA_TEXT
        try:
            await client.send_chat_presence(jid(address), state, kind)
        except NeonizeError as error:
            raise NotSent(f"WhatsApp doesn't show that we type: {error}.") from error

    async def mark_read(self, address: str, sender: str, ids: Sequence[str]) -> None:
        """Mark one sender's messages in a chat as read. Raises NotSent, Away."""
        client = self._line.require()
        from neonize.exc import NeonizeError
        from neonize.utils.enum import ReceiptType

        try:
            await client.mark_read(
                *ids, chat=jid(address), sender=jid(sender), receipt=ReceiptType.READ
            )
        except NeonizeError as error:
            raise NotSent(f"WhatsApp doesn't mark it as read: {error}.") from error

    def _client(self) -> Any:
        """A client that can send. Raises Away."""
        client = self._line.require()
        if self._unanswered is not None:
            stuck, task = self._unanswered
            if stuck is client and not task.done():
                raise Away("WhatsApp leaves a message unanswered; the connection is made anew.")
            self._unanswered = None
        return client

    async def _sent(self, client: Any, to: Any, message: Any, patience: float) -> str:
        from neonize.exc import NeonizeError

        task = asyncio.ensure_future(client.send_message(to, message))
        try:
            await asyncio.wait({task}, timeout=patience)
        finally:
            if not task.done():  # nobody can call it off: its thread is in the library
                self._unanswered = client, task
                task.add_done_callback(_let_go)
        if not task.done():
            why = f"a message was not answered for {patience:g} s"
            self._line.renew(why)
            raise Unsure(f"WhatsApp's answer was lost: {why}.")
        try:
            return str(task.result().ID)
        except NeonizeError as error:
            raise outcome(str(error)) from error


def address_of(chat_jid: str) -> str:
    """What WhatsApp calls a chat."""
    return chat_jid.partition(":")[2]


def is_group(address: str) -> bool:
    """Whether it is that of a group."""
    return address.endswith("@g.us")


def jid(address: str) -> Any:
    """The library's form of an address. Raises NeverSent where it is none."""
    from neonize.utils.jid import build_jid

    user, _, server = address.rpartition("@")
    if not user:
        raise NeverSent(f"{address!r} is no address on WhatsApp.")
    return build_jid(user.partition(":")[0], server)


def sender_of(message: Message) -> str:
    """The address of whoever said it, as the network wrote it; empty where it isn't WhatsApp's."""
    found = json.loads(message.metadata or "{}").get("jid", "")
    return found if isinstance(found, str) else ""


def text_message(text: str, quoted: Message | None = None) -> Any:
    """A text, in which nothing is looked for, and nobody mentioned."""
    from neonize.proto.waE2E.WAWebProtobufsE2E_pb2 import (
        ContextInfo,
        ExtendedTextMessage,
    )
    from neonize.proto.waE2E.WAWebProtobufsE2E_pb2 import Message as Sent

    sender = sender_of(quoted) if quoted is not None else ""
    if quoted is None or not sender:
        return Sent(conversation=text)
    shown = quoted.content or ", ".join(file.name for file in quoted.files)
    context = ContextInfo(
        stanzaID=quoted.id,
        participant=sender,
        quotedMessage=Sent(conversation=shown[:QUOTED]),
    )
    return Sent(extendedTextMessage=ExtendedTextMessage(text=text, contextInfo=context))


def reaction(address: str, to: Message, emoji: str, now_ms: int) -> Any:
    """A reaction to a message in a chat, as of `now_ms`, milliseconds since 1970."""
    from neonize.proto.waCommon.WACommon_pb2 import MessageKey
    from neonize.proto.waE2E.WAWebProtobufsE2E_pb2 import Message as Sent
    from neonize.proto.waE2E.WAWebProtobufsE2E_pb2 import ReactionMessage

    is_ours = to.sender == OWNER
    key = MessageKey(remoteJID=address, fromMe=is_ours, ID=to.id)
    if is_group(address) and not is_ours:
        key.participant = sender_of(to)
    return Sent(reactionMessage=ReactionMessage(key=key, text=emoji, senderTimestampMS=now_ms))


def _let_go(task: asyncio.Task[Any]) -> None:
    """What came of a message that was given up can't be told any more, and needs no log."""
    if not task.cancelled():
        task.exception()
