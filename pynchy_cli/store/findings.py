"""The last result of each check, with its time: whether the file is whole, how the checkout and the
container engine are, what a new configuration was found to be. Whoever tells how everything is
reads it here, and makes none of these checks itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pynchy_cli.store.connection import Connection

State = Literal["ok", "warning", "failed"]


@dataclass(frozen=True)
class Finding:
    """One check's last result: `result` is a JSON object, with `message` where people are to be
    told something; `at` is when it was made."""

    name: str
    state: State
    result: dict[str, Any]
    at: str


def note(db: Connection, name: str, state: State, result: Mapping[str, Any], now: str) -> None:
    """Note the result of a check, in place of its last one."""
    db.execute(
        "INSERT INTO findings(name, state, result, at) VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE"
        " SET state = excluded.state, result = excluded.result, at = excluded.at",
        (name, state, json.dumps(result, ensure_ascii=False), now),
    )


def get(db: Connection, name: str) -> Finding | None:
    """The last result of a check; None where it was never made."""
    row = db.execute("SELECT * FROM findings WHERE name = ?", (name,)).fetchone()
    return _finding(tuple(row)) if row else None


def all(db: Connection) -> list[Finding]:
    """The last results of all checks that were ever made, by name."""
    rows = db.execute("SELECT * FROM findings ORDER BY name")
    return [_finding(tuple(row)) for row in rows]


def _finding(row: tuple[str, State, str, str]) -> Finding:
    name, state, result, at = row
    return Finding(name, state, json.loads(result), at)
