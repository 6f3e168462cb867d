"""What a model is told of each request: when to use it, what its arguments mean, and what the
host's yes says. It promises nothing that the host has not said."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from agent_runner.protocol.requests import Request

_OVER = "End your turn now, with a short answer at most."


class Entry(msgspec.Struct, frozen=True):
    """One tool's words. `done` goes before what the host answers; `hints` tell of arguments."""

    description: str
    done: str = ""
    hints: Mapping[str, str] = {}


ENTRIES: Mapping[str, Entry] = {
    "send_message": Entry(
        "Say something in a chat now, before your turn ends: how a long piece of work goes, or a "
        "file. The answer that ends your turn is sent by itself; don't send it twice.",
        hints={
            "chat_jid": "The chat's id. Without it, the chat of this conversation.",
            "files": "Files to send along, as paths below /workspace/group.",
            "sender": "A name to say it under, such as that of a helper.",
        },
    ),
    "ask_user": Entry(
        "Ask the people of this chat one to four questions, and wait for their answers, which may "
        "take hours; without an answer it fails in the end. Ask where a mistake would be costly. "
        "Gives the answers and who gave them.",
        hints={
            "questions": "Each with options where the likely answers are known; people may always "
            "answer in their own words."
        },
    ),
    "schedule_task": Entry(
        "Have something done later or again and again: a prompt that an agent gets then, or a "
        "command on the host, which only some may ask for. It is scheduled only when this says so; "
        "its answer gives the id, and the next due times. Compare those with what was wanted, and "
        "tell them to whoever wanted it.",
        "The host has scheduled it.",
        {
            "schedule_type": "cron: at the times of a cron expression; interval: again and again, "
            "first when one interval is over; once: at one time.",
            "schedule_value": "cron: five fields (minute hour day month weekday), no seconds, such "
            "as `0 18 * * 1-5`, or @hourly, @daily, @weekly, @monthly, @yearly. interval: seconds, "
            "or such as 30m, 2h, 1d; 10 s at least. once: local time, such as `2026-12-01 09:00`, "
            "or ISO 8601 with a zone, such as 2026-12-01T09:00:00+01:00.",
            "timezone": "The zone whose clocks count, by its IANA name, such as Europe/Berlin. "
            "Without it, the host's, which the answer names.",
            "prompt": "For task_type agent: what the agent is told. Isolated, it knows nothing "
            "else.",
            "command": "For task_type host: the shell command. A person must approve it.",
            "cwd": "For task_type host: the folder it is run in, from / on.",
            "timeout_seconds": "For task_type host: when it is ended.",
            "name": "What people call it.",
            "context_mode": "isolated: in a conversation of its own; group: within this one.",
            "target_group": "Another group's folder; only some may.",
        },
    ),
    "list_tasks": Entry(
        "List the scheduled tasks, as they are at this moment: 200 at most, and whether there are "
        "more."
    ),
    "pause_task": Entry(
        "Leave a scheduled task out until it is resumed.",
        "It is paused.",
        {"task_id": "As list_tasks gives it."},
    ),
    "resume_task": Entry(
        "Take up a paused task again, from its next due time on.",
        "It is resumed.",
        {"task_id": "As list_tasks gives it."},
    ),
    "cancel_task": Entry(
        "End a scheduled task for good.",
        "It is cancelled.",
        {"task_id": "As list_tasks gives it."},
    ),
    "list_groups": Entry(
        "List the groups, and the chats that could become one, with their ids, as they are at this "
        "moment."
    ),
    "register_group": Entry(
        "Make a chat a group with an agent, a folder and a memory of its own. A person may have to "
        "approve it; this waits for that.",
        "The group is registered.",
        {
            "jid": "The chat's id, as list_groups gives it.",
            "folder": "A new short name for its folder: small letters, digits and dashes.",
            "name": "What people call it.",
            "trigger": "The word that calls the agent there; the assistant's name without it.",
        },
    ),
    "refresh_groups": Entry(
        "Have the channels asked which chats there are, before list_groups.",
        "The channels were asked.",
    ),
    "deploy_changes": Entry(
        "Bring the host to the code that is in its repository. A person may have to approve it. "
        "This conversation may end by it.",
        "The host has taken it up.",
        {"resume_prompt": "What the agent that comes after is told, to go on with."},
    ),
    "sync_worktree_to_main": Entry(
        "Bring the commits of /workspace/project into the main branch of its repository. Commit "
        "first. A person may have to approve it; this waits for that.",
        "The host has done it.",
    ),
    "finished_work": Entry(
        "Say that a scheduled task's run has nothing more to do, and nothing to say: what it "
        "answers from now on is posted nowhere.",
        f"The host knows that the work is finished. {_OVER}",
    ),
    "reset_context": Entry(
        "Forget this conversation, when your turn is over. What must last belongs into files "
        "before. Use it when somebody asks for a fresh start.",
        f"The conversation is forgotten when this turn is over. {_OVER}",
        {"message": "What the next conversation begins with; without it, it waits for somebody."},
    ),
    "handoff": Entry(
        "End this conversation, and go on in a new one that knows only your brief and the files. "
        "Use it when this one has become long and its beginning is no longer needed.",
        f"A new conversation begins with your brief when this turn is over. {_OVER}",
        {"brief": "All that is needed to go on: the aim, what was done, what comes next, where."},
    ),
    "list_todos": Entry("List what this group wants done, as it is at this moment."),
    "add_todo": Entry("Note something that this group wants done.", "It is noted."),
    "complete_todo": Entry(
        "Tick off something that is done.",
        "It is ticked off.",
        {"todo_id": "The number that list_todos gives."},
    ),
    "run_in_sandbox": Entry(
        "Hand a task to an agent in a fresh sandbox, which knows nothing but what you write and "
        "sees of /workspace/group what you allow. Gives its answer, or without wait the number of "
        "its run. Use it for work that is best done apart, or beside yours.",
        hints={
            "task": "All that it must know, and what it is to answer.",
            "folder": "none: it doesn't see the group's folder; read: it may read it; write: it "
            "may change it too, at the same time as you.",
            "wait": "false: go on at once, and get its answer by collect_sandbox.",
        },
    ),
    "collect_sandbox": Entry(
        "Get the answer of a task that run_in_sandbox was given without waiting.",
        hints={
            "run": "The number of its run.",
            "wait": "false: if it isn't done yet, say so instead of waiting.",
        },
    ),
}
TYPES: Mapping[str, type[Request]] = {
    one.__struct_config__.tag: one
    for one in Request.__args__
    if one.__struct_config__.tag in ENTRIES
}
"""Those that are a tool each; a `service` is a tool under its own name."""


