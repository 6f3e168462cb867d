"""What goes over the wire, as types: they check what comes in, write what goes out, and describe
both in the OpenAPI document."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

Document = dict[str, Any]
"""A JSON object whose keys are told elsewhere."""
Folder = Annotated[str, Meta(description="The folder of a group.", max_length=200)]
Jid = Annotated[str, Meta(description="A chat, such as local:main.", min_length=1, max_length=500)]
Moment = Annotated[str, Meta(description="UTC, ISO-8601 with milliseconds and Z.")]


class Problem(Struct):
    """Why a call was not carried out: `code` stays the same, `message` is for people."""

    code: str
    message: str


class Failure(Struct):
    """What every call is answered that is not carried out."""

    error: Problem
    ok: Literal[False] = False


class Trouble(Struct):
    """Something that is wrong, or may become so; `command` shows more, or helps."""

    level: Annotated[str, Meta(description="wrong, or warning.")]
    about: str
    message: str
    command: str


class Health(Struct):
    """Whether all is well, in short."""

    status: Annotated[
        Literal["ok", "degraded", "down"], Meta(description="ok, or something needs a person.")
    ]
    uptime_seconds: int
    head_sha: str | None
    head_commit: str | None
    dirty: bool | None
    channels_connected: Annotated[list[str], Meta(description="Those that have a connection.")]
    channels_away: Annotated[list[str], Meta(description="Those that should have one.")]
    troubles: Annotated[list[Trouble], Meta(description="The gravest first.")]


class Group(Struct):
    """A group, and its first chat."""

    jid: Jid
    name: str
    folder: Folder


class Said(Struct):
    """Something that was said in a chat."""

    seq: Annotated[int, Meta(description="Its place; all messages are in this order.")]
    id: str
    chat_jid: Jid
    sender: str
    sender_name: str
    content: str
    timestamp: Moment
    is_from_me: bool
    type: Annotated[
        str,
        Meta(description="user, assistant, host, or what changes one: edit, deletion, reaction."),
    ]
    verdict: Annotated[str, Meta(description="refused: whoever said it may not speak there.")]


class SaidQuery(Struct, forbid_unknown_fields=True):
    """Which messages."""

    jid: Jid
    limit: Annotated[int, Meta(ge=1, le=1000, description="How many, the newest.")] = 50


class Say(Struct, forbid_unknown_fields=True):
    """Something to be said in a group's chat."""

    jid: Jid
    content: Annotated[str, Meta(min_length=1, description="The words; not only blanks.")]


class Sent(Struct):
    """It is stored, and goes the way of whatever people say."""

    seq: int
    id: str
    group: Folder
    sender: Annotated[Literal["owner", "api"], Meta(description="Who said it.")]
    status: Literal["ok"] = "ok"


class Asked(Struct):
    """Something that waits, or waited, for a person."""

    id: str
    kind: Annotated[str, Meta(description="approval, or question: answered in its chat.")]
    group: Folder
    type: str
    state: str
    asked_at: Moment
    expires_at: Moment
    seconds_left: int | None
    summary: str
    decided_at: Moment | None
    decided_by: str | None
    reason: str | None


class AskedWhole(Asked):
    """The same with all that is asked; `payload` is the request as it is stored."""

    request: int
    chats: list[str]
    approvers: list[str]
    digest: str
    payload: str
    answers: Document | None = None


class AskedQuery(Struct, forbid_unknown_fields=True):
    """Which of them."""

    all: Annotated[bool, Meta(description="Also what was decided, the newest 200.")] = False


class Decide(Struct, forbid_unknown_fields=True):
    """A yes or a no."""

    decision: Literal["approve", "deny"]
    reason: Annotated[str, Meta(max_length=1000, description="Why not, for the agent.")] = ""


class Decided(Struct):
    """What was decided."""

    id: str
    state: Literal["approved", "denied"]
    group: Folder
    type: str
    decided_by: str
    ok: Literal[True] = True


class Hold(Struct):
    """A group, or with null all groups, that begins nothing until it is released."""

    group: Folder | None
    outbound: Annotated[bool, Meta(description="Whether replies wait, too.")]
    reason: str | None
    held_by: str
    held_at: Moment


class MakeHold(Struct, forbid_unknown_fields=True):
    """What is to be held; `group` null holds all groups."""

    group: Folder | None
    outbound: Annotated[bool, Meta(description="Whether replies wait, too.")] = False
    reason: Annotated[str, Meta(max_length=1000)] | None = None
    stop: Annotated[bool, Meta(description="Also end what is at work.")] = False


class Held(Hold):
    """A hold that was made, and the runs that were asked to stop."""

    stopped: list[int] = msgspec.field(default_factory=list)
    ok: Literal[True] = True


class Periodic(Struct):
    """What a group does by the clock; a group without anything is no_task."""

    name: str
    folder: Folder
    task: str | None = None
    schedule: str | None = None
    context_mode: str | None = None
    last_run: Moment | None = None
    next_run: Moment | None = None
    status: str = "no_task"
