"""Who is told when something is wrong that only a person can mend: the admin groups."""

from __future__ import annotations

from collections.abc import Callable

from pynchy_cli.store import groups, outbound
from pynchy_cli.store.connection import Connection


def tell(db: Connection, words: str, now: str, key: Callable[[str], str]) -> None:
    """Say something in each admin group's chat, once for each key; `key` makes it of the group's
    folder."""
    for group in groups.all(db):
        if group.is_admin:
            outbound.say(
                db,
                key=key(group.folder),
                chat_jid=group.jid,
                content=words,
                source="host",
                now=now,
                group_folder=group.folder,
            )
