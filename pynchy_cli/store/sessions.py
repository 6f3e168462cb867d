"""One row for each lane's conversation: what the model calls it, and the live sandbox, if
there is one: its folder, its owner, and how far its output has been stored."""

from __future__ import annotations

from pynchy_cli.model import CHAT_LANE, PASSING, THREAD_LANE, Session
from pynchy_cli.store.connection import Connection, Row

_COLUMNS = (
    "group_folder, lane, session_id, generation, folder, owner, sandbox, output_offset,"
    " last_used_at"
)


FORGOTTEN = ""
"""A conversation that was forgotten while it had a sandbox: what that one calls it is void."""


def _session(row: Row) -> Session:
    group_folder, lane, session_id, *more = row
    return Session(group_folder, lane, session_id or None, *more)


def get(db: Connection, group_folder: str, lane: str) -> Session:
    """The lane's conversation; one that never was is a new one."""
    row = db.execute(
        f"SELECT {_COLUMNS} FROM sessions WHERE group_folder = ? AND lane = ?",
        (group_folder, lane),
    ).fetchone()
    return _session(row) if row else none(group_folder, lane)


def none(group_folder: str, lane: str) -> Session:
    """A conversation that never was, without a sandbox."""
    return Session(group_folder, lane, None, 0, None, None, None, 0, None)


def all(db: Connection, group_folder: str | None = None) -> list[Session]:
    """Every conversation, or a group's, in a fixed order."""
    rows = db.execute(
        f"SELECT {_COLUMNS} FROM sessions WHERE ?1 IS NULL OR group_folder = ?1"
        " ORDER BY group_folder, lane",
        (group_folder,),
    ).fetchall()
    return [_session(row) for row in rows]


def live(db: Connection) -> list[Session]:
    """Every conversation that has a sandbox, or is about to get one."""
    rows = db.execute(f"SELECT {_COLUMNS} FROM sessions WHERE owner IS NOT NULL").fetchall()
    return [_session(row) for row in rows]


def surplus(db: Connection, most: int) -> list[Session]:
    """The conversations of chats whose sandboxes wait for a turn, whoever owns them, but for
    those used last, `most` of them."""
    rows = db.execute(
        f"SELECT {_COLUMNS} FROM sessions AS its WHERE owner IS NOT NULL"
        " AND (lane = ? OR substr(lane, 1, ?) = ?)"
        " AND NOT EXISTS (SELECT 1 FROM runs WHERE state = 'running'"
        "   AND group_folder = its.group_folder AND lane = its.lane)"
        " ORDER BY last_used_at DESC, group_folder LIMIT -1 OFFSET ?",
        (CHAT_LANE, len(THREAD_LANE), THREAD_LANE, most),
    ).fetchall()
    return [_session(row) for row in rows]


def runtimes(db: Connection) -> set[str]:
    """The runtimes that have sandboxes, as far as anybody knows."""
    rows = db.execute("SELECT DISTINCT runtime FROM sessions WHERE runtime IS NOT NULL").fetchall()
    return {str(row[0]) for row in rows}


def begin(
    db: Connection,
    group_folder: str,
    lane: str,
    *,
    folder: str,
    owner: int,
    sandbox: str,
    runtime: str,
    now: str,
) -> None:
    """A sandbox is about to be made for the lane, with an empty output log. From now on only
    this one may name the conversation."""
    db.execute(
        """
        INSERT INTO sessions(group_folder, lane, folder, owner, sandbox, runtime, started_at,
          last_used_at)
        VALUES (:group, :lane, :folder, :owner, :sandbox, :runtime, :now, :now)
        ON CONFLICT(group_folder, lane) DO UPDATE SET folder = :folder, owner = :owner,
          sandbox = :sandbox, runtime = :runtime, output_offset = 0, started_at = :now,
          last_used_at = :now, session_id = nullif(session_id, '')
        """,
        {
            "group": group_folder,
            "lane": lane,
            "folder": folder,
            "owner": owner,
            "sandbox": sandbox,
            "runtime": runtime,
            "now": now,
        },
    )


def advance(db: Connection, session: Session, offset: int, now: str) -> None:
    """The output log is stored up to `offset`."""
    db.execute(
        "UPDATE sessions SET output_offset = ?, last_used_at = ?"
        " WHERE group_folder = ? AND lane = ? AND folder = ?",
        (offset, now, session.group_folder, session.lane, session.folder),
    )


def named(db: Connection, session: Session, session_id: str) -> None:
    """The model's name of the conversation; ignored if it was forgotten meanwhile."""
    db.execute(
        "UPDATE sessions SET session_id = ? WHERE group_folder = ? AND lane = ? AND folder = ?"
        " AND session_id IS NOT ? AND session_id IS NOT ?",
        (
            session_id,
            session.group_folder,
            session.lane,
            session.folder,
            session_id,
            FORGOTTEN,
        ),
    )


def end(db: Connection, session: Session) -> None:
    """The lane's sandbox is gone, and all that it wrote is stored. The conversation of
    a shell, a child or an isolated task ends with it."""
    if session.lane.startswith(PASSING):
        db.execute(
            "DELETE FROM sessions WHERE group_folder = ? AND lane = ? AND folder = ?",
            (session.group_folder, session.lane, session.folder),
        )
        return
    db.execute(
        "UPDATE sessions SET owner = NULL, sandbox = NULL, runtime = NULL, folder = NULL,"
        " output_offset = 0,"
        " started_at = NULL, session_id = nullif(session_id, '')"
        " WHERE group_folder = ? AND lane = ? AND folder = ?",
        (session.group_folder, session.lane, session.folder),
    )


def adopt(db: Connection, dead: int, owner: int) -> list[Session]:
    """Take over the sandboxes of a dead owner; the sessions, now ours."""
    rows = db.execute(
        f"UPDATE sessions SET owner = ? WHERE owner = ? RETURNING {_COLUMNS}", (owner, dead)
    ).fetchall()
    return [_session(row) for row in rows]


def forget(db: Connection, group_folder: str, lane: str, now: str) -> None:
    """Start the lane's conversation anew; a turn at work can't bring the old one back."""
    db.execute(
        """
        INSERT INTO sessions(group_folder, lane, generation, last_used_at) VALUES (?, ?, 1, ?)
        ON CONFLICT(group_folder, lane) DO UPDATE SET
          session_id = iif(folder IS NULL, NULL, ?),
          generation = generation + 1, last_used_at = excluded.last_used_at
        """,
        (group_folder, lane, now, FORGOTTEN),
    )


def is_forgotten(db: Connection, session: Session) -> bool:
    """Whether the conversation was begun anew since its sandbox was made."""
    row = db.execute(
        "SELECT 1 FROM sessions WHERE group_folder = ? AND lane = ? AND folder = ?"
        " AND session_id = ?",
        (session.group_folder, session.lane, session.folder, FORGOTTEN),
    ).fetchone()
    return row is not None


def let_go(db: Connection, group_folder: str, lane: str) -> None:
    """The lane's next turn gets a new sandbox; the conversation goes on in it."""
    db.execute(
        "UPDATE sessions SET generation = generation + 1 WHERE group_folder = ? AND lane = ?",
        (group_folder, lane),
    )
