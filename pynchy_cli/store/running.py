"""What runs, as the rows of `processes` and their locks tell: stages, channels, the gateway's
mode, the sandbox's runtime. Configuration isn't read: each process noted what is in force."""

from __future__ import annotations

import os
import sqlite3

from pynchy_cli import clock

TYPE_CHECKING = False  # the module typing takes a tenth of the time of `status`
if TYPE_CHECKING:
    from typing import Any

    Document = dict[str, Any]
else:
    Document = dict


_STOPPED: Document = {
    "running": False,
    "pid": None,
    "since": None,
    "state": "stopped",
    "report": None,
    "error": None,
    "error_at": None,
    "restarts": 0,
    "processes": 0,
    "version": None,
}
DAY = 86_400.0
KILLED = "It ended without a word (killed?)."


def processes(db: sqlite3.Connection, lock_folder: str) -> list[Document]:
    """The rows that no end was noted for; whether one runs, its lock says. `settings` is JSON."""
    rows = db.execute(
        "SELECT id, stage, pid, lock, version, settings, started_at, report, error, error_at,"
        " connected "
        "FROM processes WHERE ended_at IS NULL ORDER BY id"
    )
    names = [column[0] for column in rows.description]
    found = [dict(zip(names, row, strict=True)) for row in rows]
    for row in found:
        row["running"] = is_held(os.path.join(lock_folder, row["lock"]))  # noqa: PTH118
        row["facts"] = as_object(db, row["report"])
    return found


def is_held(lock: str) -> bool:
    """Whether somebody holds the lock. Where we aren't even let to ask, it is another's."""
    if not os.path.exists(lock):  # noqa: PTH110
        return False
    from pynchy_cli import locks  # only where there is one

    try:
        return locks.is_held(lock)
    except OSError:
        return True


def stages(rows: list[Document], settings: Document) -> Document:
    """Stage -> what is known of it: those that should run, and those that do or died."""
    stages: Document = {name: {**_STOPPED} for name in _wanted(settings)}
    for row in sorted(rows, key=lambda row: (row["running"], row["id"])):
        before = stages.get(row["stage"], {"processes": 0})
        stages[row["stage"]] = {
            "running": row["running"],
            "pid": row["pid"] if row["running"] else None,
            "since": row["started_at"] if row["running"] else None,
            "state": _state(row),
            "report": None if row["facts"] else row["report"],
            "error": row["error"] or (None if row["running"] else KILLED),
            "error_at": row["error_at"],
            "restarts": 0,
            "processes": before["processes"] + row["running"],
            "version": row["version"],
        }
    return stages


def _state(row: Document) -> str:
    """Of a stage whose row wasn't ended: `running`; `failing` while its last attempt at its work
    failed; `disconnected` without its channel's connection; `died` where nobody lives."""
    if not row["running"]:
        return "died"
    if row["error"]:
        return "failing"
    return "disconnected" if row["connected"] == 0 else "running"


def add_restarts(db: sqlite3.Connection, stages: Document, now: str) -> None:
    """Tell of each stage how many of its processes died or ended with an error in a day."""
    rows = db.execute(
        "SELECT stage, count(*) FROM processes WHERE ended_at > ?"
        " AND (died = 1 OR error IS NOT NULL) GROUP BY +stage",
        (clock.after(now, -DAY),),
    )
    for name, count in rows:
        if name in stages:
            stages[name]["restarts"] = count


def _wanted(settings: Document) -> list[str]:
    """The stages that should run; for `listen` one for each channel that is configured, and
    `backup` where backups go to a folder."""
    wanted: list[str] = []
    for name in settings.get("supervise", {}).get("stages", []):
        if name == "backup" and not settings.get("backup", {}).get("folder"):
            continue
        wanted += [f"listen@{one}" for one in _networks(settings)] if name == "listen" else [name]
    return wanted


def _networks(settings: Document) -> list[str]:
    """The channels that are configured, called as in `config.channels`."""
    return [
        kind if name == "main" else f"{kind}.{name}"
        for kind, named in settings.get("channels", {}).items()
        for name, rules in named.items()
        if rules.get("enabled")
    ]


