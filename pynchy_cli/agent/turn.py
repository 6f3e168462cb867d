"""One attempt of a run, as rows: each piece of the agent's output is stored in the same
transaction as the offset behind it, and the end of the turn with the reply, the session and
the cursor. A kill at any moment leaves either all of a piece or nothing of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from agent_runner import protocol
from pynchy_cli import clock
from pynchy_cli.config.settings import Queue
from pynchy_cli.model import Run, Session
from pynchy_cli.store import Store, events, groups, outbound, runs, sessions
from pynchy_cli.store.connection import Connection

Found = Sequence[tuple[protocol.Record, int]]
SHOWN = 4000
GROWN = 1 << 20
"""Characters kept of an answer that is still being written."""
DOUBLINGS = 20
"""So often the pause between attempts is doubled at most."""
NOTHING = "(The agent ended its turn without an answer.)"
GIVEN_UP = "Sorry, I could not answer this: {error}"


class RunLost(Exception):
    """Another worker has the run now, or it was cancelled; what we know of it is void."""


class Turn:
    """An attempt at a run that is ours."""

    def __init__(
        self,
        store: Store,
        queue: Queue,
        run: Run,
        session: Session,
        heard: Callable[[protocol.Record], None] | None = None,
    ) -> None:
        self.store = store
        self.queue = queue
        self.run = run
        self.session = session
        self.reply = ""
        self.heard = heard
        self.has_begun = False
        self.ended: protocol.TurnEnded | None = None
        self._text = ""

    @property
    def key(self) -> str:
        """The unique key of the run's reply."""
        return f"run:{self.run.id}:0"

    @property
    def is_shell(self) -> bool:
        """Whether the answer goes to a shell and to no chat."""
        return self.run.kind == "shell"

    def resume(self) -> None:
        """Continue an answer whose beginning another worker has stored."""
        for reply in outbound.of_run(self.store.db, self.run.id):
            if not reply.is_final:
                self._text = reply.content

    def take(self, found: Found) -> protocol.TurnEnded | None:
        """Store records, the offset behind them, and the end of the turn if it is among
        them. Raises RunLost; then nothing was stored."""
        now = clock.now()
        ended = None
        before = self._text
        try:
            with self.store.atomic() as db:
                self._require(db)
                for record, offset in found:
                    if record.turn == self.run.turn:
                        self.has_begun = True
                        ended = self._one(db, record, offset, now) or ended
                if ended is None and self._text != before:
                    self._grow(db, now)
                sessions.advance(db, self.session, found[-1][1], now)
                if ended is not None:
                    self._end(db, ended, now)
        except BaseException:
            self._text = before  # the same records will come again
            raise
        if self.heard is not None:
            for record, _ in found:
                self.heard(record)
        self.ended = ended
        return ended

    def fail(self, error: str, *, retry: bool = True) -> None:
        """The attempt failed: back to the queue after a while, or given up and said so."""
        now = clock.now()
        with self.store.atomic() as db:
            self._require(db)
            self._failed(db, error, now, retry=retry)

    def give_back(self, reason: str) -> None:
        """Put the run back; that it didn't end is nobody's fault. After some times it may be
        the run's after all, and counts as a failure."""
        now = clock.now()
        with self.store.atomic() as db:
            self._require(db)
            if self.is_shell:
                runs.finish(db, self.run, "cancelled", now, reason)
            elif self.run.takeovers < runs.FREE_TAKEOVERS:
                self._back(db, now, None, reason, free=True)
            else:
                self._failed(db, reason, now, retry=True)

    def skip(self) -> None:
        """Nothing is to be answered: the run is done without a turn."""
        now = clock.now()
        with self.store.atomic() as db:
            self._require(db)
            runs.finish(db, self.run, "done", now)
            groups.answer_through(db, self.run.group_folder, self.run.last_seq)

    def _require(self, db: Connection) -> None:
        if not runs.is_mine(db, self.run):
            raise RunLost(f"run {self.run.id} is no longer ours")

    def _one(
        self, db: Connection, record: protocol.Record, offset: int, now: str
    ) -> protocol.TurnEnded | None:
        match record:
            case protocol.Text(text=text):
                self._text = (self._text + text)[:GROWN]
            case protocol.Started(session_id=session_id):
                self._named(db, session_id)
            case protocol.TurnEnded():
                return record
            case protocol.Thinking(text=text):
                self._trace(db, "thinking", {"text": text}, text, offset, now)
            case protocol.ToolUse(name=name, input=given, tool_id=tool):
                payload = {"tool_id": tool, "name": name, "input": given}
                self._trace(db, "tool_use", payload, f"{name} {_preview(given)}", offset, now)
            case protocol.ToolResult(tool_id=tool, content=content, is_error=is_error):
                result = {"tool_id": tool, "content": content, "is_error": is_error}
                self._trace(db, "tool_result", result, content, offset, now)
            case protocol.Notice(subtype=subtype, data=data):
                self._notice(db, subtype, data, offset, now)
        return None

    def _trace(
        self,
        db: Connection,
        kind: str,
        payload: dict[str, Any],
        line: str,
        offset: int,
        now: str,
    ) -> None:
        run = self.run
        events.add(
            db,
            kind,
            payload,
            now,
            group_folder=run.group_folder,
            run_id=run.id,
            chat_jid=run.chat_jid,
        )
        if run.chat_jid is not None and not self.is_shell:
            events.show(
                db,
                key=f"{run.turn}:{offset}",
                chat_jid=run.chat_jid,
                kind=kind,
                content=line[:SHOWN],
                now=now,
                run_id=run.id,
            )

    def _notice(
        self, db: Connection, subtype: str, data: dict[str, Any], offset: int, now: str
    ) -> None:
        run = self.run
        payload = {"subtype": subtype, **data}
        events.add(
            db,
            "notice",
            payload,
            now,
            group_folder=run.group_folder,
            run_id=run.id,
            chat_jid=run.chat_jid,
        )
        if subtype == "session_lost" and run.chat_jid is not None and not self.is_shell:
            outbound.say(
                db,
                key=f"run:{run.turn}:lost:{offset}",
                chat_jid=run.chat_jid,
                content="(I could not continue our earlier conversation, so I start afresh.)",
                source="host",
                now=now,
                group_folder=run.group_folder,
                run_id=run.id,
            )

    def _grow(self, db: Connection, now: str) -> None:
        if self.is_shell:
            return
        outbound.grow(
            db,
            key=self.key,
            chat_jid=self.run.chat_jid or "",
            content=self._text,
            now=now,
            group_folder=self.run.group_folder,
            run_id=self.run.id,
        )

    def _named(self, db: Connection, session_id: str | None) -> None:
        if session_id:
            sessions.named(db, self.session, session_id)

    def _end(self, db: Connection, ended: protocol.TurnEnded, now: str) -> None:
        self._named(db, ended.session_id)
        if ended.error is not None:
            self._failed(db, ended.error, now, retry=not ended.is_permanent)
            return
        self.reply = ended.reply
        runs.finish(db, self.run, "done", now)
        if self.is_shell:
            return
        source = "agent" if ended.reply.strip() else "host"
        self._say(db, ended.reply if ended.reply.strip() else NOTHING, source, now)
        groups.answer_through(db, self.run.group_folder, self.run.last_seq)

    def _failed(self, db: Connection, error: str, now: str, *, retry: bool) -> None:
        run = self.run
        if self.is_shell:
            runs.finish(db, run, "failed", now, error)
            return
        if retry and run.attempts <= self.queue.max_retries:
            delay = self.queue.base_retry * 2 ** min(run.attempts - 1, DOUBLINGS)
            later = clock.after(now, delay)
            self._back(db, now, later, error, free=False)
            return
        runs.finish(db, run, "failed", now, error)
        self._say(db, GIVEN_UP.format(error=error), "host", now)
        groups.answer_through(db, run.group_folder, run.last_seq)

    def _back(
        self, db: Connection, now: str, later: str | None, reason: str, *, free: bool
    ) -> None:
        run = self.run
        waiting = runs.give_back(db, run, now=now, not_before=later, error=reason, free=free)
        if waiting != run.id:
            outbound.hand_on(db, self.key, f"run:{waiting}:0", waiting)

    def _say(self, db: Connection, content: str, source: str, now: str) -> None:
        outbound.say(
            db,
            key=self.key,
            chat_jid=self.run.chat_jid or "",
            content=content,
            source=source,
            now=now,
            group_folder=self.run.group_folder,
            run_id=self.run.id,
        )


def _preview(given: dict[str, Any]) -> str:
    """The most telling argument of a tool call, in a line."""
    for name in ("command", "file_path", "path", "pattern", "url", "query", "description"):
        value = given.get(name)
        if isinstance(value, str):
            return value
    return str(given)[:150] if given else ""
