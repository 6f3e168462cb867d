"""What is said in chats: immutable rows in one order. A network's message has one row however
often it comes, and nobody's id can take the place of a reply's."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from pynchy_cli import clock
from pynchy_cli.model import OWN_ID, Message, NewMessage, SharedFile
from pynchy_cli.store import counters, edits
from pynchy_cli.store.connection import Connection, Row

COLUMNS = (
    "m.id, m.chat_jid, m.sender, m.sender_name, m.content, m.timestamp, m.message_type,"
    " m.audience, m.verdict, m.is_from_me, m.run_id, m.metadata, m.thread, m.seq, m.received_at"
)
_FIELDS = tuple(name.strip().removeprefix("m.") for name in COLUMNS.split(","))
FILE_PATIENCE = 60.0
"""Seconds for which a run waits for the files that came with its messages."""
# Word for word the index's condition, so that SQLite uses it.
_FOR_AGENT = (
    "m.audience IN ('agent', 'both') AND m.verdict = 'allowed' AND m.message_type <> 'assistant'"
)


# What was said in a chat before the group came there is none of the group's.
_SINCE = "m.seq > coalesce((SELECT since_seq FROM group_chats WHERE jid = m.chat_jid), 0)"


def as_message(row: Row) -> Message:
    """A row of `COLUMNS` as a message."""
    values: dict[str, Any] = dict(zip(_FIELDS, row, strict=True))
    values["is_from_me"] = bool(values["is_from_me"])
    return Message(**values)


def add(db: Connection, m: NewMessage, now: str) -> int | None:
    """Store a message that came from outside, and its chat; its `seq`, or None where the chat
    has it already. What SQLite can't hold as text is replaced by U+FFFD."""
    jid = plain(m.chat_jid)
    _chat(db, jid, now)
    row = db.execute(
        """
        INSERT INTO messages(id, chat_jid, sender, sender_name, content, timestamp, received_at,
          is_from_me, message_type, audience, verdict, run_id, metadata, thread, replaces)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?,
          (SELECT seq FROM messages WHERE chat_jid = ? AND id = ?))
        ON CONFLICT(chat_jid, id) DO NOTHING RETURNING seq
        """,
        (
            stored_id(m.id),
            jid,
            plain(m.sender),
            plain(m.sender_name),
            plain(m.content),
            plain(m.timestamp),
            now,
            int(m.is_from_me),
            m.message_type,
            m.audience,
            m.verdict,
            m.run_id,
            plain(m.metadata) if m.metadata is not None else None,
            plain(m.thread),
            jid,
            stored_id(m.replaces) if m.replaces is not None else None,
        ),
    ).fetchone()
    if row is None:
        return None
    if m.files:
        _add_files(db, int(row[0]), m.files, now)
    if m.message_type == "user":
        edits.adopt(db, jid, stored_id(m.id), int(row[0]))
    db.execute("UPDATE chats SET last_message_at = ? WHERE jid = ?", (now, jid))
    counters.bump(db, "messages_inbound", now)
    return int(row[0])


def _add_files(db: Connection, seq: int, files: Sequence[SharedFile], now: str) -> None:
    db.executemany(
        "INSERT INTO message_files(seq, number, remote_id, name, mime, size, state, path, error,"
        " wait_until) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (
                *(seq, number, plain(one.remote_id), plain(one.name), plain(one.mime), one.size),
                *(one.state, one.path, one.error, clock.after(now, FILE_PATIENCE)),
            )
            for number, one in enumerate(files)
        ],
    )


def with_files(db: Connection, found: Sequence[Message]) -> list[Message]:
    """The messages, each with the files that came with it."""
    wanted = json.dumps([message.seq for message in found])
    rows = db.execute(
        "SELECT seq, remote_id, name, mime, size, state, path, error FROM message_files"
        " WHERE seq IN (SELECT value FROM json_each(?)) ORDER BY seq, number",
        (wanted,),
    ).fetchall()
    of: dict[int, list[SharedFile]] = {}
    for seq, *values in rows:
        of.setdefault(seq, []).append(SharedFile(*values))
    return [replace(one, files=tuple(of[one.seq])) if one.seq in of else one for one in found]


def replaced(db: Connection, message: Message) -> Message | None:
    """The message that an edit, a deletion or a reaction is of, as it came; None where it isn't
    known, or the message is none of these."""
    row = db.execute(
        f"SELECT {COLUMNS} FROM messages m WHERE seq = (SELECT replaces FROM messages"
        " WHERE seq = ?)",
        (message.seq,),
    ).fetchone()
    return as_message(row) if row else None


