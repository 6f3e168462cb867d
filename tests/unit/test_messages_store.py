"""Messages are stored once, in order, whatever they hold."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pynchy_cli.model import NewMessage
from pynchy_cli.store import counters, events, failures, groups, messages, outbound
from pynchy_cli.store.connection import Store
from pynchy_cli.store.migrate import migrate
from tests.teams import add_team

NOW = "2026-01-31T08:00:00.000Z"
CHAT = "local:team"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    path = tmp_path / "messages.db"
    migrate(path)
    with Store.open(path) as opened:
        yield opened


def said(id: str, content: str = "hello", **more: object) -> NewMessage:
    facts = {"chat_jid": CHAT, "sender": "owner", "sender_name": "Ann", "timestamp": NOW, **more}
    return NewMessage(id=id, content=content, **facts)  # type: ignore[arg-type]


def add(store: Store, *new: NewMessage) -> list[int | None]:
    with store.atomic() as db:
        return [messages.add(db, one, NOW) for one in new]


def team(store: Store) -> None:
    add_team(store)


def test_the_same_message_twice_is_one_row(store: Store) -> None:
    first, again = add(store, said("1"), said("1", "changed"))
    assert again is None
    (other,) = add(store, said("1", chat_jid="local:other"))
    assert None not in (first, other)
    assert [one.content for one in messages.last(store.db, [CHAT], 9)] == ["hello"]
    assert counters.read(store.db)["messages_inbound"] == (2, NOW)


def test_messages_of_one_moment_are_all_found(store: Store) -> None:
    """Order and cursors are sequence numbers: equal or earlier times lose nothing."""
    add(store, said("b"), said("a"), said("c", timestamp="1970-01-01T00:00:00.000Z"))
    first = messages.pending(store.db, [CHAT], 0, limit=1)
    rest = messages.pending(store.db, [CHAT], first[-1].seq)
    assert [one.id for one in first + rest] == ["b", "a", "c"]


def test_metadata_and_type_are_kept(store: Store) -> None:
    add(store, said("1", metadata='{"a":1}', message_type="system", audience="agent"))
    (stored,) = messages.pending(store.db, [CHAT], 0)
    assert (stored.metadata, stored.message_type, stored.audience) == (
        '{"a":1}',
        "system",
        "agent",
    )


def test_nobody_takes_the_place_of_a_reply(store: Store) -> None:
    ids = ["pynchy:run:1:0", "~pynchy:run:1:0", "~~pynchy:run:1:0", "pynchy"]
    add(store, *(said(id, id) for id in ids))
    with store.atomic() as db:
        outbound.say(
            db, key="run:1:0", chat_jid=CHAT, content="the answer", source="agent", now=NOW
        )
    rows = messages.last(store.db, [CHAT], 9)
    assert [one.content for one in rows] == [*ids, "the answer"]
    assert [one.content for one in rows if one.id.startswith("pynchy:")] == ["the answer"]
    found = [messages.by_id(store.db, CHAT, id) for id in ids]
    assert [one.content for one in found if one] == ids


def test_a_megabyte_is_fine(store: Store) -> None:
    text = "ä" * 1_000_000
    add(store, said("1", text))
    assert messages.pending(store.db, [CHAT], 0)[0].content == text


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(st.text(st.characters()), st.text(st.characters()))
def test_any_text_is_stored_safely(store: Store, text: str, id: str) -> None:
    (seq,) = add(store, said(f"{messages.highest(store.db)} {id}", text, sender_name=text))
    assert seq is not None
    stored = messages.get(store.db, seq)
    assert stored is not None
    assert "\0" not in stored.content
    assert stored.content == messages.plain(text)
    assert add(store, said(f"{stored.id}")) == [None]


def test_what_sqlite_cannot_hold_is_replaced(store: Store) -> None:
    add(store, said("1", "a\0b\ud800c\ud83d\ude00"))
    assert messages.pending(store.db, [CHAT], 0)[0].content == "a\ufffdb\ufffdc😀"


def test_ids_that_sqlite_cannot_hold_stay_apart(store: Store) -> None:
    seqs = add(store, said("\ud800"), said("\ud801"), said("\0"), said("\ud800"))
    assert [seq is None for seq in seqs] == [False, False, False, True]


def test_the_agent_reads_what_is_meant_for_it(store: Store) -> None:
    team(store)
    seqs = add(
        store,
        said("1", "to both"),
        said("2", "a stranger's", verdict="refused"),
        said("3", "for people", audience="chat"),
        said("4", "a notice", audience="agent", message_type="system", is_from_me=True),
        said("5", "an answer", message_type="assistant"),
        said("6", "poison"),
        said("7", "new chat"),
        said("8", "elsewhere", chat_jid="local:other"),
        said("9", "the last"),
        said("10", "later"),
    )
    with store.atomic() as db:
        for _ in range(failures.ATTEMPTS):
            failures.note(db, "route", f"message:{seqs[5]}", "broken", NOW)
        command = messages.get(db, seqs[6] or 0)
        assert command is not None
        key = outbound.answer_to(command)
        outbound.say(db, key=key, chat_jid=CHAT, content="Forgotten.", source="host", now=NOW)
    heard = messages.for_agent(store.db, "team", 0, seqs[8] or 0)
    assert [one.content for one in heard] == ["to both", "a notice", "the last"]
    assert messages.for_agent(store.db, "team", seqs[8] or 0, seqs[8] or 0) == []


def test_an_agent_is_never_told_what_it_did_or_what_the_host_said(store: Store) -> None:
    team(store)
    add(store, said("1", "first"))
    with store.atomic() as db:
        for kind in ("thinking", "tool_use", "tool_result"):
            events.show(
                db, key=kind, chat_jid=CHAT, kind=kind, content="a trace", now=NOW, run_id=1
            )
        for source in ("agent", "host"):
            outbound.say(db, key=source, chat_jid=CHAT, content="a reply", source=source, now=NOW)
    add(store, said("2", "second"))
    heard = messages.for_agent(store.db, "team", 0, messages.highest(store.db))
    assert [one.content for one in heard] == ["first", "second"]
    assert len(messages.last(store.db, [CHAT], 10)) == 7


def test_groups_wait_only_for_what_they_may_read(store: Store) -> None:
    add(store, said("0", "before the group was"))
    team(store)
    assert messages.waiting_groups(store.db) == []
    add(store, said("1", verdict="refused"), said("2", audience="chat"))
    assert messages.waiting_groups(store.db) == []
    add(store, said("3"))
    assert messages.waiting_groups(store.db) == ["team"]
    with store.atomic() as db:
        groups.route_through(db, "team", messages.highest(db))
    assert messages.waiting_groups(store.db) == []


def test_people_see_all_but_what_is_for_the_agent(store: Store) -> None:
    add(store, said("1"), said("2", audience="agent"), said("3", verdict="refused"), said("4"))
    add(store, said("5", chat_jid="local:other"))
    assert [one.id for one in messages.last(store.db, [CHAT], 2)] == ["3", "4"]
    assert [one.id for one in messages.last(store.db, [CHAT, "local:other"], 2)] == ["4", "5"]
    assert messages.last(store.db, [CHAT], 0) == []
    assert [one.id for one in messages.after(store.db, [CHAT], 1)] == ["3", "4"]
    assert [one.id for one in messages.after(store.db, [CHAT], 0, limit=1)] == ["1"]


@pytest.mark.parametrize("query", ["pending", "waiting"])
def test_reading_on_from_a_cursor_uses_its_index(store: Store, query: str) -> None:
    statements: list[str] = []
    store.db.set_trace_callback(statements.append)
    team(store)
    statements.clear()
    if query == "pending":
        messages.pending(store.db, [CHAT], 0)
    else:
        messages.waiting_groups(store.db)
    store.db.set_trace_callback(None)
    plan = " ".join(str(row[3]) for row in store.db.execute(f"EXPLAIN QUERY PLAN {statements[0]}"))
    assert "messages_for_agent (chat_jid=? AND seq>?)" in plan
