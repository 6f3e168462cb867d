"""`stop all`, and what ends that: words of the owner alone, in whichever chat of a group. What goes
out is not held by them, or nobody would hear that they were obeyed."""

from __future__ import annotations

from pynchy_cli.config.settings import Commands
from pynchy_cli.routing.said import Said
from pynchy_cli.security.senders import People, name_of
from pynchy_cli.store import holding, holds
from pynchy_cli.store.connection import Connection

REASON = "said in {chat}"
NOT_YOURS = "Only the owner may do that with all groups."
STOPPED = (
    "🛑 All is stopped: {count} and nothing is begun until {word}`pynchy release --all` in a shell."
)
SAY = "you say `{word}`, or "
RELEASED = "▶️ Everything goes on.{still}"
STILL = " Held by themselves are still: {names} (`pynchy release NAME`)."
NOT_HELD = "All groups together are not held.{still}"


def may(said: Said, people: People) -> bool:
    """Whether somebody may have everything stop."""
    return people.is_owner(*said.sender)


def obey(db: Connection, said: Said, people: People, words: Commands, now: str) -> str | None:
    """Stop everything, or end that; what is said to it. From somebody else it is talk like any
    other, unless the assistant is meant."""
    assert said.command is not None, "a command"
    if not may(said, people):
        return NOT_YOURS if said.is_triggered else None
    who = name_of(*said.sender)
    if said.command.name == "release_all":
        return _release(db, who, now)
    reason = REASON.format(chat=said.message.chat_jid)
    held = holding.hold(db, None, who=who, now=now, reason=reason, stop=True)
    word = SAY.format(word=words.release_all[0]) if words.release_all else ""
    return STOPPED.format(count=_turns(len(held.stopped)), word=word)


def _release(db: Connection, who: str, now: str) -> str:
    was = holding.release(db, None, who=who, now=now)
    names = ", ".join(one.group_folder for one in holds.all(db) if one.group_folder)
    still = STILL.format(names=names) if names else ""
    return (RELEASED if was is not None else NOT_HELD).format(still=still)


def _turns(count: int) -> str:
    if count == 0:
        return "nothing was at work,"
    return f"{count} turn{'' if count == 1 else 's'} at work end{'s' if count == 1 else ''},"
