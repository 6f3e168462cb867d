"""What Slack's payloads are read as: real ones, and ones that nobody should send."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pynchy_cli.channels.slack import events
from pynchy_cli.channels.slack.events import Read
from pynchy_cli.channels.slack.names import Names
from pynchy_cli.model import NewMessage, SharedFile
from tests.slack_payloads import (
    JID,
    TS,
    WE,
    Workspace,
    callback,
    changed,
    deleted,
    informed,
    message,
    press,
    reaction,
    slash,
)

NOW = "2026-01-31T08:00:00.000Z"
THEN = "2023-11-14T22:13:20.000Z"


@pytest.fixture(scope="module")
def names() -> Names:
    """The workspace's."""
    return asyncio.run(informed())


def read(names: Names, event: dict[str, Any]) -> Read:
    return events.read(callback(event), "events_api", WE, names)


def said(names: Names, event: dict[str, Any]) -> NewMessage:
    found = read(names, event).event
    assert found is not None, read(names, event).why
    return found.message


def test_what_somebody_says_is_a_message(names: Names) -> None:
    found = read(names, message("<@U0BOT> tell <@U0BOB> &amp; me"))
    assert found.event is not None
    assert found.event.message == NewMessage(
        id=f"slack-{TS}",
        chat_jid=JID,
        sender="U0ANN",
        sender_name="Ann Lee",
        content="@pynchy tell @Bob & me",
        timestamp=THEN,
    )
    assert (found.event.chat_name, found.event.cursor) == ("#dev", TS)
    assert (found.ack, found.joined, found.wants, found.why) == (None, None, set(), None)


def test_a_mention_is_the_same_message_whichever_of_its_two_events_comes(names: Names) -> None:
    mention = message("<@U0BOT> hi") | {"type": "app_mention"}
    del mention["channel_type"]
    assert read(names, mention) == read(names, message("<@U0BOT> hi"))


@pytest.mark.parametrize(
    ("more", "thread"),
    [
        ({"thread_ts": "1699999999.000001"}, f"{JID}/1699999999.000001"),
        ({"thread_ts": TS}, ""),
        ({"subtype": "thread_broadcast", "thread_ts": "1699999999.000001"},
         f"{JID}/1699999999.000001"),
        ({"subtype": "me_message"}, ""),
    ],
)  # fmt: skip
def test_a_reply_is_in_its_thread_and_the_first_of_a_thread_is_not(
    names: Names, more: dict[str, Any], thread: str
) -> None:
    found = said(names, message(**more))
    assert (found.id, found.thread) == (f"slack-{TS}", thread)


def test_files_are_named_and_what_cant_be_had_says_why(names: Names) -> None:
    files = [
        {
            "id": "F1",
            "name": "plan.pdf",
            "mimetype": "application/pdf",
            "size": 12,
            "url_private": "https://files.slack.com/F1/plan.pdf",
            "url_private_download": "https://files.slack.com/F1/download/plan.pdf",
        },
        {"id": "F2", "mode": "tombstone"},
        {"id": "F3", "file_access": "check_file_info", "size": True, "name": "a\n\u202eb"},
        {"id": 7},
        "F4",
    ]
    found = said(names, message("", subtype="file_share", files=files))
    assert found.files == (
        SharedFile(
            "F1 https://files.slack.com/F1/download/plan.pdf", "plan.pdf", "application/pdf", 12
        ),
        SharedFile("F2", "F2", state="failed", error="it was deleted"),
        SharedFile("F3", "a b"),
    )
    assert found.content == ""


def test_an_edit_says_what_the_message_says_now(names: Names) -> None:
    found = said(names, changed("hello", "<@U0BOT> hello", thread_ts="1699999999.000001"))
    assert found == NewMessage(
        id=f"slack-{TS}-edit-1700000060.000000-9af8a3af",
        chat_jid=JID,
        sender="U0ANN",
        sender_name="Ann Lee",
        content="@pynchy hello",
        timestamp="2023-11-14T22:14:20.000Z",
        message_type="edit",
        thread=f"{JID}/1699999999.000001",
        replaces=f"slack-{TS}",
    )


def test_two_edits_in_a_second_are_two(names: Names) -> None:
    ids = [said(names, changed("hello", text)).id for text in ("hallo", "hullo", "hallo")]
    assert (ids[0], len(set(ids))) == (ids[2], 2)


