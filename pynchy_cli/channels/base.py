"""What a channel is. It turns a network's events into messages and replies into what the
network takes; it never decides who is answered."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from pynchy_cli.errors import PynchyError
from pynchy_cli.model import Chat, Message, NewMessage, SharedFile

CAPABILITIES = frozenset(
    {
        "buttons",
        "edit",
        "files",
        "history",
        "inbox",
        "names",
        "ordered",
        "presence",
        "quotes",
        "threads",
    }
)


@dataclass(frozen=True)
class Incoming:
    """A message as it came, before the sender check."""

    message: NewMessage
    chat_name: str | None = None


@dataclass(frozen=True)
class Unreadable:
    """Something came that can't be a message: where, such as `line 3`, and why not."""

    where: str
    why: str


class Channel(Protocol):
    """A chat network. `capabilities` names its optional abilities: `edit` (a reply can be
    changed after it was sent), `inbox` (the file itself is where replies are read, so that
    rows are born delivered), `history` (it can be asked what was said, and what of ours came
    there), `ordered` (its ids are ordered as texts), `quotes` (a reply can quote what it answers),
    `presence` (it can show that we are at work in a chat), `names` (it is asked for the names of
    its chats now and then, and doesn't tell them by itself), `threads`, `buttons`, `files`."""

    name: str
    capabilities: frozenset[str]


class Pipe(Channel, Protocol):
    """A channel that only gives, and comes to an end."""

    def incoming(self, options: Mapping[str, Any]) -> AsyncIterator[Incoming | Unreadable]:
        """What is said, as it comes; the next is not taken before the last was dealt with.
        Ends when the channel has no more to say. Raises UsageWrong where an option can't be."""


class NotSent(PynchyError):
    """The network did not take something, and it is certain that it didn't: it is tried again.
    `retry_after` are the seconds that the network asks for, if it does."""

    def __init__(self, why: str, retry_after: float | None = None) -> None:
        super().__init__(why)
        self.retry_after = retry_after


class NeverSent(NotSent):
    """The network will never take it: no such chat, no permission, too long."""


class Unsure(PynchyError):
    """Whether the network took something isn't known: the answer was lost."""


class Away(PynchyError):
    """The network can't be reached at all just now, or doesn't let us in: nothing was sent, and
    nothing else would be."""


@dataclass(frozen=True)
class Place:
    """Where something is posted: a chat, and what its network calls the thread in it, empty
    outside of one."""

    chat_jid: str
    thread: str = ""
    answers: Message | None = None
    """The message that is answered by it, where the network has `quotes`."""


@dataclass(frozen=True)
class Working:
    """A chat in which a run is under way: what people said in it that the run takes up, in order,
    and the one of these that it answers."""

    chat_jid: str
    messages: tuple[Message, ...]
    answers: Message


@dataclass(frozen=True)
class Button:
    """Something to press under a reply: what stands on it, and what is said by pressing it."""

    label: str
    says: str
    style: str = ""
    """`primary`, `danger` or nothing."""


@dataclass(frozen=True)
class Piece:
    """What one message of the network's shows: its text as the network writes it, and buttons
    under it. Two that are equal look the same."""

    text: str
    buttons: tuple[Button, ...] = ()


@dataclass(frozen=True)
class Outgoing:
    """A reply as it is to be shown: Markdown, what its agent does just now (only while it is open),
    whether more is to come, and what can be pressed under it."""

    content: str
    doing: str | None = None
    is_open: bool = False
    buttons: tuple[Button, ...] = ()


@dataclass(frozen=True)
class OutgoingFile:
    """A file that goes with a reply: its bytes are at `path`."""

    name: str
    path: Path
    size: int


@dataclass(frozen=True)
class Event:
    """Something from the network that belongs into the file: a message, an edit, a deletion or a
    reaction; with the chat's name where it is known."""

    message: NewMessage
    chat_name: str | None = None
    cursor: str | None = None
    """Everything in its chat up to here was taken in; None where that isn't known."""
    is_old: bool = False
    """Whether it was said so long ago that nobody expects an answer any more."""


@dataclass(frozen=True)
class Known:
    """How far a chat's history was taken in: `cursor`, and `floor`, before which nothing is wanted.
    Threads are the network's ids of those that were lately spoken in."""

    chat_jid: str
    cursor: str | None
    floor: str | None
    added_at: str
    threads: tuple[str, ...] = ()


