"""What an agent may ask of its host: one file each, `<number, 8 digits>-<id>.json`, its content one
of the types below. No field says who asks: that is known by the folder that the file lies in."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

import msgspec

REQUEST_LIMIT = 256 * 1024
"""Bytes in a request; a longer one is refused."""
ID = r"^[a-z0-9][a-z0-9_-]{0,63}\Z"
NAME = re.compile(r"([0-9]{8})-([a-z0-9][a-z0-9_-]{0,63})\.json")
"""A request's file: its number, which orders it among its sandbox's, and its id, which its answer
bears. One that begins with a dot is not ready yet."""
RESPONSE = "{id}.json"

Id = Annotated[str, msgspec.Meta(pattern=ID)]
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=100_000)]
Line = Annotated[
    str,
    msgspec.Meta(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]+\Z"),
]
Folder = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,39}\Z")]
Jid = Annotated[
    str, msgspec.Meta(max_length=240, pattern=r"^[a-z][a-z0-9-]*:[^\s\x00-\x1f\x7f-\x9f]{1,200}\Z")
]
Command = Annotated[str, msgspec.Meta(min_length=1, max_length=10_000)]
Count = Annotated[int, msgspec.Meta(ge=1, le=2**53)]


class Base(msgspec.Struct, tag_field="type", forbid_unknown_fields=True, kw_only=True, frozen=True):
    """What every request may say: its own id once more, as in its file's name."""

    request_id: Id | None = None


class SendMessage(Base, frozen=True, tag="send_message"):
    """Say something in a chat now, the group's own where none is named. `files` are paths below
    the group's folder; `sender` is a name to say it under."""

    text: Text
    chat_jid: Jid | None = None
    files: Annotated[
        tuple[Annotated[str, msgspec.Meta(max_length=1000)], ...], msgspec.Meta(max_length=10)
    ] = ()
    sender: Annotated[str, msgspec.Meta(max_length=80, pattern=r"^[^\x00-\x1f\x7f]+\Z")] | None = (
        None
    )


class ScheduleTask(Base, frozen=True, tag="schedule_task"):
    """Have a prompt (an agent's task) or a command (a host job) come up later. Times are local in
    `timezone`, an IANA name; without one in the host's."""

    schedule_type: Literal["cron", "interval", "once"]
    schedule_value: Line
    task_type: Literal["agent", "host"] = "agent"
    prompt: Text | None = None
    command: Command | None = None
    name: Line | None = None
    context_mode: Literal["group", "isolated"] = "isolated"
    timezone: Line | None = None
    target_group: Folder | None = None
    cwd: Line | None = None
    timeout_seconds: Annotated[int, msgspec.Meta(ge=1, le=86_400)] = 600


class ListTasks(Base, frozen=True, tag="list_tasks"):
    """The group's tasks; of all groups, for whoever may see those."""


class PauseTask(Base, frozen=True, tag="pause_task"):
    """Leave a task out until it is resumed."""

    task_id: Line


class ResumeTask(Base, frozen=True, tag="resume_task"):
    """Take a paused task up again."""

    task_id: Line


class CancelTask(Base, frozen=True, tag="cancel_task"):
    """End a task for good."""

    task_id: Line


class ListGroups(Base, frozen=True, tag="list_groups"):
    """The groups, and the chats that could become one."""


class RegisterGroup(Base, frozen=True, tag="register_group"):
    """Make a chat a group."""

    jid: Jid
    folder: Folder
    name: Annotated[
        str, msgspec.Meta(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+\Z")
    ]
    trigger: Annotated[str, msgspec.Meta(min_length=1, max_length=65)] | None = None


class RefreshGroups(Base, frozen=True, tag="refresh_groups"):
    """Ask the channels which chats there are."""


class DeployChanges(Base, frozen=True, tag="deploy_changes"):
    """Bring the host to the code that is in its repository."""

    rebuild_container: bool = False
    resume_prompt: Text | None = None


class SyncWorktreeToMain(Base, frozen=True, tag="sync_worktree_to_main"):
    """Bring the commits of the group's worktree into its repository's main branch."""


class ResetContext(Base, frozen=True, tag="reset_context"):
    """Forget the conversation; with a message, begin the next one with it."""

    message: Text | None = None


class Handoff(Base, frozen=True, tag="handoff"):
    """End this conversation, and begin a new one with a brief."""

    brief: Text


class FinishedWork(Base, frozen=True, tag="finished_work"):
    """A task's run has nothing more to do."""


class Option(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """One of the answers to choose from."""

    label: Line
    description: Annotated[str, msgspec.Meta(max_length=500)] = ""


class Question(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """A question for a person. Any other text is an answer too."""

    question: Annotated[str, msgspec.Meta(min_length=1, max_length=2000)]
    options: Annotated[tuple[Option, ...], msgspec.Meta(max_length=10)] = ()
    multiple: bool = False


class AskUser(Base, frozen=True, tag="ask_user"):
    """Ask the people of the group's chat, and wait for their answer."""

    questions: Annotated[tuple[Question, ...], msgspec.Meta(min_length=1, max_length=4)]


class ListTodos(Base, frozen=True, tag="list_todos"):
    """What the group wants done."""

    include_done: bool = False


class AddTodo(Base, frozen=True, tag="add_todo"):
    """Something more to be done."""

    content: Annotated[str, msgspec.Meta(min_length=1, max_length=2000)]


class CompleteTodo(Base, frozen=True, tag="complete_todo"):
    """Something is done."""

    todo_id: Count


class RunInSandbox(Base, frozen=True, tag="run_in_sandbox"):
    """Hand a task to a fresh sandbox of the same group, which knows nothing but it. Of the group's
    folder it sees nothing, may read it, or shares it. Without `wait` its result is collected."""

    task: Text
    folder: Literal["none", "read", "write"] = "read"
    wait: bool = True


class CollectSandbox(Base, frozen=True, tag="collect_sandbox"):
    """The result of a task that was handed to another sandbox."""

    run: Count
    wait: bool = True


class Service(Base, frozen=True, tag="service"):
    """Have a tool of the host's run."""

    tool: Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9_]{0,63}\Z")]
    arguments: dict[str, Any] = {}


Request = (
    SendMessage
    | ScheduleTask
    | ListTasks
    | PauseTask
    | ResumeTask
    | CancelTask
    | ListGroups
    | RegisterGroup
    | RefreshGroups
    | DeployChanges
    | SyncWorktreeToMain
    | ResetContext
    | Handoff
    | FinishedWork
    | AskUser
    | ListTodos
    | AddTodo
    | CompleteTodo
    | RunInSandbox
    | CollectSandbox
    | Service
)

_encode = msgspec.json.Encoder().encode


def type_of(request: Request) -> str:
    """The request's type, such as `send_message`."""
    tag = request.__struct_config__.tag
    assert isinstance(tag, str)
    return tag


def types() -> tuple[str, ...]:
    """Every type of request."""
    return tuple(one.__struct_config__.tag for one in Request.__args__)


def write_request(request: Request) -> bytes:
    """A request as one line of JSON. What isn't said is left out."""
    told = {
        name: value
        for name, value in msgspec.to_builtins(request).items()
        if value is not None or name == "type"
    }
    return _encode(told) + b"\n"