def test_a_link_that_unfolds_is_no_edit(names: Names) -> None:
    unfolded = changed("see <https://x.y>", "see <https://x.y>")
    unfolded["message"]["attachments"] = [{"title": "X", "from_url": "https://x.y"}]
    assert read(names, unfolded).why == "what it says is unchanged"


def test_what_was_deleted_is_told_also_where_a_thread_hangs_on_it(names: Names) -> None:
    gone = said(names, deleted(thread_ts="1699999999.000001"))
    assert (gone.id, gone.message_type, gone.replaces, gone.content, gone.sender) == (
        f"slack-{TS}-deleted",
        "deletion",
        f"slack-{TS}",
        "",
        "U0ANN",
    )
    assert gone.thread == f"{JID}/1699999999.000001"
    first = changed("oh", "This message was deleted.")
    first["message"] |= {"subtype": "tombstone", "user": "USLACKBOT"}
    assert (said(names, first).id, said(names, first).sender) == (gone.id, "U0ANN")
    unknown = deleted()
    del unknown["previous_message"]
    assert said(names, unknown).replaces == f"slack-{TS}"


def test_eyes_and_a_cross_are_heard_on_any_message(names: Names) -> None:
    assert said(names, reaction("x")) == NewMessage(
        id=f"slack-{TS}-x-U0ANN-1700000100.000400",
        chat_jid=JID,
        sender="U0ANN",
        sender_name="Ann Lee",
        content="x",
        timestamp="2023-11-14T22:15:00.000Z",
        message_type="reaction",
        replaces=f"slack-{TS}",
        metadata=json.dumps({"on": TS}),
    )
    assert said(names, reaction()).content == "eyes"
    for other in (
        reaction("+1"),
        reaction(user="U0BOT"),
        reaction(item={"type": "file", "file": "F1"}),
        reaction() | {"type": "reaction_removed"},
    ):
        assert read(names, other).event is None, other
        assert not read(names, other).is_odd, other


@pytest.mark.parametrize(
    "event",
    [
        message(user="U0BOT", bot_id="B0BOT", app_id="A0APP"),
        message(user="U0BOT"),
        message(user="U0PROG"),
        message(bot_id="B0OTHER", bot_profile={"name": "ci"}),
        message(subtype="bot_message", bot_id="B0OTHER"),
        changed("a", "b", bot_id="B0BOT"),
        changed("a", "b", user="U0BOT"),
        changed("a", "b", edited={"user": "U0BOT", "ts": TS}),
        deleted(bot_id="B0BOT"),
        deleted(user="U0PROG"),
        reaction("x", user="U0PROG"),
        message(user="USLACKBOT"),
        message(hidden=True),
        message(""),
        message("  \n"),
        *(
            message(subtype=subtype)
            for subtype in (
                "channel_join",
                "channel_topic",
                "bot_add",
                "message_replied",
                "channel_archive",
                "group_join",
                "pinned_item",
                "huddle_thread",
                "tombstone",
            )
        ),
        {"type": "channel_rename", "channel": {"id": "C0DEV", "name": "x"}},
        {"type": "assistant_thread_started"},
    ],
)
def test_what_nobody_says_to_us_is_no_event(names: Names, event: dict[str, Any]) -> None:
    found = read(names, event)
    assert (found.event, found.joined, found.wants) == (None, None, set())
    assert found.why
    assert not found.is_odd, found.why


def test_we_are_told_where_we_are_invited(names: Names) -> None:
    invited = {"type": "member_joined_channel", "user": "U0BOT", "channel": "C0NEW"}
    found = read(names, invited)
    assert (found.event, found.joined, found.wants) == (None, "C0NEW", {"C0NEW"})
    assert read(names, invited | {"user": "U0ANN"}).joined is None


def test_a_press_says_what_its_button_says(names: Names) -> None:
    found = events.read(press(), "interactive", WE, names)
    assert found.event is not None
    assert found.event.message == NewMessage(
        id=f"slack-{TS}-press-1700000200.000500-U0ANN-say:0",
        chat_jid=JID,
        sender="U0ANN",
        sender_name="Ann Lee",
        content="approve k7m2",
        timestamp="2023-11-14T22:16:40.000Z",
        metadata='{"pressed":true}',
    )
    assert found.ack is None
    in_thread = events.read(press(thread_ts="1699999999.000001"), "interactive", WE, names)
    assert in_thread.event is not None
    assert in_thread.event.message.thread == f"{JID}/1699999999.000001"


