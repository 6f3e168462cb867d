"""Groups in the file: who has which chat, which number, and how far it has come."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pynchy_cli import clock
from pynchy_cli.errors import GroupBusy, GroupInvalid, GroupUnknown
from pynchy_cli.model import Chat, Group
from pynchy_cli.store import chats, cursors, groups, messages, outbound
from pynchy_cli.store.connection import Store
from pynchy_cli.store.migrate import migrate

NOW = "2026-01-31T08:00:00.000Z"
Add = Callable[..., Group]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An empty, migrated database."""
    migrate(tmp_path / "messages.db")
    with Store.open(tmp_path / "messages.db") as opened:
        yield opened


@pytest.fixture
def add(store: Store) -> Add:
    """Adds a group, in a transaction of its own."""

    def run(folder: str, jid: str | None = None, **other: Any) -> Group:
        given = {
            "name": folder.title(),
            "is_admin": False,
            "trigger_mode": "mention",
            "trigger_pattern": None,
            "allowed_users": ("owner",),
            **other,
        }
        with store.atomic() as db:
            return groups.add(db, folder=folder, jid=jid or f"local:{folder}", now=NOW, **given)

    return run


def say(store: Store, jid: str, count: int) -> None:
    with store.atomic() as db:
        chats.seen(db, jid, None, NOW)
        for number in range(count):
            db.execute(
                "INSERT INTO messages(id, chat_jid, sender, sender_name, content, timestamp, "
                "received_at) VALUES(?, ?, 'a', 'A', 'hi', ?, ?)",
                (f"{jid}-{number}", jid, NOW, NOW),
            )


def test_a_group_is_given_back_as_it_was_added(store: Store, add: Add) -> None:
    group = add("work", "slack:C1", trigger_mode="always", allowed_users=("*", "é"), is_admin=True)
    assert group == groups.get(store.db, "work")
    assert group == Group(
        "work", "Work", "slack:C1", True, "always", None, ("*", "é"), 1, 0, 0, NOW
    )
    assert groups.by_chat(store.db, "slack:C1") == group
    assert groups.by_chat(store.db, "slack:C2") is None
    assert groups.chats(store.db, "work") == ["slack:C1"]
    assert chats.get(store.db, "slack:C1") == Chat("slack:C1", None)


def test_a_new_group_begins_after_everything_that_was_said(store: Store, add: Add) -> None:
    say(store, "local:old", 3)
    group = add("old")
    assert (group.routed_seq, group.answered_seq) == (3, 3)


def test_further_chats_belong_to_their_group(store: Store, add: Add) -> None:
    group = add("work")
    with store.atomic() as db:
        for jid in ("slack:B", "slack:A"):
            chats.seen(db, jid, None, NOW)
            db.execute("INSERT INTO group_chats(jid, group_folder) VALUES(?, 'work')", (jid,))
    assert groups.by_chat(store.db, "slack:A") == group
    assert groups.chats(store.db, "work") == ["local:work", "slack:A", "slack:B"]
    with pytest.raises(GroupInvalid, match="slack:A belongs to the group 'work'"):
        add("other", "slack:A")


def test_what_was_said_in_a_chat_before_the_group_came_there_is_none_of_its(
    store: Store, add: Add
) -> None:
    """Even where it was said to another group, which has left, and this one was silent meanwhile;
    within threads, too."""
    add("old", "slack:A")
    add("new", "slack:N")
    with store.atomic() as db:
        groups.link(db, "old", "slack:C", NOW)
    say(store, "slack:C", 3)
    with store.atomic() as db:
        db.execute("UPDATE messages SET thread = 'slack:C/1' WHERE seq = 2")
    assert messages.waiting_groups(store.db) == ["old"]
    with store.atomic() as db:
        groups.unlink(db, "old", "slack:C")
        assert messages.waiting_groups(db) == []
        groups.link(db, "new", "slack:C", NOW)
    assert groups.by_chat(store.db, "slack:C") == groups.get(store.db, "new")
    assert messages.waiting_groups(store.db) == []
    assert messages.pending(store.db, groups.chats(store.db, "new"), 0) == []
    say(store, "slack:N", 1)
    with store.atomic() as db:
        db.execute(
            "INSERT INTO messages(id, chat_jid, sender, sender_name, content, timestamp,"
            " received_at) VALUES ('z', 'slack:C', 'a', 'A', 'new', ?, ?)",
            (NOW, NOW),
        )
    assert messages.waiting_groups(store.db) == ["new"]
    found = messages.pending(store.db, groups.chats(store.db, "new"), 0)
    assert [one.seq for one in found] == [4, 5]
    assert [one.seq for one in messages.for_agent(store.db, "new", 0, 9)] == [4, 5]
    assert messages.for_agent(store.db, "new", 0, 9, "slack:C/1") == []
    assert messages.first_unread(store.db, "new", 5) == 4
    assert messages.first_unread(store.db, "new", 5, "slack:C/1") == 5


