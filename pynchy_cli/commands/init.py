"""`pynchy init`: makes what is missing of a home, and changes nothing that is there."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import typer

from pynchy_cli import clock
from pynchy_cli.commands.app import Context, here, open_store
from pynchy_cli.config import template
from pynchy_cli.config.home import prepare
from pynchy_cli.errors import EXIT_FAILED, HomeUnusable
from pynchy_cli.output import say
from pynchy_cli.store import groups
from pynchy_cli.store.migrate import migrate

FOLDER, JID = "main", "local:main"


def command(
    ctx: typer.Context,
    yes: bool = typer.Option(False, "--yes", "-y", help="Don't ask whether the place is right."),
) -> int:
    """Make a home: folders, configuration, a database and a first group.

    The group `main` is the admin group; it lives in the chat local:main and answers everything
    said there. What exists already is left as it is, so this is safe to repeat.

    Example: pynchy --home ~/assistant init
    """
    context = here(ctx)
    _ = context.settings  # a broken configuration is said before anything is made
    root = context.home.root
    if not yes and sys.stdin is not None and sys.stdin.isatty() and not context.home.data.exists():
        say(f"Everything will lie in {root}.")
        if not typer.confirm("Make it?", default=True, err=True):
            say("Nothing was made. Choose another place with --home DIR.")
            return EXIT_FAILED
    made = _make(context)
    say(f"Made in {root}: {', '.join(made)}." if made else f"{root} is complete already.")
    say("Next: `pynchy up` starts everything; `pynchy chat` talks with the assistant.")
    if not any(
        (
            context.settings.secrets.anthropic_api_key,
            context.settings.secrets.claude_code_oauth_token,
        )
    ):
        say(f"Without a key in {context.home.env}, a scripted model stands in for Claude.")
    return 0


def _make(context: Context) -> list[str]:
    """Make what is missing; what that was, in words."""
    home = context.home
    prepare(home)
    made = []
    if _write_new(home.config, template.config_toml(), 0o644):
        made.append("config.toml")
    if _write_new(home.env, template.ENV, 0o600):
        made.append(".env")
    if migrate(home.database):
        made.append("the database")
    if _first_group(context):
        made.append(f"the admin group {FOLDER} on {JID}")
    return made


def _first_group(context: Context) -> bool:
    """Add the admin group where there is no group at all."""
    with open_store(context) as store:
        if groups.all(store.db):
            return False
        context.home.group(FOLDER).mkdir(mode=0o700, parents=True, exist_ok=True)
        with store.atomic() as db:
            if groups.all(db):
                return False  # somebody else was faster
            groups.add(
                db,
                folder=FOLDER,
                name="Main",
                jid=JID,
                is_admin=True,
                trigger_mode="always",
                trigger_pattern=None,
                allowed_users=("owner",),
                now=clock.now(),
            )
    return True


def _write_new(path: Path, text: str, mode: int) -> bool:
    """Write a file that isn't there yet, whole or not at all; whether it was written."""
    if os.path.lexists(path):
        return False
    draft = path.with_name(f".{path.name.lstrip('.')}.{os.getpid()}.new")
    try:
        try:
            draft.write_text(text, encoding="utf-8")
            draft.chmod(mode)
            os.link(draft, path)
        except FileExistsError:
            return False
        finally:
            draft.unlink(missing_ok=True)
    except OSError as error:
        raise HomeUnusable(f"{path} can't be written: {error.strerror}.") from error
    return True
