"""`pynchy doctor`: looks for every known cause of failure, and mends what is safe to mend."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from pynchy_cli import __version__, clock
from pynchy_cli.commands.app import here
from pynchy_cli.commands.options import Json
from pynchy_cli.errors import EXIT_DONE, EXIT_FAILED
from pynchy_cli.install.doctor.examination import PATIENCE, counted, examine, mend, note
from pynchy_cli.install.doctor.facts import Facts
from pynchy_cli.install.doctor.finding import Finding
from pynchy_cli.install.doctor.registry import CHECKS, chosen
from pynchy_cli.output import folded, print_json, print_text, say, wants_json, width
from pynchy_cli.tui.ending import leave

MARKS = {"ok": "ok     ", "warning": "WARNING", "failed": "FAILED ", "unknown": "?      "}
WIDTH = max(len(one.id) for one in CHECKS)
INDENT = " " * (WIDTH + 11)


def command(
    ctx: typer.Context,
    fix: Annotated[
        bool, typer.Option("--fix", help="Mend what is safe to mend, and say what was done.")
    ] = False,
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="ID", help="This check, or those of a family such as database."),
    ] = None,
    patience: Annotated[
        float,
        typer.Option(
            *("--timeout",),
            min=0.1,
            metavar="SECONDS",
            help="What takes longer than this in all is told as unknown.",
        ),
    ] = PATIENCE,
    as_json: Json = False,
) -> int:
    """Look for every known cause of failure; tell what was seen, what to do, and what shows it.

    Nothing is changed, unless --fix is given: then rights of secrets, missing folders, a pending
    migration, and what dead processes left are seen to; nothing that runs is touched. Nothing that
    is asked costs money. It works where the home, the configuration or the database is broken, too.

    Ends with 0 where nothing is wrong, warnings apart, and with 1 otherwise.

    Example: pynchy doctor --fix   or: pynchy doctor --only model.key --json
    """
    context = here(ctx)
    checks = chosen([name.strip() for names in only or [] for name in names.split(",")])
    facts = Facts(context.place, context.environ, clock.now())
    is_told = not wants_json(as_json)
    found: list[Finding] = []
    if is_told:
        say(f"Looking at {facts.home.root}: {len(checks)} checks.")
    for check, seen in examine(checks, facts, patience):
        again = mend(check, seen, facts) if fix else seen
        found += again
        if is_told:
            _tell(again)
    note(found, facts, is_all=not only)
    if is_told:
        _sum_up(found, fix=fix)
    else:
        print_json(_document(found, facts))
    code = EXIT_FAILED if counted(found)["failed"] else EXIT_DONE
    if facts.left:
        leave(code)  # what was left behind may have threads that Python would wait for
    return code


def _tell(found: Sequence[Finding]) -> None:
    """A line for each thing that was seen; where it isn't well, what to do and what shows it. What
    couldn't be found out is told in the end."""
    for one in found:
        if one.state == "unknown":
            continue
        _print(f"{MARKS[one.state]}  {one.id:<{WIDTH}}  {one.seen}")
        if one.fixed:
            _print(f"{INDENT}Mended: {one.fixed}")
        if one.state in ("warning", "failed"):
            _print(f"{INDENT}{one.todo}")
            print_text(f"{INDENT}Shown by: {one.command}")


def _print(line: str) -> None:
    """A line whose text begins after the names of checks, and stays there on a terminal."""
    print_text(folded(line, len(INDENT), width()))


def _sum_up(found: Sequence[Finding], *, fix: bool) -> None:
    counts = counted(found)
    why: dict[str, list[str]] = {}
    for one in found:
        if one.state == "unknown":
            why.setdefault(one.seen, []).append(one.id)
    for seen, ids in why.items():
        print_text(
            folded(f"{MARKS['unknown']}  Not found out: {seen}", len(MARKS["ok"]) + 2, width())
        )
        _print(f"{INDENT}{', '.join(ids)}")
    words = [f"{counts['failed']} failed", f"{counts['warning']} {_plural(counts['warning'])}"]
    words += [f"{counts['unknown']} unknown", f"{counts['ok']} fine"]
    mendable = sum(one.fix is not None for one in found)
    more = f" `pynchy doctor --fix` mends {mendable} of them." if mendable and not fix else ""
    print_text(f"\n{', '.join(words)}.{more}")


def _plural(count: int) -> str:
    return "warning" if count == 1 else "warnings"


def _document(found: Sequence[Finding], facts: Facts) -> dict[str, Any]:
    counts = counted(found)
    return {
        "ok": not counts["failed"],
        "home": str(facts.home.root),
        "version": __version__,
        "at": facts.now,
        "counts": counts,
        "findings": [one.document() for one in found],
    }
