"""`pynchy init`: makes what is missing of a home, and changes nothing that is there."""

from __future__ import annotations

import os
import re
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import typer

from pynchy_cli import clock
from pynchy_cli.commands.app import Context, here, open_store
from pynchy_cli.config import keys, template
from pynchy_cli.config.home import prepare
from pynchy_cli.config.paths import choose_home
from pynchy_cli.config.settings import WORD
from pynchy_cli.errors import HomeUnusable
from pynchy_cli.output import say
from pynchy_cli.store import groups
from pynchy_cli.store.migrate import migrate

FOLDER, JID = "main", "local:main"


class Wishes(NamedTuple):
    """What a person wants in a new home: the assistant's name where it isn't the usual one, and a
    key with the variable that it belongs into."""

    name: str | None = None
    key: tuple[str, str] | None = None


def command(
    ctx: typer.Context,
    yes: bool = typer.Option(False, "--yes", "-y", help="Ask nothing."),
) -> int:
    """Make a home: folders, configuration, a database and a first group.

    On a terminal it asks where, what the assistant is called, and for a key. The key may be left
    out; it is written into .env, which nobody else can read, and never shown.

    The group `main` is the admin group; it lives in the chat local:main and answers everything
    said there. What exists already is left as it is, so this is safe to repeat.

    Example: pynchy --home ~/assistant init
    """
    context = here(ctx)
    wishes = Wishes()
    if not yes and sys.stdin is not None and sys.stdin.isatty():
        context = _place(context)
        wishes = _wishes(context)
    _ = context.settings  # a broken configuration is said before anything is made
    with _undisturbed():
        made = _make(context, wishes)
    root = context.home.root
    say(f"Made in {root}: {', '.join(made)}." if made else f"{root} is complete already.")
    _say_next(context, has_key=wishes.key is not None)
    return 0


def _place(context: Context) -> Context:
    """Where everything shall lie: asked where nobody said so and nothing is there yet."""
    root = context.home.root
    if context.home.data.exists():
        return context
    if context.is_home_named:
        say(f"Everything will lie in {root}.")
        return context
    place = typer.prompt("Where shall everything lie?", default=str(root), err=True)
    return Context(place.strip(), context.environ)


def _wishes(context: Context) -> Wishes:
    """What else is asked: only what goes into files that aren't there yet."""
    settings = context.settings
    name = key = None
    if not os.path.lexists(context.home.config):
        name = _name(settings.agent.name)
    if not os.path.lexists(context.home.env) and not _has_key(context):
        key = _key()
    return Wishes(name, key)


def _name(usual: str) -> str | None:
    while True:
        name = typer.prompt("What shall the assistant be called?", default=usual, err=True).strip()
        if re.fullmatch(WORD, name):
            return None if name == usual else name
        say("People write it after an @: letters, digits, '_', '.' and '-' are what it may have.")


def _key() -> tuple[str, str] | None:
    say(
        "For Claude it needs a key of the Anthropic API, or the token of a Claude login, which"
        " `claude setup-token` prints. Without one, a script answers."
    )
    while True:
        asked = "The key (it isn't shown; leave it out with Enter)"
        text = typer.prompt(asked, default="", show_default=False, hide_input=True, err=True)
        if not text.strip():
            return None
        if variable := keys.variable_of(text.strip()):
            return variable, text.strip()
        say("That is no key: they begin with sk-ant- and go on for a while. Copy it once more.")


def _has_key(context: Context) -> bool:
    secrets = context.settings.secrets
    return bool(secrets.anthropic_api_key or secrets.claude_code_oauth_token)


def _say_next(context: Context, *, has_key: bool) -> None:
    root = context.home.root
    if choose_home(None, context.environ).root != root:
        say(f"Let commands find it: `export PYNCHY_HOME={root}`, or --home {root} with each.")
    say("Next: `pynchy up` starts everything; `pynchy chat` talks with the assistant.")
    say("Later: `pynchy auth slack` and `pynchy auth whatsapp` link it to chats that you have.")
    if not has_key and not _has_key(context):
        say(f"Without a key in {context.home.env}, a scripted model stands in for Claude.")


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Ctrl-C waits until all is made: nothing stays half."""
    waiting = {signal.SIGINT, signal.SIGTERM}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, waiting)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _make(context: Context, wishes: Wishes) -> list[str]:
    """Make what is missing; what that was, in words."""
    home = context.home
    prepare(home)
    made = []
    if _write_new(home.config, template.small(wishes.name), 0o644):
        made.append("config.toml")
    if _write_new(home.env, template.env(*wishes.key or ()), 0o600):
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
    """Write a file that isn't there yet, whole or not at all; whether it was written. Until it is
    whole nobody else can read it."""
    if os.path.lexists(path):
        return False
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name.lstrip('.')}.", dir=path.parent)
        draft = Path(name)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
                os.fchmod(file.fileno(), mode)
            with suppress(FileExistsError):
                os.link(draft, path)
                return True
        finally:
            draft.unlink()
    except OSError as error:
        raise HomeUnusable(f"{path} can't be written: {error.strerror}.") from error
    return False
