"""The verbs as a Typer program. A verb's module is imported when the verb is called or
completed; help and completion of the verbs' own names come from the table."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command, get_group

from pynchy_cli.cli import VERBS
from pynchy_cli.commands.app import overview

if TYPE_CHECKING:
    from typer.core import CompletionItem  # type: ignore[attr-defined]

NAMES = {"help_option_names": ["-h", "--help"]}


class Verbs(TyperGroup):
    """The group of all verbs, each a placeholder until it is called."""

    is_listing = False

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        for name, verb in VERBS.items():
            self.add_command(TyperCommand(name, help=verb.help), name)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of a verb, its module loaded; a placeholder while names are listed."""
        if self.is_listing or cmd_name not in VERBS:
            return super().get_command(ctx, cmd_name)
        return load_verb(cmd_name)

    def shell_complete(self, ctx: Any, incomplete: str) -> list[CompletionItem]:
        """The verbs that begin so, without loading any."""
        self.is_listing = True
        try:
            return super().shell_complete(ctx, incomplete)
        finally:
            self.is_listing = False

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """The overview, as `pynchy --help` prints it."""
        formatter.write(overview())


def load_verb(name: str) -> Any:
    """The command, or group of commands, that a verb's module defines: its `app` (a Typer with
    sub-commands) or its `command` (a function)."""
    module = import_module(f"pynchy_cli.commands.{VERBS[name].module}")
    program: typer.Typer | None = getattr(module, "app", None)
    if program is not None:
        _make_plain(program)
        group = get_group(program)
        group.name, group.help = name, group.help or VERBS[name].help
        return group
    program = typer.Typer()
    _make_plain(program)
    program.command(name, context_settings=_settings(module))(module.command)
    return get_command(program)


def program() -> Any:
    """The whole command line as one Typer command."""
    app = typer.Typer(cls=Verbs, rich_markup_mode=None, pretty_exceptions_enable=False)
    app.callback()(_options)
    return get_command(app)


def _options(
    home: str | None = typer.Option(
        None, metavar="DIR", help="Where everything lies (PYNCHY_HOME; else ~/pynchy)."
    ),
) -> None:
    """A personal Claude assistant: small commands around one SQLite file."""
    # `--home` was taken out before; it stands here so that shells complete it.


def _settings(module: Any) -> dict[str, Any]:
    return {**NAMES, **getattr(module, "context_settings", {})}


def _make_plain(program: typer.Typer) -> None:
    """No colours, panels or boxes: the same text on a terminal and in a file."""
    program.rich_markup_mode = None
    program.pretty_exceptions_enable = False
    program._add_completion = False
    program.info.context_settings = {**NAMES, **_given(program.info.context_settings)}


def _given(settings: Any) -> dict[str, Any]:
    return settings if isinstance(settings, dict) else {}
