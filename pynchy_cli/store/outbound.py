"""Replies: what is to be said in a chat, and each chat's delivery of it. A reply, its
deliveries and its row among the messages are written together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pynchy_cli.model import FROM_API, FROM_TERMINAL, OWN_ID, Attachment, Message, Reply
from pynchy_cli.store import counters
from pynchy_cli.store.connection import Connection, Row

INBOXES = ("local", "stdin")
"""Channels whose inbox is the file itself: their deliveries are born delivered."""
_HAS_INBOX = f"channel IN {INBOXES}"

COLUMNS = (
    "id, key, chat_jid, group_folder, run_id, content, version, is_final, source, created_at,"
    " thread, doing"
)
WITHDRAWN = "withdrawn"
"""The source of a reply that came to nothing, and is taken out of the chats that show it."""
PERSON = "person"
"""The source of what a person said in another chat of the group."""
SHOWN = "shown:"
"""How the keys of such replies begin, before the message's place."""


def as_reply(row: Row | Sequence[Any]) -> Reply:
    """A row of `COLUMNS` as a reply."""
    values = list(row)
    values[7] = bool(values[7])
    return Reply(*values)


def say(
    db: Connection,
    *,
    key: str,
    chat_jid: str,
    content: str,
    source: str,
    now: str,
    group_folder: str | None = None,
    run_id: int | None = None,
    thread: str | None = None,
) -> int:
    """Say something in a chat, and in its group's others, once for each key.

    `source` is `agent` or `host`. An open reply of the same key is finished by it. `thread` is
    where in its chat; where none is given, its run's. Gives the reply's id.
    """
    _write(db, key, chat_jid, content, source, now, group_folder, run_id, thread, final=True)
    row = db.execute("SELECT id FROM outbound_ledger WHERE key = ?", (key,)).fetchone()
    _changed(db, int(row[0]))
    _deliver(db, int(row[0]), chat_jid, group_folder, now)
    _remember(db, key, source, now)
    return int(row[0])


def said_since(db: Connection, keys: str, since: str) -> int:
    """How many replies there are since a moment whose keys begin with `keys`, a text that ends with
    a colon."""
    row = db.execute(
        "SELECT count(*) FROM outbound_ledger WHERE key >= ?1 AND key < ?2 AND created_at >= ?3",
        (keys, f"{keys[:-1]};", since),
    ).fetchone()
    return int(row[0])


def grow(
    db: Connection,
    *,
    key: str,
    chat_jid: str,
    content: str,
    now: str,
    group_folder: str,
    run_id: int,
    doing: str | None = None,
) -> None:
    """An answer that is still being written: the whole text so far, and what its agent does just
    now. It is no reply yet."""
    _write(
        db,
        key,
        chat_jid,
        content,
        "agent",
        now,
        group_folder,
        run_id,
        None,
        final=False,
        doing=doing,
    )
    row = db.execute("SELECT id FROM outbound_ledger WHERE key = ?", (key,)).fetchone()
    _changed(db, int(row[0]))
    _deliver(db, int(row[0]), chat_jid, group_folder, now, final=False)


def withdraw(db: Connection, key: str) -> None:
    """An open reply that came to nothing. Where a chat may show it already, it stays as a row of
    its own until it is taken out there."""
    db.execute(
        "DELETE FROM outbound_ledger WHERE key = ? AND is_final = 0"
        " AND NOT EXISTS (SELECT 1 FROM outbound_parts WHERE ledger_id = id)",
        (key,),
    )
    row = db.execute(
        "UPDATE outbound_ledger SET is_final = 1, content = '', doing = NULL, source = ?,"
        " version = version + 1, key = key || ':withdrawn:' || id WHERE key = ? AND is_final = 0"
        " RETURNING id",
        (WITHDRAWN, key),
    ).fetchone()
    if row is not None:
        _changed(db, int(row[0]))


def amend(db: Connection, key: str, content: str) -> None:
    """Change what a finished reply says, where a chat can show that; it is no new reply."""
    row = db.execute(
        "UPDATE outbound_ledger SET content = ?, version = version + 1"
        " WHERE key = ? AND is_final = 1 AND content <> ? RETURNING id",
        (content, key, content),
    ).fetchone()
    if row is not None:
        _changed(db, int(row[0]))


def conclude(db: Connection, key: str, line: str) -> None:
    """What was asked under this key, in each chat, ends with a line that tells what came of it."""
    rows = db.execute(
        "SELECT key, content FROM outbound_ledger"
        " WHERE key = ?1 OR (key > ?1 || ':' AND key < ?1 || ';')",
        (key,),
    ).fetchall()
    for each, content in rows:
        amend(db, each, f"{content}\n\n{line}")