@pytest.mark.parametrize(
    "payload",
    [
        press(""),
        press("x" * 3000),
        press() | {"api_app_id": "A0OTHER"},
        press() | {"type": "view_submission"},
        press() | {"actions": []},
        press() | {"actions": [{"value": "approve k7m2"}]},
        press() | {"container": {"type": "view"}, "channel": None},
        press() | {"user": {}},
    ],
)
def test_other_presses_are_no_events(names: Names, payload: dict[str, Any]) -> None:
    found = events.read(payload, "interactive", WE, names)
    assert (found.event, found.ack) == (None, None)
    assert found.why


def test_a_slash_command_is_said_to_the_assistant(names: Names) -> None:
    found = events.read(slash("ask &lt;him&gt; <@U0BOB|bob>"), "slash_commands", WE, names, NOW)
    assert found.event is not None
    assert found.event.message == NewMessage(
        id="slack-command-13345224609.738474920.8088930838d88f008e0",
        chat_jid=JID,
        sender="U0ANN",
        sender_name="Ann Lee",
        content="@pynchy ask <him> @Bob",
        timestamp=NOW,
    )
    assert found.ack == {"response_type": "in_channel"}
    for nothing in ("", None, "  "):
        asked = events.read(slash(nothing), "slash_commands", WE, names, NOW)
        assert asked.event is not None
        assert asked.event.message.content == "@pynchy help"
    assert events.not_here("slack:C0NEW")["response_type"] == "ephemeral"
    assert "pynchy groups add slack:C0NEW" in events.not_here("slack:C0NEW")["text"]


def test_who_isnt_known_goes_by_the_id_until_the_name_is_fetched() -> None:
    async def both() -> tuple[Read, Read]:
        names = Names(Workspace())
        event = callback(message("<@U0BOB> in <#C0OPS> <!subteam^S0OPS>"))
        first = events.read(event, "events_api", WE, names)
        await names.fetch(first.wants)
        return first, events.read(event, "events_api", WE, names)

    first, second = asyncio.run(both())
    assert first.event is not None
    assert second.event is not None
    assert first.event.message.content == "@U0BOB in #C0OPS @S0OPS"
    assert (first.event.message.sender_name, first.event.chat_name) == ("U0ANN", None)
    assert first.wants == {"U0ANN", "U0BOB", "C0DEV", "C0OPS", "S0OPS"}
    assert second.event.message.content == "@Bob in #ops @ops-people"
    assert (second.event.message.sender_name, second.wants) == ("Ann Lee", set())


@pytest.mark.parametrize(
    ("chosen", "shown"),
    [
        *(
            (name, f"{name} (U0ANN)")
            for name in ("Owner", "@pynchy", "ANDY", "O w n e r", "ｏwner")
        ),
        ("p\u200bynchy", "pynchy (U0ANN)"),
        ("Owner's friend", "Owner's friend"),
        ("\u200b", "login"),
    ],
)
def test_who_calls_himself_as_we_do_is_told_apart(chosen: str, shown: str) -> None:
    async def ask(method: str, **arguments: str) -> Mapping[str, Any]:
        return {"user": {"name": "login", "profile": {"real_name": chosen}}}

    names = Names(ask)
    asyncio.run(names.fetch(["U0ANN"]))
    assert said(names, message("hi")).sender_name == shown


def test_a_message_that_mentions_the_world_has_few_names_asked_for() -> None:
    crowd = " ".join(f"<@U{number}>" for number in range(500))
    wants = events.read(callback(message(crowd)), "events_api", WE, Names(Workspace())).wants
    assert len(wants) == 22
    assert {"U0ANN", "C0DEV", "U0", "U19"} <= wants