def changes(db: Connection, seq: int) -> list[Message]:
    """What was done to a message since it was said: edits, deletions and reactions, in order."""
    rows = db.execute(
        f"SELECT {COLUMNS} FROM messages m WHERE m.replaces = ? ORDER BY m.seq", (seq,)
    ).fetchall()
    return [as_message(row) for row in rows]


def tell(
    db: Connection,
    *,
    key: str,
    chat_jid: str,
    content: str,
    kind: str,
    now: str,
    sender: str = "pynchy",
    sender_name: str = "pynchy",
    thread: str = "",
) -> int | None:
    """Something that the agent of a chat is told by its host alone, once for each key; its `seq`,
    or None where it was told already. It leads to nothing by itself: whoever wants an answer
    queues a run."""
    row = db.execute(
        """
        INSERT INTO messages(id, chat_jid, sender, sender_name, content, timestamp, received_at,
          is_from_me, message_type, audience, thread)
        VALUES (?, ?, ?, ?, ?, ?, ?, 1, ?, 'agent', ?) ON CONFLICT DO NOTHING RETURNING seq
        """,
        (f"{OWN_ID}{key}", chat_jid, sender, sender_name, plain(content), now, now, kind, thread),
    ).fetchone()
    return int(row[0]) if row else None


def _chat(db: Connection, jid: str, now: str) -> None:
    db.execute(
        "INSERT INTO chats(jid, channel, first_seen_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
        (jid, jid.partition(":")[0], now),
    )


def plain(text: str) -> str:
    """The text as a row can hold it: lone surrogates and NUL become U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        # Two halves that belong together are one character; what is left alone is none.
        text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")


def stored_id(network_id: str) -> str:
    """A network's id as a row holds it: different ids stay different, and none is like ours."""
    clean = network_id.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")
    return f"~{clean}" if clean.lstrip("~").startswith(OWN_ID) else clean


def by_id(db: Connection, jid: str, network_id: str) -> Message | None:
    """The row of a network's message, where there is one."""
    row = db.execute(
        f"SELECT {COLUMNS} FROM messages m WHERE chat_jid = ? AND id = ?",
        (plain(jid), stored_id(network_id)),
    ).fetchone()
    return as_message(row) if row else None


def is_about(db: Connection, jid: str, network_id: str) -> bool:
    """Whether a chat has what came under this id of its network's: a message, or something that was
    done to one, whose id is made of that one's and ends with this."""
    row = db.execute(
        "SELECT 1 FROM messages WHERE chat_jid = ?1 AND (id = ?2"
        " OR substr(id, -length(?2) - 1) = '-' || ?2) LIMIT 1",
        (jid, stored_id(network_id)),
    ).fetchone()
    return row is not None


def get(db: Connection, seq: int) -> Message | None:
    """The message with this place, where there is one."""
    row = db.execute(f"SELECT {COLUMNS} FROM messages m WHERE seq = ?", (seq,)).fetchone()
    return as_message(row) if row else None


def highest(db: Connection) -> int:
    """The place of the newest message; 0 where there is none."""
    return int(db.execute("SELECT coalesce(max(seq), 0) FROM messages").fetchone()[0])


def waiting_groups(db: Connection) -> list[str]:
    """The folders of the groups that have something to route."""
    rows = db.execute(
        f"""
        SELECT folder FROM registered_groups g WHERE EXISTS (
            SELECT 1 FROM messages m
            WHERE m.chat_jid = g.jid AND m.seq > g.routed_seq AND {_FOR_AGENT})
          OR EXISTS (
            SELECT 1 FROM group_chats c JOIN messages m ON m.chat_jid = c.jid
            WHERE c.group_folder = g.folder AND m.seq > g.routed_seq AND m.seq > c.since_seq
              AND {_FOR_AGENT})
        ORDER BY number
        """
    ).fetchall()
    return [str(row[0]) for row in rows]


def pending(
    db: Connection, jids: Iterable[str], after_seq: int, limit: int = 1000
) -> list[Message]:
    """The first `limit` messages of the chats after a place that an agent may see, in order."""
    return _first(db, jids, after_seq, limit, f"AND {_FOR_AGENT} AND {_SINCE}")