def _changed(db: Connection, ledger_id: int) -> None:
    """What was sent of a reply that has changed since is to be sent again; but not to a chat that
    its group has left, unless to take it out."""
    db.execute(
        "UPDATE outbound_deliveries AS d SET state = 'pending' WHERE ledger_id = ?1"
        f" AND state = 'sent' AND NOT {_HAS_INBOX} AND EXISTS (SELECT 1 FROM outbound_ledger l"
        " WHERE l.id = ?1 AND d.delivered_version < l.version AND ("
        "   l.chat_jid = d.chat_jid OR l.group_folder IS NULL OR l.source = ?2"
        "   OR EXISTS (SELECT 1 FROM registered_groups g"
        "     WHERE g.folder = l.group_folder AND g.jid = d.chat_jid)"
        "   OR EXISTS (SELECT 1 FROM group_chats c"
        "     WHERE c.group_folder = l.group_folder AND c.jid = d.chat_jid)))",
        (ledger_id, WITHDRAWN),
    )


def shown(message: Message) -> str:
    """The key under which a person's message is shown in other chats."""
    return f"{SHOWN}{message.seq}"


def is_elsewhere(db: Connection, message: Message, group_folder: str) -> bool:
    """Whether a group lives in a chat on a network in which a message can't be seen."""
    row = db.execute(
        f"SELECT 1 FROM chats WHERE jid <> :but AND NOT {_HAS_INBOX} AND (jid IN"
        " (SELECT jid FROM registered_groups WHERE folder = :group)"
        " OR jid IN (SELECT jid FROM group_chats WHERE group_folder = :group)) LIMIT 1",
        {"but": _seen_in(message), "group": group_folder},
    ).fetchone()
    return row is not None


def show(db: Connection, message: Message, group_folder: str, words: str, now: str) -> None:
    """Show what a person said in one of a group's chats in its others, once. Where the file is the
    inbox, it can be seen anyway."""
    row = db.execute(
        "INSERT INTO outbound_ledger(key, chat_jid, group_folder, content, source, created_at,"
        " finished_at) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING RETURNING id",
        (shown(message), message.chat_jid, group_folder, words, PERSON, now, now),
    ).fetchone()
    if row is not None:
        but = _seen_in(message)
        _deliver(db, int(row[0]), message.chat_jid, group_folder, now, final=False, but=but)


def _seen_in(message: Message) -> str:
    """The chat in which people see a message; none where the terminal said it in another
    channel's, or somebody over HTTP."""
    return "" if message.metadata in (FROM_TERMINAL, FROM_API) else message.chat_jid


def hand_on(db: Connection, key: str, run_id: int) -> None:
    """An open reply goes on as another run's next one; where that has one already, or is done
    with that one, it is dropped."""
    db.execute(
        "UPDATE OR IGNORE outbound_ledger SET run_id = :run,"
        " key = 'run:' || :run || ':' || (SELECT replies FROM runs WHERE id = :run)"
        " WHERE key = :key AND is_final = 0",
        {"run": run_id, "key": key},
    )
    withdraw(db, key)


def _write(
    db: Connection,
    key: str,
    chat_jid: str,
    content: str,
    source: str,
    now: str,
    group_folder: str | None,
    run_id: int | None,
    thread: str | None,
    *,
    final: bool,
    doing: str | None = None,
) -> None:
    db.execute(
        """
        INSERT INTO outbound_ledger(key, chat_jid, group_folder, run_id, content, is_final, source,
          created_at, finished_at, doing, thread)
        VALUES (:key, :jid, :group, :run, :content, :final, :source, :now, :finished, :doing,
          coalesce(:thread, (SELECT thread FROM runs WHERE id = :run AND chat_jid = :jid), ''))
        ON CONFLICT(key) DO UPDATE SET content = excluded.content, version = version + 1,
          is_final = excluded.is_final, source = excluded.source, doing = excluded.doing,
          finished_at = excluded.finished_at
        WHERE is_final = 0
        """,
        {
            "key": key,
            "jid": chat_jid,
            "group": group_folder,
            "run": run_id,
            "content": content,
            "final": int(final),
            "source": source,
            "now": now,
            "finished": now if final else None,
            "doing": doing,
            "thread": thread,
        },
    )


def _deliver(
    db: Connection,
    ledger_id: int,
    chat_jid: str,
    group_folder: str | None,
    now: str,
    *,
    final: bool = True,
    but: str = "",
) -> None:
    """A delivery for each chat that doesn't have it. Where the file is the inbox, a reply is there
    once it is final."""
    born = db.execute(
        f"""
        INSERT INTO outbound_deliveries(ledger_id, chat_jid, channel, state, delivered_version,
          delivered_at)
        SELECT :id, jid, channel,
          CASE WHEN {_HAS_INBOX} THEN 'sent' ELSE 'pending' END,
          CASE WHEN {_HAS_INBOX} THEN 1 ELSE 0 END,
          CASE WHEN {_HAS_INBOX} THEN :now END
        FROM chats WHERE jid <> :but AND (:final OR NOT {_HAS_INBOX}) AND (jid = :jid
          OR jid IN (SELECT jid FROM registered_groups WHERE folder = :group)
          OR jid IN (SELECT jid FROM group_chats WHERE group_folder = :group))
        ON CONFLICT DO NOTHING RETURNING state
        """,
        {
            "id": ledger_id,
            "jid": chat_jid,
            "group": group_folder,
            "now": now,
            "final": final,
            "but": but,
        },
    ).fetchall()
    delivered = sum(1 for row in born if row[0] == "sent")
    if delivered:
        counters.bump(db, "messages_outbound", now, delivered)


