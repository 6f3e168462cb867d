"""The command line: chooses the home, runs one verb, and turns what went wrong into one
sentence and an exit code. A verb's module is loaded when the verb is called, and Typer only
when there is a verb to run."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, NoReturn

from pynchy_cli import __version__, journal
from pynchy_cli.cli import VERBS
from pynchy_cli.config.home import open_home
from pynchy_cli.config.paths import Home, choose_home
from pynchy_cli.errors import EXIT_DONE, EXIT_FAILED, EXIT_USAGE, PynchyError, UsageWrong
from pynchy_cli.output import hush, print_line, print_text, say

if TYPE_CHECKING:
    import typer

    from pynchy_cli.config.settings import Settings
    from pynchy_cli.store.connection import Store

EXIT_INTERRUPTED = 130


class Context:
    """What a command gets: the home, and the settings once it asks for them."""

    def __init__(self, option: str | None, environ: Mapping[str, str]) -> None:
        self._option = option
        self.environ = environ

    @property
    def is_home_named(self) -> bool:
        """Whether somebody said which home it is, by --home or PYNCHY_HOME."""
        return bool(self._option or self.environ.get("PYNCHY_HOME"))

    @cached_property
    def home(self) -> Home:
        """The home that was chosen. Raises HomeUnusable."""
        return open_home(self._option, self.environ)

    @property
    def place(self) -> Home:
        """The home that was chosen, even where it can't be used. Raises HomeUnusable where none can
        be worked out."""
        try:
            return choose_home(self._option, self.environ)
        except RuntimeError:
            return self.home

    @cached_property
    def settings(self) -> Settings:
        """The configuration of the home. Raises ConfigInvalid."""
        from pynchy_cli.config.load import load

        return load(self.home, self.environ)


def here(ctx: typer.Context) -> Context:
    """The context of the command that is running."""
    context = ctx.find_root().obj
    assert isinstance(context, Context)
    return context


def open_store(context: Context) -> Store:
    """The home's database, opened; the caller closes it. Raises what `Store.open` raises."""
    from pynchy_cli.store.connection import Store

    return Store.open(context.home.database)


def become(stage: str, context: Context, options: Mapping[str, Any]) -> NoReturn:
    """Replace this process with the lean one of a stage. `once` among the options is told
    apart, for it means the same to every stage."""
    rest = {name: value for name, value in options.items() if name != "once"}
    document = {
        "home": str(context.home.root),
        "once": bool(options.get("once", False)),
        "options": rest,
    }
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    # -P: a folder in which somebody happens to stand brings no modules in.
    command = [sys.executable, "-P", "-m", "pynchy_cli.stage", stage, json.dumps(document)]
    os.execv(sys.executable, command)


def run(arguments: list[str]) -> int:
    """Run the command line; the exit code. Errors are said here, each in one sentence."""
    return code_of(lambda: _run(arguments), "--json" in _before_dashes(arguments))


def code_of(work: Callable[[], int], wants_json: bool) -> int:
    """The exit code of what was to be done, or of what went wrong in it, which is said."""
    try:
        code = work()
        if sys.stdout is not None:
            sys.stdout.flush()
        return code
    except PynchyError as error:
        return _failed(error.name, str(error), error.exit_code, wants_json)
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        hush()
        return EXIT_DONE
    except OSError as error:
        reason = error.strerror or str(error)
        what = f"{error.filename}: {reason}" if error.filename else reason
        return _failed("system_error", f"{what}.", EXIT_FAILED, wants_json)


def overview() -> str:
    """The text of `pynchy --help`: all verbs in the pipeline's order, loading none."""
    lines = ["Usage: pynchy [--home DIR] COMMAND ...", ""]
    lines += ["A personal Claude assistant: small commands around one SQLite file."]
    for panel in dict.fromkeys(verb.panel for verb in VERBS.values()):
        lines += ["", f"{panel}:"]
        lines += [
            f"  {name:<10} {verb.help}" for name, verb in VERBS.items() if verb.panel == panel
        ]
    lines += ["", "Options, before or after the command:"]
    lines += ["  --home DIR            Where everything lies (PYNCHY_HOME; else ~/pynchy)."]
    lines += ["  --version             Show the version."]
    lines += ["  --install-completion  Let your shell complete commands and options."]
    lines += ["  --help                Show this; after a command, all about that one."]
    lines += ["", "Example: pynchy init && pynchy up   and elsewhere: pynchy chat"]
    return "\n".join(lines)


def _run(arguments: list[str]) -> int:
    home, rest = _take_home(arguments)
    completes = "_PYNCHY_COMPLETE" in os.environ
    if rest[:1] in (["--help"], ["-h"]) and not completes:
        print_text(overview())
        return EXIT_DONE
    if rest[:1] == ["--version"]:
        print_text(f"pynchy {__version__}")
        return EXIT_DONE
    if not rest and not completes:
        say(overview())
        return EXIT_USAGE
    return _run_verb(Context(home, os.environ), rest)


def _run_verb(context: Context, arguments: list[str]) -> int:
    import sqlite3

    import typer

    from pynchy_cli.commands.verbs import program
    from pynchy_cli.store.connection import translate

    try:
        result = program().main(
            args=arguments, prog_name="pynchy", standalone_mode=False, obj=context
        )
    except sqlite3.Error as error:
        raise translate(context.home.database, error) from error
    except typer.Exit as stop:
        return stop.exit_code
    except typer.Abort:
        say("Stopped; nothing was changed.")
        return EXIT_FAILED
    except SystemExit as stop:
        # Typer ends the process itself where our reader has gone.
        if isinstance(stop.__context__, BrokenPipeError):
            raise stop.__context__ from None
        raise
    except typer.TyperException as error:
        return _misused(error, "--json" in _before_dashes(arguments))
    return result if isinstance(result, int) else EXIT_DONE


def _misused(error: typer.TyperException, wants_json: bool) -> int:
    """Say what is wrong with the command line, and how it should be."""
    ctx = getattr(error, "ctx", None)
    message = " ".join(error.format_message().replace("Value error, ", "").split())
    message += "" if message.endswith((".", "?")) else "."
    if ctx is not None and not wants_json:
        say(ctx.get_usage())
        message += f" `{ctx.command_path} --help` tells more."
    return _failed("usage_wrong", message, EXIT_USAGE, wants_json)


def _failed(code: str, message: str, exit_code: int, wants_json: bool) -> int:
    say(journal.for_journal(f"pynchy: {message}", "error", sys.stderr, os.environ))
    if wants_json:
        print_line({"ok": False, "error": {"code": code, "message": message}})
    return exit_code


def _before_dashes(arguments: list[str]) -> list[str]:
    """The arguments that may be options: those before a bare `--`."""
    return arguments[: arguments.index("--")] if "--" in arguments else arguments


def _take_home(arguments: list[str]) -> tuple[str | None, list[str]]:
    """`--home DIR` or `--home=DIR`, wherever it stands, and the arguments without it."""
    home: str | None = None
    rest: list[str] = []
    waiting = iter(arguments)
    for argument in waiting:
        if argument == "--":
            rest += [argument, *waiting]
        elif argument == "--home":
            home = next(waiting, "")
        elif argument.startswith("--home="):
            home = argument.removeprefix("--home=")
        else:
            rest.append(argument)
            continue
        if home == "":
            raise UsageWrong("--home needs a folder: --home DIR.")
    return home, rest
