"""What the file knows of what a request names."""

from __future__ import annotations

from pynchy_cli.config.settings import Settings
from pynchy_cli.config.tiers import for_group
from pynchy_cli.ipc.authorise import Facts
from pynchy_cli.store import groups
from pynchy_cli.store.connection import Connection


def facts(db: Connection, settings: Settings, group_folder: str) -> Facts:
    """The facts that decide on a group's requests."""

    def group_of_chat(jid: str) -> str | None:
        found = groups.by_chat(db, jid)
        return found.folder if found is not None else None

    def group_of_task(id: str) -> str | None:
        row = db.execute("SELECT group_folder FROM scheduled_tasks WHERE id = ?", (id,)).fetchone()
        return str(row[0]) if row else None

    gated = frozenset(for_group(settings, group_folder).gate)
    return Facts(group_of_chat, group_of_task, gated)
