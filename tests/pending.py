"""Requests that wait for a person, as the stage leaves them in a home's database."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import termios
from collections.abc import Mapping, Sequence
from pathlib import Path

from pynchy_cli.store import Store, approvals, requests
from pynchy_cli.store.requests import Request

ASKED_AT = "2026-01-31T08:00:00.000Z"
LATER = "2099-01-31T08:00:00.000Z"
SUMMARY = "register_group\nfolder: work\njid: slack:C1"
PAYLOAD = '{"type": "register_group", "jid": "slack:C1", "folder": "work", "name": "Work"}'


def store_of(home: Path) -> Store:
    """The home's database."""
    return Store.open(home / "data/messages.db")


def waits(
    store: Store, number: int, type: str = "register_group", payload: str = PAYLOAD
) -> Request:
    """The group main's request of this number, which waits for a person."""
    with store.atomic() as db:
        return requests.add(
            db,
            group_folder="main",
            session="s1",
            request_id=f"r-{number}",
            lane="chat",
            role="admin",
            run_id=7,
            chat_jid="local:main",
            type=type,
            payload=payload,
            state="waiting",
            now=ASKED_AT,
        )


def needs_yes(
    store: Store,
    id: str,
    number: int = 1,
    *,
    asked_at: str = ASKED_AT,
    expires_at: str = LATER,
    approvers: Sequence[str] = ("owner",),
    summary: str = SUMMARY,
) -> Request:
    """A request that waits for a yes under this id."""
    row = waits(store, number)
    with store.atomic() as db:
        approvals.ask(
            db,
            id=id,
            request=row,
            chats=["local:main", "slack:C9"],
            summary=summary,
            approvers=approvers,
            expires_at=expires_at,
            now=asked_at,
        )
    return row


def needs_answer(store: Store, id: str, number: int = 2) -> Request:
    """A request that waits for answers under this id."""
    row = waits(store, number, "ask_user", '{"type": "ask_user", "questions": []}')
    questions = [
        {"question": "Which one?", "options": [{"label": "red"}, {"label": "blue"}]},
        {"question": "Why?"},
    ]
    with store.atomic() as db:
        db.execute(
            "INSERT INTO questions(id, request, group_folder, chat_jid, questions, answers,"
            " asked_at, expires_at) VALUES (?, ?, 'main', 'local:main', ?, ?, ?, ?)",
            (id, row.id, json.dumps(questions), '{"1": "red"}', "2026-01-31T08:01:00.000Z", LATER),
        )
    return row


def on_terminal(
    home: Path, environment: Mapping[str, str], *arguments: str, columns: int = 100
) -> tuple[int, list[str]]:
    """The exit code of a command on a terminal of this width, and the lines that it shows."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, columns))
    command = [sys.executable, "-m", "pynchy_cli", "--home", str(home), *arguments]
    with os.fdopen(ours, "rb") as screen:
        done = subprocess.Popen(
            command, stdin=theirs, stdout=theirs, stderr=theirs, env=dict(environment)
        )
        os.close(theirs)
        shown = b""
        while True:
            try:
                piece = os.read(screen.fileno(), 65536)
            except OSError:  # The last of those that had it open is gone.
                break
            if not piece:
                break
            shown += piece
    return done.wait(60), shown.decode().replace("\r\n", "\n").splitlines()
