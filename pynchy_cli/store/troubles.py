"""What a person should see to, drawn from the document that `pynchy status` tells: what is wrong,
and so degrades the whole, then what is only to be known. It reads nothing itself."""

from __future__ import annotations

from collections.abc import Iterator

from pynchy_cli import clock
from pynchy_cli.store.running import Document

NAMED = 5
"""So many of one kind are named at most; the others are counted."""
OFTEN = 5
"""Restarts of a stage in a day that are worth a word."""
SHOWS = {
    "config": "pynchy config check",
    "integrity": "pynchy db check",
    "git": "pynchy doctor",
    "engine": "pynchy doctor",
    "doctor": "pynchy doctor",
    "prune": "pynchy prune",
}
"""Check -> the command that shows more of what it found; the log does of any other."""
LOGS = "pynchy logs"


def troubles(told: Document) -> list[Document]:
    """What is wrong, the gravest first, and then the warnings. `command` shows more, or helps."""
    return [*_wrong(told), *_warnings(told)]


def _wrong(told: Document) -> Iterator[Document]:
    yield from _stages(told)
    if told["configuration"]["state"] == "failed":
        text = told["configuration"]["message"] or "The configuration can't be used."
        yield _trouble("wrong", "configuration", text, SHOWS["config"])
    disk = told["disk"]
    if disk["low"]:
        text = f"{size(disk['free'])} are free on the disk of {disk['path']}: no agent starts."
        yield _trouble("wrong", "disk", text, f"df -h {disk['path']}")
    yield from _findings(told, "failed", "wrong")
    yield from _failures(told, "set_aside", "wrong", "was set aside")
    messages = told["messages"]
    for name, what in (
        ("dead_deliveries", "never got to their chats"),
        ("held_deliveries", "may or may not have got to their chats"),
    ):
        if messages[name]:
            text = f"{_count(messages[name], 'reply', 'replies')} {what}."
            yield _trouble("wrong", "deliveries", text, "pynchy outbox list")


def _stages(told: Document) -> Iterator[Document]:
    helps = LOGS if told["supervisor"]["running"] else "pynchy up"
    for name, stage in told["stages"].items():
        about = f"stage:{name}"
        if not stage["running"]:
            text = _joined(f"{name} doesn't run.", stage["error"])
            yield _trouble("wrong", about, text, helps)
        elif stage["error"]:
            yield _trouble("wrong", about, f"{name}: {stage['error']}", LOGS)
        elif stage["state"] == "disconnected":
            yield _trouble("wrong", about, f"{name} isn't connected.", LOGS)
    if not any(stage["running"] for stage in told["stages"].values()):
        yield _trouble("wrong", "service", "Nothing runs.", helps)


def _warnings(told: Document) -> Iterator[Document]:
    if told["database"]["stale"]:
        text = "Nothing can be written beside the database: what was said last may be missing here."
        yield _trouble("warning", "database", text, f"ls -l {told['database']['path']}*")
    yield from _holds(told)
    yield from _findings(told, "warning", "warning")
    yield from _restarts(told)
    yield from _failures(told, "retrying", "warning", "is tried again")
    for run in told["failures"]["runs_again"]:
        name, count = f"run:{run['id']}", _count(run["attempts"], "attempt", "attempts")
        text = f"{name} of {run['group']} isn't done after {count}: {run['error']}"
        yield _trouble("warning", name, text, f"pynchy why {name}")
    for run in told["failures"]["runs"]:
        text = f"run:{run['id']} of {run['group']} failed for good: {run['error']}"
        yield _trouble("warning", f"run:{run['id']}", text, f"pynchy why run:{run['id']}")
    if more := told["failures"]["given_up"] - len(told["failures"]["runs"]):
        text = f"{_count(more, 'more run', 'more runs')} failed for good."
        yield _trouble("warning", "runs", text, "pynchy runs list")
    yield from _planned(told)
    yield from _people(told)


