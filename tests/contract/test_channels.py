"""What every channel keeps to, whoever wrote it. A new channel is added to `CHANNELS`."""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import threading
from collections.abc import Mapping
from typing import Any

import pytest

from pynchy_cli import clock, plugins
from pynchy_cli.channels.base import CAPABILITIES, Channel, Incoming, Network, Unreadable
from pynchy_cli.channels.local import said
from pynchy_cli.channels.slack.channel import SlackChannel
from pynchy_cli.channels.stdin import LINE_LIMIT
from pynchy_cli.config.settings import Channels, Settings, SlackRules
from pynchy_cli.errors import PluginUnknown, UsageWrong
from pynchy_cli.store.outbound import INBOXES
from tests.stand_in_network import StandIn

CHANNELS = ("local", "stdin")


def heard(channel: Channel, options: Mapping[str, Any], data: bytes) -> list[Incoming | Unreadable]:
    """All that the channel says comes, given some bytes to read."""

    async def listen() -> list[Incoming | Unreadable]:
        return [came async for came in channel.incoming({**options, "descriptor": ours})]

    def write() -> None:
        with os.fdopen(theirs, "wb") as pipe:
            pipe.write(data)

    ours, theirs = os.pipe()
    writer = threading.Thread(target=write)
    writer.start()
    try:
        return asyncio.run(listen())
    finally:
        writer.join(30)
        os.close(ours)


@pytest.fixture(params=CHANNELS)
def channel(request: pytest.FixtureRequest) -> Channel:
    found: Channel = plugins.channel(request.param, Settings())
    return found


def test_it_is_found_by_its_name(channel: Channel, request: pytest.FixtureRequest) -> None:
    assert channel.name in CHANNELS
    assert f"[{channel.name}]" in request.node.name


def test_its_abilities_are_known(channel: Channel) -> None:
    assert isinstance(channel.capabilities, frozenset)
    assert channel.capabilities <= CAPABILITIES


def test_its_replies_are_born_delivered_if_the_file_is_its_inbox(channel: Channel) -> None:
    assert ("inbox" in channel.capabilities) == (channel.name in INBOXES)


def test_it_ends_when_nothing_more_comes(channel: Channel) -> None:
    assert heard(channel, {}, b"") == []


def test_its_messages_are_whole_and_have_different_ids(channel: Channel) -> None:
    came = heard(channel, {"chat": "local:team"}, b"one\ntwo\n")
    found = [one.message for one in came if isinstance(one, Incoming)]
    assert len(found) == len(came)
    assert len({one.id for one in found}) == len(found)
    for message in found:
        assert message.chat_jid == "local:team"
        assert message.sender
        assert message.sender_name
        assert clock.stamp(clock.parse(message.timestamp)) == message.timestamp
        assert (message.verdict, message.is_from_me) == ("allowed", False)


@pytest.mark.parametrize("name", ["slack", "slack.work"])
def test_a_network_is_found_by_the_name_of_its_section(name: str) -> None:
    workspaces = {"main": SlackRules(settle=1.0), "work": SlackRules(settle=2.0)}
    found = plugins.channel(name, Settings(channels=Channels(slack=workspaces)))
    assert found.name == name
    assert found.settle == (1.0 if name == "slack" else 2.0)
    assert found.capabilities <= CAPABILITIES
    assert "inbox" not in found.capabilities
    with pytest.raises(UsageWrong, match="No channel"):
        plugins.channel("slack.other", Settings(channels=Channels(slack=workspaces)))


@pytest.mark.parametrize("kind", [SlackChannel, StandIn])
def test_a_network_has_each_call_as_it_is_made(kind: type) -> None:
    """What delivers replies knows the protocol alone: the networks, and the one of the tests that
    stands for them, must have just that."""
    calls = {name: one for name, one in vars(Network).items() if inspect.isfunction(one)}
    calls = {name: one for name, one in calls.items() if not name.startswith("_")}
    assert {"post", "edit", "remove", "find", "send_file", "render", "run"} <= set(calls)
    for name, one in calls.items():
        theirs = getattr(kind, name)
        assert list(inspect.signature(theirs).parameters) == list(inspect.signature(one).parameters)
        assert inspect.iscoroutinefunction(theirs) == inspect.iscoroutinefunction(one), name


