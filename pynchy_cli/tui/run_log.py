"""A run's whole trace as a log: what it was told, thought, did and said, each in a line with its
time. It is made as it is read, so that a run of any length can be shown."""

from __future__ import annotations

import heapq
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pynchy_cli.model import Message
from pynchy_cli.store import history, messages
from pynchy_cli.store.connection import Connection

PAGE = 20


@dataclass(frozen=True)
class Line:
    """One thing that happened, at a time in UTC."""

    at: str
    kind: str
    text: str

    def __str__(self) -> str:
        """In one line, whatever the text is."""
        text = self.text.replace("\r\n", "\n").replace("\n", "\\n").replace("\t", "\\t")
        return f"{self.at} {self.kind:<12} {text}".rstrip()


def lines(db: Connection, run: dict[str, Any], now: str) -> Iterator[Line]:
    """The log of a run, whose row is given. What three tables hold is merged by time; within
    each the order is that of the rows."""
    yield from heapq.merge(
        [Line(run["created_at"], "queued", _about(run))],
        _begun(run),
        _told(db, run),
        _steps(db, run["id"]),
        _said(db, run["id"]),
        key=lambda line: line.at,
    )
    ending = f"{run['state']}: {run['error']}" if run["error"] else run["state"]
    if run["superseded_by"] is not None:
        ending += f", see run {run['superseded_by']}"
    yield Line(run["finished_at"] or now, "end" if run["finished_at"] else "so far", ending)


def prompt(db: Connection, run: dict[str, Any]) -> Iterator[Message]:
    """The messages that the run is to answer, in order."""
    after = run["first_seq"] - 1
    while found := messages.told(db, run["group"], after, run["last_seq"], PAGE, run["thread"]):
        yield from found
        after = found[-1].seq


def _about(run: dict[str, Any]) -> str:
    where = f"run {run['id']} of {run['group']}, lane {run['lane']}"
    if run["task"]:
        where += f", task {run['task']}"
    if run["last_seq"]:
        where += f", messages {run['first_seq']}..{run['last_seq']}"
    return where


def _begun(run: dict[str, Any]) -> Iterator[Line]:
    if run["started_at"] is not None:
        yield Line(run["started_at"], "started", f"attempt {run['attempts']}")


def _told(db: Connection, run: dict[str, Any]) -> Iterator[Line]:
    if run["prompt"] is not None:
        yield Line(run["created_at"], "prompt", run["prompt"])
    if run["kind"] != "chat":
        return
    for message in prompt(db, run):
        yield Line(message.received_at, "message", f"{message.sender_name}: {message.content}")


def _steps(db: Connection, run_id: int) -> Iterator[Line]:
    for step in history.steps(db, run_id):
        kind, payload = step["kind"], step["payload"]
        match kind:
            case "thinking" | "text" | "internal":
                text = str(payload.get("text", ""))
            case "tool_use":
                text = f"{payload.get('name')} {_json(payload.get('input'))}"
            case "tool_result":
                kind = "tool_error" if payload.get("is_error") else kind
                text = str(payload.get("content", ""))
            case "begun":
                text = f"sandbox {payload.get('sandbox')}, process {payload.get('owner')}"
            case _:
                text = _json(payload)
        yield Line(step["at"], kind, text)


def _said(db: Connection, run_id: int) -> Iterator[Line]:
    for reply in history.replies(db, run_id):
        kind = "answer" if reply["source"] == "agent" else reply["source"]
        yield Line(reply["at"], kind if reply["is_final"] else "answering", reply["content"])


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