def schema(name: str) -> dict[str, Any]:
    """The JSON Schema of a tool's arguments: an object's, with nothing to be looked up."""
    (found,), definitions = msgspec.json.schema_components([TYPES[name]], ref_template="{name}")
    whole: dict[str, Any] = _inlined(found, definitions)
    hidden = ("type", "request_id")
    properties = {key: value for key, value in whole["properties"].items() if key not in hidden}
    for key, hint in ENTRIES[name].hints.items():
        properties[key] = {**properties[key], "description": hint}
    return {
        "type": "object",
        "properties": properties,
        "required": [key for key in whole["required"] if key not in hidden],
        "additionalProperties": False,
    }


def _inlined(part: Any, definitions: Mapping[str, Any]) -> Any:
    if isinstance(part, list):
        return [_inlined(one, definitions) for one in part]
    if not isinstance(part, dict):
        return part
    if "$ref" in part:
        return _inlined(definitions[part["$ref"]], definitions)
    return {
        key: _pattern(value) if key == "pattern" else _inlined(value, definitions)
        for key, value in part.items()
        if not (key == "title" and isinstance(value, str))
    }


def _pattern(value: Any) -> Any:
    """A pattern as JSON Schema has them, where `$` means the end and nothing before it."""
    return value.replace("\\Z", "$") if isinstance(value, str) else value
