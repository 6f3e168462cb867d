"""Every answer of Slack's Web API as the outcome that a channel tells apart, with the real
slack_sdk against a server that fails in all the ways in which it can."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pytest

from pynchy_cli import clock
from pynchy_cli.channels.base import (
    Away,
    NeverSent,
    NotSent,
    OutgoingFile,
    Piece,
    Place,
    Unsure,
)
from pynchy_cli.channels.slack.api import Api
from pynchy_cli.channels.slack.channel import SlackChannel
from pynchy_cli.channels.slack.outcomes import Denied
from pynchy_cli.config.settings import SlackRules
from tests.slack_host import channel
from tests.slack_server import SlackServer

T = TypeVar("T")
HELLO = Piece("hello")


@pytest.fixture
def slack() -> Iterator[SlackServer]:
    with SlackServer() as server:
        server.person("alice")
        yield server


@pytest.fixture
def dev(slack: SlackServer) -> Place:
    return Place(f"slack:{slack.channel('dev', 'alice')}")


Done = Callable[[SlackChannel], Awaitable[T]]


@pytest.fixture
def does(slack: SlackServer, tmp_path: Path) -> Callable[[Done[Any]], Any]:
    """Does something with a channel that isn't connected, and gives what came of it."""

    def run(work: Done[Any]) -> Any:
        async def scenario() -> Any:
            made = channel(slack, tmp_path)
            try:
                return await work(made)
            finally:
                await made._api.close()

        return asyncio.run(scenario())

    return run


POSTS = [
    ("429", {"retry_after": 7}, NotSent, 0),
    ("error", {"error": "ratelimited"}, NotSent, 0),
    ("500", {}, Unsure, 0),
    ("not_json", {}, Unsure, 0),
    ("html", {}, Unsure, 0),
    ("drop", {}, Unsure, 0),
    ("after_drop", {}, Unsure, 1),
    ("after_500", {}, Unsure, 1),
    ("error", {"error": "internal_error"}, Unsure, 0),
    ("error", {"error": "fatal_error"}, Unsure, 0),
    ("error", {"error": "team_added_to_org"}, NotSent, 0),
    ("error", {"error": "channel_not_found"}, NeverSent, 0),
    ("error", {"error": "not_in_channel"}, NeverSent, 0),
    ("error", {"error": "is_archived"}, NeverSent, 0),
    ("error", {"error": "msg_too_long"}, NeverSent, 0),
    ("error", {"error": "restricted_action"}, NeverSent, 0),
    ("error", {"error": "something_new"}, NeverSent, 0),
    ("error", {"error": "invalid_auth"}, Away, 0),
    ("error", {"error": "account_inactive"}, Away, 0),
    ("error", {"error": "token_revoked"}, Away, 0),
]


@pytest.mark.parametrize(("kind", "how", "expected", "copies"), POSTS)
def test_a_post(
    slack: SlackServer, dev: Place, does: Any, kind: str, how: Any, expected: Any, copies: int
) -> None:
    slack.fault("chat.postMessage", kind, **how)
    with pytest.raises(expected) as raised:
        does(lambda made: made.post(dev, HELLO, "home:1.0"))
    assert type(raised.value) is expected or issubclass(type(raised.value), (NeverSent, Denied))
    assert slack.copies().get("home:1.0", 0) == copies, "nothing is tried again here"
    if kind == "429":
        assert raised.value.retry_after == 7


def test_a_post_that_succeeds_carries_its_mark(slack: SlackServer, dev: Place, does: Any) -> None:
    first = does(lambda made: made.post(dev, HELLO, "home:1.0"))
    second = does(lambda made: made.post(Place(dev.chat_jid, first), HELLO, "home:2.0"))
    posts = slack.posts("dev")
    assert [one["ts"] for one in posts] == [first, second]
    assert [one["mark"] for one in posts] == ["home:1.0", "home:2.0"]
    assert [one["thread_ts"] for one in posts] == [None, first]


