"""The status document as Prometheus reads it. A number that isn't known is left out; it is never
made up."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

FORMAT = "text/plain; version=0.0.4; charset=utf-8"
Told = Mapping[str, Any]
Samples = list[tuple[dict[str, str], Any]]
NUMBERS = (
    ("uptime_seconds", "gauge", "Since the oldest process began.", "service", "uptime_seconds"),
    ("messages_inbound_total", "counter", "Messages that came.", "messages", "total_inbound"),
    ("messages_outbound_total", "counter", "Replies that got there.", "messages", "total_outbound"),
    ("agents_active", "gauge", "Sandboxes with an agent at work.", "queue", "active_containers"),
    ("agents_limit", "gauge", "How many of these there may be.", "queue", "max_concurrent"),
    ("groups_waiting", "gauge", "Groups whose run waits.", "queue", "groups_waiting"),
    ("groups", "gauge", "Groups that there are.", "groups", "total"),
    ("sessions_active", "gauge", "Conversations that go on.", "groups", "active_sessions"),
    ("approvals_pending", "gauge", "What waits for a person's yes.", "approvals", "pending"),
    ("questions_pending", "gauge", "What waits for a person's answer.", "questions", "pending"),
    ("database_bytes", "gauge", "The database without its WAL.", "database", "size"),
    ("database_wal_bytes", "gauge", "The database's WAL.", "database", "wal_size"),
    ("disk_free_bytes", "gauge", "Room on the home's disk.", "disk", "free"),
)
"""Name, type, help, and where the document has the one number."""
EACH = (
    ("stage_up", "1 where the stage runs.", "stage", "stages", "running"),
    ("stage_processes", "Its processes.", "stage", "stages", "processes"),
    ("stage_restarts", "Its processes that failed in a day.", "stage", "stages", "restarts"),
    ("backlog", "What waits for the stage.", "stage", "backlog", "count"),
    ("backlog_oldest_seconds", "How long it has.", "stage", "backlog", "oldest_seconds"),
)
"""Name, help, label, and where the document has an object for each of these with the number."""
STATES = (
    ("deliveries", "Replies that are not in their chats.", "messages", "{}_deliveries"),
    ("failures", "What could not be done.", "failures", "{}"),
    ("requests", "What agents have asked, as far as it is kept.", "requests", "{}"),
)
"""Name, help, and where the document has a number for each of some states."""
NAMES = {
    "deliveries": ("pending", "unknown", "held", "dead"),
    "failures": ("set_aside", "retrying", "given_up"),
    "requests": ("total", "refused", "failed", "unreadable", "waiting"),
}
"""These states."""


def metrics(told: Told) -> str:
    """The document as text: for each metric what it is, its type, and its samples."""
    lines: list[str] = []
    for name, kind, help, samples in _all(told):
        known = [(labels, number) for labels, value in samples if (number := _number(value))]
        if known:
            lines += [f"# HELP pynchy_{name} {help}", f"# TYPE pynchy_{name} {kind}"]
            lines += [f"pynchy_{name}{_labelled(labels)} {number}" for labels, number in known]
    return "\n".join(lines) + "\n"


def _all(told: Told) -> Iterator[tuple[str, str, str, Samples]]:
    state = told["service"]["status"]
    states: Samples = [({"state": one}, state == one) for one in ("healthy", "degraded", "down")]
    yield "state", "gauge", "1 for the state in which all is.", states
    for name, kind, help, part, key in NUMBERS:
        yield name, kind, help, [({}, _part(told, part).get(key))]
    for name, help, label, part, key in EACH:
        each = _part(told, part).items()
        yield name, "gauge", help, [({label: one}, facts.get(key)) for one, facts in each]
    channels = _part(told, "channels").items()
    connected: Samples = [({"channel": name}, bool(there)) for name, there in channels]
    yield "channel_connected", "gauge", "1 where a channel has its connection.", connected
    for name, help, part, key in STATES:
        of = _part(told, part)
        yield name, "gauge", help, [({"state": it}, of.get(key.format(it))) for it in NAMES[name]]
    yield "holds", "gauge", "Holds that are in force.", [({}, told.get("hold_count"))]


def _part(told: Told, name: str) -> Told:
    part: Told = told.get(name) or {}
    return part


def _number(value: Any) -> str | None:
    if isinstance(value, bool):
        return str(int(value))
    return repr(value) if isinstance(value, int | float) else None


def _labelled(labels: Mapping[str, str]) -> str:
    if not labels:
        return ""
    pairs = (f'{name}="{_escaped(value)}"' for name, value in labels.items())
    return "{" + ",".join(pairs) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
