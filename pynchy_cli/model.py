"""The nouns that pass between the layers, as plain values. They hold no behaviour that
reads or writes anything."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Audience = Literal["agent", "chat", "both"]
Verdict = Literal["allowed", "refused"]
TriggerMode = Literal["mention", "always"]
RunState = Literal["queued", "running", "done", "failed", "cancelled", "superseded"]

CHAT_LANE = "chat"
SHELL_LANE = "shell"
CHILD_LANE = "child:"
"""How the lanes of sandboxes begin that another one has started."""
TASK_LANE = "task:"
"""How the lanes of tasks begin that have conversations of their own."""
THREAD_LANE = "thread:"
"""How the lanes of threads begin, where threads have conversations of their own."""
PASSING = (SHELL_LANE, CHILD_LANE, TASK_LANE)
"""Lanes whose names begin so have a conversation that ends with its sandbox."""
FROM_TERMINAL = '{"from":"terminal"}'
"""The metadata of what the person at this machine's terminal says in another channel's chat."""
FROM_API = '{"from":"api"}'
"""The metadata of what came over the HTTP interface from whoever is on this machine."""
PRESSED = '{"pressed":true}'
"""The metadata of a message that was said by pressing a button of ours."""
OWN_ID = "pynchy:"
"""Ids of messages that we write ourselves begin so; a network's message may not."""


def is_conversation(lane: str) -> bool:
    """Whether a lane's conversation goes on from run to run: the chat's, or a thread's own."""
    return lane == CHAT_LANE or lane.startswith(THREAD_LANE)


def thread_in(chat_jid: str, network_id: str) -> str:
    """A thread's name, unique in the file: the chat's and what its network calls the thread."""
    return f"{chat_jid}/{network_id}"


def thread_id(thread: str) -> str:
    """What its network calls a thread; empty where it is none."""
    return thread.rpartition("/")[2]


@dataclass(frozen=True)
class Chat:
    """One conversation place on a channel; `jid` is `channel:name`."""

    jid: str
    name: str | None = None

    @property
    def channel(self) -> str:
        """The channel's name: what stands before the first colon."""
        return self.jid.partition(":")[0]


@dataclass(frozen=True)
class Group:
    """An agent's own folder, memory and permissions."""

    folder: str
    name: str
    jid: str
    is_admin: bool
    trigger_mode: TriggerMode
    trigger_pattern: str | None
    allowed_users: tuple[str, ...]
    number: int
    routed_seq: int
    answered_seq: int
    added_at: str


@dataclass(frozen=True)
class SharedFile:
    """A file that came with a message. `remote_id` is what its channel fetches it by, `size` what
    the network says of it. Once it is `here`, `path` is its name in the group's folder of files;
    where it `failed`, `error` says why."""

    remote_id: str
    name: str
    mime: str = ""
    size: int | None = None
    state: Literal["waiting", "here", "failed"] = "waiting"
    path: str | None = None
    error: str | None = None


@dataclass(frozen=True)
class NewMessage:
    """Something said, before it has a place in the file.

    `id` is the network's and unique in its chat; `timestamp` the network's time. What people say
    is of the type `user`; an `edit` or a `deletion` names the message it `replaces` by its
    network's id, and so does a `reaction`, whose content is the emoji's name; the ids of these are
    that id with more behind a hyphen, and a reaction's metadata says as `on` what the network calls
    the message, which may be one of ours. `thread` is empty, or as `thread_in` gives it.
    """

    id: str
    chat_jid: str
    sender: str
    sender_name: str
    content: str
    timestamp: str
    message_type: str = "user"
    audience: Audience = "both"
    verdict: Verdict = "allowed"
    is_from_me: bool = False
    run_id: int | None = None
    metadata: str | None = None
    thread: str = ""
    replaces: str | None = None
    files: tuple[SharedFile, ...] = ()


@dataclass(frozen=True)
class Message(NewMessage):
    """A message with its place: `seq` orders everything."""

    seq: int = 0
    received_at: str = ""


