"""Which stages read which sections of the configuration, so that a change has only those restart
that it concerns. A test reads the code of the stages and holds this table to it."""

from __future__ import annotations

from collections.abc import Mapping

from pynchy_cli.config.channels import called

EVERYBODY = "*"
USED_BY: dict[str, tuple[str, ...]] = {
    "agent": ("listen", "route", "run-agent", "ipc-watch"),
    "sandbox": ("listen", "route", "run-agent", "ipc-watch"),
    "queue": ("run-agent",),
    "gateway": ("gateway", "run-agent"),
    "approvals": ("listen", "route", "run-agent", "ipc-watch", "serve"),
    "commands": ("listen", "route", "run-agent", "ipc-watch"),
    "secrets": ("gateway", "run-agent", "serve"),
    "scheduler": ("run-agent", "ipc-watch", "schedule"),
    "log": (EVERYBODY,),
    "serve": ("serve",),
    "backup": ("backup",),
    "retention": (),
    "supervise": (),
    "defaults": ("listen", "route", "run-agent", "ipc-watch"),
    "profiles": ("listen", "route", "run-agent", "ipc-watch"),
    "groups": ("listen", "route", "run-agent", "ipc-watch"),
    "tasks": ("schedule",),
    "jobs": ("schedule",),
    "people": ("listen", "route", "serve"),
    "channels": ("listen", "route", "serve"),
}
"""Section -> the stages that read it. Of the channels, each `listen` reads its own."""


def concerns(stage: str, before: Mapping[str, str], now: Mapping[str, str]) -> bool:
    """Whether a stage that runs, such as `listen@slack`, reads a section that has changed. Both are
    section -> hash, as `load.section_hashes` gives them."""
    names = before.keys() | now.keys()
    return any(_reads(stage, one) for one in names if before.get(one) != now.get(one))


def _reads(stage: str, section: str) -> bool:
    """Whether it reads this section; one that isn't in the table, everybody does."""
    verb, _, channel = stage.partition("@")
    family, _, rest = section.partition(".")
    used = USED_BY.get(family, (EVERYBODY,))
    if family == "channels" and verb == "listen":
        kind, _, name = rest.partition(".")
        return called(kind, name) == channel
    return EVERYBODY in used or verb in used