def test_a_chat_is_read_from_when_its_group_came_there(store: Store, add: Add) -> None:
    add("work", "slack:A")
    later = clock.after(NOW, 60)
    with store.atomic() as db:
        cursors.advance(db, "slack", "slack:C", "1700000000.000100", NOW)
        groups.link(db, "work", "slack:C", later)
    known = {jid: added_at for jid, _, _, added_at in cursors.known(store.db, "slack")}
    assert known == {"slack:A": groups.get(store.db, "work").added_at, "slack:C": later}
    assert later != NOW


def test_what_is_said_in_a_group_is_not_brought_to_a_chat_that_it_has_left(
    store: Store, add: Add
) -> None:
    add("work", "slack:A")
    add("new", "slack:N")

    def say(key: str, chat: str, **more: Any) -> None:
        how = {"key": key, "chat_jid": chat, "content": key, "now": NOW, **more}
        outbound.say(db, source="agent", group_folder="work", **how)

    with store.atomic() as db:
        groups.link(db, "work", "slack:C", NOW)
        say("seen", "slack:A")
        outbound.grow(
            db, key="open", chat_jid="slack:A", content="be", now=NOW, group_folder="work", run_id=1
        )
        db.execute("UPDATE outbound_deliveries SET state = 'sent', delivered_version = 1")
        say("waits", "slack:A")
        say("asked there", "slack:C")
        groups.unlink(db, "work", "slack:C")
        groups.link(db, "new", "slack:C", NOW)
        outbound.amend(db, "seen", "otherwise")
        say("open", "slack:A")
        say("later", "slack:A")
    found = store.db.execute(
        "SELECT l.key FROM outbound_deliveries d JOIN outbound_ledger l ON l.id = d.ledger_id"
        " WHERE d.state = 'pending' AND d.chat_jid = ? ORDER BY l.id",
        ("slack:C",),
    ).fetchall()
    assert [row[0] for row in found] == ["asked there"]
    found = store.db.execute(
        "SELECT count(*) FROM outbound_deliveries WHERE state = 'pending' AND chat_jid = 'slack:A'"
    ).fetchone()
    assert found[0] == 5


def test_a_group_stays_in_its_first_chat(store: Store, add: Add) -> None:
    add("work")
    with store.atomic() as db:
        groups.link(db, "work", "slack:C", NOW)
        with pytest.raises(GroupInvalid, match="first chat of 'work'"):
            groups.unlink(db, "work", "local:work")
        with pytest.raises(GroupInvalid, match="not live in slack:D, but in local:work, slack:C"):
            groups.unlink(db, "work", "slack:D")
        with pytest.raises(GroupInvalid, match="to the group 'work' already"):
            groups.link(db, "work", "slack:C", NOW)
        with pytest.raises(GroupUnknown):
            groups.link(db, "wrok", "slack:D", NOW)
        groups.unlink(db, "work", "slack:C")
    assert groups.chats(store.db, "work") == ["local:work"]


def test_a_name_or_chat_that_is_taken_is_refused(store: Store, add: Add) -> None:
    add("work")
    with pytest.raises(GroupInvalid, match="a group 'work' already"):
        add("work", "local:else")
    with pytest.raises(GroupInvalid, match="local:work belongs to the group 'work'"):
        add("else", "local:work")
    assert [group.folder for group in groups.all(store.db)] == ["work"]
    assert chats.get(store.db, "local:else") is None