def test_what_is_no_channel_is_refused() -> None:
    with pytest.raises(PluginUnknown, match="offers no channel"):
        plugins.channel("unsafe", Settings())
    with pytest.raises(PluginUnknown, match="No plugin is called"):
        plugins.channel("smoke-signals", Settings())


def test_two_things_said_here_are_two_messages() -> None:
    assert said("x", "local:main", clock.now()).id != said("x", "local:main", clock.now()).id


def read(text: str | bytes, **options: Any) -> list[Incoming | Unreadable]:
    data = text if isinstance(text, bytes) else text.encode()
    return heard(plugins.channel("stdin", Settings()), options, data)


def contents(came: list[Incoming | Unreadable]) -> list[str]:
    return [one.message.content if isinstance(one, Incoming) else one.where for one in came]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("one\ntwo", ["one", "two"]),
        ("one\r\n\n  \n two \n", ["one", " two "]),
        ('{"text":"a"}\n{"content":"b"}\n', ["a", "b"]),
        ('{"text":"a"}\nplain\n{"text":"b"}\n', ["a", "line 2", "b"]),
        ('plain\n{"text":"a"}\n', ["plain", "a"]),
        ('{"text":1}\n{}\n{"text":"ok"}\n', ["line 1", "line 2", "ok"]),
        ('{"text":"\\ud800 \\u0000"}\n', ["\ud800 \0"]),
        ("[" * 100_000 + "\n", ["[" * 100_000]),
        ('{"text":' + "[" * 100_000 + "\n", ["line 1"]),
        ('{"text":"' + "ä" * 1_000_000 + '"}\n', ["ä" * 1_000_000]),
    ],
)
def test_lines_and_objects(text: str, expected: list[str]) -> None:
    assert contents(read(text)) == expected


def test_the_format_can_be_fixed() -> None:
    assert contents(read('{"text":"a"}\n', format="text")) == ['{"text":"a"}']
    assert contents(read("plain\n", format="json")) == ["line 1"]


def test_bytes_that_are_no_text_are_replaced() -> None:
    assert contents(read(b"a\xffb\n")) == ["a\ufffdb"]


def test_a_line_without_end_is_left_out_and_the_rest_goes_on() -> None:
    came = read(b"x" * (LINE_LIMIT + 1) + b"\nshort\n")
    assert contents(came) == ["line 1", "short"]


def test_an_object_may_say_everything() -> None:
    given = {
        "id": 7,
        "text": "hello",
        "sender": "U1",
        "sender_name": "Ann",
        "chat": "slack:C1",
        "timestamp": "2026-01-31T09:00:00+01:00",
    }
    (came,) = read(json.dumps(given))
    assert isinstance(came, Incoming)
    message = came.message
    assert (message.id, message.sender, message.sender_name) == ("7", "U1", "Ann")
    assert (message.chat_jid, message.timestamp) == ("slack:C1", "2026-01-31T08:00:00.000Z")


@pytest.mark.parametrize(
    "wrong",
    [
        {"id": ""},
        {"id": True},
        {"id": []},
        {"sender": ""},
        {"sender": 5},
        {"chat": "nowhere"},
        {"chat": "local:a b"},
        {"timestamp": "yesterday"},
        {"timestamp": "2026-01-31T09:00:00"},
        {"timestamp": 1e300},
        {"timestamp": {}},
    ],
)
def test_an_object_with_a_wrong_field_is_unreadable(wrong: dict[str, object]) -> None:
    (came,) = read(json.dumps({"text": "hello", **wrong}))
    assert isinstance(came, Unreadable)
    assert next(iter(wrong)) in came.why
