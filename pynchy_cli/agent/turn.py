"""One attempt of a run, as rows: each piece of the agent's output is stored in the same
transaction as the offset behind it, and the end of the turn with the reply, the session and
the cursor. A kill at any moment leaves either all of a piece or nothing of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from agent_runner import protocol
from pynchy_cli import clock
from pynchy_cli.agent import patience, trace
from pynchy_cli.agent.spoken import internal, spoken
from pynchy_cli.config.settings import Queue
from pynchy_cli.model import Run, Session
from pynchy_cli.store import (
    Store,
    approvals,
    children,
    groups,
    outbound,
    requests,
    runs,
    sessions,
    steering,
    tasks,
)
from pynchy_cli.store.connection import Connection

Found = Sequence[tuple[protocol.Record, int]]
GROWN = 1 << 20
"""Characters kept of an answer that is still being written."""
SHOW_EVERY = 0.5
"""Seconds between two sights of an answer that is being written, at least."""
DOUBLINGS = 20
"""So often the pause between attempts is doubled at most."""
NOTHING = "(The agent ended its turn without an answer.)"
GIVEN_UP = "Sorry, I could not answer this: {error}"
UNFINISHED = "Sorry, I could not finish this: {error}"
TASK_FAILED = "The scheduled task {task} failed: {error}"
STOPPED = "(Stopped.)"
MORE_SAID = "more was said meanwhile"
BEGUN_AGAIN = "the turn that asked begins again"
TOO_LATE = protocol.write_answer(
    protocol.Answer(
        ok=False, error=protocol.Error("cancelled", "The turn that waited for it is over.")
    )
).decode()
"""What is answered to an agent that waited for another run when its own turn ended."""


class RunLost(Exception):
    """Another worker has the run now, or it was cancelled; what we know of it is void."""


class Turn:
    """An attempt at a run that is ours. `run` is the row as it was when we last wrote it."""

    def __init__(
        self,
        store: Store,
        queue: Queue,
        run: Run,
        session: Session,
        heard: Callable[[protocol.Record], None] | None = None,
        show_every: float = SHOW_EVERY,
    ) -> None:
        self.store = store
        self.queue = queue
        self.run = run
        self.session = session
        self.reply = ""
        self.heard = heard
        self.show_every = show_every
        self.has_begun = False
        self.ended: protocol.TurnEnded | None = None
        self._text = ""
        self._kept = 0
        self._doing: str | None = None
        self._shown: tuple[str, str | None] = "", None
        self._shown_at = 0.0

    @property
    def key(self) -> str:
        """The unique key of the reply that is being written."""
        return f"run:{self.run.id}:{self.run.replies}"

    def resume(self, said: tuple[str, int] | None) -> None:
        """Continue an answer whose beginning another worker has stored: its text, and how much of
        it is kept already. None where only the ledger knows of it."""
        text, kept = said if said is not None else (self._stored_text(), 0)
        self._text, self._kept = text[:GROWN], kept

    def take(self, found: Found) -> protocol.TurnEnded | None:
        """Store records, the offset behind them, and the end of the turn if it is among
        them. Raises RunLost; then nothing was stored."""
        now = clock.now()
        ended = None
        before = self.run, self._text, self._kept, self._doing, self._shown
        try:
            with self.store.atomic() as db:
                self._require(db)
                for record, offset in found:
                    if record.turn == self.run.turn:
                        if not self.has_begun:
                            trace.begun(db, self.run, self.session, now)
                        self.has_begun = True
                        ended = self._one(db, record, offset, now) or ended
                if ended is None and self.until_shown() == 0:
                    self._grow(db, now)
                sessions.advance(db, self.session, found[-1][1], now)
                if ended is not None:
                    self._end(db, ended, now)
        except BaseException:
            self.run, self._text, self._kept, self._doing, self._shown = (
                before  # the same records will come again
            )
            raise
        if self.heard is not None:
            for record, _ in found:
                self.heard(record)
        self.ended = ended
        return ended

    def until_shown(self) -> float | None:
        """Seconds until what the agent has written since may be shown; None where there is
        nothing new."""
        if (self._text, self._doing) == self._shown or not self.run.is_watched:
            return None
        return max(0.0, self._shown_at + self.show_every - time.monotonic())

    def show(self) -> None:
        """Have the chat see what the agent has written so far. Raises RunLost."""
        with self.store.atomic() as db:
            self._require(db)
            self._grow(db, clock.now())

    def absorb(self) -> Run | None:
        """Take over what was said since, and waits; the run as it was before, or None where
        there is nothing. Raises RunLost."""
        now = clock.now()
        with self.store.atomic() as db:
            self._require(db)
            before = self.run
            grown = steering.absorb(db, before, now)
            if grown is None:
                return None
            self.run = grown
        return before

    def waited(self, seconds: float) -> tuple[float, bool]:
        """For how much of the last seconds the agent has waited for a person or another run, and
        whether it does now."""
        now = clock.now()
        waits = requests.waits(self.store.db, self.run, self.session.folder or "")
        spent = patience.waited(waits, clock.after(now, -seconds), now)
        return spent, any(end is None for _, end in waits)

    def fail(self, error: str, *, retry: bool = True) -> None:
        """The attempt failed: back to the queue after a while, or given up and said so."""
        now = clock.now()
        with self.store.atomic() as db:
            self._require(db)
            self._failed(db, error, now, self.run.told_seq, retry=retry)

    def give_back(self, reason: str) -> None:
        """Put the run back; that it didn't end is nobody's fault. After some times it may be
        the run's after all, and counts as a failure."""
        now = clock.now()
        with self.store.atomic() as db:
            self._require(db)
            if self.run.asked is not None:
                self._interrupted(db, "", now)
            elif self.run.is_shell:
                self._finish(db, "cancelled", now, reason)
            elif self._has_answered():
                self._over(db, now)
            elif self.run.takeovers < runs.FREE_TAKEOVERS:
                self._back(db, now, None, reason, free=True)
            else:
                self._failed(db, reason, now, self.run.told_seq, retry=True)

    def skip(self) -> None:
        """Nothing is to be answered: the run is done without a turn."""
        now = clock.now()
        with self.store.atomic() as db:
            self._require(db)
            self._over(db, now)
            self._answered_through(db, self.run.last_seq)

    def _over(self, db: Connection, now: str) -> None:
        """There is nothing more to say."""
        self._finish(db, "done", now)
        outbound.withdraw(db, self.key)

    def _finish(
        self,
        db: Connection,
        state: str,
        now: str,
        error: str | None = None,
        result: str | None = None,
    ) -> None:
        runs.finish(db, self.run, state, now, error, result)
        children.leave(db, self.run, TOO_LATE, now)

    def _require(self, db: Connection) -> None:
        run = runs.mine(db, self.run)
        if run is None:
            raise RunLost(f"run {self.run.id} is no longer ours")
        self.run = run

    def _one(
        self, db: Connection, record: protocol.Record, offset: int, now: str
    ) -> protocol.TurnEnded | None:
        match record:
            case protocol.Text(text=text):
                self._text = (self._text + text)[:GROWN]
                self._doing = None
            case protocol.Started(session_id=session_id):
                self._named(db, session_id)
            case protocol.Replied():
                self._replied(db, record, now)
            case protocol.TurnEnded():
                return record
            case _:
                if isinstance(record, protocol.ToolUse):
                    self._keep_text(db, now)
                    self._doing = trace.doing(record.name, record.input)
                trace.store(db, self.run, record, offset, now)
        return None

    def _keep_text(self, db: Connection, now: str) -> None:
        """What was said before a tool is seen as it comes, and not in the answer."""
        if said := self._text[self._kept :].strip():
            trace.keep(db, self.run, "text", [said], now)
        self._kept = len(self._text)

    def _grow(self, db: Connection, now: str) -> None:
        self._shown = self._text, self._doing
        content = spoken(self._text, is_final=False)
        if not content.strip() and not self._doing:
            return
        self._shown_at = time.monotonic()
        outbound.grow(
            db,
            key=self.key,
            chat_jid=self.run.chat_jid or "",
            content=content,
            now=now,
            group_folder=self.run.group_folder,
            run_id=self.run.id,
            doing=self._doing,
        )

    def _named(self, db: Connection, session_id: str | None) -> None:
        if session_id:
            sessions.named(db, self.session, session_id)

    def _through(self, read: int) -> int:
        """The last message that an answer takes into account. An agent that claims another
        number than it was given harms its own group's answers, and nothing else."""
        return min(max(self.run.told_seq, read), self.run.last_seq)

    def _replied(self, db: Connection, record: protocol.Replied, now: str) -> None:
        """An answer is whole, and the turn goes on."""
        if self.run.is_silent:
            return
        self._named(db, record.session_id)
        through = self._through(record.read)
        self._answer(db, record.reply.strip() or self._text.strip(), now)
        self._text, self._kept, self._doing = "", 0, None
        self._shown = "", None
        self._answered_through(db, through)
        self.run = steering.replied(db, self.run, through)

    def _end(self, db: Connection, ended: protocol.TurnEnded, now: str) -> None:
        self._named(db, ended.session_id)
        through = self._through(ended.read)
        if ended.error is None and not ended.is_interrupted:
            self._done(db, ended.reply, now, through)
        elif ended.is_interrupted and self.run.asked is not None:
            self._interrupted(db, ended.reply, now)
        else:
            error = ended.error or "the agent's turn was interrupted"
            self._failed(db, error, now, through, retry=not ended.is_permanent)

    def _done(self, db: Connection, reply: str, now: str, through: int) -> None:
        self.reply = spoken(reply, is_final=True)
        run = self.run
        is_kept = run.is_child or run.is_task
        self._finish(
            db, "done", now, result=children.bounded(self.reply.strip()) if is_kept else None
        )
        if run.is_child:
            trace.keep(db, self.run, "internal", internal(reply), now)
        if self.run.is_silent:
            return
        self._answer(db, reply, now)
        self._leave(db, through, now)

    def _answer(self, db: Connection, reply: str, now: str, *, is_whole: bool = True) -> None:
        """Say what of an answer is meant for people, which may be nothing; the rest is kept."""
        if self.run.quiet:
            trace.keep(db, self.run, "internal", filter(None, [reply.strip()]), now)
            return
        trace.keep(db, self.run, "internal", internal(reply), now)
        content = spoken(reply, is_final=is_whole)
        if content.strip():
            self._say(db, content, "agent", now)
        elif reply.strip():
            outbound.withdraw(db, self.key)
        elif not self.run.is_task:
            self._say(db, NOTHING, "host", now)

    def _interrupted(self, db: Connection, reply: str, now: str) -> None:
        if self.run.asked == "stop":
            self._stopped(db, now, reply)
            return
        if text := reply.strip() or self._text.strip():
            self._answer(db, text, now, is_whole=False)
            self.run = steering.replied(db, self.run, self.run.answered_seq)
        # The attempt was none: the same is asked again, together with what was said since.
        self.run = replace(self.run, attempts=self.run.attempts - 1)
        self._back(db, now, None, MORE_SAID, free=False)

    def _stopped(self, db: Connection, now: str, reply: str = "") -> None:
        """Somebody wanted it to end: what there is of the answer is the answer."""
        why = children.STOPPED if self.run.is_child else "stopped by hand"
        self._finish(db, "cancelled", now, why)
        if self.run.is_task:
            self._keep_text(db, now)  # nobody waits for it
        if not self.run.is_watched:
            return
        self._cut_short(db, self._said(reply), STOPPED, now)
        self._answered_through(db, self.run.last_seq)

    def _said(self, reply: str = "") -> str:
        """What there is of an answer, as far as it is for people."""
        text = reply.strip() or self._text.strip() or self._stored_text()
        return spoken(text, is_final=False).strip()

    def _cut_short(self, db: Connection, text: str, why: str, now: str) -> None:
        """Leave what there is of an answer, and say why there is no more of it."""
        self._say(db, f"{text}\n\n{why}" if text else why, "agent" if text else "host", now)

    def _stored_text(self) -> str:
        found = [r.content for r in outbound.of_run(self.store.db, self.run.id) if not r.is_final]
        return found[-1].strip() if found else ""

    def _failed(self, db: Connection, error: str, now: str, through: int, *, retry: bool) -> None:
        run = self.run
        if run.asked == "stop":
            self._stopped(db, now)
        elif run.is_silent:
            self._finish(db, "failed", now, error)
        elif self._has_answered() or (run.replies and run.answered_seq >= run.last_seq):
            self._over(db, now)  # the answer was whole before it failed
        elif retry and run.attempts <= self.queue.max_retries:
            delay = self.queue.base_retry * 2 ** min(run.attempts - 1, DOUBLINGS)
            self._back(db, now, clock.after(now, delay), error, free=False)
        else:
            self._finish(db, "failed", now, error)
            self._give_up(db, error, now)
            self._leave(db, through, now)

    def _has_answered(self) -> bool:
        """Whether a task's agent has said that its work is done, so that none of it is to be done
        again."""
        return self.run.is_task and self.run.quiet

    def _give_up(self, db: Connection, error: str, now: str) -> None:
        """Say in the chat that there will be no answer, or no more of it."""
        if self.run.task is not None:
            words = TASK_FAILED.format(task=tasks.called(db, self.run.task), error=error)
            self._say(db, words, "host", now)
            return
        sorry = (UNFINISHED if self._said() else GIVEN_UP).format(error=error)
        self._cut_short(db, self._said(), sorry, now)

    def _leave(self, db: Connection, through: int, now: str) -> None:
        """The run is over: what it was given meanwhile and has not read waits for the next."""
        run = self.run
        self._answered_through(db, through)
        runs.leave(db, run, through, now)

    def _answered_through(self, db: Connection, seq: int) -> None:
        groups.answer_through(db, self.run.group_folder, seq, self.run.thread)

    def _back(
        self, db: Connection, now: str, later: str | None, reason: str, *, free: bool
    ) -> None:
        run = self.run
        children.leave(db, run, TOO_LATE, now)
        approvals.withdraw(db, run.id, BEGUN_AGAIN, now)
        note = trace.note(db, run, reason)
        waiting = runs.give_back(
            db, run, now=now, not_before=later, error=reason, free=free, note=note
        )
        if waiting != run.id:
            outbound.hand_on(db, self.key, waiting)

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