@pytest.mark.parametrize(
    ("folder", "hint"),
    [
        ("My Group", "my-group"),
        ("../etc", "etc"),
        ("-a", "'a'"),
        ("a/b", "a-b"),
        ("work\n", "work"),
        ("a" * 41, "a" * 40),
        ("", "at most 40"),
        (".", "at most 40"),
        ("é", "at most 40"),
    ],
)
def test_a_name_that_cant_be_a_folder_is_refused_with_one_that_can(
    add: Add, folder: str, hint: str
) -> None:
    with pytest.raises(GroupInvalid) as caught:
        add(folder, "local:x")
    assert hint in str(caught.value)


@pytest.mark.parametrize(
    "jid", ["work", ":x", "local:", "local:a b", "LOCAL:x", "local:a\n", "é:x"]
)
def test_a_chat_that_cant_be_is_refused(add: Add, jid: str) -> None:
    with pytest.raises(GroupInvalid, match="channel:name"):
        add("work", jid)


def test_a_number_is_never_given_twice(store: Store, add: Add) -> None:
    assert [add(name).number for name in ("a", "b", "c")] == [1, 2, 3]
    for folder in ("c", "a", "b"):
        with store.atomic() as db:
            groups.remove(db, folder)
    assert add("c").number == 4


def test_cursors_only_go_forward(store: Store, add: Add) -> None:
    add("work")
    with store.atomic() as db:
        for seq in (5, 3):
            groups.route_through(db, "work", seq)
        for seq in (4, 2):
            groups.answer_through(db, "work", seq)
    group = groups.get(store.db, "work")
    assert (group.routed_seq, group.answered_seq) == (5, 4)


def test_an_unknown_group_is_told_with_the_nearest(store: Store, add: Add) -> None:
    with pytest.raises(GroupUnknown, match=r"no other.*groups add"):
        groups.get(store.db, "work")
    add("work")
    with pytest.raises(GroupUnknown, match="Did you mean 'work'"):
        groups.get(store.db, "wrk")
    with pytest.raises(GroupUnknown, match="groups list"):
        groups.get(store.db, "zzz")


def test_removing_keeps_what_was_said_and_takes_the_rest(store: Store, add: Add) -> None:
    add("work")
    say(store, "local:work", 2)
    with store.atomic() as db:
        db.execute(
            "INSERT INTO runs(group_folder, lane, kind, state, created_at) "
            "VALUES('work', 'chat', 'chat', 'queued', ?)",
            (NOW,),
        )
        db.execute("INSERT INTO sessions(group_folder, lane) VALUES('work', 'chat')")
        groups.remove(db, "work")
    counts = [
        store.db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
        for table in ("registered_groups", "runs", "sessions", "messages", "chats")
    ]
    assert counts == [0, 0, 0, 2, 1]
    with pytest.raises(GroupUnknown):
        groups.remove(store.db, "work")


def test_a_group_at_work_is_not_removed(store: Store, add: Add) -> None:
    add("work")
    with store.atomic() as db:
        db.execute(
            "INSERT INTO runs(group_folder, lane, kind, state, created_at) "
            "VALUES('work', 'chat', 'chat', 'running', ?)",
            (NOW,),
        )
    with pytest.raises(GroupBusy, match="Run 1 of 'work'"), store.atomic() as db:
        groups.remove(db, "work")
    assert groups.get(store.db, "work")


def test_a_chats_name_is_kept_until_another_is_known(store: Store) -> None:
    with store.atomic() as db:
        chats.seen(db, "slack:C1", "general", NOW)
        chats.seen(db, "slack:C1", None, NOW)
        assert chats.get(db, "slack:C1") == Chat("slack:C1", "general")
        chats.seen(db, "slack:C1", "new", "2027-01-31T08:00:00.000Z")
    assert chats.get(store.db, "slack:C1") == Chat("slack:C1", "new")
    row = store.db.execute("SELECT channel, first_seen_at FROM chats").fetchone()
    assert tuple(row) == ("slack", NOW)
