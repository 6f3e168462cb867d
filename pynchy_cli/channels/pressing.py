"""What can be pressed under a reply: what a person could type as well to what it asks, for as long
as that is asked. Nothing is decided here; what is pressed is heard like anything said."""

from __future__ import annotations

from collections.abc import Iterator

from agent_runner.protocol.requests import Question
from pynchy_cli.channels.base import Button
from pynchy_cli.config.settings import Commands, Settings
from pynchy_cli.errors import ApprovalUnknown
from pynchy_cli.model import Reply
from pynchy_cli.output import plain
from pynchy_cli.store import approvals, questions
from pynchy_cli.store.connection import Connection

MOST = 25
"""Buttons under one reply; of more questions the first have some."""


def buttons_for(db: Connection, reply: Reply, settings: Settings, now: str) -> tuple[Button, ...]:
    """The buttons under a reply as things stand now; none where it asks nothing, or no more."""
    kind, _, rest = reply.key.partition(":")
    id = rest.partition(":")[0]
    if kind == "approval":
        return tuple(_yes_or_no(db, id, settings.commands, now))
    if kind == "question":
        return tuple(_options(db, id, now))
    return ()


def _yes_or_no(db: Connection, id: str, commands: Commands, now: str) -> Iterator[Button]:
    try:
        approval = approvals.get(db, id)
    except ApprovalUnknown:
        return
    if approval.state != "pending" or approval.expires_at <= now:
        return
    if commands.approve:
        yield Button("Approve", f"{commands.approve[0]} {id}", "primary")
    if commands.deny:
        yield Button("Deny", f"{commands.deny[0]} {id}", "danger")


def _options(db: Connection, id: str, now: str) -> Iterator[Button]:
    asked = questions.get(db, id)
    if asked is None or asked.state != "pending" or asked.expires_at <= now:
        return
    given = 0
    for number in asked.open:
        named = f"{number}: " if len(asked.questions) > 1 else ""
        found = [
            Button(f"{named}{label}", f"{id} {named}{said}")
            for label, said in _choices(asked.questions[number - 1])
        ]
        if (given := given + len(found)) > MOST:
            return
        yield from found


def _choices(question: Question) -> Iterator[tuple[str, str]]:
    """What stands on each button, and what is said to choose that."""
    only = "Only " if question.multiple else ""
    labels = [plain(option.label) for option in question.options]
    for number, label in enumerate(labels, 1):
        yield f"{only}{label}", _said(number, question)
    if question.multiple and len(labels) > 1:
        numbers = range(1, len(labels) + 1)
        yield "All of them", ", ".join(_said(number, question) for number in numbers)


def _said(number: int, question: Question) -> str:
    """An option's number; its name where another one is named so."""
    names = [" ".join(option.label.split()).rstrip(".!)") for option in question.options]
    return names[number - 1] if str(number) in names else str(number)