_NEWEST = COLUMNS.replace(
    "m.content",
    "coalesce((SELECT content FROM messages newer WHERE newer.replaces = m.seq"
    " AND newer.message_type = 'edit' AND newer.verdict = 'allowed'"
    " ORDER BY newer.timestamp DESC, newer.seq DESC LIMIT 1), m.content)",
)
"""A message as it was edited last."""


# What an agent is given of its group's chats: never what `route` set aside, or what the host itself
# has answered, such as a chat command.
_TOLD = f"""
    m.chat_jid IN (
        SELECT jid FROM registered_groups WHERE folder = :folder
        UNION SELECT jid FROM group_chats WHERE group_folder = :folder)
    AND m.seq > :after AND m.seq <= :through AND m.thread = :thread AND {_FOR_AGENT} AND {_SINCE}
    AND m.message_type NOT IN ('deletion', 'reaction')
    AND (m.message_type <> 'edit' OR m.replaces IS NULL)
    AND NOT EXISTS (
        SELECT 1 FROM messages gone WHERE gone.replaces = m.seq AND gone.message_type = 'deletion')
    AND NOT EXISTS (
        SELECT 1 FROM failures WHERE stage = 'route'
          AND subject = 'message:' || m.seq AND state = 'set_aside')
    AND NOT EXISTS (
        SELECT 1 FROM outbound_ledger WHERE key = 'message:' || m.seq || ':0')"""


def for_agent(
    db: Connection, folder: str, after_seq: int, through_seq: int, thread: str = ""
) -> list[Message]:
    """What a group's agent is to read of a range of places (first excluded, last included), of
    one thread or of what was said outside of any; as it was edited last, and with its files.

    Never what a refused sender said, what was deleted, what `route` set aside, what the host
    itself has answered, or what lies in the range's midst and was cancelled.
    """
    rows = db.execute(
        f"""
        SELECT {_NEWEST} FROM messages m WHERE {_TOLD}
          AND NOT EXISTS (
            SELECT 1 FROM runs WHERE group_folder = :folder AND state = 'cancelled'
              AND kind = 'chat' AND thread = :thread AND last_seq >= m.seq AND first_seq <= m.seq
              AND last_seq <= :through AND first_seq > :after)
        ORDER BY m.seq
        """,
        {"folder": folder, "after": after_seq, "through": through_seq, "thread": thread},
    ).fetchall()
    return with_files(db, [as_message(row) for row in rows])


def of_strangers(
    db: Connection, folder: str, after_seq: int, through_seq: int, limit: int, thread: str = ""
) -> list[Message]:
    """The newest of what people who may not speak to a group said in its chats, in a range of
    places (first excluded, last included) of one thread or outside of any; newest first. It is
    only ever context."""
    rows = db.execute(
        f"""
        SELECT {_NEWEST.replace("'allowed'", "'refused' AND newer.sender = m.sender")}
        FROM messages m JOIN chats c ON c.jid = m.chat_jid
        WHERE m.chat_jid IN (
            SELECT jid FROM registered_groups WHERE folder = :folder
            UNION SELECT jid FROM group_chats WHERE group_folder = :folder)
          AND m.seq > :after AND m.seq <= :through AND m.seq > c.cleared_seq AND {_SINCE}
          AND m.thread = :thread AND m.verdict = 'refused' AND m.message_type = 'user'
          AND NOT m.is_from_me AND NOT EXISTS (
            SELECT 1 FROM messages gone
            WHERE gone.replaces = m.seq AND gone.message_type = 'deletion')
        ORDER BY m.seq DESC LIMIT :limit
        """,
        {
            "folder": folder,
            "after": after_seq,
            "through": through_seq,
            "limit": limit,
            "thread": thread,
        },
    ).fetchall()
    return [as_message(row) for row in rows]


def parent(db: Connection, thread: str) -> Message | None:
    """The message that a thread hangs under, as it was edited last, where it is known and was not
    deleted; also a stranger's. What was said before the group came there is none of its own."""
    chat, _, id = thread.rpartition("/")
    row = db.execute(
        f"SELECT {_NEWEST} FROM messages m WHERE m.chat_jid = ? AND m.id = ? AND {_SINCE}"
        " AND NOT EXISTS ("
        " SELECT 1 FROM messages gone"
        " WHERE gone.replaces = m.seq AND gone.message_type = 'deletion')",
        (chat, stored_id(f"{chat.partition(':')[0]}-{id}")),
    ).fetchone()
    return as_message(row) if row else None