def test_nothing_was_sent_where_nobody_listens(slack: SlackServer, dev: Place, does: Any) -> None:
    slack.stop()
    try:
        for work in (
            lambda made: made.post(dev, HELLO, "home:1.0"),
            lambda made: made.edit(dev, "1.0", HELLO),
            lambda made: made.find(dev, "home:1.0", None, clock.now()),
        ):
            with pytest.raises(Away) as raised:
                does(work)
            assert "ssl:default" not in str(raised.value)
    finally:
        slack.start()


@pytest.mark.parametrize("kind", ["429", "500", "html", "not_json", "drop", "after_drop"])
def test_an_edit_may_be_done_twice(slack: SlackServer, dev: Place, does: Any, kind: str) -> None:
    ts = does(lambda made: made.post(dev, HELLO, "home:1.0"))
    slack.fault("chat.update", kind)
    with pytest.raises(NotSent) as raised:
        does(lambda made: made.edit(dev, ts, Piece("more")))
    assert not isinstance(raised.value, NeverSent)
    does(lambda made: made.edit(dev, ts, Piece("more")))
    assert slack.texts("dev") == ["more"]
    assert {call["args"].get("parse") for call in slack.calls("chat.update")} == {"none"}
    assert does(lambda made: made.find(dev, "home:1.0", None, clock.now())) == ts, "marked still"


def test_what_is_gone_is_never_edited_and_gladly_removed(
    slack: SlackServer, dev: Place, does: Any
) -> None:
    ts = does(lambda made: made.post(dev, HELLO, "home:1.0"))
    does(lambda made: made.remove(dev, ts))
    does(lambda made: made.remove(dev, ts))
    assert slack.texts("dev") == []
    with pytest.raises(NeverSent):
        does(lambda made: made.edit(dev, ts, Piece("more")))
    slack.fault("chat.delete", "after_drop")
    with pytest.raises(NotSent):
        does(lambda made: made.remove(dev, ts))


def test_what_was_posted_is_found_by_its_mark(slack: SlackServer, dev: Place, does: Any) -> None:
    since = clock.now()
    old = slack.say("alice", "dev", "before")
    for _ in range(3):
        slack.say("alice", "dev", "talk")
    slack.fault("chat.postMessage", "after_drop", times=2)
    with pytest.raises(Unsure):
        does(lambda made: made.post(dev, HELLO, "home:1.0"))
    in_thread = Place(dev.chat_jid, old)
    with pytest.raises(Unsure):
        does(lambda made: made.post(in_thread, HELLO, "home:2.0"))
    slack.option(page_size=2)
    slack.say("alice", "dev", "after", thread_ts=old)
    for _ in range(3):
        slack.say("alice", "dev", "talk")
    first, second = (one["ts"] for one in slack.posts("dev"))
    assert does(lambda made: made.find(dev, "home:1.0", None, since)) == first
    assert does(lambda made: made.find(dev, "home:1.0", old, since)) == first
    assert does(lambda made: made.find(in_thread, "home:2.0", old, since)) == second
    assert does(lambda made: made.find(dev, "home:1.0", first, since)) is None
    assert does(lambda made: made.find(dev, "home:9.0", None, since)) is None


def test_what_was_posted_is_found_whatever_our_clock_says(
    slack: SlackServer, dev: Place, does: Any, tmp_path: Path
) -> None:
    thread = Place(dev.chat_jid, slack.say("alice", "dev", "before"))
    path = tmp_path / "chart"
    path.write_bytes(b"x")
    file = OutgoingFile("chart.bin", path, 1)
    for since in (clock.after(clock.now(), 86_400), clock.after(clock.now(), -86_400)):
        for place in (dev, thread):
            mark = f"home:{since} {place.thread}"
            ts = does(lambda made, place=place, mark=mark: made.post(place, HELLO, mark))
            sent = does(lambda made, place=place: made.send_file(place, file))
            for after in (None, thread.thread):
                seek = {"after_id": after, "since": since}
                finds = partial(SlackChannel.find, place=place, mark=mark, **seek)
                assert does(finds) == ts
            found = partial(
                SlackChannel.find_file, place=place, file=file, after_id=ts, since=since
            )
            while (there := does(partial(found, sent=()))) is None:
                pass  # Slack shows a file in the chat some time later
            assert there == sent
            assert does(partial(found, sent=(sent,))) is None


