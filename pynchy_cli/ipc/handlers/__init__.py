"""What becomes of requests, a module for each family of them."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pynchy_cli.ipc.effects import Effect

FAMILIES = (
    "children",
    "conversations",
    "groups",
    "messages",
    "questions",
    "schedule",
    "services",
    "shell",
    "tasks",
    "todos",
)


def effects() -> dict[str, Effect[Any]]:
    """How each type of request is carried out, for those that can be."""
    found: dict[str, Effect[Any]] = {}
    for family in FAMILIES:
        found |= import_module(f"{__name__}.{family}").EFFECTS
    return found
