"""What happens, as whoever follows reads it from the file: in order, once, and after any break from
where it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pynchy_cli import clock
from pynchy_cli.model import NewMessage
from pynchy_cli.store import conversations, events, messages, outbound
from pynchy_cli.store.connection import Connection
from pynchy_cli.web import news
from pynchy_cli.web.guard import Refused
from pynchy_cli.web.news import Follower, Place
from tests.people import People

START = Place(0, 0, 0)
BEGUN = "2026-01-31T08:00:00.000Z"


@pytest.fixture
def people(environment: dict[str, str], tmp_path: Path) -> People:
    made = People.moved_in(environment, tmp_path / "home")
    made.group("team", "owner")
    return made


def say(db: Connection, text: str, now: str, chat: str = "local:team") -> None:
    messages.add(db, NewMessage(f"{now}-{text}", chat, "ann", "Ann", text, now), now)


def step(db: Connection, kind: str, payload: dict[str, Any], now: str) -> None:
    where = {"group_folder": "team", "run_id": 1, "chat_jid": "local:team"}
    events.add(db, kind, payload, now, **where)


def short(found: list[tuple[Place, dict[str, Any]]]) -> list[str]:
    """Each as its place and the most telling of it."""
    names = ("content", "text", "trace_type", "active", "type")
    return [f"{place} {next(one[name] for name in names if name in one)}" for place, one in found]


def test_all_kinds_come_in_their_order_with_ids_of_rows(people: People) -> None:
    at = [clock.after(BEGUN, second) for second in range(9)]
    with people.store() as store:
        with store.atomic() as db:
            say(db, "one", at[0])
            step(db, "thinking", {"text": "hm"}, at[1])
            say(db, "reset", at[2])
            conversations.reset(db, "team", "chat", 2, at[2])
            say(db, "two", at[3])
            step(db, "notice", {"subtype": "x"}, at[4])
            events.show(
                *(db,),
                key="k",
                chat_jid="local:team",
                kind="thinking",
                content="hm",
                now=at[5],
                run_id=1,
            )
        follower = Follower(START)
        found = follower.read(store.db)
        assert short(found) == [
            *("1-0-0 one", "1-1-0 hm", "2-1-0 reset", "2-1-2 chat_cleared"),
            *("3-1-2 two", "3-2-2 system"),
        ]
        assert found[1][1] == {
            "type": "agent_trace",
            "chat_jid": "local:team",
            "trace_type": "thinking",
            "timestamp": at[1],
            "group": "team",
            "run": 1,
            "text": "hm",
        }
        assert follower.read(store.db) == []
        # From each of the places the rest comes, and nothing twice.
        for number, (place, _) in enumerate(found, start=1):
            rest = Follower(Place.parse(str(place))).read(store.db)
            assert [one for _, one in rest] == [one for _, one in found[number:]]


def test_a_beginning_is_told_also_to_who_has_seen_its_message(people: People) -> None:
    with people.store() as store:
        with store.atomic() as db:
            say(db, "reset", BEGUN)
        follower = Follower(START)
        assert short(follower.read(store.db)) == ["1-0-0 reset"]
        with store.atomic() as db:
            conversations.reset(db, "team", "chat", 1, BEGUN)
        assert short(follower.read(store.db)) == ["1-0-1 chat_cleared"]


def test_what_agents_are_told_alone_is_nobodys(people: People) -> None:
    with people.store() as store:
        with store.atomic() as db:
            say(db, "hi", BEGUN)
            messages.tell(
                db, key="k", chat_jid="local:team", content="for it", kind="brief", now=BEGUN
            )
            outbound.say(
                db, key="r", chat_jid="local:team", content="yes", source="agent", now=BEGUN
            )
        found = Follower(START).read(store.db)
    assert [(one["content"], one["is_bot"]) for _, one in found] == [("hi", False), ("yes", True)]


def test_much_is_read_in_pieces_and_none_of_it_twice(people: People) -> None:
    many = news.BATCH * 2 + 7
    with people.store() as store:
        with store.atomic() as db:
            for number in range(many):
                now = clock.after(BEGUN, number)
                say(db, f"m{number}", now)
                step(db, "text", {"text": f"s{number}"}, now)
            conversations.reset(db, "team", "chat", many, BEGUN)
        follower, found = Follower(START), []
        while batch := follower.read(store.db):
            assert len(batch) <= 2 * news.BATCH + 1
            found += batch
        assert [one["content"] for _, one in found if one["type"] == "message"] == [
            f"m{number}" for number in range(many)
        ]
        assert [one["text"] for _, one in found if one["type"] == "agent_trace"] == [
            f"s{number}" for number in range(many)
        ]
        kinds = [one["type"] for _, one in found if one["type"] != "agent_trace"]
        assert kinds == ["message"] * many + ["chat_cleared"]


def test_long_texts_are_cut_and_say_so(people: People) -> None:
    with people.store() as store:
        with store.atomic() as db:
            step(db, "tool_result", {"content": "x" * 1_000_000, "is_error": False}, BEGUN)
        ((_, one),) = Follower(START).read(store.db)
    assert len(one["content"]) == news.LONGEST + 1
    assert (one["is_cut"], one["is_error"]) == (True, False)


def test_who_is_at_work_is_told_when_it_changes_and_to_who_comes_later(people: People) -> None:
    people.say(("owner", "@pynchy go"))
    people.route()
    with people.store() as store:
        follower = Follower(Place.newest(store.db))
        assert follower.read(store.db) == []
        run = people.at_work()
        working = {"type": "agent_activity", "chat_jid": "local:team", "active": True}
        for one in (follower, Follower(follower.place)):
            assert [event for _, event in one.read(store.db)] == [working]
            assert one.read(store.db) == []
        people.over(run)
        assert [event["active"] for _, event in follower.read(store.db)] == [False]


def test_a_place_that_is_none_is_refused_and_one_beyond_the_end_is_the_end() -> None:
    for text in (
        "",
        "1",
        "1-2",
        "1-2-3-4",
        "a-b-c",
        "-1-2-3",
        "1-2-" + "9" * 19,
        "١-٢-٣",
        "1-2-3\n",
    ):
        with pytest.raises(Refused):
            Place.parse(text)
    assert Place.parse("12-3-4") == Place(12, 3, 4)
    assert Place(12, 3, 4).within(Place(5, 9, 2)) == Place(5, 3, 2)
