"""The document of `pynchy status` for a person: what is wrong first, each with the command that
shows more; then the stages as a table, and a line for each other thing. It loads the standard
library alone."""

from __future__ import annotations

from pynchy_cli import clock, output
from pynchy_cli.store.troubles import size

TYPE_CHECKING = False  # the module typing takes a tenth of the time of `status`
if TYPE_CHECKING:
    from typing import Any

WIDTH = 120
"""Columns of the table where the terminal doesn't tell; the JSON is never cut."""
MARGIN = 11
"""Columns before what is told of a trouble."""
SHORT = 40
"""Characters of a stage's trouble that are told within the table; a longer one stands whole above
it, since it ends with what to do."""
PLANNED = (("tasks", "tasks", "task_counts"), ("host jobs", "host_jobs", "host_job_counts"))
"""What is due some time: the name of its line, and where the document has it."""


def print_table(told: dict[str, Any], home: str, now: str | None = None) -> None:
    """Print the document for a person."""
    for line in lines(told, home, now or clock.now()):
        output.print_text(line)


def lines(told: dict[str, Any], home: str, now: str) -> list[str]:
    """The document as lines of text, none of them cut but the table's."""
    service = told["service"]
    since = f", up {clock.in_words(service['uptime_seconds'])}" if service["started_at"] else ""
    found = [f"pynchy in {home} is {service['status']}{since}."]
    width = output.width()
    if told["troubles"]:
        told_of = [output.folded(_trouble(one), MARGIN, width) for one in told["troubles"]]
        found += ["", *told_of]
    if told["problem"]:
        return [*found, *_supervisor(told, now)]
    if told["stages"]:
        rows = [(name, *_row(told, name, now)) for name in told["stages"]]
        headers = ("stage", "runs", "pid", "for", "waits", "restarts", "tells")
        found += ["", *output.table(headers, rows, output.width() or WIDTH)]
    found.append("")
    facts = (f"{name:<{MARGIN - 1}} {text}" for name, text in _facts(told, now))
    return [*found, *(output.folded(one, MARGIN, width) for one in facts)]


def _trouble(one: dict[str, Any]) -> str:
    message, command = one["message"].rstrip("."), f"`{one['command']}`"
    joint = " " if message.endswith("?") else "; "
    more = "" if command in message else joint + command
    return f"{one['level']:<{MARGIN - 1}} {message}{more}"


def _row(told: dict[str, Any], name: str, now: str) -> tuple[object, ...]:
    stage = told["stages"][name]
    runs = "yes" if stage["running"] else "no"
    if stage["processes"] > 1:
        runs = f"{stage['processes']} x"
    lived = _ago(stage["since"], now)
    error = stage["error"]
    short = "see above" if error and len(error) > SHORT else error
    tells = short or stage["report"] or ("" if stage["running"] else stage["state"])
    return runs, stage["pid"], lived, _waits(told["backlog"].get(name)), stage["restarts"], tells


def _waits(backlog: dict[str, Any] | None) -> str | None:
    """How much is due, and since when the oldest waits."""
    if not backlog or not backlog["count"]:
        return None
    seconds = backlog["oldest_seconds"]
    return str(backlog["count"]) + (f", {clock.in_words(seconds)}" if seconds is not None else "")


def _facts(told: dict[str, Any], now: str) -> list[tuple[str, str]]:
    messages, queue, groups = told["messages"], told["queue"], told["groups"]
    gateway, sandbox, failures = told["gateway"], told["sandbox"], told["failures"]
    at_work = sum(one["active"] for one in queue["per_group"].values())
    mode = gateway["mode"] or "not running"
    found = [
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
        ("database", _database(told)),
        ("disk", _disk(told["disk"])),
        ("versions", ", ".join(f"{name} {value}" for name, value in told["versions"].items())),
    ]
    found += [
        (name, _due(told[key], told[counts], now))
        for name, key, counts in PLANNED
        if told[counts]["total"]
    ]
    if failures["set_aside"] + failures["retrying"]:
        text = f"{failures['set_aside']} set aside, {failures['retrying']} to be tried again"
        found.append(("failures", text))
    if told["requests"]["failed"] + told["requests"]["unreadable"]:
        requests = told["requests"]
        text = f"{requests['total']} of agents, {requests['failed']} failed, "
        found.append(("requests", f"{text}{requests['unreadable']} unreadable"))
    checks = [
        f"{name} {one['state']}" + (f" {_ago(one['at'], now)} ago" if one["at"] else "")
        for name, one in told["findings"].items()
    ]
    return [*found, ("checks", ", ".join(checks))] if checks else found


def _database(told: dict[str, Any]) -> str:
    database = told["database"]
    used = (database["size"] + database["wal_size"]) // 1024
    return f"{database['path']}, schema {database['schema']}, {used} KiB"


def _disk(disk: dict[str, Any]) -> str:
    if disk["free"] is None:
        return f"{disk['path']}, of which nothing is known"
    return f"{size(disk['free'])} free of {size(disk['total'])}"


def _supervisor(told: dict[str, Any], now: str) -> list[str]:
    """What is known of the supervisor where the file tells nothing."""
    one = told["supervisor"]
    if not one["running"]:
        return []
    pid = f" as process {one['pid']}" if one["pid"] else ""
    return ["", f"`pynchy up` runs all the same{pid}."]


def _due(planned: list[dict[str, Any]], counts: dict[str, int], now: str) -> str:
    """How many are active, and which is due next."""
    text = f"{counts['active']} active, {counts['paused']} paused"
    coming = [one for one in planned if one["next_run"]]
    if not coming:
        return text
    first = min(coming, key=lambda one: one["next_run"])
    until, late = clock.age(now, first["next_run"]), _ago(first["next_run"], now)
    when = f"in {clock.in_words(until)}" if until else f"due for {late}"
    return f"{text}; next is {first['id']}, {when}"


def _ago(since: str | None, now: str) -> str | None:
    seconds = clock.age(since, now)
    return None if seconds is None else clock.in_words(seconds)


def _count(number: int, one: str, more: str) -> str:
    return f"{number} {one if number == 1 else more}"
