"""One story told of rows: what happened to a message, a run, a task or a reply, in time order, and
where it stands. Pure functions of the facts; what led to a decision is decided anew by the same
rules, and said so."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from pynchy_cli.output import folded
from pynchy_cli.routing import story_replies, story_runs, story_timed
from pynchy_cli.routing.said import Said
from pynchy_cli.routing.story_steps import Ending, Step, quoted
from pynchy_cli.store.story import Facts


@dataclass(frozen=True)
class Story:
    """Steps in time order, and what will happen next, with the command that helps, if any."""

    of: str
    steps: tuple[Step, ...]
    ending: Ending


@dataclass(frozen=True)
class Reading:
    """What today's rules make of a message: what it says, and whether its sender may speak."""

    said: Said
    verdict: str
    word: str | None
    """The word without which the group isn't answered."""


def tell(of: str, facts: Facts, reading: Reading | None = None) -> Story:
    """The story of what `of` names. `reading` is given for a message in a group's chat."""
    steps = sorted(_steps(facts, reading), key=lambda step: step.at)
    return Story(of, tuple(steps), _ending(facts, reading))


def _steps(facts: Facts, reading: Reading | None) -> Iterator[Step]:
    if facts.message is not None:
        yield from _came(facts, reading)
    if facts.timed is not None:
        yield from story_timed.steps(facts)
    for work in facts.works:
        yield from story_runs.steps(facts, work)
    told = {one.reply.id for work in facts.works for one in work.replies}
    for one in (facts.own, facts.reply):
        if one is not None and one.reply.id not in told:
            yield from story_replies.steps(one)


def _came(facts: Facts, reading: Reading | None) -> Iterator[Step]:
    message = facts.message
    assert message is not None, "a message"
    at = message.received_at
    who = f"{message.sender_name} ({message.sender})"
    thread = ", in a thread" if message.thread else ""
    kind = "" if message.message_type == "user" else f" ({message.message_type})"
    text = f"{who} said in {message.chat_jid}{thread}{kind}: {quoted(message.content)}"
    more = {"message": message.seq, "network_id": message.id, "said_at": message.timestamp}
    yield Step(at, "came_in", text, more)
    if not message.is_from_me:
        yield Step(at, "checked", _checked(facts, reading), {"verdict": message.verdict})
    if facts.failure is not None:
        failure = facts.failure
        words = f"route failed with it, {failure.attempts} times: {failure.error}"
        yield Step(failure.last_at, "failed", words, {"state": failure.state})
    if reading is not None and _is_routed(facts) and message.verdict == "allowed":
        words = f"As it is read by today's rules: {_read(facts, reading)}"
        yield Step(at, "read", words, {"triggered": reading.said.is_triggered})


def _checked(facts: Facts, reading: Reading | None) -> str:
    message, group = facts.message, facts.group
    assert message is not None, "a message"
    if group is None:
        return "No group lives in this chat, so nobody was asked whether to answer."
    whom = f"{group.folder} listens to: {', '.join(group.allowed_users) or 'nobody'}"
    words = f"The sender check said: {message.verdict}. {whom}."
    if reading is not None and reading.verdict != message.verdict:
        words += f" Today it would say: {reading.verdict}; what was said is not checked again."
    return words


def _read(facts: Facts, reading: Reading) -> str:
    said, group = reading.said, facts.group
    assert group is not None, "a group"
    if not said.is_speech and said.message.message_type != "edit":
        return f"it is no speech but of the kind {said.message.message_type}, and triggers nothing."
    if said.command is not None and facts.own is not None:
        return f"it is the command `{said.command.name}`, which the host itself obeys."
    if said.command is not None and not said.is_triggered:
        return f"it looks like the command `{said.command.name}`, but nothing came of that."
    if said.is_called:
        return "it begins with the word that wakes the assistant, so it is for it."
    if said.is_triggered:
        why = "it is an admin group" if group.is_admin else "its trigger is `always`"
        return f"{group.folder} is answered whatever is said ({why}), so it is for the assistant."
    return f"it doesn't begin with @{reading.word}, so it triggers nothing by itself."


def _is_routed(facts: Facts) -> bool:
    message, group = facts.message, facts.group
    return message is not None and group is not None and message.seq <= group.routed_seq


def _ending(facts: Facts, reading: Reading | None) -> Ending:
    if facts.message is not None and (stopped := _unheard(facts, reading)) is not None:
        return stopped
    if facts.timed is not None:
        return story_timed.ending(facts)
    if facts.reply is not None:
        return story_replies.ending([facts.reply], facts)
    if facts.works:
        return story_runs.ending(facts)
    if facts.own is not None:
        return story_replies.ending([facts.own], facts)
    return Ending("over", "Nothing more comes of it.")


def _unheard(facts: Facts, reading: Reading | None) -> Ending | None:
    """Why a message got no further than to route; None where it did."""
    message, group, failure = facts.message, facts.group, facts.failure
    assert message is not None, "a message"
    if group is None:
        command = f"pynchy groups add {message.chat_jid} --folder NAME"
        return Ending("ignored", "Nobody lives in this chat; a group can.", command)
    if message.verdict == "refused":
        channel = message.chat_jid.partition(":")[0]
        command = f"pynchy groups allow {group.folder} {channel}:{message.sender}"
        return Ending("refused", "It is not answered. From then on its sender is heard:", command)
    if failure is not None and failure.state == "set_aside":
        text = f"It was set aside after {failure.attempts} failures, until somebody brings it back."
        return Ending("set_aside", text, f"pynchy retry message:{message.seq}")
    if failure is not None:
        return Ending("retrying", f"route tries it again at {failure.retry_at}.")
    if not _is_routed(facts):
        if "route" not in facts.alive:
            return Ending("stage_away", "It waits for route, which isn't running.", "pynchy up")
        return Ending("waiting", "route has it next, behind what was said before it.")
    if facts.works or facts.own is not None:
        return None
    return _passed_over(facts, reading)


def _passed_over(facts: Facts, reading: Reading | None) -> Ending:
    group, message = facts.group, facts.message
    assert group is not None, "a group"
    assert message is not None, "a message"
    if message.message_type != "user":
        return Ending("over", "It is no speech of a person, and nothing comes of it by itself.")
    if reading is None or reading.word is None or reading.said.is_triggered:
        return Ending("over", "No run has it. It was routed before the rules were what they are.")
    text = f"It waits, and is read along with the next message that begins with @{reading.word}."
    return Ending("not_triggered", text, f'pynchy send {group.folder} "@{reading.word} …"')


def document(story: Story) -> list[dict[str, Any]]:
    """The story for programs: each step, and the ending as the last one."""
    ending = story.ending
    last = {"at": None, "kind": "next", "text": ending.text, "state": ending.state}
    return [
        *({"at": one.at, "kind": one.kind, "text": one.text, **one.more} for one in story.steps),
        {**last, "command": ending.command},
    ]


def lines(story: Story, width: int | None = None) -> Iterable[str]:
    """The story for people, folded where the `width` of a terminal is known."""
    for step in story.steps:
        yield folded(f"{step.at}  {step.text}", len(step.at) + 2, width)
    yield folded(f"→ {story.ending.text}", 2, width)
    if story.ending.command is not None:
        yield f"  {story.ending.command}"
