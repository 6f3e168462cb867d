"""What others noted for `pynchy status` to tell: the last result of each check, with its age, and
what people hold. No check is made here. It loads the standard library alone."""

from __future__ import annotations

import sqlite3

from pynchy_cli import clock
from pynchy_cli.store.running import Document, as_object

SHOWN = 20
"""Holds that are listed at most; all are counted."""
DEPLOY = (
    *("head_sha", "head_commit", "dirty", "unpushed_commits"),
    *("last_deploy_at", "last_deploy_sha"),
)


def findings(db: sqlite3.Connection, now: str) -> Document:
    """Check -> its last result: `state` is `ok`, `warning` or `failed`."""
    found: Document = {}
    rows = db.execute("SELECT name, state, result, at FROM findings ORDER BY name")
    for name, state, text, at in rows:
        result = as_object(db, text)
        message = result.pop("message", None)
        found[name] = {
            "state": state,
            "message": None if message is None else str(message),
            "at": at,
            "age_seconds": clock.age(at, now),
            "result": result,
        }
    return found


def deploy(findings: Document) -> Document:
    """What was found of the checkout that pynchy runs from, and when."""
    found = findings.get("git", {"result": {}, "at": None, "age_seconds": None})
    told = {name: found["result"].get(name) for name in DEPLOY}
    return told | {"checked_at": found["at"], "age_seconds": found["age_seconds"]}


def integrity(findings: Document) -> Document:
    """Whether the file was found whole; `state` is None where nobody has looked yet."""
    found = findings.get("integrity", {"state": None, "at": None, "age_seconds": None})
    return {name: found[name] for name in ("state", "at", "age_seconds")}


def configuration(findings: Document, alive: list[Document]) -> Document:
    """What the configuration was last found to be. A process that started since has read it, so
    that it was well by then; `state` is None where nobody looked."""
    found = findings.get("config")
    since = max((row["started_at"] for row in alive), default=None)
    if since is not None and (found is None or found["at"] < since):
        return {"state": "ok", "message": None, "at": since}
    if found is None:
        return {"state": None, "message": None, "at": None}
    return {name: found[name] for name in ("state", "message", "at")}


def holds(db: sqlite3.Connection) -> list[Document]:
    """What is held, the hold of all groups (`group` is None) first."""
    rows = db.execute(
        "SELECT group_folder, outbound, reason, held_by, held_at FROM holds"
        " ORDER BY group_folder LIMIT ?",
        (SHOWN,),
    )
    return [
        {
            "group": folder or None,
            "outbound": bool(outbound),
            "reason": reason,
            "held_by": held_by,
            "held_at": held_at,
        }
        for folder, outbound, reason, held_by, held_at in rows
    ]
