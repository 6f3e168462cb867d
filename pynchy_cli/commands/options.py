"""The options that several commands have, as Typer declares them; and no command."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated, Literal, TypeVar

import typer

from pynchy_cli.errors import UsageWrong

T = TypeVar("T")


def _storable(number: int | None) -> int | None:
    """Raises UsageWrong where no file has so many."""
    if number is not None and number > sys.maxsize:
        raise UsageWrong(f"{number} is too large a number.")
    return number


def require_one(group: str | None, everything: bool) -> None:
    """Raises UsageWrong unless either a group or all of them is meant."""
    if (group is None) != everything:
        raise UsageWrong("Name a group, or say --all.")


GroupOrAll = Annotated[str | None, typer.Argument(metavar="GROUP", help="The group's name.")]
AllGroups = Annotated[bool, typer.Option("--all", help="All groups, also those to come.")]


def named(text: str | None) -> list[str] | None:
    """The names in a text such as `route, run-agent`; None where none was given."""
    return None if text is None else [one.strip() for one in text.split(",") if one.strip()]


Id = Annotated[str, typer.Argument(metavar="ID", help="Its id, as `list` shows it.")]
Ids = Annotated[list[str], typer.Argument(metavar="ID", help="Ids, as `list` shows them.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, on a terminal too.")]
Cron = Annotated[
    str | None,
    typer.Option(metavar='"M H D M W"', help="Five fields, or @hourly, @daily and so on."),
]
Every = Annotated[
    str | None, typer.Option(metavar="SPAN", help="Again and again: 30m, 2h, 1d; 10s at least.")
]
At = Annotated[
    str | None, typer.Option(metavar='"DATE TIME"', help="Once, such as 2030-12-01 09:00.")
]
Tz = Annotated[
    str | None,
    typer.Option(metavar="ZONE", help="Its time zone, such as Europe/Berlin; else the configured."),
]
Name = Annotated[str | None, typer.Option(metavar="TEXT", help="What people call it.")]
CatchUp = Annotated[
    Literal["once", "skip"] | None,
    typer.Option(help="What was missed is done once, later (once), or never (skip)."),
]
Paused = Annotated[bool, typer.Option("--paused", help="Have it wait until it is resumed.")]
Ended = Annotated[bool, typer.Option("--all", help="Also those that are over.")]
Limit = Annotated[
    int,
    typer.Option(
        *("-n", "--limit"), min=0, metavar="N", callback=_storable, help="How many, the newest."
    ),
]
Number = Annotated[
    int,
    typer.Option(
        *("-n", "--limit", "--number"),
        min=0,
        metavar="N",
        callback=_storable,
        help="How many, the newest.",
    ),
]
"""The same, in commands that knew it by another name."""
AnyLimit = Annotated[
    int | None,
    typer.Option(
        *("-n", "--limit"), min=0, metavar="N", callback=_storable, help="How many; else all."
    ),
]
OfGroup = Annotated[str | None, typer.Argument(metavar="GROUP", help="The group's name; else all.")]


def last(rows: Sequence[T], limit: int | None) -> Sequence[T]:
    """The last so many of a list whose newest stands last."""
    return rows if limit is None else rows[max(0, len(rows) - limit) :]
