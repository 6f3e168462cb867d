"""What a network's connection does to the file: each call is one short transaction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from pynchy_cli import clock
from pynchy_cli.channels import intake, meeting, received
from pynchy_cli.channels.base import Event, Known, Network
from pynchy_cli.config.tiers import for_group
from pynchy_cli.context import Context
from pynchy_cli.errors import PynchyError
from pynchy_cli.model import Chat, Message, SharedFile, thread_id
from pynchy_cli.routing import triggers
from pynchy_cli.security.senders import People
from pynchy_cli.store import chats, cursors, groups, messages, outbound, processes
from pynchy_cli.store.connection import Connection

MISSED = (
    "⏰ I was away. {count} said here meanwhile {is_are} too old to be answered by now; say again "
    "what still matters."
)
HOUR = 3600.0
LOST_AN_HOUR = 10
"""So often a chat is told in an hour that something was lost."""
LOST = "⏰ I was interrupted while something said here came in, and can't read it; say it again."


class StageHost:
    """The host of one network's connection. `connected` is called when it stands again."""

    def __init__(self, context: Context, network: Network, connected: Callable[[], None]) -> None:
        self.context = context
        self.network = network
        self.name = network.name
        self._has_connected = connected
        self._state: tuple[bool, str | None] | None = None
        agent = context.settings.agent
        self._waking = triggers.words(agent.name, agent.trigger_aliases)

    def take(self, events: Sequence[Event], kept: Sequence[int] = ()) -> None:
        """Store what came. Raises DatabaseBusy, DatabaseFull."""
        now = clock.now()
        kind = self.name.partition(".")[0]
        with self.context.store.atomic() as db:
            missed: dict[str, list[Message]] = {}
            for event in events:
                said = event.message
                chats.claim(db, said.chat_jid, self.name, event.chat_name, now)
                if event.is_old:
                    said = replace(said, audience="chat")
                taken = intake.take(db, kind, said, now, settings=self.context.settings)
                if event.cursor is not None:
                    cursors.advance(db, self.name, said.chat_jid, event.cursor, now)
                if event.is_old and taken.is_new and self._would_answer(taken):
                    missed.setdefault(said.chat_jid, []).append(taken.message)
            for chat, left_out in missed.items():
                self._say_missed(db, chat, left_out, now)
            cursors.taken(db, kept)

    def keep(self, came: Sequence[tuple[str, str]]) -> list[int]:
        """Keep what came before its turn. Raises DatabaseBusy, DatabaseFull."""
        with self.context.store.atomic() as db:
            return cursors.keep(db, self.name, came, clock.now())

    def kept(self) -> list[tuple[int, str, str]]:
        """What is kept, in the order in which it came."""
        return cursors.kept(self.context.store.db, self.name)

    @property
    def folder(self) -> Path:
        """Where the network may keep files of its own."""
        return self.context.home.data

    def concerns_us(self, chat_jid: str, text: str) -> bool:
        """Whether a text belongs into the file: it is said in a chat of a group, or calls us."""
        if groups.by_chat(self.context.store.db, chat_jid) is not None:
            return True
        return triggers.decide(text, self._waking, "mention", is_admin=False).triggered

    def has(self, chat_jid: str, id: str) -> bool:
        """Whether what came under this id in a chat is stored."""
        return messages.is_about(self.context.store.db, chat_jid, id)

    def lost(self, chat_jid: str, id: str, sender: str) -> bool:
        """A message can't be had any more: whether its chat is told. Anybody can send what looks
        like that."""
        now, kind = clock.now(), self.name.partition(".")[0]
        people, said = People.of(self.context.settings), f"lost:{chat_jid}:"
        with self.context.store.atomic() as db:
            if people.verdict(groups.by_chat(db, chat_jid), kind, sender) != "allowed":
                return False
            lately = outbound.said_since(db, said, clock.after(now, -HOUR))
            if lately >= LOST_AN_HOUR or messages.is_about(db, chat_jid, id):
                return False
            key = f"{said}{id}"
            outbound.say(db, key=key, chat_jid=chat_jid, content=LOST, source="host", now=now)
        return True

    def chats(self) -> list[Known]:
        """The chats of this channel that belong to a group."""
        db, now = self.context.store.db, clock.now()
        return [
            Known(jid, cursor, floor, added_at, self._threads(db, jid, now))
            for jid, cursor, floor, added_at in cursors.known(db, self.name)
        ]

    def caught_up(self, chat_jid: str, cursor: str) -> None:
        """Everything in the chat up to `cursor` was taken in."""
        with self.context.store.atomic() as db:
            cursors.advance(db, self.name, chat_jid, cursor, clock.now())

    def met(self, found: Sequence[Chat], *, invited: bool = False) -> None:
        """We are in these chats; of what belongs to no group the admin group is asked."""
        now = clock.now()
        with self.context.store.atomic() as db:
            for chat in found:
                chats.claim(db, chat.jid, self.name, chat.name, now)
            meeting.met(db, self.context.settings, found, invited, now)

    def waiting_files(self) -> list[tuple[int, int, str, SharedFile]]:
        """Files that are still to be fetched."""
        return cursors.waiting_files(self.context.store.db, self.name)

    def file_path(self, group_folder: str, seq: int, name: str) -> Path:
        """Where such a file is to be put. Raises OSError, and NeverSent where the group's files
        take up too much already."""
        limit = for_group(self.context.settings, group_folder).folder_limit
        received.require_room(self.context.home, group_folder, limit)
        return received.place(self.context.home, group_folder, seq, name)

    def file_came(self, seq: int, number: int, path: str | None, error: str | None) -> None:
        """A file was fetched, or failed for good."""
        if path is not None:
            self._share(seq, path)
        with self.context.store.atomic() as db:
            cursors.file_came(db, seq, number, path, error)

    def _share(self, seq: int, name: str) -> None:
        """Let the group's sandboxes read a file."""
        message = messages.get(self.context.store.db, seq)
        group = groups.by_chat(self.context.store.db, message.chat_jid) if message else None
        if group is not None:
            received.share(self.context.home, group.folder, name)

    def state(self, connected: bool, why: str | None) -> None:
        """Tell how the connection is, once for as long as it stays the same."""
        if (connected, why) == self._state:
            return
        was_connected = self._state is not None and self._state[0]
        self._state = connected, why
        if connected and not was_connected:
            self.context.log.info(f"Connected to {self.network.title}")
            self._has_connected()
        elif was_connected and not connected:
            if why is None:  # as was asked for
                self.context.log.info("Connection closed", channel=self.name)
            else:
                self.context.log.warning("Connection closed", channel=self.name, why=why)
        elif why is not None:
            self.context.log.warning("not connected", channel=self.name, why=why)
        try:
            with self.context.store.atomic() as db:
                processes.connected(db, self.context.owner, connected)
                processes.fail(db, self.context.owner, None if connected else why, clock.now())
            self.context.report("connected" if connected else f"not connected: {why or 'let go'}")
        except PynchyError as error:
            self._state = None  # so that it is told again
            self.context.log.warning("the state can't be noted", error=str(error))

    def _threads(self, db: Connection, jid: str, now: str) -> tuple[str, ...]:
        return tuple(thread_id(one) for one in cursors.threads(db, jid, now))

    def _would_answer(self, taken: intake.Taken) -> bool:
        """Whether somebody expects an answer to it."""
        message, group = taken.message, taken.group
        return (
            group is not None
            and message.verdict == "allowed"
            and message.message_type == "user"
            and triggers.for_group(message.content, self._waking, group).triggered
        )

    def _say_missed(self, db: Connection, chat: str, missed: list[Message], now: str) -> None:
        one = len(missed) == 1
        outbound.say(
            db,
            key=f"missed:{chat}:{missed[-1].timestamp[:10]}",
            chat_jid=chat,
            content=MISSED.format(
                count="One thing" if one else f"{len(missed)} things",
                is_are="is" if one else "are",
            ),
            source="host",
            now=now,
        )
