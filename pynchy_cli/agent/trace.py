"""What an agent does, as rows to look at: its thoughts, its tools, and what the next attempt is
told of them. Nothing is decided by it, but that the same isn't blindly done again."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from agent_runner import protocol
from pynchy_cli.model import Run, Session
from pynchy_cli.output import plain
from pynchy_cli.routing import transcript
from pynchy_cli.store import events, outbound
from pynchy_cli.store.connection import Connection

SHOWN = 4000
"""Characters of one line in the chat."""
DOING = 120
"""Characters of what an agent does just now."""
TOLD = 20
"""Tool calls of a failed attempt that the next one is told of."""
TELLING = (
    *("command", "file_path", "path", "pattern", "url", "query", "description"),
    *("text", "task", "brief", "message", "content"),
)
HOST = "mcp__pynchy__"
"""How the client calls the tools that ask the host; people need not read it."""
LOST = "(I could not continue our earlier conversation, so I start afresh.)"


def store(db: Connection, run: Run, record: protocol.Record, offset: int, now: str) -> None:
    """Store one record, where it belongs to the trace; `offset` tells it from others."""
    match record:
        case protocol.Thinking(text=text):
            _add(db, run, "thinking", {"text": text}, text, offset, now)
        case protocol.ToolUse(name=name, input=given, tool_id=tool):
            payload = {"tool_id": tool, "name": name, "input": given}
            _add(db, run, "tool_use", payload, called(name, given), offset, now)
        case protocol.ToolResult(tool_id=tool, content=content, is_error=is_error):
            result = {"tool_id": tool, "content": content, "is_error": is_error}
            _add(db, run, "tool_result", result, content, offset, now)
        case protocol.Notice(subtype=subtype, data=data):
            _notice(db, run, subtype, data, offset, now)


def begun(db: Connection, run: Run, session: Session, now: str) -> None:
    """Keep in which sandbox an attempt began, or is taken over, and by whom: neither is told by the
    run's row once it is over."""
    facts = {"attempt": run.attempts, "owner": run.owner, "sandbox": session.sandbox}
    events.add(
        db,
        "begun",
        {**facts, "session": session.folder},
        now,
        group_folder=run.group_folder,
        run_id=run.id,
        chat_jid=run.chat_jid,
    )


def keep(db: Connection, run: Run, kind: str, texts: Iterable[str], now: str) -> None:
    """Keep what an agent wrote and no answer holds: for itself (`internal`), or on its way to
    the answer (`text`)."""
    for text in texts:
        events.add(
            db,
            kind,
            {"text": text},
            now,
            group_folder=run.group_folder,
            run_id=run.id,
            chat_jid=run.chat_jid,
        )


def called(name: str, given: dict[str, Any]) -> str:
    """A tool call in a line."""
    return f"{name.removeprefix(HOST)} {preview(given)}"


def doing(name: str, given: dict[str, Any]) -> str:
    """A tool call that is under way, as the chat sees it: one short line."""
    # What only programs read stays in the trace.
    telling = preview(given) if any(isinstance(given.get(one), str) for one in TELLING) else ""
    line = " ".join(plain(f"{name.removeprefix(HOST)} {telling}").split())
    return f"🔧 {line}"[:DOING]


def preview(given: dict[str, Any]) -> str:
    """The most telling argument of a tool call, in a line."""
    for name in TELLING:
        value = given.get(name)
        if isinstance(value, str):
            return value
    return json.dumps(given, ensure_ascii=False, default=str)[:150] if given else ""


def note(db: Connection, run: Run, why: str) -> str | None:
    """What the next attempt is told: which tools this one used, and how it ended, after what
    this one was told itself. None where it used none, and can simply be repeated."""
    used = events.tools(db, run.id, run.started_at or "", TOLD)
    if not used:
        return None
    calls = [called(str(one.get("name")), one.get("input") or {})[:300] for one in used]
    lines = "\n".join(f"<call>{transcript.text(call)}</call>" for call in calls)
    before = f"{run.note}\n\n" if run.note else ""
    return (
        f'{before}<earlier_attempt ended="{transcript.attribute(why)}">\n{lines}\n'
        "</earlier_attempt>\n"
        "An earlier attempt at what follows ended before it could answer. The calls above were "
        "made in it; look at what is done already before you do any of it again."
    )


def _add(
    db: Connection,
    run: Run,
    kind: str,
    payload: dict[str, Any],
    line: str,
    offset: int,
    now: str,
) -> None:
    events.add(
        db,
        kind,
        payload,
        now,
        group_folder=run.group_folder,
        run_id=run.id,
        chat_jid=run.chat_jid,
    )
    if run.chat_jid is not None and run.is_watched:
        events.show(
            db,
            key=f"{run.turn}:{offset}",
            chat_jid=run.chat_jid,
            kind=kind,
            content=line[:SHOWN],
            now=now,
            run_id=run.id,
        )


def _notice(
    db: Connection, run: Run, subtype: str, data: dict[str, Any], offset: int, now: str
) -> None:
    events.add(
        db,
        "notice",
        {"subtype": subtype, **data},
        now,
        group_folder=run.group_folder,
        run_id=run.id,
        chat_jid=run.chat_jid,
    )
    if subtype == "session_lost" and run.chat_jid is not None and not run.is_silent:
        outbound.say(
            db,
            key=f"run:{run.turn}:lost:{offset}",
            chat_jid=run.chat_jid,
            content=LOST,
            source="host",
            now=now,
            group_folder=run.group_folder,
            run_id=run.id,
        )
