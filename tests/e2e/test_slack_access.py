"""Who is heard in Slack: a stranger's chat becomes a group when the owner presses a button; what
is said in one chat of a group is seen in its others; a shared file is read in the sandbox."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.process.test_run_agent import wait_for
from tests.slack_home import CHANNEL, SlackHome
from tests.slack_server import SlackServer


@pytest.fixture
def slack() -> Iterator[SlackServer]:
    with SlackServer() as server:
        server.person("eve", "Eve *Evil*")
        yield server


@pytest.fixture
def home(tmp_path: Path, environment: dict[str, str], slack: SlackServer) -> Iterator[SlackHome]:
    """An admin group in #ops; Alice is the owner of this machine."""
    made = SlackHome(tmp_path, environment, slack.url)
    made.environ[f"{CHANNEL}OWNER"] = slack.person("alice", "Alice Able")
    ops = slack.channel("ops", "alice", "eve")
    made.run("groups", "link", "main", f"slack:{ops}")
    for stage in ("route", "ipc-watch", "run-agent"):
        made.start(stage)
    made.listen()
    is_connected = "SELECT 1 FROM processes WHERE connected = 1"
    try:
        wait_for(lambda: made.rows(is_connected), "the connection", limit=30)
        yield made
    finally:
        made.close()


def ours(slack: SlackServer, channel: str) -> list[dict[str, Any]]:
    return [one for one in slack.history(channel) if one.get("bot_id")]


def said(slack: SlackServer, channel: str, words: str) -> dict[str, Any]:
    """What we have said with these words in it, once it is there."""

    def found() -> list[dict[str, Any]]:
        return [one for one in ours(slack, channel) if words in one["text"]]

    wait_for(lambda: bool(found()), words, limit=30)
    return found()[0]


def test_a_strangers_chat_gets_a_group_by_the_owners_button(
    slack: SlackServer, home: SlackHome
) -> None:
    ops, dev = slack.channel_id("ops"), slack.channel("dev", "alice", "eve")
    slack.say("eve", dev, "<@U0PYNCHY01> let me in")
    offer = said(slack, ops, "belongs to no group")
    slack.press("eve", ops, offer["ts"], "Approve")
    slack.say("eve", dev, "<@U0PYNCHY01> hello?")
    wait_for(
        lambda: home.rows("SELECT count(*) FROM messages WHERE sender_name LIKE 'Eve%'") == [3],
        "Eve",
        limit=30,
    )
    assert home.rows("SELECT folder FROM registered_groups") == ["main"]
    slack.press("alice", ops, offer["ts"], "Approve")
    said(slack, ops, "It was approved, and is done")
    assert home.rows("SELECT folder FROM registered_groups ORDER BY number") == ["main", "dev"]
    assert ours(slack, dev) == []
    slack.say("alice", dev, "<@U0PYNCHY01> are you there")
    assert "let me in" not in said(slack, dev, "are you there")["text"]
    asked = [one for one in ours(slack, ops) if "belongs to no group" in one["text"]]
    assert len(asked) == 1


def test_a_group_in_two_chats_and_a_file(slack: SlackServer, home: SlackHome) -> None:
    ops, more = slack.channel_id("ops"), slack.channel("more", "alice", "eve")
    home.run("groups", "link", "main", f"slack:{more}")
    ts = slack.say("alice", more, "hi *there*")
    shown = said(slack, ops, "Alice Able")
    assert "more" in shown["text"]
    said(slack, ops, "hi")
    slack.edit(more, ts, "bye")
    wait_for(
        lambda: any(
            "bye" in one["text"] for one in ours(slack, ops) if "Alice Able" in one["text"]
        ),
        "the edit",
        limit=30,
    )
    slack.say("eve", more, "buy this")
    slack.upload("alice", more, "../note.txt", b"remember the milk", "look")
    answer = said(slack, more, "/workspace/files/")
    (path,) = home.rows("SELECT path FROM message_files WHERE state = 'here'")
    assert f"/workspace/files/{path}" in answer["text"]
    assert (home.home / "data/received/main" / path).read_bytes() == b"remember the milk"
    assert not any("buy this" in one["text"] for one in ours(slack, ops))