def told(
    db: Connection, folder: str, after_seq: int, through_seq: int, limit: int, thread: str = ""
) -> list[Message]:
    """The first `limit` messages of a run's range (first excluded, last included), to look at."""
    rows = db.execute(
        f"SELECT {_NEWEST} FROM messages m WHERE {_TOLD} ORDER BY m.seq LIMIT :limit",
        {
            "folder": folder,
            "after": after_seq,
            "through": through_seq,
            "limit": limit,
            "thread": thread,
        },
    ).fetchall()
    return with_files(db, [as_message(row) for row in rows])


def first_unread(db: Connection, folder: str, through_seq: int, thread: str = "") -> int:
    """Where the range of a group's next run in a thread, or outside of any, begins: at the first
    message there that is in no run yet, was not answered and not cleared away; at `through_seq`
    where there is none before."""
    row = db.execute(
        f"""
        SELECT min(m.seq) FROM messages m JOIN (
            SELECT jid, max(cleared_seq, routed.seq) AS seq FROM chats, (
                SELECT max(iif(:thread = '', g.answered_seq, 0), coalesce((
                    SELECT max(last_seq) FROM runs
                    WHERE group_folder = :folder AND kind = 'chat' AND thread = :thread), 0)) AS seq
                FROM registered_groups g WHERE g.folder = :folder) AS routed
            WHERE jid IN (
                SELECT jid FROM registered_groups WHERE folder = :folder
                UNION SELECT jid FROM group_chats WHERE group_folder = :folder)) AS chat
          ON m.chat_jid = chat.jid
        WHERE m.seq > chat.seq AND m.seq <= :through AND m.thread = :thread AND {_FOR_AGENT}
        """,
        {"folder": folder, "through": through_seq, "thread": thread},
    ).fetchone()
    return int(row[0]) if row[0] is not None else through_seq


def clear(db: Connection, folder: str, seq: int) -> None:
    """A group's conversation begins anew after a place; what was said before stays stored."""
    db.execute(
        """
        UPDATE chats SET cleared_seq = max(cleared_seq, :seq) WHERE jid IN (
            SELECT jid FROM registered_groups WHERE folder = :folder
            UNION SELECT jid FROM group_chats WHERE group_folder = :folder)
        """,
        {"folder": folder, "seq": seq},
    )


def last(db: Connection, jids: Iterable[str] | None, n: int) -> list[Message]:
    """The newest `n` messages of the chats (None: of all) that people may see, oldest first."""
    if jids is None:
        return _newest(db, "", (n,))[::-1]
    found: list[Message] = []
    for jid in dict.fromkeys(jids):
        found += _newest(db, "AND m.chat_jid = ?", (jid, n))
    return sorted(found, key=lambda m: m.seq)[-n:] if n > 0 else []


def _newest(db: Connection, condition: str, values: tuple[str | int, ...]) -> list[Message]:
    rows = db.execute(
        f"SELECT {COLUMNS} FROM messages m WHERE m.audience <> 'agent' {condition}"
        " ORDER BY m.seq DESC LIMIT ?",
        values,
    ).fetchall()
    return [as_message(row) for row in rows]


def after(db: Connection, jids: Iterable[str] | None, seq: int, limit: int = 1000) -> list[Message]:
    """The first `limit` messages of the chats (None: of all) after a place that people may see,
    in order."""
    if jids is not None:
        return _first(db, jids, seq, limit, "AND m.audience <> 'agent'")
    rows = db.execute(
        f"SELECT {COLUMNS} FROM messages m WHERE m.seq > ? AND m.audience <> 'agent'"
        " ORDER BY m.seq LIMIT ?",
        (seq, limit),
    ).fetchall()
    return [as_message(row) for row in rows]


def _first(
    db: Connection, jids: Iterable[str], after_seq: int, limit: int, condition: str
) -> list[Message]:
    # Chat by chat, so that each is read off its index and never sorted as a whole.
    found: list[Message] = []
    wanted: Sequence[str] = list(dict.fromkeys(jids))
    for jid in wanted:
        rows = db.execute(
            f"SELECT {COLUMNS} FROM messages m WHERE m.chat_jid = ? AND m.seq > ? {condition}"
            " ORDER BY m.seq LIMIT ?",
            (jid, after_seq, limit),
        ).fetchall()
        found += (as_message(row) for row in rows)
    if len(wanted) > 1:
        found.sort(key=lambda m: m.seq)
    return found[:limit]