def _remember(db: Connection, key: str, source: str, now: str) -> None:
    """What was said stands among the messages too, in its thread."""
    db.execute(
        """
        INSERT INTO messages(id, chat_jid, sender, sender_name, content, timestamp, received_at,
          is_from_me, message_type, audience, run_id, thread)
        SELECT :own || key, chat_jid, 'pynchy', 'pynchy', content, :now, :now, 1, :kind, 'chat',
          run_id, thread FROM outbound_ledger WHERE key = :key
        ON CONFLICT DO NOTHING
        """,
        {
            "own": OWN_ID,
            "now": now,
            "kind": "assistant" if source == "agent" else "host",
            "key": key,
        },
    )


def attach(db: Connection, ledger_id: int, files: Sequence[Attachment]) -> None:
    """Files go with a reply, in this order. Their bytes are there already."""
    db.executemany(
        "INSERT INTO outbound_files(ledger_id, number, name, size, sha256) VALUES (?, ?, ?, ?, ?)",
        [(ledger_id, number, one.name, one.size, one.sha256) for number, one in enumerate(files)],
    )


def files(db: Connection, ledger_id: int) -> list[Attachment]:
    """The files that go with a reply, in order."""
    rows = db.execute(
        "SELECT name, size, sha256 FROM outbound_files WHERE ledger_id = ? ORDER BY number",
        (ledger_id,),
    )
    return [Attachment(*row) for row in rows]


def files_of(db: Connection, message: Message) -> list[Attachment]:
    """The files that go with what we have said in a chat; none with what others say."""
    if not message.id.startswith(OWN_ID):
        return []
    rows = db.execute(
        "SELECT name, size, sha256 FROM outbound_files WHERE ledger_id ="
        " (SELECT id FROM outbound_ledger WHERE key = ?) ORDER BY number",
        (message.id.removeprefix(OWN_ID),),
    )
    return [Attachment(*row) for row in rows]


def named_files(db: Connection) -> set[str]:
    """The sha256 of every file that goes with some reply."""
    return {str(row[0]) for row in db.execute("SELECT DISTINCT sha256 FROM outbound_files")}


def bytes_of_files(db: Connection, group_folder: str, since: str) -> int:
    """How many bytes of files a group's replies had since then."""
    row = db.execute(
        "SELECT coalesce(sum(size), 0) FROM outbound_files JOIN outbound_ledger ON id = ledger_id"
        " WHERE group_folder = ? AND created_at >= ?",
        (group_folder, since),
    ).fetchone()
    return int(row[0])


def of_run(db: Connection, run_id: int) -> list[Reply]:
    """What a run has said, in order; the last may still be open."""
    rows = db.execute(
        f"SELECT {COLUMNS} FROM outbound_ledger WHERE run_id = ? AND source <> ? ORDER BY id",
        (run_id, WITHDRAWN),
    ).fetchall()
    return [as_reply(row) for row in rows]


def open_replies(db: Connection, chat_jid: str) -> list[Reply]:
    """The answers that are being written in a chat just now."""
    rows = db.execute(
        f"SELECT {COLUMNS} FROM outbound_ledger WHERE chat_jid = ? AND is_final = 0 ORDER BY id",
        (chat_jid,),
    ).fetchall()
    return [as_reply(row) for row in rows]


def get(db: Connection, ledger_id: int) -> Reply | None:
    """The reply of this number, as far as it is."""
    row = db.execute(f"SELECT {COLUMNS} FROM outbound_ledger WHERE id = ?", (ledger_id,)).fetchone()
    return as_reply(row) if row else None


def is_last(db: Connection, reply: Reply) -> bool:
    """Whether nothing else was said by us in its chat and thread since."""
    row = db.execute(
        "SELECT 1 FROM outbound_ledger WHERE id > ? AND chat_jid = ? AND thread = ?"
        " AND source NOT IN (?, ?) LIMIT 1",
        (reply.id, reply.chat_jid, reply.thread, PERSON, WITHDRAWN),
    ).fetchone()
    return row is None


def thread_of(db: Connection, key: str) -> str:
    """The thread in which something was said; empty outside of one."""
    row = db.execute("SELECT thread FROM outbound_ledger WHERE key = ?", (key,)).fetchone()
    return str(row[0]) if row else ""


def answer_to(message: Message) -> str:
    """The key under which the host itself answers one message, such as a chat command."""
    return f"message:{message.seq}:0"


def by_key(db: Connection, key: str) -> Reply | None:
    """The finished reply of this key, where there is one."""
    row = db.execute(
        f"SELECT {COLUMNS} FROM outbound_ledger WHERE key = ? AND is_final = 1", (key,)
    ).fetchone()
    return as_reply(row) if row else None
