"""`pynchy retry`: brings back what a stage set aside, and runs that were given up."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from pynchy_cli import clock
from pynchy_cli.commands.app import here, open_store
from pynchy_cli.errors import UsageWrong
from pynchy_cli.output import plain, print_lines, print_text, wants_json
from pynchy_cli.store import failures, runs
from pynchy_cli.store.connection import Connection

RUN = "run:"


def command(
    ctx: typer.Context,
    subjects: Annotated[
        list[str] | None,
        typer.Argument(metavar="SUBJECT", help="As `pynchy status` shows it; a run as run:NUMBER."),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="All that was set aside; no runs.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, on a terminal too.")] = False,
) -> None:
    """Bring back what was set aside after three failures, or a run that was given up.

    The stage takes it up at once, or when it is started. All that is named is brought back, or
    nothing.

    Example: pynchy retry message:17
    """
    if bool(subjects) == everything:
        raise UsageWrong("Name what to bring back, or say --all: pynchy retry message:17.")
    with open_store(here(ctx)) as store, store.atomic() as db:
        aside = sorted({one.subject for one in failures.all(db) if one.state == "set_aside"})
        done = [_bring_back(db, subject, aside) for subject in dict.fromkeys(subjects or aside)]
    if wants_json(as_json):
        print_lines(done)
    elif done:
        print_text("\n".join(_told(one) for one in done))
    else:
        print_text("Nothing is set aside.")


def _bring_back(db: Connection, subject: str, aside: list[str]) -> dict[str, Any]:
    stages = failures.retry(db, subject)
    if stages:
        return {"subject": subject, "stages": stages}
    number = subject.removeprefix(RUN)
    if subject.startswith(RUN) and number.isascii() and number.isdigit() and len(number) < 18:
        return {"subject": subject, "run": runs.retry(db, int(number), clock.now())}
    raise UsageWrong(
        f"Nothing waits as {subject!r}. Set aside now: {plain(', '.join(aside)) or 'nothing'}. "
        "A run that was given up is named run:NUMBER."
    )


def _told(one: dict[str, Any]) -> str:
    if "run" in one:
        return f"{one['subject']} is queued again, as run {one['run']}."
    return f"{one['subject']} is brought back; {' and '.join(one['stages'])} takes it up."
