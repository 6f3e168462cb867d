"""What the table of rights needs to know besides the request: whose the chats and tasks are that it
names, and what a person must approve. It only reads, and is looked up when it is asked for."""

from __future__ import annotations

from collections.abc import Mapping

from pynchy_cli.config.settings import Settings
from pynchy_cli.config.tiers import for_group
from pynchy_cli.ipc.authorise import Facts, Rule
from pynchy_cli.store import groups, tasks
from pynchy_cli.store.connection import Connection


def facts(
    db: Connection | None,
    settings: Settings,
    group_folder: str,
    services: Mapping[str, Rule] | None = None,
) -> Facts:
    """The facts for what a group asks; without a file there are neither chats nor tasks.

    Raises ConfigInvalid where the group's profile is unknown.
    """
    return Facts(
        group_of_chat=lambda jid: _group_of_chat(db, jid),
        group_of_task=lambda id: tasks.group_of(db, id) if db is not None else None,
        gated=frozenset(for_group(settings, group_folder).gate),
        services=services,
    )


def _group_of_chat(db: Connection | None, jid: str) -> str | None:
    group = groups.by_chat(db, jid) if db is not None else None
    return group.folder if group is not None else None
