"""A team in a Slack channel, without a Slack: payloads as they come become rows, the real router
routes them, and what we say stands in the channel as its stage notes it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from pynchy_cli import clock
from pynchy_cli.channels.intake import take
from pynchy_cli.channels.slack import events
from pynchy_cli.channels.slack.names import Names
from pynchy_cli.config.settings import Settings
from pynchy_cli.context import Context
from pynchy_cli.model import Message, Run, TriggerMode
from pynchy_cli.pipeline.route import Router
from pynchy_cli.routing import transcript
from pynchy_cli.store import chats, groups, messages, outbound, outbox, runs
from pynchy_cli.store.connection import Connection
from tests.asking import asking
from tests.slack_payloads import JID, WE, callback, informed, message, reaction

WORKER = 4711


@dataclass
class Team:
    """What is said and done in the channel of the group `team`."""

    context: Context
    names: Names
    router: Router
    stamps: Iterator[int] = field(default_factory=lambda: count(1))

    @property
    def db(self) -> Connection:
        """The file."""
        return self.context.store.db

    def ts(self) -> str:
        """The time of the next thing that happens."""
        return f"17000{next(self.stamps):05d}.000100"

    def came(self, payload: Mapping[str, Any], kind: events.Kind = "events_api") -> Message:
        """Something comes from Slack, and becomes a row."""
        found = events.read(payload, kind, WE, self.names, clock.now())
        assert found.event is not None, found.why
        with self.context.store.atomic() as db:
            settings = self.context.settings
            return take(db, "slack", found.event.message, clock.now(), settings=settings).message

    def said(self, text: str, user: str = "U0ANN", **more: Any) -> str:
        """Somebody says something; its time there."""
        ts = more.pop("ts", None) or self.ts()
        self.came(callback(message(text, user=user, ts=ts, **more)))
        return str(ts)

    def edited(self, ts: str, text: str, user: str = "U0ANN", at: str = "", **more: Any) -> None:
        """What somebody said is edited."""
        at = at or self.ts()
        after = {"type": "message", "user": user, "ts": ts, "text": text, **more}
        after["edited"] = {"user": user, "ts": at}
        event = {"type": "message", "subtype": "message_changed", "channel": "C0DEV", "ts": at}
        before = {**after, "text": "something else"}
        self.came(callback({**event, "message": after, "previous_message": before}))

    def deleted(self, ts: str, user: str = "U0ANN") -> None:
        """What somebody said is taken back."""
        event = {"type": "message", "subtype": "message_deleted", "channel": "C0DEV"}
        before = {"type": "message", "user": user, "ts": ts, "text": "x"}
        more = {"ts": self.ts(), "deleted_ts": ts, "previous_message": before}
        self.came(callback({**event, **more}))

    def reacted(self, emoji: str, ts: str, user: str = "U0ANN") -> None:
        """Somebody reacts to a message."""
        item = {"type": "message", "channel": "C0DEV", "ts": ts}
        self.came(callback(reaction(emoji, user, item=item, event_ts=self.ts())))

    def route(self) -> None:
        """The router does what is to do."""
        while self.router.drain():
            pass
        failed = self.db.execute("SELECT subject, error FROM failures").fetchall()
        assert failed == [], [tuple(row) for row in failed]

    def claimed(self) -> Run:
        """A worker takes up what waits."""
        with self.context.store.atomic() as db:
            run = runs.claim(db, WORKER, 99, clock.now())
        assert run is not None, "a run waits"
        return run

    def over(self, run: Run, state: str = "done") -> None:
        """A run ends."""
        with self.context.store.atomic() as db:
            runs.finish(db, run, state, clock.now())
            groups.answer_through(db, run.group_folder, run.last_seq, run.thread)

    def posted(self, content: str, run: Run | None = None, thread: str = "") -> str:
        """Something that we have said stands in the channel; its time there."""
        ts, now = self.ts(), clock.now()
        with self.context.store.atomic() as db:
            id = outbound.say(
                db,
                key=f"run:{run.id}:{ts}" if run else f"notice:{ts}",
                chat_jid=JID,
                content=content,
                source="agent" if run else "host",
                now=now,
                group_folder="team",
                run_id=run.id if run else None,
                thread=thread,
            )
            delivery = outbox.get(db, id, JID)
            assert delivery is not None
            outbox.begin(db, delivery, 0, "digest", now)
            outbox.placed(db, delivery, 0, ts, "digest")
            outbox.done(db, delivery, now)
        return ts

    def runs(self) -> list[tuple[str, str, str | None]]:
        """The runs: how each is, in which thread, and what its worker is asked to do."""
        rows = self.db.execute("SELECT state, thread, asked FROM runs ORDER BY id").fetchall()
        return [tuple(row) for row in rows]

    def told(self, run: Run) -> str:
        """What a run's agent is told, as its worker puts it together."""
        return transcript.prompt(
            messages.for_agent(
                self.db, run.group_folder, run.first_seq - 1, run.last_seq, run.thread
            )
        )

    def replies(self) -> list[tuple[str, str]]:
        """What we have said, and in which thread."""
        rows = self.db.execute("SELECT content, thread FROM outbound_ledger ORDER BY id")
        return [tuple(row) for row in rows.fetchall()]


@contextmanager
def team(
    root: Path,
    trigger_mode: TriggerMode = "mention",
    settings: Settings = Settings(),  # noqa: B008
) -> Iterator[Team]:
    """A new home below `root` with a team in the channel, to which Ann and Bob may speak."""
    with asking(root, settings, stage="route") as made:
        with made.store.atomic() as db:
            groups.add(
                db,
                folder="team",
                name="Team",
                jid=JID,
                is_admin=False,
                trigger_mode=trigger_mode,
                trigger_pattern=None,
                allowed_users=("U0ANN", "U0BOB"),
                now=clock.now(),
            )
            chats.claim(db, JID, "slack", "#dev", clock.now())
        yield Team(made.context, asyncio.run(informed()), Router(made.context))
