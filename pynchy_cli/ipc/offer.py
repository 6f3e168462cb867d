"""What an agent is told that it may ask: what the table of rights lets it, as far as this host can
do it. Nothing is decided by it; each request is decided on when it comes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agent_runner.protocol import Offer
from pynchy_cli.config.settings import Settings
from pynchy_cli.ipc import authorise
from pynchy_cli.ipc.effects import Effect
from pynchy_cli.ipc.handlers import services
from pynchy_cli.model import CHILD_LANE, TASK_LANE, Group


def role_of(group: Group, lane: str) -> authorise.Role:
    """In which role the agent of a lane asks."""
    if lane.startswith(CHILD_LANE):
        return "child"
    return "admin" if group.is_admin else "group"


def offered(
    group: Group, lane: str, settings: Settings, effects: Mapping[str, Effect[Any]]
) -> Offer:
    """What the agent of a group's lane may ask. Raises ConfigInvalid."""
    role = role_of(group, lane)
    # A task's run within the group's conversation may ask for finished_work too; but there, most
    # turns are no task's, and are not to be tempted.
    hidden = {"service"} if lane.startswith(TASK_LANE) else {"service", "finished_work"}
    may = [kind for kind in authorise.RIGHTS if authorise.rule(role, kind) != "deny"]
    return Offer(
        requests=tuple(kind for kind in may if kind in effects and kind not in hidden),
        services=services.offered(settings, group.folder, is_admin=role == "admin"),
    )
