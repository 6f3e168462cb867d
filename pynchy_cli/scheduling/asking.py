"""What a person asks for at the shell, checked piece by piece: when, for which group and chat, and
the texts. Whatever can't be is refused in a sentence before anything is written."""

from __future__ import annotations

import math
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from pynchy_cli.config.settings import Settings
from pynchy_cli.errors import UsageWrong
from pynchy_cli.recurrence import Kind
from pynchy_cli.store import groups
from pynchy_cli.store.connection import Connection
from pynchy_cli.timing import default_zone

LONGEST_PROMPT = 100_000
"""Characters of a prompt, at most."""
LONGEST_COMMAND = 10_000
LONGEST_NAME = 200
LONGEST_RUN = 86_400.0
"""Seconds that a command of the host may be given, at most."""
WHEN = 'one of --cron "0 18 * * 1-5", --every 30m and --at "2030-12-01 09:00"'


def when(cron: str | None, every: str | None, at: str | None) -> tuple[Kind, str] | None:
    """The type and the value of the schedule that was given, or None. Raises UsageWrong where there
    is more than one."""
    given: list[tuple[Kind, str | None]] = [("cron", cron), ("interval", every), ("once", at)]
    found = [(kind, storable(value)) for kind, value in given if value is not None]
    if len(found) > 1:
        raise UsageWrong(f"Only one schedule can be kept: give {WHEN}.")
    return found[0] if found else None


def required(asked: tuple[Kind, str] | None) -> tuple[Kind, str]:
    """The same. Raises UsageWrong where there is none."""
    if asked is None:
        raise UsageWrong(f"It needs a schedule: give {WHEN}.")
    return asked


def zone(given: str | None, settings: Settings, environ: Mapping[str, str]) -> str:
    """The time zone that was given, else the configured one, else this machine's."""
    return storable(given) if given is not None else default_zone(settings, environ)


def group(db: Connection, given: str | None) -> str:
    """The folder of the group that was given; else of the only one, else of the only admin group.
    Raises GroupUnknown, UsageWrong."""
    if given is not None:
        return groups.get(db, storable(given)).folder
    known = groups.all(db)
    admins = [one for one in known if one.is_admin]
    for found in (known, admins):
        if len(found) == 1:
            return found[0].folder
    names = ", ".join(one.folder for one in known) or "none; `pynchy groups add` makes one"
    raise UsageWrong(f"Say for which group: --group NAME. There are: {names}.")


def chat(db: Connection, folder: str, given: str) -> str | None:
    """A chat of a group; None, which is its first one, where nothing is given. Raises UsageWrong
    where it is another's."""
    known = groups.chats(db, folder)
    if given and given not in known:
        raise UsageWrong(
            f"{given!r} is no chat of {folder}: --chat must be one of {', '.join(known)}."
        )
    return given or None


def prompt(text: str) -> str:
    """What the agent is asked; `-` reads it from standard input. Raises UsageWrong."""
    if text == "-":
        if sys.stdin is None:
            raise UsageWrong("--prompt - needs a standard input to read.")
        data = sys.stdin.buffer.read(4 * LONGEST_PROMPT + 1)
        text = data.decode("utf-8", "replace").rstrip("\r\n")
    return _text("A prompt", text, LONGEST_PROMPT)


def command(given: str | None, words: Sequence[str]) -> str | None:
    """A command for /bin/sh: as it was given, or made of words, each of which stays one. A single
    word is taken as it is. Raises UsageWrong."""
    if given is not None and words:
        raise UsageWrong("Give the command once: by --command, or as words after --.")
    if given is None and not words:
        return None
    joined = words[0] if len(words) == 1 else shlex.join(words)
    return _text("A command", joined if given is None else given, LONGEST_COMMAND)


def condition(given: str) -> str | None:
    """A command that is run first; None where it is empty. Raises UsageWrong."""
    return _text("A condition", given, LONGEST_COMMAND) if given.strip() else None


def name(given: str) -> str | None:
    """What people call it; None where it is empty. Raises UsageWrong."""
    text = storable(given).strip()
    if len(text) > LONGEST_NAME or not text.isprintable():
        raise UsageWrong(f"--name must be one line of at most {LONGEST_NAME} characters.")
    return text or None


def seconds(given: float, option: str) -> float:
    """How long a command may take. Raises UsageWrong."""
    if not (math.isfinite(given) and 0 < given <= LONGEST_RUN):
        raise UsageWrong(f"{option} must be more than 0 seconds, and {LONGEST_RUN:.0f} at most.")
    return given


def folder(given: str) -> str | None:
    """Where a command is run, as an absolute path; None, which is the home, where it is empty.
    Raises UsageWrong where there is no such folder."""
    if not given:
        return None
    path = Path(storable(given)).expanduser().absolute()
    if not path.is_dir():
        raise UsageWrong(f"--cwd {given!r} is no folder.")
    return str(path)


def _text(what: str, text: str, longest: int) -> str:
    text = storable(text)
    if not text.strip():
        raise UsageWrong(f"{what} can't be empty.")
    if len(text) > longest:
        raise UsageWrong(f"{what} can't be longer than {longest} characters.")
    if "\0" in text:
        raise UsageWrong(f"{what} can't have a NUL in it.")
    return text


def storable(text: str) -> str:
    """The text without what of an argument was no UTF-8."""
    return text.encode("utf-8", "replace").decode()
