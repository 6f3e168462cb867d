"""`pynchy hold`, `pynchy release` and the owner's words in a chat: real stages, workers that are
killed and started again, and the stand-in network."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from pynchy_cli.config.settings import Channels, Settings, SlackRules
from pynchy_cli.store import holding, outbound
from pynchy_cli.store.connection import Store
from tests.commands.test_stop import at_work
from tests.conftest import Pynchy
from tests.delivering import CHAT, OTHER, Delivering
from tests.delivering import run as deliver
from tests.people import People
from tests.process.test_run_agent import (
    Pipeline,
    pipeline,  # noqa: F401
    sources,  # noqa: F401
    wait_for,
)
from tests.slack_home import SlackHome, answers
from tests.slack_server import SlackServer
from tests.stand_in_network import Fault

HALF = "half\n[writing]"
HELD = "All groups are held by owner (shell) since "


@pytest.fixture
def people(environment: dict[str, str], tmp_path: Path) -> People:
    made = People.moved_in(environment, tmp_path / "home")
    made.group("main", "owner", is_admin=True)
    made.group("team", "owner", "ann")
    made.group("net", "*", jid="slack:C1")
    return made


def test_a_hold_outlives_whoever_is_killed_and_everybody_is_told_of_it(pipeline: Pipeline) -> None:  # noqa: F811
    pipeline.start("route")
    worker = pipeline.start("run-agent")
    told = json.loads(pipeline.run("hold", "main", "--reason", "moving house"))
    del told["held_at"]
    assert told == {
        "ok": True,
        "group": "main",
        "outbound": False,
        "reason": "moving house",
        "held_by": "owner (shell)",
        "stopped": [],
    }
    said = pipeline.run("send", "main", "hello", "--timeout", "0.1", code=1)
    assert "main is held by owner (shell) since" in said
    assert ": moving house. `pynchy release main` ends that." in said
    wait_for(lambda: pipeline.rows("SELECT state FROM runs") == ["queued"], "the run")
    worker.kill()
    worker.wait(30)
    pipeline.run("run-agent", "--once")
    assert pipeline.rows("SELECT state, attempts FROM runs") == [("queued", 0)]
    assert json.loads(pipeline.run("runs", "list"))["held"] is True
    refused = pipeline.run("run-agent", "main", code=3, input="hello")
    assert "main is held by owner (shell)" in refused
    added = pipeline.run("tasks", "add", "--every", "1d", "--prompt", "x", "--group", "main")
    run = pipeline.run("tasks", "run", json.loads(added[: added.rindex("}") + 1])["id"])
    assert "That waits: main is held by" in run
    assert "main is held by" in pipeline.run("stop", "main", code=1)
    worker = pipeline.start("run-agent")
    assert json.loads(pipeline.run("release", "main"))["message"] == "main goes on."
    wait_for(lambda: "hello" in "".join(pipeline.replies()), "the answer")
    assert "main is not held by itself." in pipeline.run("release", "main", code=1)


def test_what_is_at_work_goes_on_or_is_stopped_as_was_said(pipeline: Pipeline) -> None:  # noqa: F811
    at_work(pipeline)
    assert json.loads(pipeline.run("hold", "--all"))["stopped"] == []
    assert pipeline.rows("SELECT state, asked FROM runs") == [("running", None)]
    assert json.loads(pipeline.run("hold", "main", "--stop"))["stopped"] == [1]
    wait_for(lambda: pipeline.rows("SELECT state FROM runs") == ["cancelled"], "the end")
    left = json.loads(pipeline.run("release", "main"))
    assert (left["ok"], left["still_held"]) == (True, ["--all"])
    assert "All groups are held: `pynchy release --all` ends that." in left["message"]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("hold",), 2),
        (("hold", "main", "--all"), 2),
        (("release",), 2),
        (("hold", "mian"), 1),
        (("release", "mian"), 1),
    ],
)
def test_what_can_t_be_held(
    pynchy: Pynchy, home: Path, arguments: tuple[str, ...], code: int
) -> None:
    said = pynchy(*arguments, code=code).stderr
    assert ("Name a group, or say --all." if code == 2 else "Did you mean 'main'?") in said


def test_the_owner_stops_all_with_two_words(pipeline: Pipeline) -> None:  # noqa: F811
    at_work(pipeline)
    pipeline.start("route")
    said = json.loads(pipeline.run("send", "main", "Stop all!", "--timeout", "60", "--json"))
    assert said["replies"][0]["content"].startswith("🛑 All is stopped: 1 turn at work ends, and")
    wait_for(lambda: pipeline.rows("SELECT state FROM runs") == ["cancelled"], "the end")
    (pipeline.home / "groups/main/go").touch()
    pipeline.run("send", "main", "hello")
    wait_for(lambda: len(pipeline.rows("SELECT state FROM runs")) == 2, "the next run")
    said = json.loads(pipeline.run("send", "main", "GO ON ALL", "--timeout", "60", "--json"))
    assert said["replies"][0]["content"] == "▶️ Everything goes on."
    wait_for(
        lambda: pipeline.rows("SELECT state FROM runs ORDER BY id") == ["cancelled", "done"],
        "the answer to what waited",
    )


def test_nobody_else_stops_all(people: People) -> None:
    """Neither one who may speak and decide, nor who calls himself the owner on a network."""
    settings = Settings(channels=Channels(slack={"main": SlackRules(owner="U1")}))
    assert people.said("ann", "stop all") is None
    mine = {"channels__slack__main__owner": "U1", "approvals__approvers": "ann,owner"}
    words = "Only the owner may do that with all groups."
    assert people.said("ann", "@pynchy stop all", **mine) == words
    for who in ("owner", "U2", "local:owner"):
        people.say((who, "@pynchy stop all"), chat="slack:C1", channel="slack", settings=settings)
    people.route(**mine)
    assert people.rows("SELECT count(*) FROM holds") == [(0,)]
    assert people.rows("SELECT count(*) FROM audit") == [(0,)]
    people.say(("U1", "stop all"), chat="slack:C1", channel="slack", settings=settings)
    people.route(**mine)
    assert people.rows("SELECT group_folder, held_by, outbound, reason FROM holds") == [
        ("", "slack:U1", 0, "said in slack:C1")
    ]
    assert people.rows("SELECT kind, decision, who FROM audit") == [("hold", "held", "slack:U1")]
    assert people.said("ann", "@pynchy go on all", **mine) == words
    assert people.rows("SELECT count(*) FROM holds") == [(1,)]


def test_in_a_chat_it_is_told_that_and_why_nothing_is_begun(people: People) -> None:
    with people.store() as store, store.atomic() as db:
        for group in (None, "team"):
            holding.hold(db, group, who="owner (shell)", now="2026-01-31T08:00:00.000Z")
    for word in ("stop", "@pynchy status"):
        assert HELD in str(people.said("ann", word)), word
    told = str(people.said("owner", "@pynchy status", "local:main")).splitlines()
    assert told[0].startswith(f"⏸️ {HELD}2026-01-31T08:00:00.000Z. `pynchy release --all`")
    assert [line[:12] for line in told[3:]] == ["⏸️ team is h"]
    told = str(people.said("owner", "@pynchy help", "local:main")).splitlines()
    assert "`stop all` – end all that is at work everywhere, and begin nothing more" in told
    assert str(people.said("owner", "go on all", "local:main")) == (
        "▶️ Everything goes on. Held by themselves are still: team (`pynchy release NAME`)."
    )
    assert str(people.said("owner", "release all", "local:main")).startswith("All groups together")


def test_slack_is_sent_nothing_until_it_is_released(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    with SlackServer() as slack, closing(SlackHome(tmp_path, environment, slack.url)) as home:
        slack.person("alice", "Alice Able")
        dev = slack.channel("dev", "alice")
        home.group("dev", dev)
        listener = home.listen()
        wait_for(lambda: home.rows("SELECT 1 FROM processes WHERE connected = 1"), "Slack")
        home.run("hold", "dev", "--outbound")
        slack.say("alice", dev, "m1")
        wait_for(lambda: home.rows("SELECT 1 FROM messages"), "the message")
        home.run("route", "--once")
        home.run("release", "dev")
        home.run("hold", "--all", "--outbound")
        with Store.open(home.home / "data/messages.db") as store, store.atomic() as db:
            outbound.say(
                *(db,),
                key="x",
                chat_jid=f"slack:{dev}",
                content="nothing before its time",
                source="host",
                now="2026-01-31T08:00:00.000Z",
                group_folder="dev",
            )
        listener.kill()
        listener.wait(30)
        home.listen()
        wait_for(
            lambda: home.rows("SELECT 1 FROM processes WHERE connected = 1 AND ended_at IS NULL"),
            "Slack, again",
        )
        assert answers(slack, dev) == []
        home.run("release", "--all")
        wait_for(lambda: len(answers(slack, dev)) == 1, "what waited")
        wait_for(home_is_sent(home), "the note of it")
        home.run("run-agent", "--once")
        wait_for(lambda: len(answers(slack, dev)) == 2, "the answer to what waited")


def home_is_sent(home: SlackHome) -> Callable[[], bool]:
    return lambda: home.rows("SELECT DISTINCT state FROM outbound_deliveries") == ["sent"]


def held(store: Store, *, outbound: bool = True) -> None:
    with store.atomic() as db:
        holding.hold(db, None, who="x", now="2026-01-31T08:00:00.000Z", outbound=outbound)


def released(store: Store) -> None:
    with store.atomic() as db:
        holding.release(db, None, who="x", now="2026-01-31T08:00:00.000Z")


def test_nothing_goes_out_while_it_is_held_and_all_of_it_once_afterwards(tmp_path: Path) -> None:
    """Also the rest of a reply of which the first part is being posted, and a change of what stands
    there already."""

    async def story(made: Delivering) -> None:
        first = made.say("first " + "x" * 150)
        made.grow("half", OTHER)
        await made.until(lambda: made.network.calls["post"] >= 2)
        held(made.store)
        made.network.release.set()
        made.grow("half of it", OTHER)
        await made.until(lambda: not made.deliverer.is_busy())
        assert [one.state for one in made.parts(first)] == ["sent"]
        posts = dict(made.network.calls)
        made.say("second")
        assert made.deliverer.drain() == 0
        assert dict(made.network.calls) == posts
        assert made.found(first).state == "pending"
        made.anew()
        assert made.deliverer.drain() == 0
        released(made.store)
        made.say("half of it all", OTHER, key="open")
        await made.done()
        texts = made.remote.texts(CHAT)
        assert "".join(texts).replace("x", "") == "first second"
        assert made.remote.texts(OTHER) == ["half of it all"]

    rules: dict[str, Any] = {"limit": 100, "edit_interval": 0.0}
    deliver(story, tmp_path, Fault("slow", match="first"), **rules)


def test_a_change_that_is_about_to_be_made_is_held_too(tmp_path: Path) -> None:
    """Between the reading of what is due and the call to the network a hold may come."""

    async def story(made: Delivering) -> None:
        made.grow("half")
        await made.until(lambda: made.remote.texts(CHAT) == [HALF])
        made.say("whole", key="open")
        delivery = made.deliverer._next(CHAT)
        assert delivery is not None
        held(made.store)
        await made.deliverer._deliver(delivery)
        assert (made.remote.texts(CHAT), made.network.calls["edit"]) == ([HALF], 0)
        assert made.states() == ["pending"]
        released(made.store)
        await made.done()
        assert made.remote.texts(CHAT) == ["whole"]

    deliver(story, tmp_path)
