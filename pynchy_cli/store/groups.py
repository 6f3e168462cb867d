"""Groups: who an agent is, where it lives, and how far its chats were routed and answered.
A group's number is never given twice, because sandboxes' uids are made of it."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from difflib import get_close_matches

import msgspec

from pynchy_cli.config.settings import Word
from pynchy_cli.errors import GroupBusy, GroupInvalid, GroupUnknown
from pynchy_cli.model import Group, TriggerMode
from pynchy_cli.store import chats as chats_table
from pynchy_cli.store import holds
from pynchy_cli.store.connection import Connection, Row

_FOLDER = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
_JID = re.compile(r"[a-z][a-z0-9-]*:[^\s\x00-\x1f\x7f-\x9f]{1,200}")


def add(
    db: Connection,
    *,
    folder: str,
    name: str,
    jid: str,
    is_admin: bool,
    trigger_mode: TriggerMode,
    trigger_pattern: str | None,
    allowed_users: Sequence[str],
    now: str,
) -> Group:
    """Register a group. What was said in its chat before stays unread.

    Raises GroupInvalid where the name or the chat can't be, or is taken.
    """
    require_folder(folder)
    require_jid(jid)
    require_free(db, folder, jid)
    chats_table.seen(db, jid, None, now)
    highest = _highest(db)
    # Threads have no cursor of their group's, so what was said there before is cleared away.
    db.execute("UPDATE chats SET cleared_seq = ? WHERE jid = ?", (highest, jid))
    db.execute(
        "INSERT INTO registered_groups(folder, name, jid, is_admin, trigger_mode, "
        "trigger_pattern, allowed_users, number, routed_seq, answered_seq, added_at) "
        "VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            folder,
            name,
            jid,
            int(is_admin),
            trigger_mode,
            trigger_pattern,
            json.dumps(list(allowed_users)),
            _next_number(db),
            highest,
            highest,
            now,
        ),
    )
    return get(db, folder)


def get(db: Connection, folder: str) -> Group:
    """The group of this folder. Raises GroupUnknown, naming the nearest there is."""
    row = db.execute("SELECT * FROM registered_groups WHERE folder = ?", (folder,)).fetchone()
    if row is None:
        raise GroupUnknown(_unknown(db, folder))
    return _group(row)


def by_chat(db: Connection, jid: str) -> Group | None:
    """The group that lives in this chat, be it its first or a further one."""
    row = db.execute(
        "SELECT * FROM registered_groups WHERE jid = :jid OR folder = "
        "(SELECT group_folder FROM group_chats WHERE jid = :jid)",
        {"jid": jid},
    ).fetchone()
    return _group(row) if row else None


def all(db: Connection) -> list[Group]:
    """All groups, in the order in which they were added."""
    return [_group(row) for row in db.execute("SELECT * FROM registered_groups ORDER BY number")]


def chats(db: Connection, folder: str) -> list[str]:
    """The addresses of all the group's chats, its first one first."""
    rows = db.execute(
        "SELECT jid FROM registered_groups WHERE folder = :folder UNION ALL "
        "SELECT jid FROM (SELECT jid FROM group_chats WHERE group_folder = :folder ORDER BY jid)",
        {"folder": folder},
    )
    return [row["jid"] for row in rows]


def link(db: Connection, folder: str, jid: str, now: str) -> None:
    """Let a group live in a further chat. What was said there before is none of the group's.

    Raises GroupUnknown; GroupInvalid where the chat can't be, or belongs to a group.
    """
    get(db, folder)
    require_jid(jid)
    _require_no_group(db, jid)
    chats_table.seen(db, jid, None, now)
    highest = _highest(db)
    db.execute("UPDATE chats SET cleared_seq = ? WHERE jid = ?", (highest, jid))
    db.execute(
        "INSERT INTO group_chats(jid, group_folder, since_seq, linked_at) VALUES (?, ?, ?, ?)",
        (jid, folder, highest, now),
    )


def unlink(db: Connection, folder: str, jid: str) -> None:
    """Let a group leave a chat, but for its first. What was said in its others, and wasn't brought
    there yet, never is. Raises GroupUnknown, GroupInvalid."""
    group = get(db, folder)
    if jid == group.jid:
        raise GroupInvalid(
            f"{jid} is the first chat of {folder!r}, which it can't leave. `pynchy groups remove "
            f"{folder}` takes the group out; its folder is kept."
        )
    row = db.execute(
        "DELETE FROM group_chats WHERE jid = ? AND group_folder = ? RETURNING jid", (jid, folder)
    ).fetchone()
    if row is None:
        there = ", ".join(chats(db, folder))
        raise GroupInvalid(f"{folder!r} does not live in {jid}, but in {there}.")
    db.execute(
        "UPDATE outbound_deliveries SET state = 'dropped', held = 0, next_attempt_at = NULL"
        " WHERE chat_jid = ?1 AND state IN ('pending', 'unknown') AND ledger_id IN ("
        " SELECT id FROM outbound_ledger WHERE group_folder = ?2 AND chat_jid <> ?1)",
        (jid, folder),
    )


def let_speak(db: Connection, folder: str, users: Sequence[str]) -> Group:
    """Have these, and nobody else, speak to a group from now on; the group as it is then. Raises
    GroupUnknown."""
    db.execute(
        "UPDATE registered_groups SET allowed_users = ? WHERE folder = ?",
        (json.dumps(list(users)), folder),
    )
    return get(db, folder)


