"""What people end by hand: a turn at work is asked to stop, a run that waits is given up at once.
Which of the two it is, is decided in the transaction that does it; so a worker that claims the run
at the same moment has it, or never gets it."""

from __future__ import annotations

from pynchy_cli.errors import UsageWrong
from pynchy_cli.model import CHAT_LANE, Run
from pynchy_cli.store import groups, history, outbound, questions, runs, steering
from pynchy_cli.store.connection import Connection

CANCELLED = "(Cancelled.)"
WHY = "cancelled by hand"
VOID = "↩️ {id} is void: the run that asked was stopped."


def stop(db: Connection, group_folder: str, now: str, lane: str = CHAT_LANE) -> Run | None:
    """Ask for the end of a group's turn at work in a conversation; its run, or None where none
    is."""
    run = steering.at_work(db, group_folder, lane)
    if run is not None:
        _stop(db, run, now)
    return run


def stop_each(db: Connection, group_folder: str | None, now: str) -> list[Run]:
    """Ask for the end of all that a group is at work on, or that all are (None); the runs."""
    found = steering.all_at_work(db, group_folder)
    for run in found:
        _stop(db, run, now)
    return found


def is_stoppable(db: Connection, group_folder: str, lane: str = CHAT_LANE) -> bool:
    """Whether a group's turn is at work in a conversation."""
    return steering.at_work(db, group_folder, lane) is not None


def cancel(db: Connection, run_id: int, now: str) -> Run:
    """End a run for good; the run as it is then: cancelled and told so in its chat, or at work
    still, and asked to stop.

    Raises RunUnknown, and UsageWrong where it has ended already.
    """
    run = runs.get(db, run_id)
    if run.state == "running":
        _stop(db, run, now)
    elif run.state == "queued":
        db.execute(
            "UPDATE runs SET state = 'cancelled', finished_at = ?, error = ? WHERE id = ?",
            (now, WHY, run_id),
        )
        _close_questions(db, run, now)
        _tell(db, run, now)
        groups.answer_through(db, run.group_folder, run.last_seq, run.thread)
    else:
        raise UsageWrong(f"Run {run_id} {_ended(db, run)}; there is nothing to cancel.")
    return runs.get(db, run_id)


def _stop(db: Connection, run: Run, now: str) -> None:
    steering.ask(db, run.id, "stop")
    _close_questions(db, run, now)


def _close_questions(db: Connection, run: Run, now: str) -> None:
    """Nobody waits for the answers to what it has asked; where the chat isn't told of its end, it
    is told of that."""
    for asked in questions.of_run(db, run.group_folder, run.id):
        if questions.withdraw(db, asked, "The turn was stopped.", now) and not run.is_watched:
            outbound.say(
                db,
                key=f"question:{asked.id}:withdrawn",
                chat_jid=asked.chat_jid,
                content=VOID.format(id=asked.id),
                source="host",
                now=now,
                group_folder=asked.group_folder,
                thread=outbound.thread_of(db, f"question:{asked.id}"),
            )


def _tell(db: Connection, run: Run, now: str) -> None:
    """What was written of an answer stays, and no reply is left open."""
    if run.chat_jid is None or not run.is_watched:
        return
    left = [reply for reply in outbound.of_run(db, run.id) if not reply.is_final]
    text = left[-1].content.strip() if left else ""
    outbound.say(
        db,
        key=left[-1].key if left else f"run:{run.id}:{run.replies}",
        chat_jid=run.chat_jid,
        content=f"{text}\n\n{CANCELLED}" if text else CANCELLED,
        source="agent" if text else "host",
        now=now,
        group_folder=run.group_folder,
        run_id=run.id,
    )


def _ended(db: Connection, run: Run) -> str:
    if run.state == "superseded":
        return f"was taken over by run {history.successor(db, run.id)}"
    return f"is {run.state}"
