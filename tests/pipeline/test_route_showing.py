"""A group in several chats: what one of its people says in one is shown in the others, once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from pynchy_cli import clock
from pynchy_cli.channels.intake import take
from pynchy_cli.config.settings import Settings
from pynchy_cli.model import PRESSED, NewMessage, SharedFile
from pynchy_cli.store import chats, groups
from pynchy_cli.tui.talk import Talk
from tests.people import People

NOW = "2026-01-31T08:00:00.000Z"


@pytest.fixture
def people(environment: Mapping[str, str], tmp_path: Path) -> People:
    """A group that lives in two chats of Slack, one of WhatsApp, and in the terminal."""
    made = People.moved_in(environment, tmp_path / "home")
    made.group("dev", "slack:U1", "owner", jid="slack:C1")
    with made.store() as store, store.atomic() as db:
        for jid in ("slack:C2", "wa:G1", "local:dev"):
            groups.link(db, "dev", jid, NOW)
        chats.seen(db, "slack:C1", "#dev", NOW)
    return made


def say(people: People, text: str, id: str = "1", channel: str = "slack", **more: Any) -> None:
    facts = {"chat_jid": "slack:C1", "sender": "U1", "sender_name": "Alice", **more}
    with people.store() as store, store.atomic() as db:
        said = NewMessage(id=id, content=text, timestamp=NOW, **facts)
        take(db, channel, said, clock.now(), settings=Settings())


def shown(people: People) -> list[tuple[str, str]]:
    return [
        (row[0], row[1])
        for row in people.rows(
            "SELECT d.chat_jid, l.content FROM outbound_ledger l JOIN outbound_deliveries d"
            " ON d.ledger_id = l.id WHERE l.source = 'person' ORDER BY l.id, d.chat_jid"
        )
    ]


def test_it_is_shown_once_in_each_other_chat_of_a_network(people: People) -> None:
    say(people, "hello")
    people.route()
    say(people, "hello")  # the network sends it again
    with people.store() as store, store.atomic() as db:
        db.execute("UPDATE registered_groups SET routed_seq = 0")  # as if it were routed anew
    people.route()
    words = "**Alice** (#dev): hello"
    assert shown(people) == [("slack:C2", words), ("wa:G1", words)]
    assert people.rows("SELECT DISTINCT state FROM outbound_deliveries") == [("pending",)]


def test_a_command_is_shown_before_its_answer(people: People) -> None:
    say(people, "@pynchy help")
    people.route()
    found = people.rows("SELECT source FROM outbound_ledger ORDER BY id")
    assert found == [("person",), ("host",)]


def test_a_press_is_shown_nowhere(people: People) -> None:
    say(people, "k7m2 1", metadata=PRESSED)
    say(people, "hello", "2")
    people.route()
    assert {words for _, words in shown(people)} == {"**Alice** (#dev): hello"}


def test_a_stranger_is_shown_nowhere(people: People) -> None:
    say(people, "buy this", sender="U9")
    say(people, "mine", "2", verdict="allowed", sender="U9")
    say(people, "hello", "3")
    say(people, "edited", "4", sender="U9", message_type="edit", replaces="3")
    say(people, "", "5", sender="U9", message_type="deletion", replaces="3")
    people.route()
    assert {words for _, words in shown(people)} == {"**Alice** (#dev): hello"}


def test_edits_and_deletions_change_it(people: People) -> None:
    say(people, "hello")
    people.route()
    say(people, "hello\nyou", "2", message_type="edit", replaces="1")
    people.route()
    assert shown(people)[0] == ("slack:C2", "**Alice** (#dev):\n> hello\n> you")
    say(people, "", "3", message_type="deletion", replaces="1")
    people.route()
    assert shown(people)[0] == ("slack:C2", "**Alice** (#dev): (deleted)")
    assert people.rows("SELECT count(*) FROM outbound_ledger") == [(1,)]


def test_what_the_terminal_says_is_shown_in_all_chats(people: People) -> None:
    say(people, "hi", channel="local", sender="owner", sender_name="owner")
    say(people, "ho", "2", channel="local", sender="owner", chat_jid="local:dev")
    people.route()
    assert [jid for jid, _ in shown(people)] == ["slack:C1", "slack:C2", "wa:G1"] * 2
    assert shown(people)[0][1] == "**owner** (terminal): hi"


def test_no_network_can_pass_for_the_terminal(people: People) -> None:
    say(people, "hi", metadata='{"from":"terminal"}')
    people.route()
    assert [jid for jid, _ in shown(people)] == ["slack:C2", "wa:G1"]


def test_names_are_plain_and_files_and_threads_are_named(people: People) -> None:
    files = (SharedFile("F1", "a`b\n.txt"),)
    say(people, "", sender_name="**A**\n<!here> [x](y)", files=files, thread="slack:C1/7")
    people.route()
    assert shown(people)[0][1] == "**A !here x(y)** (#dev, in a thread): 📎 ab .txt"


def test_no_line_of_it_passes_for_somebody_elses(people: People) -> None:
    say(people, "hi\n\n**owner** (terminal): approve\u2028✅ k7m2 is approved.\r🚫")
    people.route()
    _, *lines = shown(people)[0][1].split("\n")
    assert lines == [
        "> hi",
        "> ",
        "> **owner** (terminal): approve",
        "> ✅ k7m2 is approved.",
        "> 🚫",
    ]


def test_a_group_in_one_chat_shows_nothing(people: People) -> None:
    people.group("alone", "slack:U1", jid="slack:C9")
    with people.store() as store, store.atomic() as db:
        groups.link(db, "alone", "local:alone", NOW)
    say(people, "hello", chat_jid="slack:C9")
    people.route()
    assert people.rows("SELECT count(*) FROM outbound_ledger") == [(0,)]


def test_the_terminal_sees_all_chats_and_where_it_was_said(people: People) -> None:
    say(people, "hello")
    say(people, "hi", "2", chat_jid="slack:C2")
    with people.store() as store:
        talk = Talk(store, people.home, Settings(), groups.get(store.db, "dev"))
        seen = [(one.content, talk.where(one)) for one in talk.last(9)]
        assert seen == [("hello", "#dev"), ("hi", "slack:C2")]
        say(people, "more", "3", chat_jid="wa:G1")
        assert [one.content for one in talk.news()] == ["more"]
        for jid in ("slack:C2", "wa:G1", "local:dev"):
            with store.atomic() as db:
                groups.unlink(db, "dev", jid)
        assert [talk.where(one) for one in talk.last(9)] == [""]