def add_last_words(db: sqlite3.Connection, stages: Document) -> None:
    """Tell of the stages that should run, and don't, why each ended last."""
    for name, stage in stages.items():
        if stage["running"] or stage["error"]:
            continue
        last = db.execute(
            "SELECT error, error_at, died FROM processes WHERE stage = ? ORDER BY id DESC LIMIT 1",
            (name,),
        ).fetchone()
        stage |= _last_words(*last) if last else {}


def add_broken(db: sqlite3.Connection, stages: Document) -> None:
    """Where nothing runs, nobody knows what should: tell of the stages that ended with an error."""
    rows = db.execute(
        "SELECT stage, error, error_at, died FROM processes WHERE error IS NOT NULL"
        " AND id IN (SELECT max(id) FROM processes GROUP BY stage)"
    )
    for name, *last in rows:
        stages.setdefault(name, {**_STOPPED, **_last_words(*last)})


def _last_words(error: str | None, error_at: str | None, died: int) -> Document:
    state = "died" if died else ("failed" if error else "stopped")
    return {"state": state, "error": error or (KILLED if died else None), "error_at": error_at}


# From one channel to the next along the index, past the chats of each.
_CHANNELS = """
WITH RECURSIVE seen(one) AS (
  SELECT min(channel) FROM chats
  UNION ALL SELECT (SELECT min(channel) FROM chats WHERE channel > one) FROM seen
  WHERE one IS NOT NULL)
SELECT one FROM seen WHERE one IS NOT NULL
"""


def channels(db: sqlite3.Connection, alive: list[Document], settings: Document) -> dict[str, bool]:
    """Channel -> connected. The local channel is the file itself."""
    held = {
        row["stage"].partition("@")[2]: row["connected"] != 0
        for row in alive
        if row["stage"].startswith("listen@")
    }
    seen = {row[0] for row in db.execute(_CHANNELS)}
    known = sorted(seen | held.keys() | set(_networks(settings)))
    return {name: name == "local" or held.get(name, False) for name in known}


def gateway_mode(alive: list[Document], settings: Document) -> str | None:
    """What answers the agents: `anthropic` or `rehearsal`; None while nothing runs."""
    for row in alive:
        if "mode" in row["facts"]:
            return str(row["facts"]["mode"])
    mode: str | None = settings.get("gateway", {}).get("mode")
    if mode != "auto":
        return mode
    return "anthropic" if any(settings.get("secrets", {}).values()) else "rehearsal"


def max_concurrent(alive: list[Document], settings: Document) -> int | None:
    """Runs at the same time, at most; None while nothing runs."""
    told = [row["facts"]["max_concurrent"] for row in alive if "max_concurrent" in row["facts"]]
    limit: int | None = settings.get("queue", {}).get("max_concurrent")
    return int(told[-1]) if told else limit


def sandbox(alive: list[Document], settings: Document) -> Document:
    """The runtime in use and the protections that it can't give here, as run-agent tells."""
    told: Document = next(
        (row["facts"] for row in reversed(alive) if "runtime" in row["facts"]), {}
    )
    runtime = told.get("runtime") or settings.get("sandbox", {}).get("runtime")
    missing = [str(one) for one in told.get("missing", [])]
    warning = f"Not to be had here: {', '.join(missing)}." if missing else None
    if told.get("isolated") is False:
        warning = "Agents are plain processes of this machine: nothing keeps them in."
    return {"runtime": runtime, "missing": missing, "warning": warning}


def as_object(db: sqlite3.Connection, text: str | None) -> Document:
    """A JSON object, or nothing where the text is none. SQLite reads it, since it is there already:
    to load `json` would take a third of the time of `status`."""
    if not text or not text.startswith("{"):
        return {}
    found: dict[int, Any] = {}
    try:
        rows = db.execute("SELECT id, parent, key, type, atom FROM json_tree(?)", (text,))
        for id, parent, key, kind, atom in rows:
            value = _VALUES.get(kind, atom)
            found[id] = value = value() if callable(value) else value
            if isinstance(found.get(parent), dict):
                found[parent][key] = value
            elif parent is not None:
                found[parent].append(value)
    except sqlite3.Error:  # no JSON
        return {}
    return next(iter(found.values()))


_VALUES: Document = {"object": dict, "array": list, "true": True, "false": False}
