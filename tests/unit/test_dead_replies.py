"""What never gets to its chat, or waits for a person, is told to the admin group: once for each
chat and hour, and never about such a notice itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pynchy_cli import clock
from pynchy_cli.delivery import dead
from pynchy_cli.model import Delivery
from pynchy_cli.store import chats, groups, outbound, outbox, undelivered
from pynchy_cli.store.connection import Store
from pynchy_cli.store.migrate import migrate

NOW = "2026-01-31T08:00:00.000Z"
CHAT = "slack:C1"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    path = tmp_path / "messages.db"
    migrate(path)
    with Store.open(path) as opened:
        yield opened


def admin(store: Store, jid: str = "slack:ADMIN", folder: str = "main") -> None:
    with store.atomic() as db:
        groups.add(
            db,
            folder=folder,
            name="Main",
            jid=jid,
            is_admin=True,
            trigger_mode="always",
            trigger_pattern=None,
            allowed_users=("owner",),
            now=NOW,
        )


def buried(
    store: Store, text: str, *, chat: str = CHAT, now: str = NOW, why: str = "no such chat."
) -> Delivery:
    with store.atomic() as db:
        chats.seen(db, chat, "#dev", NOW)
        number = outbound.say(
            db, key=f"t:{text}", chat_jid=chat, content=text, source="agent", now=NOW
        )
        one = outbox.get(db, number, chat)
        assert one is not None
        dead.bury(db, one, why, now)
    return one


def notices(store: Store) -> list[tuple[str, str]]:
    rows = store.db.execute(
        "SELECT chat_jid, content FROM outbound_ledger WHERE source = 'host' ORDER BY id"
    )
    return [tuple(row) for row in rows]


def test_the_admin_group_is_told_what_where_why_and_what_to_do(store: Store) -> None:
    admin(store)
    one = buried(store, "hello", why="the bot is\x1b[2J\nno member.")
    assert notices(store) == [
        (
            "slack:ADMIN",
            "⚠️ A reply could not be brought to #dev (slack:C1): the bot is\\x1b[2J no member. "
            f"`pynchy outbox show {one.reply.id}` tells more.",
        )
    ]


def test_of_many_in_an_hour_one_notice_tells_the_number(store: Store) -> None:
    admin(store)
    for number in range(5):
        buried(store, f"{number}", now=clock.after(NOW, 700.0 * number))
    ((_, text),) = notices(store)
    assert text == (
        "⚠️ 5 replies could not be brought to #dev (slack:C1); the last one: no such chat. "
        "`pynchy outbox list --state dead --chat slack:C1` lists them."
    )
    buried(store, "an hour later", now=clock.after(NOW, 3601.0))
    assert [text.split()[1] for _, text in notices(store)] == ["5", "6"]


def test_each_chat_and_each_admin_group_has_its_own(store: Store) -> None:
    admin(store)
    admin(store, "slack:OTHER", "other")
    buried(store, "a")
    buried(store, "b", chat="slack:C10")
    assert [chat for chat, _ in notices(store)] == ["slack:ADMIN", "slack:OTHER"] * 2


def test_the_same_one_is_told_of_once(store: Store) -> None:
    admin(store)
    one = buried(store, "a")
    with store.atomic() as db:
        undelivered.retry(db, one)
        dead.bury(db, one, "still no such chat", clock.after(NOW, 7200.0))
    assert len(notices(store)) == 1


def test_a_notice_that_never_gets_there_is_not_told_of(store: Store) -> None:
    admin(store)
    buried(store, "a")
    (notice,) = undelivered.listed(store.db, chat_jid="slack:ADMIN")
    with store.atomic() as db:
        dead.bury(db, notice, "no such chat", NOW)
    assert len(notices(store)) == 1
    assert undelivered.count_in(store.db, undelivered.DEAD, "slack:ADMIN") == 0


def test_without_an_admin_group_nobody_is_told(store: Store) -> None:
    one = buried(store, "a")
    assert notices(store) == []
    found = outbox.get(store.db, one.reply.id, CHAT)
    assert found is not None
    assert (found.state, found.error) == ("dead", "no such chat.")


def test_what_was_withdrawn_or_dropped_is_missed_by_nobody(store: Store) -> None:
    admin(store)
    with store.atomic() as db:
        chats.seen(db, CHAT, None, NOW)
        number = outbound.say(
            db, key="w", chat_jid=CHAT, content="", source=outbound.WITHDRAWN, now=NOW
        )
        one = outbox.get(db, number, CHAT)
        assert one is not None
        dead.bury(db, one, "no", NOW)
        number = outbound.say(db, key="d", chat_jid=CHAT, content="d", source="agent", now=NOW)
        other = outbox.get(db, number, CHAT)
        assert other is not None
        undelivered.drop(db, other)
        dead.bury(db, other, "no", NOW)
    assert notices(store) == []


def test_what_waits_for_a_person_is_told_of_too(store: Store) -> None:
    admin(store)
    buried(store, "lost")
    for number in range(2):
        with store.atomic() as db:
            id = outbound.say(
                db, key=f"{number}", chat_jid=CHAT, content="x", source="agent", now=NOW
            )
            one = outbox.get(db, id, CHAT)
            assert one is not None
            dead.hold(db, one, "nobody knows whether it got there", NOW)
        told = notices(store)[1][1]
        if not number:
            assert told == (
                "⚠️ A reply to #dev (slack:C1) waits for you: nobody knows whether it got there. "
                f"`pynchy outbox show {id}` tells more, `pynchy outbox retry {id} --again` sends "
                f"it again, `pynchy outbox drop {id}` leaves it."
            )
    assert told.startswith("⚠️ 2 replies to #dev (slack:C1) wait for you; the last one: nobody")
    assert len(notices(store)) == 2
