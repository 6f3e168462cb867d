"""The tests' own Slack, spoken to with the real slack_sdk: channels rest on this."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.http_retry.builtin_async_handlers import AsyncConnectionErrorRetryHandler
from slack_sdk.socket_mode.aiohttp import SocketModeClient
from slack_sdk.socket_mode.request import SocketModeRequest
from slack_sdk.socket_mode.response import SocketModeResponse
from slack_sdk.web.async_client import AsyncWebClient

from tests.slack_server import Control, SlackProcess, SlackServer

APP, BOT, BOT_TOKEN = "xapp-1-A0PYNCHY01", "U0PYNCHY01", "xoxb-pynchy"
PING = 0.2
"""Seconds between the client's pings; the wedges take some of them."""
BUTTON = {
    "type": "actions",
    "elements": [
        {"type": "button", "text": {"type": "plain_text", "text": "Yes"}, "value": "approve k7m2"}
    ],
}

Test = Callable[["Talk"], Awaitable[None]]


class Talk:
    """A server with a channel, the app's Web client, and what its socket got."""

    def __init__(self, slack: Control, url: str) -> None:
        self.slack = slack
        self.url = url
        self.alice = slack.person("alice", "Alice A")
        self.bob = slack.person("bob")
        self.dev = slack.channel("dev", "alice", "bob")
        self.web = self.client()
        self.requests: list[SocketModeRequest] = []
        self.deaf = 0
        """How many attempts of an event it leaves without an ack."""
        self.answers: dict[str, Any] = {}
        self._sockets: list[SocketModeClient] = []

    def client(self, token: str = BOT_TOKEN, **more: Any) -> AsyncWebClient:
        """One that never tries again, unless it is told to."""
        return AsyncWebClient(token, base_url=self.url, **{"retry_handlers": [], **more})

    async def listen(self) -> SocketModeClient:
        """One more open socket."""
        client = SocketModeClient(APP, web_client=self.web, ping_interval=PING)
        client.socket_mode_request_listeners.append(self._heard)
        self._sockets.append(client)
        await client.connect()
        return client

    async def _heard(self, client: Any, request: SocketModeRequest) -> None:
        self.requests.append(request)
        if (request.retry_attempt or 0) >= self.deaf:
            answer = self.answers.get(request.type)
            await client.send_socket_mode_response(
                SocketModeResponse(envelope_id=request.envelope_id, payload=answer)
            )

    async def events(self, count: int, kind: str = "") -> list[dict[str, Any]]:
        """The first so many events of a type, in the order in which they came."""

        def found() -> list[dict[str, Any]]:
            inner = [one.payload["event"] for one in self.requests if "event" in one.payload]
            return [one for one in inner if kind in ("", one["type"])]

        await until(lambda: len(found()) >= count)
        return found()[:count]

    async def close(self) -> None:
        for one in self._sockets:
            await one.close()


def talking(test: Test, **options: Any) -> None:
    """Runs a test with a server in this process."""

    async def run() -> None:
        async with SlackServer(**{"ack": 30.0, "retries": (0.01, 0.02), **options}) as slack:
            talk = Talk(slack, slack.url)
            try:
                await test(talk)
            finally:
                await talk.close()

    asyncio.run(run())


