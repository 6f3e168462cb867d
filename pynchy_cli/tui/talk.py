"""A person's talk with a group: what they say becomes a row; what is said because of it, and
how far it is, is read from the file. Nothing here knows of a screen."""

from __future__ import annotations

from collections import deque

from pynchy_cli import clock
from pynchy_cli.channels import local
from pynchy_cli.channels.intake import Taken, take
from pynchy_cli.config.paths import Home
from pynchy_cli.config.settings import Settings
from pynchy_cli.model import FROM_TERMINAL, Group, Message
from pynchy_cli.routing import telling
from pynchy_cli.routing.answers import outcome
from pynchy_cli.routing.orders import Orders
from pynchy_cli.store import chats, groups, holds, messages, outbound, runs, waiting
from pynchy_cli.store.connection import Store
from pynchy_cli.tui.follow import missing, not_running


class Talk:
    """One terminal's side of a group's chats."""

    def __init__(self, store: Store, home: Home, settings: Settings, group: Group) -> None:
        self.store = store
        self.home = home
        self.group = group
        self.settings = settings
        self.orders = Orders(settings)
        self.seen = messages.highest(store.db)
        self.waiting: deque[Message] = deque()
        self._own: set[int] = set()

    def say(self, text: str) -> Taken:
        """Say something in the group's chat."""
        now = clock.now()
        with self.store.atomic() as db:
            said = local.said(text, self.group.jid, now)
            taken = take(db, local.NAME, said, now, settings=self.settings)
        self._own.add(taken.message.seq)
        self.waiting.append(taken.message)
        return taken

    def where(self, message: Message) -> str:
        """Which of the group's chats something was said in, where it has several."""
        if len(self._chats()) == 1:
            return ""
        chat = chats.get(self.store.db, message.chat_jid)
        return (chat.name if chat is not None else None) or message.chat_jid

    def last(self, number: int) -> list[Message]:
        """What was said last in the group's chats."""
        return messages.last(self.store.db, self._chats(), number)

    def hint(self, text: str) -> str | None:
        """Why the assistant will not answer a text by itself; None where it will."""
        now = clock.now()
        said = self.orders.read(_row(text, self.group.jid, now), self.group)
        if said.is_triggered or self.orders.would_obey(self.store.db, said, now):
            return None
        word = self.group.trigger_pattern or self.orders.waking[0]
        return (
            f"{self.group.folder} answers only to what begins with @{word}; "
            "this is read with the next message that does."
        )

    def held(self, text: str) -> str | None:
        """Why a text, though it is for the assistant, will wait; None where nothing holds it, and
        of what the host itself obeys."""
        now = clock.now()
        said = self.orders.read(_row(text, self.group.jid, now), self.group)
        if self.orders.would_obey(self.store.db, said, now):
            return None
        return telling.held_now(self.store.db, self.group.folder)

    def news(self) -> list[Message]:
        """What was said since the last look, but by this terminal."""
        found: list[Message] = []
        while more := messages.after(self.store.db, self._chats(), self.seen):
            self.seen = more[-1].seq
            found += (one for one in more if one.seq not in self._own)
        return found

    def growing(self) -> str:
        """The answer that is being written just now, as far as it is; or ""."""
        replies = outbound.open_replies(self.store.db, self.group.jid)
        return replies[-1].content if replies else ""

    def is_answered(self) -> bool:
        """Whether nothing more will come because of what was said here."""
        # In order, as they are answered: those behind one that waits need not be looked at.
        while self.waiting and outcome(self.store.db, self.waiting[0]).is_settled:
            self.waiting.popleft()
        return not self.waiting

    def state(self) -> str:
        """What the assistant does, in a few words; "" where it waits for us."""
        at_work = runs.unfinished(self.store.db, self.group.folder) > 0
        if not at_work and self.is_answered():
            return ""
        if (hold := holds.of_group(self.store.db, self.group.folder)) is not None:
            whom = hold.group_folder or "all groups"
            return f"{whom} held; `pynchy release {hold.group_folder or '--all'}` ends that"
        absent = missing(self.store, self.home)
        if absent:
            return f"waiting: {not_running(absent)}"
        asks = waiting.of_work(self.store.db, self.group.folder)
        return "waiting for a person's answer…" if asks else "thinking…"

    def _chats(self) -> list[str]:
        return groups.chats(self.store.db, self.group.folder)


def _row(text: str, chat_jid: str, now: str) -> Message:
    """What is about to be said, as it would stand in the file."""
    said = local.said(text, chat_jid, now)
    return Message(
        said.id, chat_jid, said.sender, said.sender_name, text, now, metadata=FROM_TERMINAL
    )