@dataclass(frozen=True)
class Run:
    """One unit of agent work for one group, in one lane."""

    id: int
    group_folder: str
    lane: str
    kind: str
    state: RunState
    attempts: int
    takeovers: int
    first_seq: int
    last_seq: int
    chat_jid: str | None
    prompt: str | None
    owner: int | None
    not_before: str | None
    error: str | None
    created_at: str
    started_at: str | None
    finished_at: str | None
    told_seq: int = 0
    """The last message that this attempt began with; later ones of the range came meanwhile."""
    answered_seq: int = 0
    """The last message that its finished answers take into account."""
    replies: int = 0
    """How many answers are given and finished."""
    asked: str | None = None
    """What its worker is asked to do: stop or interrupt it."""
    note: str | None = None
    """What the next attempt is told of the one before."""
    parent: int | None = None
    """The run whose agent handed it on."""
    depth: int = 0
    """How many runs stand above it."""
    shares: str | None = None
    """What a child has of its group's folder: none of it, read or write it."""
    apart: bool = False
    """Whether its range is asked again, out of its time, and grows by nothing said later."""
    task: str | None = None
    """The task whose firing it is."""
    quiet: bool = False
    """Whether its agent has said that there is nothing to be said."""
    thread: str = ""
    """The thread in which it was said, and is answered; empty outside of one."""

    @property
    def turn(self) -> str:
        """The name of this attempt in documents and records."""
        return f"{self.id}.{self.attempts}.{self.takeovers}"

    @property
    def is_shell(self) -> bool:
        """Whether the answer goes to a shell."""
        return self.kind == "shell"

    @property
    def is_child(self) -> bool:
        """Whether the answer goes to the agent that handed it on."""
        return self.kind == "child"

    @property
    def is_task(self) -> bool:
        """Whether a clock has started it, and nobody waits for an answer."""
        return self.kind == "task"

    @property
    def is_silent(self) -> bool:
        """Whether nothing of it goes to a chat."""
        return self.is_shell or self.is_child

    @property
    def is_watched(self) -> bool:
        """Whether a chat is shown what it does and writes before it has its answer."""
        return self.kind == "chat"

    @property
    def is_isolated(self) -> bool:
        """Whether it is a task's with a conversation of its own, of which nothing stays."""
        return self.lane.startswith(TASK_LANE)


@dataclass(frozen=True)
class Session:
    """One lane's conversation. `folder`, `owner` and `output_offset` belong to the live
    sandbox, where there is one; `session_id` to the conversation with the model."""

    group_folder: str
    lane: str
    session_id: str | None
    generation: int
    folder: str | None
    owner: int | None
    sandbox: str | None
    output_offset: int
    last_used_at: str | None


@dataclass(frozen=True)
class Attachment:
    """A file of a reply; its bytes lie in the home's folder of files, under their `sha256`."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Reply:
    """A row of the outbound ledger."""

    id: int
    key: str
    chat_jid: str
    group_folder: str | None
    run_id: int | None
    content: str
    version: int
    is_final: bool
    source: str
    created_at: str
    thread: str = ""
    doing: str | None = None
    """What its agent does just now, in a line; of one that is still open."""


DeliveryState = Literal["pending", "sending", "sent", "unknown", "dead", "dropped"]


@dataclass(frozen=True)
class Delivery:
    """One reply in one chat, as its channel brings it there. `delivered_version` is the reply's
    version that the chat shows."""

    reply: Reply
    chat_jid: str
    channel: str
    state: DeliveryState
    delivered_version: int
    attempts: int
    next_attempt_at: str | None
    delivered_at: str | None
    error: str | None
    held: bool = False
    """Whether it waits for a person, since nobody knows whether it got there."""

    @property
    def thread(self) -> str:
        """What the network calls the thread it belongs into; empty where it is none."""
        return thread_id(self.reply.thread) if self.chat_jid == self.reply.chat_jid else ""


@dataclass(frozen=True)
class Part:
    """One message of the network's by which a reply is shown: the reply's `number`th, counted
    from 0. `digest` is the sha256 of what was sent last; `after_id` the newest of the network's ids
    known in the chat when it was begun, so that it can be looked for after that one."""

    number: int
    state: Literal["sending", "sent", "unknown"]
    remote_id: str | None
    digest: str
    after_id: str | None
    begun_at: str
    again: bool = False
    """Whether it was posted once more although it may stand there already, and says so."""


Source = Literal["person", "agent", "config"]
"""Who made a task or a host job: somebody in a shell, a group's agent, or the configuration."""


@dataclass(frozen=True)
class Timed:
    """What tasks and host jobs have in common: when they are due, and how they stand.

    `schedule_value` is canonical (see `recurrence`), `anchor` an interval's first due time.
    `status` is active, paused, completed (nothing more is due) or cancelled.
    """

    id: str
    name: str | None
    schedule_type: str
    schedule_value: str
    timezone: str
    anchor: str | None
    catch_up: Literal["once", "skip"]
    status: str
    paused_by: Source | None
    source: Source
    created_by: str
    created_at: str
    ended_at: str | None
    next_run: str | None
    last_run: str | None
    timeout_seconds: float


@dataclass(frozen=True)
class Task(Timed):
    """A prompt that a group's agent is given when it is due. `condition` is a command of the host
    that is run first, for `timeout_seconds` at most; where it fails the firing is left out."""

    group_folder: str
    chat_jid: str | None
    prompt: str
    context_mode: Literal["isolated", "group"]
    overlap: Literal["skip", "queue"]
    condition: str | None


@dataclass(frozen=True)
class HostJob(Timed):
    """A command of the host, for `timeout_seconds` at most."""

    command: str
    cwd: str | None


@dataclass(frozen=True)
class Firing:
    """One due time of a task or a host job, and what came of it.

    `status` of a task's firing: checking, fired (its run tells the rest), skipped or missed; of a
    job's: waiting, running, done, failed, timeout, stopped, unknown, skipped or missed.
    `missed_since` is the first of the due times that it stands for.
    """

    id: int
    of: str
    due_at: str
    run_at: str
    missed_since: str | None
    by_hand: bool
    status: str
    reason: str | None