def _holds(told: Document) -> Iterator[Document]:
    for hold in told["holds"][:NAMED]:
        group = hold["group"]
        who = "All groups are" if group is None else f"{group} is"
        what = "held, and what goes out," if hold["outbound"] else "held"
        text = f"{who} {what} by {hold['held_by']}" + _after(hold["reason"])
        command = f"pynchy release {group or '--all'}"
        yield _trouble("warning", f"hold:{group or ''}", text, command)
    if (more := told["hold_count"] - NAMED) > 0:
        text = f"{_count(more, 'more group is', 'more groups are')} held."
        yield _trouble("warning", "holds", text, "pynchy groups list")


def _findings(told: Document, state: str, level: str) -> Iterator[Document]:
    for name, found in told["findings"].items():
        if found["state"] == state and name != "config":
            text = f"The check `{name}`" + (_after(found["message"]) if found["message"] else ".")
            yield _trouble(level, f"finding:{name}", text, SHOWS.get(name, LOGS))


def _restarts(told: Document) -> Iterator[Document]:
    for name, stage in told["stages"].items():
        if stage["restarts"] >= OFTEN:
            text = f"{name} died or failed {stage['restarts']} times in a day."
            yield _trouble("warning", f"stage:{name}", text, LOGS)
        if stage["running"] and stage["version"] != told["versions"]["pynchy"]:
            text = f"{name} runs version {stage['version']}, not {told['versions']['pynchy']}."
            yield _trouble("warning", f"stage:{name}", text, "pynchy --version")


def _failures(told: Document, state: str, level: str, what: str) -> Iterator[Document]:
    rows = [row for row in told["failures"]["rows"] if row["state"] == state]
    for row in rows[:NAMED]:
        text = f"{row['subject']} {what} by {row['stage']}, {row['attempts']} attempts"
        command = f"pynchy retry {row['subject']}"
        yield _trouble(level, row["subject"], text + _after(row["error"]), command)
    if (more := told["failures"][state] - len(rows[:NAMED])) > 0:
        yield _trouble(level, "failures", f"{more} more {what}.", "pynchy status --json")


def _planned(told: Document) -> Iterator[Document]:
    failing = [
        (one["last_run"] or "", noun, one)
        for noun, key in (("task", "tasks"), ("job", "host_jobs"))
        for one in told[key]
        if one["failing"]
    ]
    failing.sort(key=lambda each: each[0], reverse=True)
    for _, noun, one in failing[:NAMED]:
        text = f"{one['id']}, last {one['last_result'] or 'failed'}"
        about = f"{noun}:{one['id']}"
        yield _trouble("warning", about, text, f"pynchy why {about}")
    counts = told["task_counts"], told["host_job_counts"]
    if (more := sum(one["failing"] for one in counts) - len(failing[:NAMED])) > 0:
        text = f"{more} more tasks and host jobs failed when they were last due."
        yield _trouble("warning", "tasks", text, "pynchy tasks list")
    if sum(one["active"] for one in counts) and told["stages"] and "schedule" not in told["stages"]:
        text = "Nothing fires: `schedule` doesn't run."
        yield _trouble("warning", "stage:schedule", text, "pynchy up")


def _people(told: Document) -> Iterator[Document]:
    for name, one, more in (
        ("approvals", "request waits for a yes or no", "requests wait for a yes or no"),
        ("questions", "question of agents waits", "questions of agents wait"),
    ):
        if count := told[name]["pending"]:
            seconds = told[name]["oldest_seconds"]
            since = "" if seconds is None else f", the oldest for {clock.in_words(seconds)}"
            text = f"{_count(count, one, more)}{since}."
            yield _trouble("warning", name, text, "pynchy approvals list")


def _trouble(level: str, about: str, message: str, command: str) -> Document:
    return {"level": level, "about": about, "message": message, "command": command}


def _joined(text: str, more: object) -> str:
    return text if more is None else f"{text} {more}"


def _after(more: object) -> str:
    return "." if more is None else f": {more}"


def _count(number: int, one: str, more: str) -> str:
    return f"{number} {one if number == 1 else more}"


def size(number: int) -> str:
    """An amount of bytes on a disk, in words."""
    return f"{number / 1024**3:.1f} GiB" if number >= 1024**3 else f"{number // 1024**2} MiB"
