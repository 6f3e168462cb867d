"""Groups that the host itself proposes to its admin group, for chats that belong to none: requests
of its own, of the session `host`, of which there is one for each chat, ever."""

from __future__ import annotations

import json

from pynchy_cli.model import CHAT_LANE
from pynchy_cli.store import requests
from pynchy_cli.store.connection import Connection
from pynchy_cli.store.requests import HOST, Request

TYPE = "register_group"


def made(db: Connection, admin: str, jid: str) -> bool:
    """Whether a chat was proposed to the admin group before, whatever became of it."""
    return requests.find(db, admin, HOST, _id(jid)) is not None


def count(db: Connection, admin: str, since: str) -> tuple[int, int]:
    """How many proposals are undecided, and how many were made since then."""
    row = db.execute(
        "SELECT count(*) FILTER (WHERE state = 'waiting'),"
        " count(*) FILTER (WHERE created_at >= ?) FROM requests"
        " WHERE group_folder = ? AND session = ?",
        (since, admin, HOST),
    ).fetchone()
    return int(row[0]), int(row[1])


def undecided(db: Connection) -> dict[str, str]:
    """The ids under which proposals wait for a person, by their chats."""
    rows = db.execute(
        "SELECT json_extract(r.payload, '$.jid') AS jid, a.id FROM approvals AS a"
        " JOIN requests AS r ON r.id = a.request WHERE a.state = 'pending' AND r.session = ?",
        (HOST,),
    ).fetchall()
    return {str(row["jid"]): str(row["id"]) for row in rows}


def folders(db: Connection, admin: str) -> set[str]:
    """The folders that undecided proposals would take."""
    rows = db.execute(
        "SELECT payload FROM requests WHERE group_folder = ? AND session = ?"
        " AND state IN ('waiting', 'accepted')",
        (admin, HOST),
    ).fetchall()
    return {str(json.loads(row[0])["folder"]) for row in rows}


def add(db: Connection, admin: str, admin_jid: str, jid: str, payload: str, now: str) -> Request:
    """A proposal, which a person must approve."""
    row = requests.add(
        db,
        group_folder=admin,
        session=HOST,
        request_id=_id(jid),
        lane=CHAT_LANE,
        role="admin",
        type=TYPE,
        payload=payload,
        state="waiting",
        now=now,
        chat_jid=admin_jid,
    )
    requests.gate(db, row.id)
    return row


def _id(jid: str) -> str:
    return f"chat-{jid}"