async def until(holds: Callable[[], Any], seconds: float = 30) -> None:
    """Waits for something, which has to come."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it did not come"
        await asyncio.sleep(0.005)


async def refused(call: Awaitable[Any]) -> SlackApiError:
    with pytest.raises(SlackApiError) as caught:
        await call
    return caught.value


async def refusal(call: Awaitable[Any]) -> str:
    return str((await refused(call)).response["error"])


@pytest.fixture(autouse=True)
def quiet() -> None:
    logging.getLogger("slack_sdk").setLevel(logging.CRITICAL)


def test_a_mention_is_two_events_and_a_reply_hangs_in_its_thread() -> None:
    async def test(talk: Talk) -> None:
        await talk.listen()
        ts = talk.slack.say("alice", "dev", "@pynchy a < b & https://x.y/?a=1&b=2 👀")
        talk.slack.say("bob", talk.dev, "in the thread", thread_ts=ts)
        (mention,) = await talk.events(1, "app_mention")
        first, reply = await talk.events(2, "message")
        text = f"<@{BOT}> a &lt; b &amp; <https://x.y/?a=1&amp;b=2> :eyes:"
        assert first["text"] == mention["text"] == text
        assert first["ts"] == mention["ts"] == first["event_ts"] == ts
        assert (first["channel_type"], "channel_type" in mention) == ("channel", False)
        assert (reply["thread_ts"], reply["parent_user_id"]) == (ts, talk.alice)
        outer = talk.requests[0]
        assert (outer.type, outer.retry_attempt, outer.retry_reason) == ("events_api", 0, "")
        assert outer.payload["authorizations"][0]["user_id"] == BOT
        await until(lambda: not talk.slack.unacked())

    talking(test)


def test_history_has_no_replies_but_tells_of_them() -> None:
    async def test(talk: Talk) -> None:
        parent = talk.slack.say("alice", "dev", "first")
        last = [talk.slack.say("bob", "dev", f"r{n}", thread_ts=parent) for n in range(3)][-1]
        shown = talk.slack.say("bob", "dev", "for all", thread_ts=parent, broadcast=True)
        newest = talk.slack.say("alice", "dev", "second")
        pages = []
        async for page in await talk.web.conversations_history(channel=talk.dev, limit=1):
            pages.append([one["ts"] for one in page["messages"]])
        assert pages == [[newest], [shown], [parent]]
        found = await talk.web.conversations_history(channel=talk.dev, latest=shown)
        assert (found["messages"][0]["reply_count"], found["has_more"]) == (4, False)
        assert found["messages"][0]["latest_reply"] == shown
        after = await talk.web.conversations_history(channel=talk.dev, oldest=parent)
        assert [one["ts"] for one in after["messages"]] == [newest, shown]
        thread = await talk.web.conversations_replies(channel=talk.dev, ts=parent, oldest=last)
        assert [one["ts"] for one in thread["messages"]] == [parent, shown]
        wrong = talk.web.conversations_replies(channel=talk.dev, ts="1.000001")
        assert await refusal(wrong) == "thread_not_found"

    talking(test)


def test_edits_deletions_unfurls_and_reactions_are_told() -> None:
    async def test(talk: Talk) -> None:
        await talk.listen()
        ts = talk.slack.say("alice", "dev", "on")
        parent = talk.slack.say("alice", "dev", "parent")
        talk.slack.say("bob", "dev", "reply", thread_ts=parent)
        talk.slack.edit("dev", ts, "one")
        talk.slack.unfurl("dev", ts)
        talk.slack.delete("dev", ts)
        talk.slack.delete("dev", parent)
        told = (await talk.events(7, "message"))[3:]
        edit, unfurl, gone, tomb = told
        assert [one["subtype"] for one in told[:3]] == [*["message_changed"] * 2, "message_deleted"]
        assert (edit["message"]["text"], edit["previous_message"]["text"]) == ("one", "on")
        assert edit["message"]["edited"]["user"] == talk.alice
        assert edit["ts"] != ts == edit["message"]["ts"]
        assert unfurl["message"]["edited"] == edit["message"]["edited"]
        assert (gone["deleted_ts"], gone["hidden"]) == (ts, True)
        assert tomb["message"]["subtype"] == "tombstone"
        other = talk.slack.say("alice", "dev", "react")
        talk.slack.react("bob", "dev", other, "eyes")
        (reaction,) = await talk.events(1, "reaction_added")
        assert (reaction["item"]["ts"], reaction["item_user"]) == (other, talk.alice)
        await talk.web.reactions_add(channel=talk.dev, timestamp=other, name="eyes")
        again = talk.web.reactions_add(channel=talk.dev, timestamp=other, name="eyes")
        assert await refusal(again) == "already_reacted"
        got = await talk.web.reactions_get(channel=talk.dev, timestamp=other)
        assert got["message"]["reactions"][0]["count"] == 2

    talking(test)


def test_what_the_app_posts_comes_back_as_slack_stores_it() -> None:
    async def test(talk: Talk) -> None:
        await talk.listen()
        about = {"event_type": "pynchy_out", "event_payload": {"id": "h:1.0"}}
        said = "x <@U1> & see https://x.y. `&` README.md a@b.org\n"
        sent = await talk.web.chat_postMessage(channel=talk.dev, text=said, metadata=about)
        (event,) = await talk.events(1)
        links = "<http://README.md|README.md> <mailto:a@b.org|a@b.org>"
        assert event["text"] == f"x <@U1> &amp; see <https://x.y>. `&amp;` {links}"
        assert (event["user"], event["bot_id"], event["app_id"]) == (
            BOT,
            "B0PYNCHY01",
            talk.slack.app,
        )
        assert "subtype" not in event
        assert "metadata" not in event
        plain = await talk.web.conversations_history(channel=talk.dev)
        assert "metadata" not in plain["messages"][0]
        full = await talk.web.conversations_history(channel=talk.dev, include_all_metadata=True)
        assert full["messages"][0]["metadata"] == about
        await talk.web.chat_update(channel=talk.dev, ts=sent["ts"], text="y")
        assert talk.slack.history("dev")[0]["metadata"] == about
        assert talk.slack.posts("dev")[0]["sent"] == said
        await talk.web.chat_delete(channel=talk.dev, ts=sent["ts"])
        gone = talk.web.chat_update(channel=talk.dev, ts=sent["ts"], text="z")
        assert await refusal(gone) == "message_not_found"
        assert talk.slack.copies() == {"h:1.0": 1}

    talking(test)


def test_limits_and_names_of_errors() -> None:
    async def test(talk: Talk) -> None:
        def raw(**given: str) -> Awaitable[Any]:
            return talk.web.api_call("chat.postMessage", json={"channel": talk.dev, **given})

        post, update = talk.web.chat_postMessage, talk.web.chat_update
        long = await post(channel=talk.dev, text="x" * 40_001)
        assert (len(long["message"]["text"]), long["warning"]) == (40_000, "message_truncated")
        ts = (await post(channel=talk.dev, text="mine"))["ts"]
        theirs = talk.slack.say("alice", "dev", "hers")
        elsewhere = talk.slack.channel("other", "alice", bot=False)
        secret = talk.slack.channel("secret", "alice", private=True, bot=False)
        section = {"type": "section", "text": {"type": "mrkdwn", "text": "x" * 3_001}}
        many = [{"type": "divider"}] * 51
        wide = [{"type": "section", "text": {"type": "mrkdwn", "text": "x" * 2_900}}] * 5
        talk.slack.archive(talk.slack.channel("old", "alice"))
        cases = [
            (update(channel=talk.dev, ts=ts, text="x" * 4_001), "msg_too_long"),
            (update(channel=talk.dev, ts=ts, text="🙂" * 2_001), "msg_too_long"),
            (update(channel=talk.dev, ts=theirs, text="x"), "cant_update_message"),
            (raw(text=" "), "no_text"),
            (post(channel=talk.dev, text="x", blocks=[section]), "invalid_blocks"),
            (post(channel=talk.dev, text="x", blocks=many), "invalid_blocks"),
            (post(channel=talk.dev, text="x", blocks=wide), "msg_blocks_too_long"),
            (post(channel=talk.dev, text="x", blocks=[{"type": "no"}]), "invalid_blocks"),
            (raw(markdown_text="x" * 12_001), "msg_too_long"),
            (post(channel=talk.dev, text="x", thread_ts="1.000001"), "thread_not_found"),
            (post(channel=elsewhere, text="x"), "not_in_channel"),
            (post(channel=secret, text="x"), "channel_not_found"),
            (post(channel="C404", text="x"), "channel_not_found"),
            (post(channel=talk.slack.channel_id("old"), text="x"), "is_archived"),
            (talk.web.conversations_history(channel=elsewhere), "not_in_channel"),
            (talk.web.users_info(user="U404"), "user_not_found"),
            (talk.client("xoxb-other").auth_test(), "invalid_auth"),
            (talk.client("").auth_test(), "not_authed"),
            (talk.web.apps_connections_open(app_token=BOT_TOKEN), "not_allowed_token_type"),
            (talk.client(APP).users_list(), "not_allowed_token_type"),
        ]
        for call, name in cases:
            assert await refusal(call) == name

    talking(test)


def test_scopes_and_tokens_that_are_no_good() -> None:
    async def test(talk: Talk) -> None:
        assert "chat:write" in (await talk.web.auth_test()).headers["x-oauth-scopes"]
        talk.slack.scopes("channels:history")
        lacking = (await refused(talk.web.chat_postMessage(channel=talk.dev, text="x"))).response
        assert (lacking["error"], lacking["needed"]) == ("missing_scope", "chat:write")
        assert lacking["provided"] == "channels:history"
        talk.slack.scopes("", app=True)
        opened = talk.web.apps_connections_open(app_token=APP)
        assert await refusal(opened) == "missing_scope"
        talk.slack.token_error("account_inactive")
        assert await refusal(talk.web.auth_test()) == "account_inactive"

    talking(test)


def test_files_go_both_ways() -> None:
    async def test(talk: Talk) -> None:
        await talk.listen()
        talk.slack.upload("alice", "dev", "a.txt", b"hello", "look")
        (event,) = await talk.events(1)
        (file,) = event["files"]
        assert (event["subtype"], file["size"], file["mimetype"]) == ("file_share", 5, "text/plain")
        bearer = {"Authorization": f"Bearer {BOT_TOKEN}"}
        async with aiohttp.ClientSession() as http:

            async def get(headers: dict[str, str]) -> tuple[str, bytes]:
                async with http.get(file["url_private_download"], headers=headers) as answer:
                    return answer.content_type, await answer.read()

            assert await get(bearer) == ("text/plain", b"hello")
            assert (await get({}))[0] == "text/html"
            talk.slack.fault("download", "cut")
            with pytest.raises(aiohttp.ClientPayloadError):
                await get(bearer)
        sent = await talk.web.files_upload_v2(
            channel=talk.dev, content="data", filename="b.txt", initial_comment="here"
        )
        await until(lambda: talk.slack.posts("dev"))
        (post,) = talk.slack.posts("dev")
        assert (post["sent"], post["files"]) == ("here", [sent["file"]["id"]])
        shares = (await talk.web.files_info(file=post["files"][0]))["file"]["shares"]
        assert shares["public"][talk.dev][0]["ts"] == post["ts"]

    talking(test)


def test_direct_messages_groups_and_invitations() -> None:
    async def test(talk: Talk) -> None:
        await talk.listen()
        opened = await talk.web.conversations_open(users=talk.alice)
        talk.slack.say("alice", opened["channel"]["id"], "psst")
        group = await talk.web.conversations_open(users=[talk.alice, talk.bob])
        talk.slack.say("bob", group["channel"]["id"], "all of us")
        private = talk.slack.channel("secret", "alice", private=True, bot=False)
        talk.slack.say("alice", private, "unheard")
        talk.slack.invite(private, "alice")
        talk.slack.say("alice", private, "heard")
        one, two, join, three = await talk.events(4, "message")
        assert [each["channel_type"] for each in (one, two, three)] == ["im", "mpim", "group"]
        assert (join["subtype"], join["user"]) == ("group_join", BOT)
        (joined,) = await talk.events(1, "member_joined_channel")
        assert (joined["user"], joined["inviter"]) == (BOT, talk.alice)
        direct = await talk.web.chat_postMessage(channel=talk.alice, text="hello")
        assert direct["channel"] == opened["channel"]["id"]
        kinds = "public_channel,private_channel,im,mpim"
        mine = await talk.web.users_conversations(types=kinds, exclude_archived=True)
        assert len(mine["channels"]) == 4
        named = await talk.web.conversations_info(channel=private)
        assert (named["channel"]["name"], named["channel"]["is_private"]) == ("secret", True)
        assert (await talk.web.conversations_info(channel=direct["channel"]))["channel"]["is_im"]

    talking(test)


def test_presses_and_commands_give_back_what_the_app_answers() -> None:
    async def test(talk: Talk) -> None:
        await talk.listen()
        sent = await talk.web.chat_postMessage(channel=talk.dev, text="ok?", blocks=[BUTTON])
        press = talk.slack.press("bob", "dev", sent["ts"], "approve k7m2")
        assert await asyncio.to_thread(talk.slack.answer, press) is None
        pressed = next(one for one in talk.requests if one.type == "interactive").payload
        assert pressed["actions"][0]["value"] == "approve k7m2"
        assert pressed["container"]["message_ts"] == sent["ts"]
        assert (pressed["user"]["id"], pressed["channel"]["name"]) == (talk.bob, "dev")
        talk.answers["slash_commands"] = {"response_type": "in_channel", "text": "done"}
        command = talk.slack.command("bob", "dev", "status")
        said = await asyncio.to_thread(talk.slack.answer, command)
        assert said == talk.answers["slash_commands"]
        assert talk.slack.texts("dev")[-1] == "done"
        given = next(one for one in talk.requests if one.type == "slash_commands")
        assert (given.payload["command"], given.payload["text"]) == ("/pynchy", "status")
        assert given.accepts_response_payload
        async with aiohttp.ClientSession() as http:
            later = {"text": "x", "replace_original": True}
            async with http.post(pressed["response_url"], json=later) as answer:
                assert answer.status == 200
        first = talk.slack.history("dev")[0]
        assert (first["text"], first["blocks"][0]["type"]) == ("x", "rich_text")

    talking(test)


def test_a_stream_grows_until_it_ends() -> None:
    async def test(talk: Talk) -> None:
        ts = talk.slack.say("alice", "dev", "tell me")
        lacking = talk.web.chat_startStream(channel=talk.dev, thread_ts=ts)
        assert await refusal(lacking) == "missing_recipient_user_id"
        whom = {"recipient_user_id": talk.alice, "recipient_team_id": "T000000001"}
        stream = await talk.web.chat_stream(channel=talk.dev, thread_ts=ts, buffer_size=8, **whom)
        for word in ("one", "two", "three", "four", "five"):
            await stream.append(markdown_text=f"{word} ")
        await stream.stop()
        assert talk.slack.history("dev")[-1]["sent"] == "one two three four five "
        more = talk.web.chat_appendStream(
            channel=talk.dev, ts=talk.slack.posts("dev")[0]["ts"], markdown_text="x"
        )
        assert await refusal(more) == "message_not_in_streaming_state"
        await talk.web.assistant_threads_setStatus(
            channel_id=talk.dev, thread_ts=ts, status="is thinking"
        )
        assert talk.slack.statuses()[0]["status"] == "is thinking"

    talking(test)


def test_calls_can_be_held_before_and_after_acceptance() -> None:
    async def test(talk: Talk) -> None:
        def post(text: str) -> asyncio.Task[Any]:
            return asyncio.create_task(talk.web.chat_postMessage(channel=talk.dev, text=text))

        talk.slack.fault("chat.postMessage", "hold")
        talk.slack.fault("chat.postMessage", "hold_after")
        held = post("before")
        await until(lambda: talk.slack.held() == 1)
        assert talk.slack.texts("dev") == []
        after = post("after")
        await until(lambda: talk.slack.held() == 2)
        assert talk.slack.texts("dev") == ["after"]
        held.cancel()
        assert not after.done()
        talk.slack.release()
        await after
        await until(lambda: talk.slack.texts("dev") == ["after", "before"])

    talking(test)


def test_what_is_awkward_about_messages() -> None:
    async def test(talk: Talk) -> None:
        await talk.listen()
        talk.slack.webhook("dev", "deployed")
        ts = talk.slack.say("alice", "dev", "see https://x.y")
        talk.slack.edit("dev", ts, "@pynchy see https://x.y")
        talk.slack.edit("dev", ts, "@pynchy, see https://x.y")
        talk.slack.say("slackbot", "dev", "hi", subtype="slackbot_response")
        talk.slack.say("alice", "dev", files={"Größe.PNG": b"1"}, hidden=True)
        talk.slack.link_file("alice", "dev", "plan.doc", "https://docs.example.com/plan")
        shared = talk.slack.upload("alice", "dev", "a.txt", b"1")
        talk.slack.remove_files("dev", shared)
        hook, _, unfurl, _, _, _, hidden, linked, _ = await talk.events(9, "message")
        assert ("user" in hook, hook["username"], hook["subtype"]) == (
            False,
            "Deploys",
            "bot_message",
        )
        assert unfurl["message"]["text"] == unfurl["previous_message"]["text"]
        (mention,) = (one for one in await talk.events(10) if one["type"] == "app_mention")
        assert (mention["ts"], mention["edited"]["user"]) == (ts, talk.alice)
        assert set(hidden["files"][0]) == {"id", "mode", "file_access"}
        told = (await talk.web.files_info(file=hidden["files"][0]["id"]))["file"]
        assert told["name"] == "Größe.PNG"
        assert told["url_private"].endswith("/gr__e.png")
        assert linked["files"][0]["url_private"] == "https://docs.example.com/plan"
        assert talk.slack.history("dev")[-1]["files"][0]["mode"] == "tombstone"
        assert not (await talk.web.users_info(user="USLACKBOT"))["user"]["is_bot"]

    talking(test, unfurls=True)


def test_pages_come_short_and_posts_late() -> None:
    async def test(talk: Talk) -> None:
        for name in ("a", "b", "c"):
            talk.slack.archive(talk.slack.channel(name, "alice"))
        last = talk.slack.channel("last", "alice")
        pages = []
        async for page in await talk.web.users_conversations(exclude_archived=True):
            pages.append([one["id"] for one in page["channels"]])
        assert pages == [[talk.dev], [], [last]]
        old = talk.slack.say("alice", last, "old", at=time.time() - 3600)
        await talk.web.chat_postMessage(channel=last, text="mine")
        found = await talk.web.conversations_history(channel=last)
        assert [one["ts"] for one in found["messages"]] == [old]
        talk.slack.option(history_lag=0.0)
        found = await talk.web.conversations_history(channel=last)
        assert [one["text"] for one in found["messages"]] == ["mine", "old"]
        for _ in range(48):
            await talk.web.conversations_history(channel=last)
        late = await refused(talk.web.conversations_history(channel=last))
        assert 0 < int(late.response.headers["Retry-After"]) <= 60

    talking(test, page_size=2, history_lag=60.0, tiers=True)


def test_events_come_twice_and_out_of_order() -> None:
    async def test(talk: Talk) -> None:
        await talk.listen()
        said = [talk.slack.say("alice", "dev", str(number)) for number in range(40)]
        told = [one["ts"] for one in await talk.events(80)]
        assert sorted(told) == sorted(said * 2)
        assert list(dict.fromkeys(told)) != said

    talking(test, doubled=1.0, jitter=0.05)


def test_faults_before_and_after_acceptance() -> None:
    async def test(talk: Talk) -> None:
        def post(client: AsyncWebClient, mark: str) -> Awaitable[Any]:
            about = {"event_type": "pynchy_out", "event_payload": {"id": mark}}
            return client.chat_postMessage(channel=talk.dev, text=mark, metadata=about)

        talk.slack.fault("chat.postMessage", "429", retry_after=7)
        limited = (await refused(post(talk.web, "a"))).response
        assert (limited.status_code, limited.headers["Retry-After"]) == (429, "7")
        for kind in ("500", "html", "after_500"):
            talk.slack.fault("chat.postMessage", kind)
            with pytest.raises(SlackApiError):
                await post(talk.web, kind)
        for kind in ("drop", "after_drop"):
            talk.slack.fault("chat.postMessage", kind)
            with pytest.raises(aiohttp.ServerDisconnectedError):
                await post(talk.web, kind)
        talk.slack.fault("chat.postMessage", "error", error="restricted_action")
        assert await refusal(post(talk.web, "b")) == "restricted_action"
        talk.slack.fault("chat.postMessage", "after_error", error="fatal_error")
        assert await refusal(post(talk.web, "after_error")) == "fatal_error"
        slow = talk.client(timeout=0.05)
        for kind in ("sleep_after", "sleep"):
            talk.slack.fault("chat.postMessage", kind, seconds=0.2)
            with pytest.raises(asyncio.TimeoutError):
                await post(slow, kind)
        accepted = {"after_500", "after_drop", "after_error", "sleep_after", "sleep"}
        await until(lambda: talk.slack.copies() == dict.fromkeys(accepted, 1))
        twice = talk.client(retry_handlers=[AsyncConnectionErrorRetryHandler()])
        talk.slack.fault("chat.postMessage", "after_drop")
        await post(twice, "twice")
        assert talk.slack.copies()["twice"] == 2
        talk.slack.option(pace=30.0)
        assert await refusal(post(talk.web, "c")) == "ratelimited"

    talking(test)


def test_what_is_not_acked_comes_again() -> None:
    async def test(talk: Talk) -> None:
        await talk.listen()
        talk.deaf = 2
        talk.slack.say("alice", "dev", "hello")
        await until(lambda: not talk.slack.unacked())
        talk.deaf = 0
        assert len({one.payload["event_id"] for one in talk.requests}) == 1
        assert len({one.envelope_id for one in talk.requests}) == len(talk.requests) >= 3
        assert [one.retry_attempt for one in talk.requests[:3]] == [0, 1, 2]
        assert talk.requests[1].retry_reason == "timeout"
        acks = talk.slack.acks()
        assert [one["failed"] for one in acks[:2]] == ["timeout", "timeout"]
        assert acks[-1]["failed"] is None
        count = len(talk.requests)
        talk.slack.again(talk.requests[0].payload["event_id"])
        talk.slack.rate_limited()
        kinds = {"event_callback", "app_rate_limited"}
        await until(lambda: {one.payload["type"] for one in talk.requests[count:]} == kinds)

    talking(test, ack=0.1, retries=(0.01,) * 50)


def test_sockets_come_back_after_a_refresh_a_reset_and_a_restart() -> None:
    async def test(talk: Talk) -> None:
        client = await talk.listen()
        first = client.current_session
        talk.slack.disconnect("refresh_requested")
        await until(lambda: client.current_session != first)
        second = client.current_session
        talk.slack.kill()
        await until(lambda: client.current_session != second)
        talk.slack.stop()
        with pytest.raises(aiohttp.ClientConnectionError):
            await talk.web.auth_test()
        talk.slack.say("alice", "dev", "into the void")
        await until(talk.slack.unacked)
        talk.slack.start()
        await until(lambda: talk.slack.sockets() == 1)
        talk.slack.say("alice", "dev", "back")
        await until(lambda: any(one.payload["event"]["text"] == "back" for one in talk.requests))
        assert talk.slack.texts("dev") == ["into the void", "back"]

    talking(test)


def test_a_refused_ticket_wedges_the_client_until_it_forgets_it() -> None:
    async def test(talk: Talk) -> None:
        client = await talk.listen()
        talk.slack.refuse_links(1)
        asked = len(talk.slack.calls("apps.connections.open"))
        talk.slack.kill()
        await until(lambda: len(talk.slack.calls("apps.connections.open")) > asked)
        opened = len(talk.slack.calls("apps.connections.open"))
        tries = talk.slack.link_tries()
        await until(lambda: talk.slack.link_tries() >= tries + 2)
        assert len(talk.slack.calls("apps.connections.open")) == opened
        assert talk.slack.sockets() == 0
        client.wss_uri = None
        await until(lambda: talk.slack.sockets() == 1)

    talking(test)


def test_a_stalled_socket_is_left_by_the_client() -> None:
    async def test(talk: Talk) -> None:
        client = await talk.listen()
        stalled = client.current_session
        talk.slack.stall()
        talk.slack.say("alice", "dev", "hello")
        await until(lambda: client.current_session is not stalled)
        assert not talk.requests
        talk.slack.stall(on=False)
        await until(lambda: talk.slack.sockets() == 1)
        talk.slack.say("alice", "dev", "again")
        await until(lambda: talk.requests)

    talking(test, retries=())


def test_ten_sockets_share_the_events_and_an_eleventh_is_sent_away() -> None:
    async def test(talk: Talk) -> None:
        async with aiohttp.ClientSession() as http:
            heard: list[set[str]] = []

            async def link() -> tuple[Any, dict[str, Any]]:
                opened = await talk.web.apps_connections_open(app_token=APP)
                socket = await http.ws_connect(opened["url"])
                with pytest.raises(aiohttp.WSServerHandshakeError):
                    await http.ws_connect(opened["url"])
                return socket, await socket.receive_json()

            async def read(socket: Any, got: set[str]) -> None:
                async for frame in socket:
                    envelope = json.loads(frame.data)
                    got.add(envelope["payload"]["event"]["ts"])
                    await socket.send_json({"envelope_id": envelope["envelope_id"]})

            links = [await link() for _ in range(10)]
            assert [hello["num_connections"] for _, hello in links] == list(range(1, 11))
            assert links[0][1]["connection_info"] == {"app_id": talk.slack.app}
            _, eleventh = await link()
            assert eleventh["reason"] == "too_many_websockets"
            heard = [set() for _ in links]
            readers = [
                asyncio.create_task(read(one, got))
                for (one, _), got in zip(links, heard, strict=True)
            ]
            said = {talk.slack.say("alice", "dev", str(number)) for number in range(60)}
            await until(lambda: set().union(*heard) == said)
            assert sum(map(len, heard)) == 60
            assert sum(1 for got in heard if got) > 5
            talk.slack.kill()
            await asyncio.gather(*readers, return_exceptions=True)
            talk.slack.disable_socket_mode()
            assert (await link())[1]["reason"] == "link_disabled"

    talking(test)


def test_three_hundred_messages_keep_their_order() -> None:
    async def test(talk: Talk) -> None:
        await talk.listen()
        said = talk.slack.say_all([("alice", "dev", str(number), "") for number in range(300)])
        told = await talk.events(300)
        assert [one["text"] for one in told] == [str(number) for number in range(300)]
        assert [one["ts"] for one in told] == said == sorted(said)

    talking(test)


def test_the_same_in_a_process_of_its_own() -> None:
    async def test(slack: SlackProcess) -> None:
        talk = Talk(slack, slack.url)
        try:
            await talk.listen()
            talk.slack.say("alice", "dev", "hello", files={"a.bin": b"\x00\xff"})
            assert (await talk.events(1))[0]["files"][0]["size"] == 2
            with pytest.raises(RuntimeError, match="message_not_found"):
                talk.slack.edit("dev", "1.000001", "x")
            talk.slack.stop()
            talk.slack.start()
            await talk.web.chat_postMessage(channel=talk.dev, text="there")
            assert talk.slack.texts("dev")[-1] == "there"
        finally:
            await talk.close()

    with SlackProcess(ack=1.0, retries=(0.1, 0.2)) as slack:
        asyncio.run(test(slack))
