"""A home in which agents have asked something of people, and what people say there: rows as the
stages write them, and the real `route`."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from agent_runner.protocol import Answer, read_answer
from agent_runner.protocol.requests import AskUser, Question
from pynchy_cli import clock
from pynchy_cli.channels.intake import take
from pynchy_cli.config.home import prepare
from pynchy_cli.config.paths import Home
from pynchy_cli.config.settings import Settings
from pynchy_cli.model import NewMessage
from pynchy_cli.routing import transcript
from pynchy_cli.store import approvals, groups, messages, questions, requests, runs, sessions
from pynchy_cli.store.connection import Store
from pynchy_cli.store.migrate import migrate

OWNER = 4711
"""A process that owns what is at work; nobody else does."""
LATER = "2999-01-01T00:00:00.000Z"
BEFORE = "2001-01-01T00:00:00.000Z"


class People:
    """What is asked, said and found in one home."""

    def __init__(self, environment: Mapping[str, str], home: Path) -> None:
        self.environment = environment
        self.home = Home(home)
        self.path = self.home.database
        self._number = 0

    @classmethod
    def moved_in(cls, environment: Mapping[str, str], home: Path) -> People:
        """A new home, without a group."""
        prepare(Home(home))
        migrate(Home(home).database)
        return cls(environment, home)

    def opened(self, folder: str) -> None:
        """From now on everybody may speak to the group."""
        with self.store() as store, store.atomic() as db:
            db.execute(
                "UPDATE registered_groups SET allowed_users = '[\"*\"]' WHERE folder = ?", (folder,)
            )

    def group(self, folder: str, *allowed: str, is_admin: bool = False, jid: str = "") -> None:
        """A group in which some may speak."""
        with self.store() as store, store.atomic() as db:
            groups.add(
                db,
                folder=folder,
                name=folder,
                jid=jid or f"local:{folder}",
                is_admin=is_admin,
                trigger_mode="mention",
                trigger_pattern=None,
                allowed_users=allowed,
                now=clock.now(),
            )

    def store(self) -> Store:
        """The home's database, to be closed."""
        return Store.open(self.path)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """What a person would see in the file."""
        db = sqlite3.connect(self.path)
        try:
            return db.execute(sql).fetchall()
        finally:
            db.close()

    def say(
        self,
        *spoken: tuple[str, str],
        chat: str = "local:team",
        channel: str = "stdin",
        settings: Settings = Settings(),  # noqa: B008
    ) -> None:
        """Say something in a chat, each with its sender, as a channel takes it."""
        with self.store() as store, store.atomic() as db:
            for who, text in spoken:
                self._number += 1
                now = clock.now()
                said = NewMessage(f"m{self._number}", chat, who, who, text, now)
                take(db, channel, said, now, settings=settings)

    def route(self, **settings: str) -> None:
        """What the stage `route` makes of it."""
        self.stage("route", **settings)

    def stage(self, name: str, code: int = 0, **settings: str) -> None:
        """A stage does what waits now, as its command with `--once`, and ends with `code`."""
        variables = {f"PYNCHY_{key.upper()}": value for key, value in settings.items()}
        document = json.dumps({"home": str(self.home.root), "once": True})
        done = subprocess.run(
            [sys.executable, "-P", "-m", "pynchy_cli.stage", name, document],
            env={**self.environment, **variables},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == code, done.stderr

    def said(self, who: str, text: str, chat: str = "local:team", **settings: str) -> str | None:
        """Say something, and what the host itself answers to it at once."""
        self.say((who, text), chat=chat)
        self.route(**settings)
        found = self.rows(
            "SELECT content FROM outbound_ledger WHERE key = "
            "(SELECT 'message:' || max(seq) || ':0' FROM messages WHERE id NOT LIKE 'pynchy:%')"
        )
        return found[0][0] if found else None

    def request(self, folder: str, type: str, payload: str, chat: str) -> requests.Request:
        """Something that waits for a person; asked by a run that is at work, where one is."""
        self._number += 1
        with self.store() as store, store.atomic() as db:
            running = db.execute(
                "SELECT max(id) FROM runs WHERE group_folder = ? AND state = 'running'", (folder,)
            ).fetchone()[0]
            return requests.add(
                db,
                group_folder=folder,
                session=f"{folder}-session",
                request_id=f"r-{self._number}",
                lane="chat",
                role="group",
                type=type,
                payload=payload,
                state="waiting",
                now=clock.now(),
                run_id=running,
                chat_jid=chat,
            )

    def gated(
        self,
        id: str,
        *chats: str,
        folder: str = "team",
        approvers: Sequence[str] = ("owner",),
        expires_at: str = LATER,
    ) -> int:
        """A request that needs a yes; its number."""
        request = self.request(folder, "register_group", '{"jid":"local:x"}', chats[0])
        with self.store() as store, store.atomic() as db:
            approvals.ask(
                db,
                id=id,
                request=request,
                chats=chats,
                summary=f"register_group\n{id} registers local:x",
                approvers=approvers,
                expires_at=expires_at,
                now=clock.now(),
            )
        return request.id

    def question(
        self,
        id: str,
        *asked: Question,
        folder: str = "team",
        chat: str = "local:team",
        expires_at: str = LATER,
    ) -> int:
        """Questions of an agent; the number of the request."""
        payload = msgspec.json.encode(AskUser(questions=asked)).decode()
        request = self.request(folder, "ask_user", payload, chat)
        with self.store() as store, store.atomic() as db:
            questions.ask(
                db,
                id=id,
                request=request,
                chat_jid=chat,
                questions=asked,
                expires_at=expires_at,
                now=clock.now(),
            )
        return request.id

    def at_work(self, folder: str = "team") -> int:
        """The group's queued run is taken up, in a sandbox that lives; its number."""
        with self.store() as store, store.atomic() as db:
            now = clock.now()
            run = runs.claim(db, OWNER, 99, now)
            assert run is not None
            assert run.group_folder == folder
            sessions.begin(
                db,
                folder,
                "chat",
                folder=f"{folder}-session",
                owner=OWNER,
                sandbox="x",
                runtime="unsafe",
                now=now,
            )
            return run.id

    def over(self, run_id: int) -> None:
        """A run ends, whatever it waited for."""
        with self.store() as store, store.atomic() as db:
            run = runs.get(db, run_id)
            runs.finish(db, run, "done", clock.now())
            groups.answer_through(db, run.group_folder, run.last_seq)

    def state(self, request_id: int) -> str:
        """How far a request is."""
        return str(self.rows(f"SELECT state FROM requests WHERE id = {request_id}")[0][0])

    def answer(self, request_id: int) -> Answer | None:
        """What whoever asked is told."""
        text = self.rows(f"SELECT answer FROM requests WHERE id = {request_id}")[0][0]
        return read_answer(text) if text else None

    def told(self, folder: str = "team") -> list[str]:
        """What the agent is told by each run of the group, in order."""
        with self.store() as store:
            found = store.db.execute(
                "SELECT first_seq, last_seq FROM runs WHERE group_folder = ? ORDER BY id", (folder,)
            ).fetchall()
            return [
                transcript.prompt(messages.for_agent(store.db, folder, first - 1, last))
                for first, last in found
            ]
