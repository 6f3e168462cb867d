"""`pynchy status` on a fast path: it answers with the standard library alone, in less than
twice the time of a Python that only opens the database. It must work when everything is down,
and never writes."""

from __future__ import annotations

import os

from pynchy_cli import clock, output
from pynchy_cli.errors import EXIT_FAILED, DatabaseMissing, HomeUnusable, PynchyError
from pynchy_cli.store import status
from pynchy_cli.store.planned import is_failing

TYPE_CHECKING = False  # the module typing takes a tenth of the time of `status`
if TYPE_CHECKING:
    from typing import Any

CODES = {"healthy": 0, "degraded": 1, "down": 4}
WIDTH = 120
"""Columns of the table where the terminal doesn't tell; the JSON is never cut."""
SHORT = 40
"""Characters of a stage's trouble that are told within the table; a longer one stands whole below
it, since it ends with what to do."""
FAILING = 5
"""Tasks and host jobs that are named at most of those whose last firing failed."""
PLANNED = {"task": ("tasks", "tasks"), "job": ("host jobs", "host_jobs")}
"""What is due some time: the name of its line, and where the document has it."""


def answer(arguments: list[str]) -> int | None:
    """The exit code of `status [--json] [--home DIR]`, carried out; None for anything else."""
    home = os.environ.get("PYNCHY_HOME") or "~/pynchy"
    as_json, verbs = False, 0
    rest = iter(arguments)
    for argument in rest:
        if argument == "status":
            verbs += 1
        elif argument == "--json":
            as_json = True
        elif argument == "--home":
            home = next(rest, "")
        elif argument.startswith("--home="):
            home = argument.removeprefix("--home=")
        else:
            return None
    if verbs != 1 or not home:
        return None
    # Path would do the same, for a quarter of the whole command's time.
    return show(os.path.abspath(os.path.expanduser(home)), as_json)  # noqa: PTH100, PTH111


def show(home: str, as_json: bool) -> int:
    """Print how the home at this absolute path is; the exit code: 0, 1 or 4."""
    data = home + "/data"
    path = data + "/messages.db"
    try:
        told = status.read(path, data + "/run", clock.now())
    except PynchyError as error:
        told = status.empty(path)
        told["problem"] = _problem(error, home)
    try:
        if output.wants_json(as_json):
            output.print_json(told)
        else:
            print_table(told, home)
    except BrokenPipeError:
        output.hush()
    except OSError as error:
        output.say(f"pynchy: {error.strerror or error}.")
        output.hush()
        return EXIT_FAILED
    if told["problem"]:
        output.say(f"pynchy: {told['problem']['message']}")
    return CODES[told["service"]["status"]]


def _problem(error: PynchyError, home: str) -> dict[str, str]:
    """What is wrong, in a sentence; a home that can't be used is told from one not yet made."""
    message = str(error)
    if isinstance(error, DatabaseMissing):
        from pynchy_cli.config.home import open_home

        message = f"There is nothing in {home} yet. `pynchy init` makes a home there."
        try:
            open_home(home, {})
        except HomeUnusable as unusable:
            error, message = unusable, str(unusable)
    return {"code": error.name, "message": message}


def print_table(told: dict[str, Any], home: str) -> None:
    """Print the document for a person: the stages as a table, a line for each other thing."""
    service = told["service"]
    since = f", up {_span(service['uptime_seconds'])}" if service["started_at"] else ""
    output.print_text(f"pynchy in {home} is {service['status']}{since}.")
    if told["problem"]:
        return
    if told["stages"]:
        output.print_text("")
        output.print_table(
            ("stage", "runs", "pid", "for", "tells"),
            [(name, *_row(stage)) for name, stage in told["stages"].items()],
            output.width() or WIDTH,
        )
    output.print_text("")
    for name, stage in told["stages"].items():
        if _is_long(stage["error"]):
            output.print_text(f"{'trouble':<10} {name}: {stage['error']}")
    for name, text in _lines(told):
        output.print_text(f"{name:<10} {text}")
    for run in told["failures"]["runs"]:
        output.print_text(
            f"given up   run:{run['id']} of {run['group']}, "
            f"{run['attempts']} attempts: {run['error']}"
        )
    for row in told["failures"]["rows"]:
        output.print_text(
            f"{row['state'].replace('_', ' '):<10} {row['subject']} by {row['stage']}, "
            f"{row['attempts']} attempts: {row['error']}"
        )
    for noun, one in _failing(told):
        what = one["last_result"].rstrip(".")
        more = f"`pynchy {noun}s log {one['id']}` tells more"
        output.print_text(f"{'failing':<10} {one['id']}, last {what}; {more}")
    if not told["stages"]:
        output.print_text("\nNothing runs. `pynchy up` starts all stages.")