def seen(db: Connection) -> tuple[int, ...]:
    """Numbers that change whenever a group is added or removed, or one of its chats is."""
    row = db.execute(
        "SELECT (SELECT count(*) FROM registered_groups),"
        " (SELECT coalesce(max(number), 0) FROM registered_groups),"
        " (SELECT count(*) FROM group_chats)"
    ).fetchone()
    return tuple(row)


def remove(db: Connection, folder: str) -> None:
    """Take a group out, with its runs and sessions; messages and replies stay.

    Raises GroupUnknown; GroupBusy while a run of it is at work.
    """
    get(db, folder)
    run = db.execute(
        "SELECT id FROM runs WHERE group_folder = ? AND state = 'running' LIMIT 1", (folder,)
    ).fetchone()
    if run:
        raise GroupBusy(f"Run {run['id']} of {folder!r} is at work. Try again when it has ended.")
    holds.release(db, folder)
    db.execute("DELETE FROM registered_groups WHERE folder = ?", (folder,))


def routed_through(db: Connection, group: Group) -> int | None:
    """How far a group is routed now; None where it was removed, even if there is another of its
    name since."""
    row = db.execute(
        "SELECT routed_seq FROM registered_groups WHERE folder = ? AND number = ?",
        (group.folder, group.number),
    ).fetchone()
    return int(row[0]) if row else None


def route_through(db: Connection, folder: str, seq: int) -> None:
    """Note that everything up to `seq` was routed. Never goes back."""
    db.execute(
        "UPDATE registered_groups SET routed_seq = ? WHERE folder = ? AND routed_seq < ?",
        (seq, folder, seq),
    )


def answer_through(db: Connection, folder: str, seq: int, thread: str = "") -> None:
    """Note that everything up to `seq` that was said outside of threads was answered or given up.
    Never goes back. A thread's runs alone tell how far that one is."""
    if thread:
        return
    db.execute(
        "UPDATE registered_groups SET answered_seq = ? WHERE folder = ? AND answered_seq < ?",
        (seq, folder, seq),
    )


def require_folder(folder: str) -> None:
    """Raises GroupInvalid, with a name that would do, where this can't be a group's folder."""
    if _FOLDER.fullmatch(folder):
        return
    near = re.sub(r"[^a-z0-9]+", "-", folder.lower()).strip("-")[:40].strip("-")
    hint = f" {near!r} would do." if near else ""
    raise GroupInvalid(
        f"{folder!r} can't be a group's name: lower-case letters, digits and hyphens, "
        f"beginning with a letter or digit, at most 40.{hint}"
    )


def require_jid(jid: str) -> None:
    """Raises GroupInvalid where this can't be a chat's address."""
    if not _JID.fullmatch(jid):
        raise GroupInvalid(
            f"{jid!r} is not a chat: it must be channel:name without spaces, such as local:work."
        )


def trigger_word(text: str) -> str:
    """A group's own word after the @, which may be given with it. Raises GroupInvalid."""
    try:
        return msgspec.convert(text.removeprefix("@"), Word)
    except msgspec.ValidationError as error:
        raise GroupInvalid(
            f"A trigger's pattern must be one word such as jarvis, not {text!r}."
        ) from error


def display_name(text: str) -> str:
    """How people see a group called. Raises GroupInvalid."""
    if len(text) > 100 or not text.isprintable():
        raise GroupInvalid("A group's name must be one line of at most 100 characters.")
    return text.strip()


def require_free(db: Connection, folder: str, jid: str) -> None:
    """Raises GroupInvalid where another group has this folder or chat."""
    if db.execute("SELECT 1 FROM registered_groups WHERE folder = ?", (folder,)).fetchone():
        raise GroupInvalid(f"There is a group {folder!r} already.")
    _require_no_group(db, jid)


def _require_no_group(db: Connection, jid: str) -> None:
    taken = by_chat(db, jid)
    if taken is None:
        return
    way = f" `pynchy groups unlink {taken.folder} {jid}` frees it." if taken.jid != jid else ""
    raise GroupInvalid(f"The chat {jid} belongs to the group {taken.folder!r} already.{way}")


def _highest(db: Connection) -> int:
    return int(db.execute("SELECT coalesce(max(seq), 0) FROM messages").fetchone()[0])


def _next_number(db: Connection) -> int:
    row = db.execute(
        "INSERT INTO counters(name, value) VALUES('groups_numbered', "
        "(SELECT coalesce(max(number), 0) + 1 FROM registered_groups)) "
        "ON CONFLICT(name) DO UPDATE SET value = max(value + 1, excluded.value) RETURNING value"
    ).fetchone()
    return int(row[0])


def _unknown(db: Connection, folder: str) -> str:
    known = [row["folder"] for row in db.execute("SELECT folder FROM registered_groups")]
    near = get_close_matches(folder, known, n=1)
    if near:
        return f"There is no group {folder!r}. Did you mean {near[0]!r}?"
    if not known:
        return f"There is no group {folder!r}, and no other. `pynchy groups add` makes one."
    return f"There is no group {folder!r}. `pynchy groups list` shows those there are."


def _group(row: Row) -> Group:
    return Group(
        folder=row["folder"],
        name=row["name"],
        jid=row["jid"],
        is_admin=bool(row["is_admin"]),
        trigger_mode=row["trigger_mode"],
        trigger_pattern=row["trigger_pattern"],
        allowed_users=tuple(json.loads(row["allowed_users"])),
        number=row["number"],
        routed_seq=row["routed_seq"],
        answered_seq=row["answered_seq"],
        added_at=row["added_at"],
    )
