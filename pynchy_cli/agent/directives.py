"""What every agent is told about where it is: markdown files, the installation's own before
those that come with pynchy, joined in order."""

from __future__ import annotations

from pathlib import Path

from pynchy_cli.config.paths import Home
from pynchy_cli.model import Group

SEPARATOR = "\n\n---\n\n"


def names(group: Group) -> tuple[str, ...]:
    """The directives of a group, in order."""
    return ("base", "admin") if group.is_admin else ("base",)


def system_prompt(home: Home, group: Group, assistant: str) -> str:
    """The text that is appended to the core's own system prompt."""
    texts = [text for name in names(group) if (text := _read(home, name))]
    texts.append(f"You are called {assistant}. This group is called {group.name}.")
    return SEPARATOR.join(texts)


def _read(home: Home, name: str) -> str:
    for folder in (home.directives, *_shipped()):
        try:
            return (folder / f"{name}.md").read_text("utf-8").strip()
        except FileNotFoundError:
            continue
    return ""


def _shipped() -> tuple[Path, ...]:
    """Beside the package in a checkout, inside it when installed."""
    package = Path(__file__).resolve().parent.parent
    return package / "directives", package.parent / "directives"
