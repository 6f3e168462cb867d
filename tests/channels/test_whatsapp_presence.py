"""What WhatsApp's chats show of our work: real neonize, with something else in the place of its Go
library."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from pynchy_cli.channels.base import Place, Working
from pynchy_cli.channels.whatsapp.presence import Presence
from pynchy_cli.channels.whatsapp.sending import Sending
from pynchy_cli.config.settings import WhatsAppRules
from pynchy_cli.model import Message
from tests.whatsapp_line import Go, Line, address, by_owner, said, until

BOB = "4912345@s.whatsapp.net"
GROUP = "120363001@g.us"
NEVER = 3600.0
PATIENT = 30.0
Scenario = Callable[[Line, Sending, Presence], Coroutine[Any, Any, None]]


def run(
    scenario: Scenario,
    rules: WhatsAppRules | None = None,
    *,
    refresh: float = NEVER,
) -> None:
    async def whole() -> None:
        line = Line()
        sending = Sending(line)
        presence = Presence(sending, rules or WhatsAppRules(), refresh=refresh)
        async with asyncio.timeout(PATIENT):
            held = asyncio.create_task(presence.run())
            await scenario(line, sending, presence)
            held.cancel()
            await asyncio.gather(held, return_exceptions=True)
            assert held.cancelled()

    asyncio.run(whole())


def at(*messages: Message) -> Working:
    return Working(messages[-1].chat_jid, messages, messages[-1])


def typing(go: Go) -> list[tuple[str, str]]:
    return [
        (address(call.arguments[0]), "paused" if call.arguments[2] else "composing")
        for call in go.named("SendChatPresence")
    ]


def read(go: Go) -> list[tuple[str, str, str]]:
    return [
        (address(call.arguments[2]), address(call.arguments[4]), call.arguments[0].decode())
        for call in go.named("MarkRead")
    ]


def eyes(go: Go) -> list[tuple[str, str]]:
    return [(to, message.reactionMessage.key.ID) for to, message in go.sent()]


def test_a_run_is_seen_from_its_beginning_to_its_end() -> None:
    async def scenario(line: Line, sending: Sending, presence: Presence) -> None:
        presence.at_work([at(said("A1"), said("A2"))])
        await until(lambda: typing(line.go))
        assert [call.name for call in line.go.calls] == [
            "MarkRead",
            "SendMessage",
            "SendChatPresence",
        ]
        assert read(line.go) == [(BOB, BOB, "A1 A2")]
        assert eyes(line.go) == [(BOB, "A2")]
        presence.at_work([])
        await until(lambda: len(typing(line.go)) == 2)
        presence.at_work([at(said("A1", chat=GROUP))])
        await until(lambda: len(typing(line.go)) == 3)
        assert typing(line.go) == [(BOB, "composing"), (BOB, "paused"), (GROUP, "composing")]

    run(scenario)


def test_what_was_shown_once_is_not_shown_again() -> None:
    async def scenario(line: Line, sending: Sending, presence: Presence) -> None:
        presence.at_work([at(said("A1"))])
        await until(lambda: typing(line.go))
        presence.at_work([at(said("A1"), said("A2"))])
        await until(lambda: len(eyes(line.go)) == 2)
        presence.at_work([])
        await until(lambda: len(typing(line.go)) == 2)
        assert read(line.go) == [(BOB, BOB, "A1"), (BOB, BOB, "A2")]
        assert eyes(line.go) == [(BOB, "A1"), (BOB, "A2")]

    run(scenario)


def test_in_a_group_each_sender_is_told() -> None:
    bob = said("A1", chat=GROUP, jid="88001@lid")
    eve = said("A2", chat=GROUP, jid="4999@s.whatsapp.net")

    async def scenario(line: Line, sending: Sending, presence: Presence) -> None:
        presence.at_work([at(bob, eve)])
        await until(lambda: typing(line.go))
        assert read(line.go) == [(GROUP, "88001@lid", "A1"), (GROUP, "4999@s.whatsapp.net", "A2")]
        assert eyes(line.go) == [(GROUP, "A2")]
        assert typing(line.go) == [(GROUP, "composing")]

    run(scenario)


def test_between_two_people_the_address_is_the_one_that_it_came_from() -> None:
    async def scenario(line: Line, sending: Sending, presence: Presence) -> None:
        presence.at_work([at(said("A1", jid="88001@lid"))])
        await until(lambda: typing(line.go))
        assert read(line.go) == [("88001@lid", "88001@lid", "A1")]
        assert eyes(line.go) == [("88001@lid", "A1")]
        assert typing(line.go) == [("88001@lid", "composing")]

    run(scenario)


def test_what_the_owner_says_needs_no_mark() -> None:
    async def scenario(line: Line, sending: Sending, presence: Presence) -> None:
        presence.at_work([at(by_owner(said("A1")))])
        await until(lambda: typing(line.go))
        assert not read(line.go)
        [(to, message)] = line.go.sent()
        assert (to, message.reactionMessage.key.fromMe) == (BOB, True)

    run(scenario)


def test_typing_is_shown_again_before_it_is_forgotten() -> None:
    async def scenario(line: Line, sending: Sending, presence: Presence) -> None:
        presence.at_work([at(said())])
        await until(lambda: len(typing(line.go)) == 3)
        assert set(typing(line.go)) == {(BOB, "composing")}
        assert len(read(line.go)) == len(eyes(line.go)) == 1

    run(scenario, refresh=0.01)


@pytest.mark.parametrize(
    ("rules", "name"),
    [
        (WhatsAppRules(read_marks=False, reactions=False), "SendChatPresence"),
        (WhatsAppRules(typing=False, reactions=False), "MarkRead"),
        (WhatsAppRules(typing=False, read_marks=False), "SendMessage"),
    ],
)
def test_each_of_it_can_be_switched_off(rules: WhatsAppRules, name: str) -> None:
    async def scenario(line: Line, sending: Sending, presence: Presence) -> None:
        presence.at_work([at(said("A1"))])
        await until(lambda: line.go.calls)
        presence.at_work([])
        await until(lambda: presence._working == () and not presence._changed.is_set())
        assert {call.name for call in line.go.calls} == {name}

    run(scenario, rules)


def test_no_reply_waits_for_what_only_shows_our_work() -> None:
    async def scenario(line: Line, sending: Sending, presence: Presence) -> None:
        line.go.holds.update(("MarkRead", "SendChatPresence"))
        presence.at_work([at(said("A1"))])
        await until(lambda: read(line.go))
        assert await sending.post(Place(f"whatsapp:{BOB}"), "Here it is.") == "3EB0OUT1"
        assert [call.name for call in line.go.calls] == ["MarkRead", "SendMessage"]
        line.go.release()
        await until(lambda: eyes(line.go)[1:])

    run(scenario)


def test_something_of_ours_that_is_wrong_is_told_and_stops_nothing() -> None:
    told = []

    async def scenario(line: Line, sending: Sending, presence: Presence) -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
        line.client.mark_read = None
        presence.at_work([at(said("A1"))])
        await until(lambda: typing(line.go))
        assert eyes(line.go) == [(BOB, "A1")]

    run(scenario)
    assert [type(context["exception"]) for context in told] == [TypeError]


def test_no_eyes_are_sent_while_a_reply_is() -> None:
    async def scenario(line: Line, sending: Sending, presence: Presence) -> None:
        line.go.holds.add("SendMessage")
        reply = asyncio.create_task(sending.post(Place(f"whatsapp:{GROUP}"), "Here it is."))
        await until(line.go.sent)
        presence.at_work([at(said("A1"))])
        await until(lambda: len(typing(line.go)) == 2)
        assert len(line.go.sent()) == 1
        line.go.release()
        await reply
        await until(lambda: len(line.go.sent()) == 2)
        assert eyes(line.go)[1] == (BOB, "A1")

    run(scenario, refresh=0.01)


def test_what_could_not_be_shown_for_want_of_a_connection_is_shown_later() -> None:
    async def scenario(line: Line, sending: Sending, presence: Presence) -> None:
        line.why_away = "WhatsApp can't be reached."
        presence.at_work([at(said("A1"))])
        await until(lambda: line.refused == 3)  # read mark, eyes, typing
        line.why_away = None
        await until(lambda: typing(line.go) and eyes(line.go) and read(line.go))
        assert read(line.go) == [(BOB, BOB, "A1")]

    run(scenario, refresh=0.01)


def test_what_whatsapp_refuses_is_left_out() -> None:
    async def scenario(line: Line, sending: Sending, presence: Presence) -> None:
        line.go.errors.append("server returned error 463")
        presence.at_work([at(said("A1"))])
        await until(lambda: len(typing(line.go)) == 3)
        assert len(line.go.sent()) == 1

    run(scenario, refresh=0.01)
