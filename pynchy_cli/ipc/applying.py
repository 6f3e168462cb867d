"""How an effect that is rows comes into the file together with its answer: both, or neither."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from agent_runner.protocol import Answer, Error, write_answer
from pynchy_cli import clock
from pynchy_cli.errors import RequestRefused
from pynchy_cli.ipc.effects import Asked, Effect, Waits
from pynchy_cli.store import requests
from pynchy_cli.store.connection import Connection
from pynchy_cli.store.requests import Request as Row

BROKEN = Error("host_failed", "The host itself failed at this; its log says why.")


def outside(effects: Mapping[str, Effect[Any]]) -> tuple[str, ...]:
    """The types whose effects lie outside of the file."""
    return tuple(type for type, effect in effects.items() if effect.outside is not None)


def apply(
    db: Connection,
    asked: Asked[Any],
    effect: Effect[Any],
    prepared: Any,
    *,
    delivered: bool = False,
) -> Row:
    """Write an effect that is rows, and its answer; where it can't be done, the answer alone. The
    row as it is then."""
    assert effect.rows is not None, "an effect that is rows"
    db.execute("SAVEPOINT effect")
    try:
        result = effect.rows(db, asked, clock.now(), prepared)
    except RequestRefused as refusal:
        db.execute("ROLLBACK TO effect")
        db.execute("RELEASE effect")
        error = Error(refusal.code, str(refusal))
        return answered(db, asked.row, "failed", error, delivered=delivered)
    db.execute("RELEASE effect")
    if isinstance(result, Waits):
        requests.wait(db, asked.row.id)
        return again(db, asked.row)
    return answered(db, asked.row, "done", dict(result), delivered=delivered)


def answered(
    db: Connection,
    row: Row,
    state: str,
    said: Error | Mapping[str, Any],
    *,
    delivered: bool = False,
) -> Row:
    """Note how a request ended: with an error, or a result. The row as it is then."""
    answer = envelope(said)
    requests.answer(db, row.id, state, answer, clock.now(), delivered=delivered)
    return again(db, row)


def envelope(said: Error | Mapping[str, Any]) -> str:
    """An answer as it is stored."""
    if isinstance(said, Error):
        return write_answer(Answer(ok=False, error=said)).decode()
    return write_answer(Answer(ok=True, result=msgspec.to_builtins(dict(said)))).decode()


def again(db: Connection, row: Row) -> Row:
    """The row as it is now."""
    now = requests.get(db, row.id)
    assert now is not None, "a row of this transaction"
    return now
