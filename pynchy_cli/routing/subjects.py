"""What people name when they ask why: a message, a run, a task, a job or a reply, by the ids that
lists show, and what the file knows of it."""

from __future__ import annotations

import sys
from typing import Any

from pynchy_cli.config.settings import Settings
from pynchy_cli.errors import UsageWrong
from pynchy_cli.model import OWN_ID, Message
from pynchy_cli.routing import triggers
from pynchy_cli.routing.orders import Orders
from pynchy_cli.routing.story import Reading
from pynchy_cli.security.senders import SHELL_CHANNELS, People
from pynchy_cli.store import groups, jobs, messages, outbound, story, tasks
from pynchy_cli.store.connection import Connection

KINDS = ("message", "run", "task", "job", "reply")
FORMS = "message:SEQ (or the network's id), run:N, task:ID, job:ID or reply:N"


def find(db: Connection, name: str) -> tuple[str, str]:
    """The kind and the id of what is named. Raises UsageWrong where nothing is called so, or
    several things are."""
    kind, colon, id = name.partition(":")
    if colon and kind in KINDS:
        found = [one for one in _called(db, id) if one[0] == kind]
    else:
        found = _called(db, name)
    if len(found) == 1:
        return found[0]
    if not found:
        raise UsageWrong(f"There is nothing called {name!r}. Say {FORMS}, as lists show them.")
    several = ", ".join(f"{kind}:{id}" for kind, id in found)
    raise UsageWrong(f"{name!r} is several things: say which of {several}.")


def _called(db: Connection, id: str) -> list[tuple[str, str]]:
    """All that bears an id."""
    found: list[tuple[str, str]] = []
    if id.isascii() and id.isdigit() and int(id) <= sys.maxsize:
        number = int(id)
        exists = (messages.get(db, number), story.runs_has(db, number), outbound.get(db, number))
        kinds = ("message", "run", "reply")
        found += [(k, str(number)) for k, one in zip(kinds, exists, strict=True) if one]
    if tasks.find(db, id) is not None:
        found.append(("task", id))
    if jobs.find(db, id) is not None:
        found.append(("job", id))
    found += [("message", str(seq)) for seq in story.networks_message(db, id)]
    return list(dict.fromkeys(found))


def facts(db: Connection, kind: str, id: str) -> dict[str, Any]:
    """What the file knows of it, for `Facts`."""
    match kind:
        case "message":
            return _of_message(db, int(id))
        case "run":
            return story.of_run(db, int(id))
        case "task":
            return story.of_task(db, tasks.get(db, id))
        case "job":
            return story.of_job(db, jobs.get(db, id))
    reply = outbound.get(db, int(id))
    assert reply is not None, "a reply that was found"
    return story.of_reply(db, reply)


def _of_message(db: Connection, seq: int) -> dict[str, Any]:
    message = messages.get(db, seq)
    assert message is not None, "a message that was found"
    if message.id.startswith(OWN_ID):
        reply = outbound.by_key(db, message.id.removeprefix(OWN_ID))
        if reply is not None:
            return story.of_reply(db, reply)
    if message.run_id is not None and story.runs_has(db, message.run_id):
        return story.of_run(db, message.run_id)
    return story.of_message(db, message)


def reading(db: Connection, message: Message | None, settings: Settings) -> Reading | None:
    """What today's rules make of a message; None where no group lives in its chat."""
    group = groups.by_chat(db, message.chat_jid) if message is not None else None
    if message is None or group is None:
        return None
    orders = Orders(settings)
    edit = message.message_type == "edit"
    said = orders.reread(db, message, group) if edit else orders.read(message, group)
    channel, sender = said.sender
    # Who spoke in a chat of the shell's own may have come by either of its channels.
    ways = SHELL_CHANNELS if channel in SHELL_CHANNELS else {channel}
    people = People.of(settings)
    is_heard = any(people.verdict(group, way, sender) == "allowed" for way in ways)
    verdict = "allowed" if is_heard else "refused"
    return Reading(said, verdict, triggers.word_needed(group, orders.waking))
