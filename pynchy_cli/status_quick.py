"""`pynchy status` on a fast path: it answers with the standard library alone, in less than
twice the time of a Python that only opens the database. It must work when everything is down,
and never writes."""

from __future__ import annotations

import os

from pynchy_cli import clock, output
from pynchy_cli.errors import EXIT_DONE, EXIT_FAILED, DatabaseMissing, HomeUnusable, PynchyError
from pynchy_cli.store import status

TYPE_CHECKING = False  # the module typing takes a tenth of the time of `status`
if TYPE_CHECKING:
    from typing import Any

CODES = {"healthy": 0, "degraded": 1, "down": 4}


def answer(arguments: list[str]) -> int | None:
    """The exit code of `status [--json] [--watch] [--home DIR]`, carried out; None for anything
    else."""
    home = os.environ.get("PYNCHY_HOME") or "~/pynchy"
    flags, verbs = {"--json": False, "--watch": False}, 0
    rest = iter(arguments)
    for argument in rest:
        if argument == "status":
            verbs += 1
        elif argument in flags:
            flags[argument] = True
        elif argument == "--home":
            home = next(rest, "")
        elif argument.startswith("--home="):
            home = argument.removeprefix("--home=")
        else:
            return None
    if verbs != 1 or not home:
        return None
    # Path would do the same, for a quarter of the whole command's time.
    root = os.path.abspath(os.path.expanduser(home))  # noqa: PTH100, PTH111
    return show(root, flags["--json"], watch=flags["--watch"])


def show(home: str, as_json: bool, *, watch: bool = False) -> int:
    """Print how the home at this absolute path is; the exit code: 0, 1 or 4. With `watch` again
    and again, until somebody ends it."""
    try:
        return _watch(home, as_json) if watch else _show(home, as_json)
    except BrokenPipeError:
        output.hush()
        return EXIT_DONE
    except OSError as error:
        output.say(f"pynchy: {error.strerror or error}.")
        output.hush()
        return EXIT_FAILED


def look(home: str) -> dict[str, Any]:
    """The document of the home at this absolute path; where it can't be read, it says why."""
    data = home + "/data"
    path = data + "/messages.db"
    try:
        return status.read(path, data + "/run", clock.now())
    except DatabaseMissing as error:
        return status.unreadable(path, *_missing(error, home))
    except PynchyError as error:
        return status.unreadable(path, error)


def _show(home: str, as_json: bool) -> int:
    told = look(home)
    code = CODES[told["service"]["status"]]
    try:
        if output.wants_json(as_json):
            output.print_json(told)
        else:
            from pynchy_cli.status_table import print_table

            print_table(told, home)
    except BrokenPipeError:
        output.hush()
        return code
    if told["problem"] and output.wants_json(as_json):
        output.say(f"pynchy: {told['problem']['message']}")
    return code


def _watch(home: str, as_json: bool) -> int:
    from pynchy_cli.status_watch import watch

    watch(home, lambda: look(home), as_json=output.wants_json(as_json))
    return EXIT_DONE


def _missing(error: PynchyError, home: str) -> tuple[PynchyError, str]:
    """What to tell where there is no database: a home that can't be used is told from one that is
    not yet made."""
    from pynchy_cli.config.home import open_home

    try:
        open_home(home, {})
    except HomeUnusable as unusable:
        return unusable, str(unusable)
    return error, f"There is nothing in {home} yet. `pynchy init` makes a home there."