def test_history_holds_what_was_said_and_how_it_was_edited(names: Names) -> None:
    line = message("hi <@U0BOB>", thread_ts="1699999999.000001")
    del line["channel"], line["channel_type"]
    found = events.from_history(line, JID, WE, names)
    live = read(names, message("hi <@U0BOB>", thread_ts="1699999999.000001")).event
    assert found is not None
    assert live is not None
    assert (found.message, found.cursor) == (live.message, None)
    assert events.edit_from_history(line, JID, WE, names) is None
    line["edited"] = {"user": "U0ANN", "ts": "1700000060.000000"}
    edit = events.edit_from_history(line, JID, WE, names)
    assert edit is not None
    assert edit.message == said(names, changed("", "hi <@U0BOB>", thread_ts="1699999999.000001"))
    for other in (
        {**line, "subtype": "channel_join"},
        {**line, "bot_id": "B0"},
        {**line, "ts": 7},
        {},
    ):
        assert events.from_history(other, JID, WE, names) is None
        assert events.edit_from_history(other, JID, WE, names) is None


@pytest.mark.parametrize(
    "event",
    [
        None,
        message(ts=None),
        message(ts=1700000000.0001),
        message(ts="99999999999.000100"),
        message(ts="-170000000.000100"),
        message(ts="1700000000"),
        message(ts="1700000000.000100\n"),
        message(ts="١٧٠٠٠٠٠٠٠٠.000100"),
        message(thread_ts="yesterday"),
        message(user=None),
        message(user="U0\ud800"),
        message(user="slack:U0ANN"),
        message(channel="C0/DEV"),
        message(channel=["C0DEV"]),
        message("x" * 1_000_001),
        message() | {"text": {"a": 1}},
        changed("a", "x" * 1_000_001),
        changed("a", "b", edited={"ts": 0}),
        changed("a", "b", ts=None),
        changed("a", "b") | {"message": "gone"},
        deleted() | {"deleted_ts": {}},
        reaction(item=None),
        reaction(event_ts="soon"),
        {"type": "member_joined_channel", "user": "U0BOT"},
    ],
)
def test_what_slack_would_never_send_is_odd_and_nothing_else(
    names: Names, event: dict[str, Any] | None
) -> None:
    found = events.read(callback(event), "events_api", WE, names)
    assert (found.event, found.wants, found.is_odd) == (None, set(), True)
    assert found.why


def test_what_has_no_event_is_survived(names: Names) -> None:
    limited = {"type": "app_rate_limited", "minute_rate_limited": 1700000000, "team_id": "T0TEAM"}
    found = events.read(limited, "events_api", WE, names)
    assert (found.event, found.why) == (None, "of the type app_rate_limited")
    assert events.read(limited, "options", WE, names).why == "of the kind options"


def test_half_a_character_becomes_one_that_can_be_stored(names: Names) -> None:
    found = said(names, message("a \ud83d b \ud83d\ude00"))
    assert found.content == "a \N{REPLACEMENT CHARACTER} b 😀"


REAL = [
    (callback(message("<@U0BOT> *hi* <https://x.y|z> `a`", thread_ts=TS)), "events_api"),
    (callback(message("", blocks=[{"type": "rich_text", "elements": []}])), "events_api"),
    (callback(changed("a", "b")), "events_api"),
    (callback(deleted()), "events_api"),
    (callback(reaction()), "events_api"),
    (press(), "interactive"),
    (slash(), "slash_commands"),
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(), max_size=8)
    | st.sampled_from(["message", "rich_text", "<@U1>", "```", TS, "\ud800", "message_changed"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["type", "text", "ts", "user", "elements", "blocks", "files", "id"]),
        inner,
        max_size=4,
    ),
    max_leaves=8,
)  # fmt: skip


def places(value: object, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Every place in a document."""
    inner = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    return [path, *(place for key, one in inner for place in places(one, (*path, key)))]


@settings(max_examples=300)
@given(st.data())
def test_nothing_that_comes_raises(names: Names, data: st.DataObject) -> None:
    payload, kind = data.draw(st.sampled_from(REAL))
    document: Any = {"it": json.loads(json.dumps(payload))}
    for _ in range(data.draw(st.integers(1, 3))):
        path = data.draw(st.sampled_from(places(document["it"])))
        inner: Any = document
        for key in ("it", *path)[:-1]:
            inner = inner[key]
        inner[("it", *path)[-1]] = data.draw(JSON)
    found = events.read(document["it"], kind, WE, names, NOW)
    assert (found.event is None) == (found.why is not None)
    if found.event is not None:
        assert found.event.message.chat_jid.startswith("slack:")
        found.event.message.content.encode()
