"""How tasks and host jobs are shown in a terminal and as JSON. What they hold may be other
people's, so no line of it can pass for one of ours, and no terminal obeys it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from pynchy_cli import clock, locks
from pynchy_cli.config.paths import Home
from pynchy_cli.output import (
    in_words,
    print_json,
    print_line,
    print_lines,
    print_table,
    print_text,
    say,
    wants_json,
    width,
)
from pynchy_cli.scheduling.changing import STAGE, Changed
from pynchy_cli.tui.follow import not_running

SOON = 330 * 86_400.0
"""Seconds in which a date needs no year."""
HEADERS = ("id", "group", "schedule", "next", "what")
LOG_HEADERS = ("due", "result", "run", "seconds", "what came of it")
TEXTS = ("answer", "output")
"""What a firing left, as its log has it."""


def print_list(rows: Sequence[Mapping[str, Any]], as_json: bool) -> None:
    """Many of them: a table, or one JSON object a line."""
    if wants_json(as_json):
        print_lines(rows)
        return
    now = clock.now()
    has_groups = any("group" in one for one in rows)
    lines = [_headers(rows), *(_cells(one, now) for one in rows)]
    _print_table(lines, None if has_groups else HEADERS.index("group"))


def print_made(document: Mapping[str, Any], words: str, as_json: bool) -> None:
    """One that was made or changed, in words and with its next due times."""
    if wants_json(as_json):
        print_json(document)
        return
    if not document["next"]:
        print_text(f"{words} Nothing is due: it is {document['status']}.")
        return
    print_text(f"{words} It is due:")
    for time in document["next"]:
        print_text(f"  {time['local']}  ({time['utc']})")
    if document["status"] == "paused":
        print_text("But it is paused, and waits until it is resumed.")


def print_shown(
    document: Mapping[str, Any], log: Sequence[Mapping[str, Any]], as_json: bool
) -> None:
    """One of them, with what came of its last firings."""
    if wants_json(as_json):
        print_json({**document, "log": log})
        return
    for key, value in document.items():
        if key == "next":
            label = "next" if document["status"] == "active" else "next, once resumed"
            for time in value:
                print_text(f"{label}: {time['local']}  ({time['utc']})")
        else:
            _print_fact(key, value)
    if log:
        print_text("")
        print_log(log, as_json)
        for key in ("error", "reason", *TEXTS):
            if log[-1].get(key):
                _print_fact(f"last {key}", log[-1][key], marked=True)


def print_log(log: Sequence[Mapping[str, Any]], as_json: bool) -> None:
    """What came of firings: a table, or one JSON object a line."""
    if wants_json(as_json):
        print_lines(log)
        return
    has_runs = any("run" in one for one in log)
    lines = [LOG_HEADERS, *(_log_cells(one) for one in log)]
    _print_table(lines, None if has_runs else LOG_HEADERS.index("run"))


def print_changed(changed: Sequence[Changed], as_json: bool) -> None:
    """What happened to each of them."""
    for each in changed:
        if not wants_json(as_json):
            print_text(each.words)
            continue
        one = each.one
        due = one.next_run if one.status == "active" else None
        told = {"ok": True, "id": one.id, "status": one.status, "next_run": due}
        told |= {"run": each.run} if each.run is not None else {}
        print_line({**told, "message": each.words})


def tell_absent(home: Home) -> None:
    """Say so where nobody would fire anything."""
    if not locks.is_held(home.locks / f"{STAGE}.lock"):
        say(f"That waits: {not_running([STAGE])}.")


def _print_table(lines: Sequence[tuple[Any, ...]], without: int | None) -> None:
    """Print the headers and the rows, without one of the columns."""
    headers, *rows = [
        tuple(cell for at, cell in enumerate(line) if at != without) for line in lines
    ]
    print_table(headers, rows, width())


def _headers(rows: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """The headers, with the zone in which the times are shown."""
    due = {one["next_run"] for one in rows} - {None}
    zones = sorted({_here(moment).tzname() or "" for moment in due})
    return tuple(
        f"{name} ({'/'.join(zones)})" if name == "next" and zones else name for name in HEADERS
    )


def _cells(row: Mapping[str, Any], now: str) -> tuple[Any, ...]:
    what = f"{row['name']}: {row['summary']}" if row["name"] else row["summary"]
    schedule = str(row["schedule_value"])
    if row["schedule_type"] != "cron":
        schedule = "once" if row["schedule_type"] == "once" else f"every {_span(schedule)}"
    return (row["id"], _short(row.get("group", ""), 14), _short(schedule, 15), _due(row, now), what)


def _due(row: Mapping[str, Any], now: str) -> str:
    """When it is due next in this machine's time, or how it stands where it isn't."""
    if row["next_run"] is None:
        return str(row["status"])
    is_soon = clock.seconds_between(now, row["next_run"]) < SOON
    return _here(row["next_run"]).strftime("%m-%d %H:%M" if is_soon else "%Y-%m-%d")


def _here(moment: str) -> datetime:
    """A moment as this machine's clock shows it."""
    return clock.parse(moment).astimezone()


def _span(value: str) -> str:
    """So many seconds in the largest unit that has them whole."""
    seconds = int(value)
    for unit, size in (("d", 86_400), ("h", 3600), ("m", 60)):
        if seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def _log_cells(one: Mapping[str, Any]) -> tuple[Any, ...]:
    code = one.get("exit_code")
    result = f"{one['result']} ({code})" if code else one["result"]
    text = next((str(one[key]) for key in TEXTS if one.get(key)), "")
    came = one.get("error") or one["reason"] or " ".join(text[-500:].split()) or None
    if one["by_hand"]:
        came = f"by hand; {came}" if came else "by hand"
    return (one["due_local"], result, one.get("run"), one["seconds"], came)


def _print_fact(key: str, value: object, *, marked: bool = False) -> None:
    text = in_words(value)
    if not marked and "\n" not in text:
        print_text(f"{key}: {text}")
        return
    # Marked, so that none of it can pass for a line of ours.
    print_text("\n".join([f"{key}:", *(f"> {line}" for line in text.rstrip("\n").split("\n"))]))


def _short(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"
