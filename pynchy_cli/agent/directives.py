"""What every agent is told about where it is: markdown files, joined in the order of the tiers.
A home's own file goes before the one of that name that comes with pynchy. Nothing outside those
folders is ever read."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pynchy_cli.config.files import read_text
from pynchy_cli.config.paths import Home
from pynchy_cli.config.settings import Settings
from pynchy_cli.config.tiers import for_group
from pynchy_cli.errors import ConfigInvalid
from pynchy_cli.model import Group

SEPARATOR = "\n\n---\n\n"
ADMIN = "admin"
"""The directive that the admin group has besides those of its tiers."""
CHILD = (
    "All of this holds for a person's agent; here it is otherwise. Another agent of this group has "
    "started you in a sandbox of your own, for the one task that you are given. No person reads "
    "what you write, and nobody can be asked: your last answer goes to that agent alone, so put "
    "all that it needs into it. It ends your work, and your sandbox goes with what you left in it."
)
SEEN = {
    "none": "Your folder /workspace/group is empty, and you see nothing of the group's own.",
    "read": "Your folder /workspace/group is empty; the group's own is /workspace/parent, which "
    "you can read.",
    "write": "Your folder /workspace/group is the group's own, in which others work at the same "
    "time; what you write there stays.",
}
"""What a child is told of the group's folder, by what it shares of it."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
Warn = Callable[[str], object]


@dataclass(frozen=True)
class Directive:
    """One text, and the file that it was read from."""

    name: str
    path: Path
    text: str


def names(settings: Settings, folder: str, *, is_admin: bool) -> tuple[str, ...]:
    """The directives of a group, in order, each once. Raises ConfigInvalid."""
    tiers = for_group(settings, folder).directives
    return tuple(dict.fromkeys((*tiers, ADMIN))) if is_admin else tiers


def system_prompt(
    home: Home, settings: Settings, group: Group, warn: Warn, shares: str | None = None
) -> str:
    """The text that is appended to the core's own system prompt. What is missing of it is left
    out, and told to `warn` in a sentence. `shares` is what a child has of the group's folder; no
    child has an admin's rights. Raises ConfigInvalid."""
    wanted = names(settings, group.folder, is_admin=group.is_admin and shares is None)
    found = (read(home, name, warn) for name in wanted)
    texts = [directive.text for directive in found if directive is not None and directive.text]
    if shares is not None:
        texts.append(f"{CHILD} {SEEN[shares]}")
    texts.append(f"You are called {settings.agent.name}. This group is called {group.name}.")
    return SEPARATOR.join(texts)


def read(home: Home, name: str, warn: Warn) -> Directive | None:
    """The directive of this name; None where there is none that may be read."""
    if not _NAME.fullmatch(name):
        warn(f"{name!r} can't be the name of a directive.")
        return None
    for folder in (home.directives, *_shipped()):
        if (found := _read(folder, name, warn)) is not None:
            return found
    warn(f"There is no directive {name}; write {home.directives / name}.md.")
    return None


def available(home: Home) -> list[str]:
    """The names of all directives that there are, sorted."""
    folders = (home.directives, *_shipped())
    found = {path.stem for folder in folders if folder.is_dir() for path in folder.glob("*.md")}
    return sorted(name for name in found if _NAME.fullmatch(name))


def _read(folder: Path, name: str, warn: Warn) -> Directive | None:
    path = folder / f"{name}.md"
    try:
        if not path.resolve().is_relative_to(folder.resolve()):
            warn(f"{path} is a link that leads out of its folder; it is not read.")
            return None
        text = read_text(path)
    except ConfigInvalid as error:
        warn(str(error))
        return None
    except (OSError, RuntimeError) as error:  # links in a ring
        warn(f"{path} can't be read: {error}.")
        return None
    return Directive(name, path, text.strip()) if text is not None else None


def _shipped() -> tuple[Path, ...]:
    """Beside the package in a checkout, inside it when installed."""
    package = Path(__file__).resolve().parent.parent
    return package / "directives", package.parent / "directives"
