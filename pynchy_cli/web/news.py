"""What happens, as objects for whoever follows it. A follower reads the file from its own place on,
so that nothing is queued for those who are slow, and after any break it goes on where it was."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from heapq import merge
from typing import Any

from pynchy_cli.model import Message
from pynchy_cli.store import news
from pynchy_cli.store.connection import Connection
from pynchy_cli.store.news import Step
from pynchy_cli.web.guard import Refused

BATCH = 100
"""Messages, and steps of agents, that are read at once."""
LONGEST = 20_000
"""Characters of one text of a step."""
TYPES = {"notice": "system"}
"""What a kind of step is called here, where that is something else."""
Event = dict[str, Any]


@dataclass(frozen=True)
class Place:
    """How far somebody has followed: the last message, the last step of an agent, and the last
    message before which a conversation began anew."""

    message: int
    step: int
    cleared: int

    def __str__(self) -> str:
        return f"{self.message}-{self.step}-{self.cleared}"

    @classmethod
    def parse(cls, text: str) -> Place:
        """The place that an event's id tells. Raises Refused."""
        if not re.fullmatch(r"\d{1,18}-\d{1,18}-\d{1,18}", text, re.ASCII):
            raise Refused(400, "input_wrong", "Last-Event-ID is not the id of an event of ours.")
        return cls(*map(int, text.split("-")))

    @classmethod
    def newest(cls, db: Connection) -> Place:
        """The end of the file."""
        return cls(*news.newest(db))

    def within(self, end: Place) -> Place:
        """The same, no further than the end: a file that was put back from a backup may be
        shorter than what was followed."""
        return Place(
            min(self.message, end.message), min(self.step, end.step), min(self.cleared, end.cleared)
        )


class Follower:
    """One who follows, from a place on."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self._at_work: set[str] = set()

    def read(self, db: Connection) -> list[tuple[Place, Event]]:
        """What is new, at most some of it: each with the place at which it leaves whoever has seen
        it. Nothing is left once this gives nothing."""
        end = Place.newest(db)
        said = news.said(db, self.place.message, end.message, BATCH)
        steps = news.steps(db, self.place.step, end.step, BATCH, LONGEST)
        if len(said) == BATCH:
            end = replace(end, message=said[-1].seq, cleared=min(end.cleared, said[-1].seq))
        if len(steps) == BATCH:
            end = replace(end, step=steps[-1].id)
        cleared = news.cleared(db, self.place.cleared, end.cleared)
        found = list(self._placed(_in_order(said, cleared, steps)))
        self.place = replace(end, cleared=max(end.cleared, self.place.cleared))
        return found + [(self.place, one) for one in self._activity(db)]

    def _placed(self, events: Iterable[_Told]) -> Iterator[tuple[Place, Event]]:
        place = self.place
        for one in events:
            place = replace(place, **{one.what: one.number})
            yield place, one.event

    def _activity(self, db: Connection) -> Iterator[Event]:
        """Where agents have begun or ended since; what is so now, and not what has been."""
        now = set(news.at_work(db))
        for jid in sorted(now ^ self._at_work):
            yield {"type": "agent_activity", "chat_jid": jid, "active": jid in now}
        self._at_work = now


@dataclass(frozen=True)
class _Told:
    """An event with its time, and which part of the place it moves on, to which number."""

    at: str
    what: str
    number: int
    event: Event


def _in_order(
    said: Iterable[Message], cleared: Iterable[tuple[str, int]], steps: Iterable[Step]
) -> Iterator[_Told]:
    """Messages by their place, a beginning behind what was said before it, steps by the clock."""
    chats: list[_Told] = []
    at = ""
    beginnings = list(cleared)
    for message in said:
        while beginnings and beginnings[0][1] < message.seq:
            chats.append(_beginning(*beginnings.pop(0), at))
        at = max(at, message.received_at)
        chats.append(_Told(at, "message", message.seq, _message(message)))
    chats += [_beginning(jid, seq, at) for jid, seq in beginnings]
    return merge(chats, map(_step, steps), key=lambda one: one.at)


def _beginning(jid: str, seq: int, at: str) -> _Told:
    return _Told(at, "cleared", seq, {"type": "chat_cleared", "chat_jid": jid})


def _message(message: Message) -> Event:
    return {
        "type": "message",
        "chat_jid": message.chat_jid,
        "sender_name": message.sender_name,
        "content": message.content,
        "timestamp": message.timestamp,
        "is_bot": message.is_from_me,
        "seq": message.seq,
        "message_type": message.message_type,
    }


def _step(step: Step) -> _Told:
    event = {
        **step.payload,
        "type": "agent_trace",
        "chat_jid": step.chat_jid,
        "trace_type": TYPES.get(step.kind, step.kind),
        "timestamp": step.timestamp,
        "group": step.group_folder,
        "run": step.run_id,
    }
    return _Told(step.timestamp, "step", step.id, event)
