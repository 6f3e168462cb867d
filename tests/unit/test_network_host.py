"""What a network's stage does with what comes: each call is one transaction, and of what is too old
to be answered people are told once."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from pynchy_cli import clock
from pynchy_cli.channels.base import Event
from pynchy_cli.channels.whatsapp.channel import WhatsAppChannel
from pynchy_cli.delivery.host import StageHost
from pynchy_cli.model import Chat, NewMessage, SharedFile
from pynchy_cli.store import groups
from tests.delivering import CHAT, Delivering, run

STRANGER = "U9"


def team(made: Delivering) -> StageHost:
    """A group in a chat of the network, where somebody may speak."""
    host = StageHost(made.context, made.network, lambda: None)
    host.met([Chat(CHAT, "#one")])
    with made.store.atomic() as db:
        groups.add(
            db,
            folder="dev",
            name="Dev",
            jid=CHAT,
            is_admin=False,
            trigger_mode="mention",
            trigger_pattern=None,
            allowed_users=("standin:U1",),
            now=clock.now(),
        )
    return host


def old(id: str, text: str, sender: str = "U1") -> Event:
    said = NewMessage(id, CHAT, sender, sender, text, "2026-01-31T08:00:00.000Z")
    return Event(said, cursor=id, is_old=True)


def told(made: Delivering) -> list[str]:
    return [row[0] for row in made.store.db.execute("SELECT content FROM outbound_ledger")]


def test_of_what_is_too_old_people_are_told_once_and_no_agent_is(tmp_path: Path) -> None:
    async def story(made: Delivering) -> None:
        host = team(made)
        host.take([old("1", "among ourselves"), old("2", "@pynchy buy", STRANGER)])
        assert told(made) == []
        for _ in range(2):
            host.take([old("3", "@pynchy one"), old("4", "@pynchy two")])
        (notice,) = told(made)
        assert "I was away. 2 things said here meanwhile are too old" in notice
        kept = made.store.db.execute("SELECT id, audience FROM messages WHERE id < 'a'").fetchall()
        assert [tuple(row) for row in kept] == [(id, "chat") for id in "1234"]
        assert [known.cursor for known in host.chats()] == ["4"]

    run(story, tmp_path)


def test_what_was_kept_goes_with_its_message(tmp_path: Path) -> None:
    async def story(made: Delivering) -> None:
        host = team(made)
        first, second = host.keep([("events_api", "{}"), ("interactive", "{}")])
        host.take([old("1", "hello")], [first])
        assert host.kept() == [(second, "interactive", "{}")]

    run(story, tmp_path)


def test_a_file_can_be_read_by_its_group_once_it_is_there(tmp_path: Path) -> None:
    async def story(made: Delivering) -> None:
        host = team(made)
        said = NewMessage(
            "1", CHAT, "U1", "U1", "look", clock.now(), files=(SharedFile("F1", "a.txt"),)
        )
        host.take([Event(said)])
        ((seq, number, folder, file),) = host.waiting_files()
        path = host.file_path(folder, seq, file.name)
        path.touch(mode=0o600)
        host.file_came(seq, number, path.name, None)
        assert (folder, host.waiting_files()) == ("dev", [])
        assert path.stat().st_mode & 0o777 == 0o644

    run(story, tmp_path)


def test_a_connection_is_logged_in_these_words_when_it_changes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def story(made: Delivering) -> None:
        made.network.title = WhatsAppChannel.title
        host = StageHost(made.context, made.network, lambda: None)
        for connected, why in ((True, None), (True, None), (False, "it broke"), (True, None)):
            host.state(connected, why)
        host.state(False, None)

    with caplog.at_level(logging.INFO):
        run(story, tmp_path)
    said = [one.msg["event"] for one in caplog.records if isinstance(one.msg, dict)]
    assert said == ["Connected to WhatsApp", "Connection closed"] * 2