class Host(Protocol):
    """What a network's connection is given by the stage that holds it. Each call is one short
    transaction; it raises DatabaseBusy or DatabaseFull where nothing was stored."""

    @property
    def folder(self) -> Path:
        """Where the network may keep files of its own, which nobody but the host can read."""

    def take(self, events: Sequence[Event], kept: Sequence[int] = ()) -> None:
        """Store what came, all of it or nothing; what is there already changes nothing. What was
        `kept` under these numbers is let go of."""

    def keep(self, came: Sequence[tuple[str, str]]) -> list[int]:
        """Keep what came before its turn, each a kind and a payload as the network knows them, so
        that the network can be told that we have it; the numbers by which it is known."""

    def kept(self) -> list[tuple[int, str, str]]:
        """What is kept: number, kind and payload, in the order in which it came."""

    def concerns_us(self, chat_jid: str, text: str) -> bool:
        """Whether a text belongs into the file: what is said in chats of groups, and elsewhere
        what calls the assistant. For networks on which we see more than what is meant for us."""

    def has(self, chat_jid: str, id: str) -> bool:
        """Whether what came under this id in a chat is stored."""

    def lost(self, chat_jid: str, id: str, sender: str) -> bool:
        """A message with this id was said in a chat, and can't be had any more: whether people are
        told so there. They aren't where it is stored after all, the sender may not speak there, or
        they were told so often lately."""

    def chats(self) -> list[Known]:
        """The chats of this channel that belong to a group."""

    def caught_up(self, chat_jid: str, cursor: str) -> None:
        """Everything in the chat up to `cursor` was taken in."""

    def met(self, chats: Sequence[Chat], *, invited: bool = False) -> None:
        """We are in these chats; their deliveries are this channel's from now on. Where we were
        `invited` just now and a chat belongs to no group, the admin group is asked."""

    def waiting_files(self) -> list[tuple[int, int, str, SharedFile]]:
        """Files that are still to be fetched: their message's place, their number in it, the
        folder of the group whose they are, and what they are."""

    def file_path(self, group_folder: str, seq: int, name: str) -> Path:
        """Where such a file is to be put; its folder is there. No two files of a message may have
        one name. Raises OSError, and NeverSent where no more is to be put there."""

    def file_came(self, seq: int, number: int, path: str | None, error: str | None) -> None:
        """A file was fetched, as `path` in its folder, or failed for good."""

    def state(self, connected: bool, why: str | None) -> None:
        """Tell how the connection is, in `status` too; `why` it isn't, or may not be for long.
        Unlike the others it raises nothing."""


class Network(Channel, Protocol):
    """A chat network to which a connection is held. One object for one connection; `run` is
    under way while the others are called."""

    title: str
    """What people are told that it is called."""
    limit: int
    """UTF-16 code units in one of the network's messages."""
    at_once: int
    """Chats that are brought something at the same time, at most: a network that takes one after
    the other would leave all of them unknown if we died meanwhile."""
    edit_interval: float
    """Seconds between two edits of an open reply, at least."""
    settle: float
    """Seconds after which what was posted is certain to be in the history."""
    on_unknown: str
    """What happens to a post whose outcome can't be found out: resend-marked, ask or drop."""

    async def run(self, host: Host) -> None:
        """Hold the connection until cancelled, whatever happens to it. Raises a PynchyError with
        the exit code 100 where only a person can mend it (no token, logged out)."""

    def render(self, reply: Outgoing) -> list[Piece]:
        """The messages by which a reply is shown, in order, none longer than `limit`. The first
        keep their texts as far as possible when a reply grows."""

    async def post(self, place: Place, piece: Piece, mark: str) -> str:
        """Post a message; its id. `mark` is ours, and goes with it unseen where the network has
        `history`. Raises NotSent, NeverSent, Unsure, Away."""

    async def edit(self, place: Place, remote_id: str, piece: Piece) -> None:
        """Change a message of ours. Raises NotSent, NeverSent (it is gone), Away; where the outcome
        isn't known, NotSent, since it may be done twice."""

    async def remove(self, place: Place, remote_id: str) -> None:
        """Take a message of ours out; one that isn't there is no error. Raises NotSent, Away."""

    async def find(self, place: Place, mark: str, after_id: str | None, since: str) -> str | None:
        """The id of a message of ours with this mark, posted after `after_id` where that is given,
        else around the time `since`; None where there is none. Raises NotSent, NeverSent (it can't
        be asked), Away."""

    async def find_file(
        self,
        place: Place,
        file: OutgoingFile,
        sent: Collection[str],
        after_id: str | None,
        since: str,
    ) -> str | None:
        """The id of such a file of ours that was posted since then, as with `find`, and is none of
        those `sent`; None where there is none. Raises what `find` raises."""

    async def send_file(self, place: Place, file: OutgoingFile) -> str:
        """Post a file; its id. Raises what `post` raises."""


class AtWork(Protocol):
    """What a network with `presence` can do as well."""

    def at_work(self, working: Sequence[Working]) -> None:
        """In these chats, and in no others, runs are under way now. Called with each change; waits
        for nothing and raises nothing, since nothing depends on it."""


class Named(Protocol):
    """What a network with `names` can do as well."""

    async def names(self) -> list[Chat]:
        """The chats that we are in, with their names as they are now. Raises NotSent, Away."""
