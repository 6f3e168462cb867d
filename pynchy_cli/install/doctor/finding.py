"""What a check finds, and what a check is."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from pynchy_cli.install.doctor.facts import Facts

State = Literal["ok", "warning", "failed", "unknown"]
STATES: tuple[State, ...] = ("ok", "warning", "failed", "unknown")
Fix = Callable[[], str]
"""Mends it, and says in a sentence what was done. It asks again whether nothing at work is touched.
Raises PynchyError and OSError."""


@dataclass(frozen=True)
class Seen:
    """One thing that a check saw: with its values, what to do about it, how to mend it where that
    is safe, and the command that shows it where that isn't the check's own."""

    state: State
    seen: str
    todo: str | None = None
    fix: Fix | None = None
    command: str | None = None


def ok(seen: str) -> Seen:
    """All is well."""
    return Seen("ok", seen)


def warning(seen: str, todo: str, fix: Fix | None = None, command: str | None = None) -> Seen:
    """It works, and a person should look at it."""
    return Seen("warning", seen, todo, fix, command)


def failed(seen: str, todo: str, fix: Fix | None = None, command: str | None = None) -> Seen:
    """Something doesn't work until it is mended."""
    return Seen("failed", seen, todo, fix, command)


def unknown(seen: str, todo: str | None = None) -> Seen:
    """It couldn't be found out."""
    return Seen("unknown", seen, todo)


@dataclass(frozen=True)
class Check:
    """A check: its stable id, the command that shows it, the function that looks, whose first line
    says how it should be, and what --fix does about it (empty where that is left to a person)."""

    id: str
    command: str
    look: Callable[[Facts], Iterable[Seen]]
    mends: str = ""

    @property
    def about(self) -> str:
        """How it should be, in a sentence."""
        return (self.look.__doc__ or "").partition("\n")[0]


@dataclass(frozen=True)
class Finding:
    """What was seen, of which check; `fixed` says what --fix did."""

    id: str
    state: State
    seen: str
    todo: str | None
    command: str
    fix: Fix | None = None
    fixed: str | None = None

    def document(self) -> dict[str, Any]:
        """The same as plain values."""
        return {
            "id": self.id,
            "state": self.state,
            "seen": self.seen,
            "todo": self.todo,
            "command": self.command,
            "fixable": self.fix is not None,
            "fixed": self.fixed,
        }
