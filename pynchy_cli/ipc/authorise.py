"""The one table of rights: who may ask for what. A pure function of who asks (known by the folder
that the request was found in), what is asked, and facts of the file; nothing that a request says
can change who asks. What isn't in the table is denied."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass
from typing import Literal

from agent_runner.protocol import requests as asked
from agent_runner.protocol.requests import Request

Role = Literal["admin", "group", "child"]
Rule = Literal["allow", "own", "gate", "deny"]
Outcome = Literal["accepted", "gated", "forbidden"]
ROLES: tuple[Role, ...] = ("admin", "group", "child")
"""`child` is a sandbox that another one has started, whatever its group is."""
HOST_JOB = "schedule_task (host)"
"""A task that is a command for the host is another thing than a prompt for an agent."""

RIGHTS: Mapping[str, tuple[Rule, Rule, Rule]] = {
    "send_message": ("allow", "own", "deny"),
    "schedule_task": ("allow", "own", "deny"),
    HOST_JOB: ("gate", "deny", "deny"),
    "list_tasks": ("allow", "own", "own"),
    "pause_task": ("allow", "own", "deny"),
    "resume_task": ("allow", "own", "deny"),
    "cancel_task": ("allow", "own", "deny"),
    "list_groups": ("allow", "deny", "deny"),
    "register_group": ("gate", "deny", "deny"),
    "refresh_groups": ("allow", "deny", "deny"),
    "deploy_changes": ("gate", "deny", "deny"),
    "sync_worktree_to_main": ("gate", "gate", "deny"),
    "reset_context": ("own", "own", "deny"),
    "handoff": ("own", "own", "deny"),
    "finished_work": ("own", "own", "deny"),
    "ask_user": ("own", "own", "deny"),
    "list_todos": ("own", "own", "own"),
    "add_todo": ("own", "own", "own"),
    "complete_todo": ("own", "own", "own"),
    "run_in_sandbox": ("own", "own", "own"),
    "collect_sandbox": ("own", "own", "own"),
    "service": ("own", "own", "own"),
}
"""Kind of request -> the rule for an admin group, for any other, and for a child of either. `allow`
is for any group's chats and tasks, `own` for one's own, `gate` needs a person's yes as well."""


@dataclass(frozen=True)
class Principal:
    """Who asks: a group's folder, and in which role."""

    group: str
    role: Role


@dataclass(frozen=True)
class Facts:
    """What the file knows of what a request names; None where there is no such thing."""

    group_of_chat: Callable[[str], str | None]
    group_of_task: Callable[[str], str | None]
    gated: frozenset[str] = frozenset()
    """Kinds of requests, and `service:<tool>`s, that need a person's yes besides."""
    services: Mapping[str, Rule] | None = None
    """The rule of each service that the group may use; None, where nobody
    looked, is as good as none."""


@dataclass(frozen=True)
class Decision:
    """What became of it, under which code, and why."""

    outcome: Outcome
    code: str = "ok"
    message: str = ""


def kind_of(request: Request) -> str:
    """The row of the table that a request falls under."""
    if isinstance(request, asked.ScheduleTask) and request.task_type == "host":
        return HOST_JOB
    return asked.type_of(request)


def rule(role: Role, kind: str) -> Rule:
    """The rule of the table; `deny` where there is none."""
    return RIGHTS[kind][ROLES.index(role)] if kind in RIGHTS else "deny"


def effective(
    role: Role, kind: str, gated: Container[str], services: Mapping[str, Rule] | None = None
) -> Rule:
    """The rule for a kind of request, or for one of the asker's `services`, each a
    `service:<tool>`, with what needs a yes besides."""
    of_kind, _, tool = kind.partition(":")
    applied = rule(role, of_kind)
    of_tool = (services or {}).get(kind, "deny") if tool else applied
    if "deny" in (applied, of_tool):
        return "deny"
    is_gated = "gate" in (applied, of_tool) or of_kind in gated or kind in gated
    return "gate" if is_gated else applied


def decide(who: Principal, request: Request, facts: Facts) -> Decision:
    """Whether a request may be carried out."""
    kind = kind_of(request)
    applied = rule(who.role, kind)
    if applied == "deny":
        return _forbidden(f"{_who(who)} may not ask for {kind}.")
    if applied != "allow" and (why := _beyond(who, request, facts, applied)) is not None:
        return _forbidden(why)
    names = {kind}
    if isinstance(request, asked.Service):
        names.add(f"service:{request.tool}")
        of_tool = (facts.services or {}).get(request.tool, "deny")
        if of_tool == "deny":
            return _forbidden(f"{_who(who)} has no tool {request.tool!r}.")
        applied = "gate" if "gate" in (applied, of_tool) else of_tool
    if applied == "gate" or names & facts.gated:
        return Decision("gated", "approval_needed", "A person must approve it.")
    return Decision("accepted")


def _beyond(who: Principal, request: Request, facts: Facts, applied: Rule) -> str | None:
    """Why what a request names is not the asker's own, or None where it is."""
    if applied == "gate" and who.role == "admin":
        return None
    match request:
        case asked.SendMessage(chat_jid=str() as jid) if facts.group_of_chat(jid) != who.group:
            return f"{jid!r} is not a chat of this group."
        case asked.ScheduleTask(target_group=str() as target) if target != who.group:
            return f"Only the admin group may schedule for another group ({target!r})."
        case (
            asked.PauseTask(task_id=id)
            | asked.ResumeTask(task_id=id)
            | asked.CancelTask(task_id=id)
        ) if facts.group_of_task(id) != who.group:
            return f"There is no task {id!r} of this group."
    return None


def _who(who: Principal) -> str:
    return {
        "admin": "The admin group",
        "group": "This group",
        "child": "A sandbox that another one started",
    }[who.role]


def _forbidden(message: str) -> Decision:
    return Decision("forbidden", "forbidden", message)
