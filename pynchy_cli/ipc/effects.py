"""What a handler is: how one type of request is carried out. Its effect is rows, written in the
request's own transaction; or rows after some preparation that may be repeated; or something outside
of the file, which is begun once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import msgspec

from agent_runner.protocol import Answer
from pynchy_cli.context import Context
from pynchy_cli.model import Group
from pynchy_cli.store.connection import Connection
from pynchy_cli.store.requests import Request as Row

R = TypeVar("R", bound=msgspec.Struct)


@dataclass(frozen=True)
class Asked(Generic[R]):
    """A request to be carried out: what it says, its row, and the group that asks, as it is now."""

    request: R
    row: Row
    group: Group
    context: Context


class Waits:
    """What an effect gives where the answer comes later: its row is `waiting` then."""


WAITS = Waits()

Result = Mapping[str, Any] | Waits
"""What the agent is told: an object. Where something can't be done, RequestRefused is raised
instead, and nothing of it is written."""


@dataclass(frozen=True)
class Effect(Generic[R]):
    """How a type of request is carried out: `rows` alone, `prepare` and then `rows`, or `outside`.

    `check`, before it is decided whether a person must approve it, raises RequestRefused for what
    can't be done anyway; it only reads. `needs_preparation` tells of one request whether it does,
    and `may_repeat` whether that one may be begun again; without them all are alike.

    `rows(db, asked, now, prepared)` writes to the open transaction and must not wait. `prepare`
    may be repeated, and leaves nothing that would do harm. `outside` is begun once, unless
    `is_idempotent`; it ends within `patience` seconds, or it is cancelled and has failed.
    `pins` is the type of what `prepare` gives, where that is kept while a person is asked, so that
    what is done is what was shown; `pinned` tells of it in words.
    `summary` is all of what would be done, for a person who is to approve it; `said` what the
    request's chat is told when it has ended, if anything.
    """

    check: Callable[[Asked[R]], None] = lambda asked: None
    rows: Callable[[Connection, Asked[R], str, Any], Result] | None = None
    prepare: Callable[[Asked[R]], Awaitable[Any]] | None = None
    outside: Callable[[Asked[R]], Awaitable[Mapping[str, Any]]] | None = None
    pins: Any = None
    pinned: Callable[[Any], str] = lambda prepared: ""
    summary: Callable[[R], str] | None = None
    said: Callable[[Asked[R], Answer], str | None] | None = None
    needs_preparation: Callable[[R], bool] = lambda request: True
    may_repeat: Callable[[Asked[R]], bool] | None = None
    is_idempotent: bool = False
    patience: float = field(default=600.0)

    def is_immediate(self, request: R) -> bool:
        """Whether it can be carried out in the transaction that accepts the request."""
        if self.rows is None:
            return False
        return self.prepare is None or not self.needs_preparation(request)

    def is_pinned(self, request: R) -> bool:
        """Whether something is made ready before a person is asked."""
        return self.pins is not None and self.needs_preparation(request)
