"""`pynchy check`: asks a rule what it would decide. Nothing is read but the configuration and,
for mounts, the allowlist and what is at a path, for requests, the database; nothing is carried
out."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import typer

from pynchy_cli import clock
from pynchy_cli.channels import chunks
from pynchy_cli.commands.app import Context, here
from pynchy_cli.config.settings import Settings
from pynchy_cli.errors import EXIT_DONE, EXIT_FAILED, UsageWrong
from pynchy_cli.model import TriggerMode
from pynchy_cli.output import print_line
from pynchy_cli.routing import transcript, triggers
from pynchy_cli.scheduling import trial
from pynchy_cli.security import allowlist, mounts
from pynchy_cli.security.allowlist import Allowlist
from pynchy_cli.security.mounts import Asked, Places
from pynchy_cli.store import connection
from pynchy_cli.timing import default_zone

Kind = Literal["trigger", "transcript", "mount", "request", "cron", "chunk"]
Question = Mapping[str, Any]
Rule = Callable[[Question], dict[str, Any]]


def command(
    ctx: typer.Context,
    kind: Annotated[Kind, typer.Argument(metavar="KIND", help="Which rule to ask.")],
    batch: Annotated[
        bool, typer.Option("--batch", help="Answer standard input line by line, as NDJSON.")
    ] = False,
    listed: Annotated[
        Path | None,
        typer.Option("--allowlist", metavar="FILE", help="For mounts: this list, not yours."),
    ] = None,
) -> int:
    """Ask a rule what it would decide, carrying nothing out.

    trigger: {"id", "text"} and, where wanted, name, aliases, mode (mention or always) and
    is_admin_group; gives {"id", "triggered", "text"}, the text without the word that woke it.
    transcript: {"id", "messages": [{"sender_name", "timestamp", "content"}]}; gives
    {"id", "prompt"}, as an agent is told it.
    mount: {"id", "host_path"} and, where wanted, container_path, readonly (else true) and
    admin (else false); gives {"id", "allowed", "readonly", "container_path", "reason"}.
    request: {"id", "group", "admin", "payload"}, the payload being a request file's raw text; gives
    {"id", "outcome", "code", "message"}, the outcome being accepted, gated (a person must approve
    it), forbidden or invalid. Whose a chat or task is that it names, this home's database says.
    cron: {"id", "value"} and, where wanted, type (cron, interval or once), tz, after and count;
    gives {"id", "valid", "next", "error"}: the next due times (else three, after now) in UTC, or
    what is wrong with the schedule.
    chunk: {"id", "text", "limit"}, the text being Markdown and the limit UTF-16 code units; gives
    {"id", "chunks"}, the messages it is sent as.
    What can't be answered gives {"id", "error"}.

    Example: echo '{"id": 1, "text": "@pynchy hello"}' | pynchy check trigger --batch
    """
    rule = _rule(kind, here(ctx), listed)
    if sys.stdin is None or (not batch and sys.stdin.isatty()):
        raise UsageWrong(f"The question is read from standard input: … | pynchy check {kind}.")
    if batch:
        for line in sys.stdin.buffer:
            if line.strip():
                print_line(answer(line, rule))
        return EXIT_DONE
    answered = answer(sys.stdin.buffer.read(), rule)
    print_line(answered)
    return EXIT_FAILED if answered.get("error") else EXIT_DONE


def _rule(kind: Kind, context: Context, listed: Path | None) -> Rule:
    if kind == "transcript":
        return transcript_rule
    if kind == "trigger":
        settings = context.settings
        return lambda asked: trigger_rule(asked, settings)
    if kind == "request":
        return _request_rule(context)
    if kind == "cron":
        return _cron_rule(context)
    if kind == "chunk":
        return chunk_rule
    # Only this kind needs the agents' side, which takes a while to load.
    from pynchy_cli.agent import extra_mounts

    known = (
        allowlist.read(listed.absolute())
        if listed is not None
        else extra_mounts.listed(context.home, context.environ)
    )
    where = extra_mounts.places(context.home, context.environ)
    return lambda asked: mount_rule(asked, known, where)


def _request_rule(context: Context) -> Rule:
    # Only this kind needs the requests' types, which take a while to load.
    from pynchy_cli.ipc import asking

    file, settings = context.home.database, context.settings
    db = connection.glimpse(file) if file.exists() else None
    return lambda asked: asking.ask(
        _field(asked, "group", str),
        _field(asked, "payload", str),
        settings,
        db,
        is_admin=_field(asked, "admin", bool),
    )


def _cron_rule(context: Context) -> Rule:
    zone = default_zone(context.settings, context.environ)
    return lambda asked: trial.ask(
        _field(asked, "type", str, "cron"),
        _text(asked, "value"),
        _field(asked, "tz", str, zone),
        _field(asked, "after", str, clock.now()),
        _field(asked, "count", int, 3),
    )


def answer(line: bytes, rule: Rule) -> dict[str, Any]:
    """A rule's answer to one question, or why there is none; both with the question's id."""
    try:
        asked = json.loads(line.decode("utf-8", "replace"), parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        return {"id": None, "error": f"not JSON: {error}"}
    if not isinstance(asked, dict):
        return {"id": None, "error": "not a JSON object"}
    id = asked.get("id")
    if isinstance(id, dict | list) or id in (math.inf, -math.inf):
        return {"id": None, "error": "the id is neither a string nor a number"}
    try:
        return {"id": id, **rule(asked)}
    except ValueError as error:
        return {"id": id, "error": str(error)}


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number")


def trigger_rule(asked: Question, settings: Settings) -> dict[str, Any]:
    """Whether a text is meant for the assistant. Raises ValueError."""
    agent = settings.agent
    mode: TriggerMode = _field(asked, "mode", str, "mention")
    if mode not in get_args(TriggerMode):
        raise ValueError(f"mode can be mention or always, not {mode!r}")
    aliases = _field(asked, "aliases", list, list(agent.trigger_aliases))
    if not all(isinstance(alias, str) for alias in aliases):
        raise ValueError("aliases must be strings")
    decision = triggers.decide(
        _field(asked, "text", str),
        triggers.words(_field(asked, "name", str, agent.name), aliases),
        mode,
        is_admin=_field(asked, "is_admin_group", bool, False),
    )
    return {"triggered": decision.triggered, "text": decision.text}


@dataclass(frozen=True)
class _Line:
    sender_name: str
    timestamp: str
    content: str


def transcript_rule(asked: Question) -> dict[str, Any]:
    """What an agent is told of some messages. Raises ValueError."""
    return {"prompt": transcript.prompt(_lines(_field(asked, "messages", list)))}


def mount_rule(asked: Question, known: Allowlist, where: Places) -> dict[str, Any]:
    """Whether something of the host may be mounted, and how. Raises ValueError."""
    inside = asked.get("container_path")
    wanted = Asked(
        _field(asked, "host_path", str),
        None if inside is None else _field(asked, "container_path", str),
        _field(asked, "readonly", bool, True),
        _field(asked, "admin", bool, False),
    )
    verdict = mounts.ask(wanted, known, where)
    return {
        "allowed": verdict.allowed,
        "readonly": verdict.readonly,
        "container_path": verdict.target,
        "reason": verdict.reason,
    }


def chunk_rule(asked: Question) -> dict[str, Any]:
    """The messages as which a text is sent. Raises ValueError."""
    return {"chunks": chunks.split(_field(asked, "text", str), _field(asked, "limit", int))}


def _lines(messages: Iterable[Any]) -> Iterable[_Line]:
    for number, message in enumerate(messages, start=1):
        if not isinstance(message, dict):
            raise ValueError(f"message {number} is not an object")
        names = ("sender_name", "timestamp", "content")
        yield _Line(*(_field(message, name, str) for name in names))


def _field(asked: Question, name: str, kind: type, otherwise: Any = None) -> Any:
    value = asked.get(name, otherwise)
    if value is None and otherwise is not None:
        return otherwise
    if value is None:
        raise ValueError(f"{name} is missing")
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        kinds = {str: "a string", list: "a list", bool: "true or false", int: "a whole number"}
        raise ValueError(f"{name} is not {kinds[kind]}")
    return value


def _text(asked: Question, name: str) -> str:
    """A string, or a number as one."""
    value = asked.get(name)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    text: str = _field(asked, name, str)
    return text
