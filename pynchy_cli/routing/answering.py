"""What a person says where an agent has asked something, as rows: answers are kept until all are
there, and then told to whoever asked; where that turn is over they become a message for the agent
and a run. Who may speak was decided when the message came in."""

from __future__ import annotations

from pynchy_cli.output import plain
from pynchy_cli.routing import question_text
from pynchy_cli.routing.said import Said
from pynchy_cli.security import senders
from pynchy_cli.store import messages, questions, requests, runs, sessions
from pynchy_cli.store.connection import Connection
from pynchy_cli.store.questions import Asked

SHOWN = 300
"""Characters of a question, and of its answer, that are said again."""
KEPT = "✅ {answers}"
NO_OPTION = "There is no option {number}: there are 1 to {most}. Something else is said in words."
TOLD_LATER = "✅ {answers}\nThe turn that asked is over; the assistant is told now."


def answer(db: Connection, said: Said, waking: str | None, now: str) -> str | None:
    """Take what was said as an answer to what is open in its chat; what is to be said to that, or
    None where it is none. `waking` is the word that free answers need, if they need one."""
    found = _found(questions.open_in(db, said.group.folder, now), said)
    if found is None:
        return None
    asked, given = found
    for at, text in given.items():
        if question_text.is_no_option(text, asked.questions[at - 1]):
            most = len(asked.questions[at - 1].options)
            return NO_OPTION.format(number=text, most=most)
    who = senders.name_of(*said.sender)
    kept = questions.note(db, asked, given, who)
    words = "\n".join(
        f"{_short(kept.questions[number - 1].question)} – {_short(question_text.in_words(one))}"
        for number, one in given.items()
    )
    if kept.open:
        rest = question_text.rendered(kept.id, kept.questions, kept.open, waking)
        return f"{KEPT.format(answers=words)}\n\n{rest}"
    if is_waited_for(db, kept):
        result = {"answers": kept.told, "answered_by": said.message.sender_name}
        questions.settle(db, kept, result, who, now)
        return KEPT.format(answers=words)
    questions.settle(db, kept, {"answers": {}, "note": "They come as a message."}, who, now)
    _tell_anew(db, kept, said, now)
    return TOLD_LATER.format(answers=words)


def reads(db: Connection, said: Said, now: str) -> bool:
    """Whether that is an answer to something. It changes nothing."""
    open = questions.open_in(db, said.group.folder, now)
    return _found(open, said) is not None


def is_waited_for(db: Connection, asked: Asked) -> bool:
    """Whether the attempt that asked is at work still, in the sandbox in which it asked."""
    request = requests.get(db, asked.request)
    if request is None or request.answer is not None or request.run_id is None:
        return False
    session = sessions.get(db, request.group_folder, request.lane)
    if session.owner is None or session.folder != request.session:
        return False
    run = runs.get(db, request.run_id)
    return run.state == "running" and (run.started_at or "") <= request.created_at


def _found(open: list[Asked], said: Said) -> tuple[Asked, questions.Given] | None:
    """Which of the questions a text answers, and how; the oldest that fits. One is named by its
    id where several are open. A press chooses, and is never an answer in words."""
    first, _, rest = said.text.partition(" ")
    named = [one for one in open if one.id == first.casefold().rstrip(":")]
    open, text = (named, rest) if named and rest.strip() else (open, said.text)
    for asked in open:
        given = question_text.options_in(text, asked.questions, asked.open)
        if given is not None:
            return asked, given
    if open and (said.is_triggered or named) and not said.is_press:
        asked = open[0]
        given = question_text.words_in(text, asked.questions, asked.open)
        return (asked, given) if given is not None else None
    return None


def _tell_anew(db: Connection, asked: Asked, said: Said, now: str) -> None:
    content = question_text.restated(asked.questions, asked.answers)
    seq = messages.tell(
        db,
        key=f"question:{asked.id}:answered",
        chat_jid=said.message.chat_jid,
        content=content,
        kind="answer",
        now=now,
        sender=said.message.sender,
        sender_name=said.message.sender_name,
        thread=said.message.thread,
    )
    assert seq is not None, "a question is settled once"
    thread, lane = said.message.thread, said.lane
    first = messages.first_unread(db, asked.group_folder, seq, thread)
    chat = said.message.chat_jid
    runs.queue_chat(db, asked.group_folder, first, seq, chat, now, thread=thread, lane=lane)


def _short(text: str) -> str:
    line = " ".join(plain(text).split())
    return line if len(line) <= SHOWN else f"{line[:SHOWN]}…"