def _row(stage: dict[str, Any]) -> tuple[object, ...]:
    runs = "no" if not stage["running"] else "yes"
    if stage["processes"] > 1:
        runs = f"{stage['processes']} x"
    lived = None
    if stage["since"]:
        lived = _span(max(0, int(clock.seconds_between(stage["since"], clock.now()))))
    tells = "see below" if _is_long(stage["error"]) else stage["error"] or stage["report"] or ""
    return runs, stage["pid"], lived, tells


def _is_long(error: str | None) -> bool:
    return error is not None and len(error) > SHORT


def _lines(told: dict[str, Any]) -> list[tuple[str, str]]:
    messages, queue, groups = told["messages"], told["queue"], told["groups"]
    gateway, sandbox, database = told["gateway"], told["sandbox"], told["database"]
    at_work = sum(one["active"] for one in queue["per_group"].values())
    mode = gateway["mode"] or "not running"
    lines = [
        (
            "messages",
            f"{messages['total_inbound']} in, {messages['total_outbound']} out, "
            f"{messages['pending_deliveries']} to be delivered",
        ),
        (
            "agents",
            f"{at_work} at work of {queue['max_concurrent'] or '-'} at most, "
            f"{_count(queue['active_containers'], 'sandbox', 'sandboxes')}, "
            f"{_count(queue['groups_waiting'], 'group', 'groups')} waiting",
        ),
        (
            "groups",
            f"{groups['total']}, with "
            f"{_count(groups['active_sessions'], 'conversation', 'conversations')}",
        ),
        ("gateway", "rehearsal: a script answers, no model" if mode == "rehearsal" else mode),
        ("sandbox", " - ".join(filter(None, (sandbox["runtime"] or "-", sandbox["warning"])))),
        (
            "database",
            f"{database['path']}, schema {database['schema']}, {database['size'] // 1024} KiB",
        ),
    ]
    lines += _planned(told)
    approvals, questions = told["approvals"], told["questions"]
    if approvals["pending"]:
        waited = _span(
            max(0, int(clock.seconds_between(approvals["oldest_asked_at"], clock.now())))
        )
        lines.append(
            (
                "approvals",
                f"{approvals['pending']} to be decided, the oldest for {waited}; "
                "`pynchy approvals list` shows them",
            )
        )
    if questions["pending"]:
        count = _count(questions["pending"], "question", "questions")
        lines.append(("questions", f"{count} of agents to be answered in the chats"))
    lines += _undelivered(messages)
    failures = told["failures"]
    if failures["set_aside"]:
        count = failures["set_aside"]
        lines.append(("set aside", f"{count}; `pynchy retry SUBJECT` brings one back"))
    if failures["given_up"]:
        lines.append(("given up", f"{failures['given_up']}; `pynchy retry SUBJECT` asks once more"))
    return lines


def _undelivered(messages: dict[str, Any]) -> list[tuple[str, str]]:
    """A line about replies that a person should look at, where there are any."""
    told = []
    if messages["dead_deliveries"]:
        told.append(f"{messages['dead_deliveries']} that never got to their chats")
    if messages["held_deliveries"]:
        told.append(f"{messages['held_deliveries']} of which nobody knows whether they got there")
    return [("replies", f"{', '.join(told)}; `pynchy outbox list` shows them")] if told else []


def _planned(told: dict[str, Any]) -> list[tuple[str, str]]:
    """Lines about tasks and host jobs, where there are any."""
    lines = [(name, _due(told[key])) for name, key in PLANNED.values() if told[key]]
    stage = told["stages"].get("schedule", {"running": False})
    if lines and told["stages"] and not stage["running"]:
        lines.append(("schedule", "Nothing fires: `schedule` doesn't run. `pynchy up` starts it."))
    return lines


def _due(planned: list[dict[str, Any]]) -> str:
    """How many are active, and which is due next."""
    active = [one for one in planned if one["status"] == "active"]
    text = f"{len(active)} active, {len(planned) - len(active)} paused"
    coming = [one for one in active if one["next_run"]]
    if not coming:
        return text
    first = min(coming, key=lambda one: one["next_run"])
    seconds = int(clock.seconds_between(clock.now(), first["next_run"]))
    when = f"in {_span(seconds)}" if seconds >= 0 else f"due for {_span(-seconds)}"
    return f"{text}; next is {first['id']}, {when}"


def _failing(told: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Tasks and host jobs whose last firing failed, the latest first."""
    found = [
        (noun, one) for noun, (_, key) in PLANNED.items() for one in told[key] if is_failing(one)
    ]
    return sorted(found, key=lambda each: each[1]["last_run"], reverse=True)[:FAILING]


def _count(number: int, one: str, more: str) -> str:
    return f"{number} {one if number == 1 else more}"


def _span(seconds: int) -> str:
    """A time span in words, its two largest parts."""
    parts: list[str] = []
    for size, word in ((86400, "d"), (3600, "h"), (60, "min"), (1, "s")):
        count, seconds = divmod(seconds, size)
        if count or (word == "s" and not parts):
            parts.append(f"{count} {word}")
    return " ".join(parts[:2])
