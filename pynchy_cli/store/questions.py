"""What agents ask the people of a chat. Answers are kept as they come; when all are there, the
request is answered in the same transaction. Each ends once: answered, expired or withdrawn."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from agent_runner.protocol import Answer, Error, write_answer
from agent_runner.protocol.requests import Question
from pynchy_cli.store import audit, outbound, requests
from pynchy_cli.store.connection import Connection, Row

EXPIRED = "⌛ Nobody answered {id} in time; the question is closed."
_COLUMNS = (
    "id, request, group_folder, chat_jid, questions, answers, state, asked_at, expires_at,"
    " decided_at, answered_by"
)
ANSWERED = "✅ {numbers} answered."
ENDED = {
    "answered": "✅ Answered.",
    "expired": "⌛ Nobody answered in time.",
    "withdrawn": "↩️ Void.",
}
"""What is written under questions once they are closed."""
Given = Mapping[int, str | list[str]]
"""Number of a question, from 1 on -> its answer."""


@dataclass(frozen=True)
class Asked:
    """Some questions that were asked together, and what was answered of them so far."""

    id: str
    request: int
    group_folder: str
    chat_jid: str
    questions: tuple[Question, ...]
    answers: Given
    state: str
    asked_at: str
    expires_at: str
    decided_at: str | None
    answered_by: str | None

    @property
    def open(self) -> list[int]:
        """The numbers of those that have no answer yet."""
        return [number for number, _ in enumerate(self.questions, 1) if number not in self.answers]

    @property
    def told(self) -> dict[str, str | list[str]]:
        """Question -> answer, as agents are told; one that was asked twice bears its number."""
        told: dict[str, str | list[str]] = {}
        for number, question in enumerate(self.questions, 1):
            if number in self.answers:
                text = question.question
                told[f"{text} ({number})" if text in told else text] = self.answers[number]
        return told


def ask(
    db: Connection,
    *,
    id: str,
    request: requests.Request,
    chat_jid: str,
    questions: Sequence[Question],
    expires_at: str,
    now: str,
) -> Asked:
    """Have a request wait for people's answers."""
    document = msgspec.json.encode(list(questions)).decode()
    row = db.execute(
        "INSERT INTO questions(id, request, group_folder, chat_jid, questions, asked_at,"
        f" expires_at) VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING {_COLUMNS}",
        (id, request.id, request.group_folder, chat_jid, document, now, expires_at),
    ).fetchone()
    return _asked(row)


def get(db: Connection, id: str) -> Asked | None:
    """What was asked under this id."""
    row = db.execute(f"SELECT {_COLUMNS} FROM questions WHERE id = ?", (id,)).fetchone()
    return _asked(row) if row else None


def pending(db: Connection, group_folder: str) -> list[Asked]:
    """What a group's agents wait for, oldest first."""
    rows = db.execute(
        f"SELECT {_COLUMNS} FROM questions WHERE group_folder = ? AND state = 'pending'"
        " ORDER BY asked_at, request",
        (group_folder,),
    ).fetchall()
    return [_asked(row) for row in rows]


def open_in(db: Connection, group_folder: str, now: str) -> list[Asked]:
    """What can be answered in any of a group's chats, oldest first: it is shown in all of them."""
    return [one for one in pending(db, group_folder) if one.expires_at > now]


def of_run(db: Connection, group_folder: str, run_id: int) -> list[Asked]:
    """What a group's run has asked and nobody has answered."""
    found = pending(db, group_folder)
    return [one for one in found if _run(db, one) == run_id]


def _run(db: Connection, asked: Asked) -> int | None:
    request = requests.get(db, asked.request)
    return request.run_id if request is not None else None


def note(db: Connection, asked: Asked, answers: Given, who: str) -> Asked:
    """Keep answers, whether all are there or not; and show which those are, where not all are."""
    merged = {**asked.answers, **answers}
    row = db.execute(
        "UPDATE questions SET answers = ?, answered_by = ? WHERE id = ? AND state = 'pending'"
        f" RETURNING {_COLUMNS}",
        (json.dumps(merged, ensure_ascii=False), who, asked.id),
    ).fetchone()
    kept = _asked(row)
    if kept.open:
        numbers = ", ".join(str(number) for number in sorted(answers))
        outbound.conclude(db, f"question:{asked.id}", ANSWERED.format(numbers=numbers))
    return kept


def settle(db: Connection, asked: Asked, result: Mapping[str, Any], who: str, now: str) -> bool:
    """All is answered: tell whoever asked; whether it was still to be told."""
    answer = write_answer(Answer(ok=True, result=dict(result))).decode()
    return _end(db, asked, "answered", "done", answer, who, now)


def withdraw(db: Connection, asked: Asked, why: str, now: str) -> bool:
    """Nobody waits for it any more; whether it was still open."""
    answer = write_answer(Answer(ok=False, error=Error("withdrawn", why))).decode()
    return _end(db, asked, "withdrawn", "refused", answer, "pynchy", now)


def expire(db: Connection, now: str) -> int:
    """End what waited too long, with a word in its chat; how many."""
    rows = db.execute(
        f"SELECT {_COLUMNS} FROM questions WHERE state = 'pending' AND expires_at <= ?", (now,)
    ).fetchall()
    for asked in map(_asked, rows):
        so_far = json.dumps(asked.told, ensure_ascii=False)
        why = "Not everything was answered in time." if asked.told else "Nobody answered in time."
        message = f"{why} Until then: {so_far}" if asked.told else why
        answer = write_answer(Answer(ok=False, error=Error("expired", message))).decode()
        _end(db, asked, "expired", "refused", answer, "pynchy", now)
        outbound.say(
            db,
            key=f"question:{asked.id}:expired",
            chat_jid=asked.chat_jid,
            content=EXPIRED.format(id=asked.id),
            source="host",
            now=now,
            group_folder=asked.group_folder,
            thread=outbound.thread_of(db, f"question:{asked.id}"),
        )
    return len(rows)


def _end(
    db: Connection, asked: Asked, state: str, request_state: str, answer: str, who: str, now: str
) -> bool:
    row = db.execute(
        "UPDATE questions SET state = ?, decided_at = ? WHERE id = ? AND state = 'pending'"
        " RETURNING id",
        (state, now, asked.id),
    ).fetchone()
    if row is None:
        return False
    outbound.conclude(db, f"question:{asked.id}", ENDED[state])
    requests.answer(db, asked.request, request_state, answer, now)
    audit.add(
        db,
        "question",
        state,
        who=who,
        subject="ask_user",
        now=now,
        group_folder=asked.group_folder,
        request=asked.request,
        detail={"question": asked.id},
    )
    return True


def _asked(row: Row) -> Asked:
    values = list(row)
    values[4] = msgspec.json.decode(values[4], type=tuple[Question, ...])
    values[5] = {int(number): answer for number, answer in json.loads(values[5]).items()}
    return Asked(*values)
