"""What the table of rights is told of the file and of the configuration."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from agent_runner.protocol import requests as asked
from pynchy_cli.config.settings import GroupRules, Settings
from pynchy_cli.errors import ConfigInvalid
from pynchy_cli.ipc import authorise
from pynchy_cli.ipc.authorise import Principal
from pynchy_cli.ipc.facts import facts
from pynchy_cli.store import Store, chats
from pynchy_cli.store.migrate import migrate
from tests.teams import NOW, add_team

TEAM = Principal("team", "group")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    migrate(tmp_path / "messages.db")
    store = Store.open(tmp_path / "messages.db")
    add_team(store)
    return store


def test_chats_and_tasks_are_whose_the_file_says(store: Store) -> None:
    with closing(store), store.atomic() as db:
        chats.seen(db, "slack:C1", None, NOW)
        db.execute("INSERT INTO group_chats(jid, group_folder) VALUES ('slack:C1', 'team')")
        db.execute(
            "INSERT INTO scheduled_tasks(id, group_folder, prompt, schedule_type, schedule_value,"
            " created_at) VALUES ('t1', 'team', 'Look', 'once', ?1, ?1)",
            (NOW,),
        )
        known = facts(db, Settings(), "team")
        jids = ("local:team", "slack:C1", "slack:C2", "local:te%", "")
        assert [known.group_of_chat(jid) for jid in jids] == ["team", "team", None, None, None]
        assert [known.group_of_task(id) for id in ("t1", "T1", "t2")] == ["team", None, None]
        assert authorise.decide(TEAM, asked.PauseTask(task_id="t1"), known).outcome == "accepted"
        other = Principal("other", "group")
        for request in (
            asked.PauseTask(task_id="t1"),
            asked.SendMessage(text="hi", chat_jid="local:team"),
        ):
            assert authorise.decide(other, request, known).outcome == "forbidden"


def test_without_a_file_nothing_named_is_anybodys() -> None:
    known = facts(None, Settings(), "team")
    assert known.group_of_chat("local:team") is None
    assert known.group_of_task("t1") is None
    message = asked.SendMessage(text="hi", chat_jid="local:team")
    assert authorise.decide(TEAM, message, known).outcome == "forbidden"
    assert authorise.decide(TEAM, asked.SendMessage(text="hi"), known).outcome == "accepted"


def test_what_is_gated_comes_from_every_tier() -> None:
    settings = Settings(
        defaults=GroupRules(gate=("handoff",)),
        profiles={"strict": GroupRules(gate=("service:calendar",))},
        groups={
            "team": GroupRules(profile="strict", gate=("send_message",)),
            "lost": GroupRules(profile="nowhere"),
        },
    )
    assert facts(None, settings, "team").gated == {"handoff", "service:calendar", "send_message"}
    assert facts(None, settings, "other").gated == {"handoff"}
    message = asked.SendMessage(text="hi")
    assert authorise.decide(TEAM, message, facts(None, settings, "team")).outcome == "gated"
    with pytest.raises(ConfigInvalid, match="nowhere"):
        facts(None, settings, "lost")


def test_services_are_those_that_were_looked_up() -> None:
    calendar = asked.Service(tool="calendar")
    for services, outcome in (
        (None, "forbidden"),
        ({"calendar": "own"}, "accepted"),
        ({"calendar": "gate"}, "gated"),
        ({"mail": "own"}, "forbidden"),
    ):
        known = facts(None, Settings(), "team", services)
        assert authorise.decide(TEAM, calendar, known).outcome == outcome
