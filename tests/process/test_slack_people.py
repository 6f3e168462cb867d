"""What people do in Slack but talk: they press buttons, give commands, react, edit and take back.
The stages are processes, and Slack is the tests' own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent_runner.protocol.requests import Option, Question
from pynchy_cli import clock
from pynchy_cli.errors import EXIT_BROKEN
from pynchy_cli.routing import question_text
from pynchy_cli.store import outbound, questions, requests, runs
from pynchy_cli.store.connection import Store
from tests.process.test_run_agent import wait_for
from tests.slack_home import SlackHome, answers
from tests.slack_server import SlackServer

COLOURS = (Option(label="red"), Option(label="blue"))


@pytest.fixture
def slack() -> Iterator[SlackServer]:
    with SlackServer() as server:
        server.person("alice", "Alice Able")
        server.person("mallory", "Mallory")
        yield server


@pytest.fixture
def home(tmp_path: Path, environment: dict[str, str], slack: SlackServer) -> Iterator[SlackHome]:
    """Alice may speak to the team, if she calls the assistant."""
    made = SlackHome(tmp_path, environment, slack.url)
    dev = slack.channel("dev", "alice", "mallory")
    alice = slack.say("alice", dev, "hello")
    user = next(one["user"] for one in slack.history(dev) if one["ts"] == alice)
    made.run("groups", "add", f"slack:{dev}", "--folder", "dev", "--allow", f"slack:{user}")
    made.listen()
    made.start("route")
    try:
        yield made
    finally:
        made.close()


def asks(home: SlackHome, thread: str) -> None:
    """The agent at work on what was said in a thread asks which colour, under the id q2w3."""
    asked = (Question(question="Which?", options=COLOURS),)
    with Store.open(home.home / "data" / "messages.db") as store, store.atomic() as db:
        now = clock.now()
        run = runs.claim(db, 4711, 9, now)
        assert run is not None
        assert run.thread.endswith(thread)
        row = requests.add(
            db,
            group_folder="dev",
            session="s",
            request_id="r1",
            lane="chat",
            role="group",
            type="ask_user",
            payload="{}",
            state="waiting",
            now=now,
            chat_jid=run.chat_jid,
            run_id=run.id,
        )
        questions.ask(
            db,
            id="q2w3",
            request=row,
            chat_jid=run.chat_jid or "",
            questions=asked,
            expires_at=clock.after(now, 3600),
            now=now,
        )
        outbound.say(
            db,
            key="question:q2w3",
            chat_jid=run.chat_jid or "",
            content=question_text.rendered("q2w3", asked, [1], "pynchy"),
            source="host",
            now=now,
            group_folder="dev",
            thread=run.thread,
        )


def test_people_do_more_than_talk(slack: SlackServer, home: SlackHome) -> None:
    dev = slack.channel_id("dev")
    first = slack.say("alice", dev, "a plan")
    slack.say("alice", dev, "what now?", thread_ts=first)
    line = slack.history(dev, first)[-1]["ts"]
    wait_for(lambda: home.rows("SELECT count(*) FROM messages") == [2], "what was said")
    slack.edit(dev, line, "@pynchy what now?")
    wait_for(lambda: home.rows("SELECT 1 FROM runs WHERE state = 'queued'"), "the edit's run")
    asks(home, first)

    def question() -> dict[str, Any]:
        return next((one for one in answers_in(slack, dev, first) if buttons(one)), {})

    wait_for(question, "the question, with its buttons")
    ts = question()["ts"]
    slack.press("mallory", dev, ts, "red")
    slack.press("alice", dev, ts, "blue")
    wait_for(lambda: said(slack, dev, first, "Which? – blue"), "the answer to the press")
    wait_for(lambda: not question(), "that the buttons go")
    slack.press("alice", dev, ts, "red")
    wait_for(lambda: said(slack, dev, first, "q2w3 was "), "what a late press is told")
    assert home.rows("SELECT answers FROM questions") == ['{"1": "blue"}']

    slack.react("mallory", dev, line, "x")
    slack.react("alice", dev, line, "x")
    wait_for(lambda: "stop" in home.rows("SELECT asked FROM runs"), "the cross")

    heard = slack.answer(slack.command("alice", dev, "help"))
    assert heard == {"response_type": "in_channel"}
    wait_for(lambda: any("Words that are" in one["text"] for one in answers(slack, dev)), "help")
    lounge = slack.channel("lounge", "alice")
    elsewhere = slack.answer(slack.command("alice", lounge, "help"))
    assert elsewhere["response_type"] == "ephemeral"
    assert f"pynchy groups add slack:{lounge}" in elsewhere["text"]

    gone = slack.say("alice", dev, "@pynchy never mind")
    slack.delete(dev, gone)
    wait_for(
        lambda: home.rows("SELECT replaces FROM messages WHERE message_type = 'deletion'"),
        "the deletion",
    )
    assert home.rows("SELECT verdict, count(*) FROM messages WHERE sender_name = 'Mallory'"
                     " GROUP BY 1") == [("refused", 2)]  # fmt: skip


def answers_in(slack: SlackServer, channel: str, thread: str) -> list[dict[str, Any]]:
    return [one for one in slack.history(channel, thread) if one.get("bot_id")]


def said(slack: SlackServer, channel: str, thread: str, text: str) -> bool:
    return any(text in one["text"] for one in answers_in(slack, channel, thread))


def buttons(message: dict[str, Any]) -> bool:
    return any(block["type"] == "actions" for block in message.get("blocks", []))


def test_somebody_revokes_our_token(slack: SlackServer, home: SlackHome) -> None:
    """Nobody asks for ever with a token that is none any more, and people are told why."""
    listening = home.living[0]
    wait_for(lambda: slack.sockets() == 1, "a connection")
    slack.token_error("token_revoked")
    slack.kill()
    assert listening.wait(60) == EXIT_BROKEN
    told = json.loads(home.run("status", code=None))["stages"]["listen@slack"]
    assert not told["running"]
    assert "the token was revoked" in told["error"]
