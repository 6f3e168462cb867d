"""What the host tells when it is asked in a chat: what waits for a person, how the group is, and
which words it obeys. It changes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pynchy_cli import clock
from pynchy_cli.config.settings import Commands
from pynchy_cli.model import Group
from pynchy_cli.output import plain
from pynchy_cli.store import approvals, groups, holds, overview, questions
from pynchy_cli.store.connection import Connection
from pynchy_cli.store.holds import Hold
from pynchy_cli.store.overview import Overview
from pynchy_cli.store.waiting import Waiting

SHOWN = 200
"""Characters of what waits for a person."""
NOTHING = "Nothing waits for you here."


def pending(db: Connection, group: Group, chat_jid: str, now: str) -> str:
    """What was asked in this chat and waits for an answer."""
    lines = [
        f"🔐 {one.id}: {_short(one.summary)} ({_left(one.expires_at, now)};"
        f" asked for by {one.group_folder})"
        for one in approvals.pending_in(db, chat_jid)
        if one.expires_at > now
    ]
    lines += [
        f"❓ {one.id}: {_short(one.questions[one.open[0] - 1].question)}"
        f"{_more(len(one.open) - 1)} ({_left(one.expires_at, now)})"
        for one in questions.open_in(db, group.folder, now)
    ]
    return "\n".join(lines) or NOTHING


def asked(one: Waiting) -> str:
    """What an agent waits for, to somebody in a shell who waits for that agent."""
    if one.kind == "question":
        return f"It asks: {_short(one.summary)}. Answer it in `pynchy chat {one.group_folder}`."
    return f"It needs a yes to {one.type}: `pynchy approvals show {one.id}` tells all of it."


def held(hold: Hold) -> str:
    """Why nothing is begun, and what ends that."""
    whom, name = hold.group_folder or "All groups", hold.group_folder or "--all"
    verb = "is" if hold.group_folder else "are"
    why = f": {_short(hold.reason)}" if hold.reason else ""
    out = " Nothing goes out, either." if hold.outbound else ""
    return (
        f"{whom} {verb} held by {hold.held_by} since {hold.held_at}{why}.{out}"
        f" `pynchy release {name}` ends that."
    )


def held_now(db: Connection, group_folder: str) -> str | None:
    """Why a group begins nothing; None where it isn't held."""
    hold = holds.of_group(db, group_folder)
    return held(hold) if hold is not None else None


def status(db: Connection, group: Group, now: str) -> str:
    """How the group is; in an admin group's chat also how all are together."""
    lines = [". ".join(_facts(overview.of_group(db, group.folder), now)) + "."]
    if (hold := held_now(db, group.folder)) is not None:
        lines.insert(0, f"⏸️ {hold}")
    if group.is_admin:
        count = len(groups.all(db))
        all = overview.of_all(db)
        facts = (
            _number(count, "group"),
            f"{_number(len(all.working), 'run')} at work",
            f"{all.waiting} waiting",
            f"{_number(all.approvals, 'approval')} and {_number(all.questions, 'question')} open",
        )
        lines.append(f"In all: {', '.join(facts)}.")
        lines += [f"⏸️ {held(one)}" for one in holds.all(db) if held(one) != hold]
    return "\n".join(lines)


def help(commands: Commands, group: Group) -> str:
    """The words that are obeyed."""
    reset = _said(commands.reset_aliases, commands.reset_verbs, commands.reset_nouns)
    end = _said(
        commands.end_session_aliases, commands.end_session_verbs, commands.end_session_nouns
    )
    shell = commands.shell and group.is_admin
    lines = [
        _line(reset, "forget the conversation and begin a new one"),
        _line(end, "let the sandbox go; the conversation can be continued"),
        _line(_alone(commands.stop), "end what the assistant is at work on"),
        _line(
            _alone(commands.stop_all), "end all that is at work everywhere, and begin nothing more"
        ),
        _line(_alone(commands.release_all), "let everything go on again; both for its owner"),
        _line(_alone(commands.approve, " ID"), "say yes to what waits for it"),
        _line(_alone(commands.deny, " ID [reason]"), "say no"),
        _line(_alone(commands.pending), "what waits for an answer in this chat"),
        _line(_alone(commands.todo, " TEXT"), "note something to be done"),
        _line(_alone(commands.status), "how the assistant is"),
        _line(_alone(commands.help), "this"),
        _line("`!COMMAND`" if shell else "", "have the host run a command; for its owner"),
    ]
    return "\n".join(["Words that are obeyed by themselves:", *filter(None, lines)])


def _facts(state: Overview, now: str) -> Iterator[str]:
    for kind, lane, since in state.working:
        where = "" if lane == kind else f" ({lane})"
        took = max(0, int(clock.seconds_between(since, now)))
        yield f"At work on a {kind} run{where} for {_span(took)}"
    if not state.working:
        yield "Not at work"
    if state.waiting:
        yield f"{_number(state.waiting, 'run')} waiting"
    if state.approvals:
        yield f"{_number(state.approvals, 'approval')} open"
    if state.questions:
        yield f"{_number(state.questions, 'question')} open"
    if state.tasks:
        yield f"{_number(state.tasks, 'task')}{_next(state.next_task)}"


def _next(task: tuple[str, str, str] | None) -> str:
    if task is None:
        return ""
    from pynchy_cli import recurrence  # which a router without tasks does without

    id, due, timezone = task
    return f", the next is {id}: {recurrence.in_words(due, timezone)}"


def _said(aliases: Sequence[str], verbs: Sequence[str], nouns: Sequence[str]) -> str:
    pair = [f"{verbs[0]} {nouns[0]}"] if verbs and nouns else []
    return _alone([*pair, *aliases])


def _alone(words: Sequence[str], more: str = "") -> str:
    return ", ".join(f"`{word}{more}`" for word in words)


def _line(words: str, what: str) -> str:
    return f"{words} – {what}" if words else ""


def _short(text: str) -> str:
    line = " ".join(plain(text).split())
    return line if len(line) <= SHOWN else f"{line[:SHOWN]}…"


def _more(count: int) -> str:
    return f" and {count} more" if count else ""


def _left(moment: str, now: str) -> str:
    return f"{_span(max(0, int(clock.seconds_between(now, moment))))} left"


def _span(seconds: int) -> str:
    return f"{seconds} s" if seconds < 120 else f"{seconds // 60} min"


def _number(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