def test_what_others_post_with_our_mark_is_not_ours(
    slack: SlackServer, dev: Place, does: Any
) -> None:
    since = clock.now()
    slack.invite("dev", "alice", slack.bot("other"))
    other = SlackRules(bot_token="xoxb-other", base_url=slack.url)

    async def imitate() -> None:
        api = Api(other)
        try:
            await api.post(dev, {"text": "done"}, "home:1.0")
        finally:
            await api.close()

    asyncio.run(imitate())
    assert slack.copies() == {"home:1.0": 1}
    assert does(lambda made: made.find(dev, "home:1.0", None, since)) is None
    ours = does(lambda made: made.post(dev, HELLO, "home:1.0"))
    assert does(lambda made: made.find(dev, "home:1.0", None, since)) == ours


@pytest.mark.parametrize(
    ("kind", "how", "expected"),
    [
        ("429", {}, NotSent),
        ("500", {}, NotSent),
        ("drop", {"times": 3}, NotSent),  # aiohttp asks once more where that changes nothing
        ("error", {"error": "missing_scope"}, NeverSent),
    ],
)
def test_the_history_that_can_t_be_asked(
    slack: SlackServer, dev: Place, does: Any, kind: str, how: Any, expected: Any
) -> None:
    slack.fault("conversations.history", kind, **how)
    with pytest.raises(expected) as raised:
        does(lambda made: made.find(dev, "home:1.0", None, clock.now()))
    assert isinstance(raised.value, NeverSent) == (expected is NeverSent)


def test_a_file_is_sent(slack: SlackServer, dev: Place, does: Any, tmp_path: Path) -> None:
    ts = slack.say("alice", "dev", "send it")
    path = tmp_path / "chart"
    path.write_bytes(bytes(range(256)) * 1000)
    file = OutgoingFile("chart.bin", path, path.stat().st_size)
    there = Place(dev.chat_jid, ts)
    assert does(lambda made: made.send_file(there, file)).startswith("F")
    shared: list[Any] = []
    while not shared:  # Slack shows a file in the chat some time later
        shared = [one for one in slack.history("dev", ts) if one.get("files")]
    (message,) = shared
    assert message["files"][0]["name"] == "chart.bin"
    assert message["files"][0]["size"] == file.size


@pytest.mark.parametrize(
    ("method", "kind", "expected"),
    [
        ("files.getUploadURLExternal", "after_drop", NotSent),
        ("files.completeUploadExternal", "429", NotSent),
        ("files.completeUploadExternal", "after_drop", Unsure),
    ],
)
def test_a_file_that_may_have_been_sent(
    slack: SlackServer, dev: Place, does: Any, tmp_path: Path,
    method: str, kind: str, expected: Any,
) -> None:  # fmt: skip
    path = tmp_path / "chart"
    path.write_bytes(b"x")
    slack.fault(method, kind)
    with pytest.raises(expected) as raised:
        does(lambda made: made.send_file(dev, OutgoingFile("chart.bin", path, 1)))
    assert not isinstance(raised.value, NeverSent)


def test_files_that_are_none(slack: SlackServer, dev: Place, does: Any, tmp_path: Path) -> None:
    for size, reason in ((0, "empty"), (1, "isn't there")):
        file = OutgoingFile("x", tmp_path / "none", size)
        with pytest.raises(NeverSent, match=reason):
            does(partial(SlackChannel.send_file, place=dev, file=file))
