"""What is sent to WhatsApp, and what is made of each answer: real neonize, with something else in
the place of its Go library."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

import pytest

from pynchy_cli.channels.base import Away, NeverSent, NotSent, Place, Unsure
from pynchy_cli.channels.whatsapp.sending import Sending, text_message
from tests.whatsapp_line import LOST, Line, by_owner, said, until

BOB = "4912345@s.whatsapp.net"
GROUP = "120363001@g.us"
DM = Place(f"whatsapp:{BOB}")
PATIENT = 30.0
Scenario = Callable[[Line, Sending], Coroutine[Any, Any, None]]


def run(scenario: Scenario, **limits: float) -> None:
    async def whole() -> None:
        line = Line()
        async with asyncio.timeout(PATIENT):
            await scenario(line, Sending(line, **limits))

    asyncio.run(whole())


def test_a_text_goes_out_as_it_is_and_nobody_is_mentioned() -> None:
    text = "@4912345 and @120363001@g.us: *look* https://example.org"

    async def scenario(line: Line, sending: Sending) -> None:
        assert await sending.post(DM, text) == "3EB0OUT1"
        [(to, message)] = line.go.sent()
        assert to == BOB
        assert message.conversation == text
        assert [field.name for field, _ in message.ListFields()] == ["conversation"]
        assert [call.name for call in line.go.calls] == ["SendMessage"]

    run(scenario)


def test_in_a_group_a_reply_quotes_what_it_answers() -> None:
    asked = said("3EB0AB", "@pynchy what time is it?", chat=GROUP, jid="88001@lid")

    async def scenario(line: Line, sending: Sending) -> None:
        await sending.post(Place(f"whatsapp:{GROUP}", answers=asked), "Four.")
        [(to, message)] = line.go.sent()
        assert (to, message.extendedTextMessage.text) == (GROUP, "Four.")
        context = message.extendedTextMessage.contextInfo
        assert (context.stanzaID, context.participant) == ("3EB0AB", "88001@lid")
        assert context.quotedMessage.conversation == "@pynchy what time is it?"
        assert not context.mentionedJID

    run(scenario)


def test_between_two_people_nothing_is_quoted() -> None:
    async def scenario(line: Line, sending: Sending) -> None:
        await sending.post(replace(DM, answers=said()), "Four.")
        assert line.go.sent() == [(BOB, text_message("Four."))]

    run(scenario)


def test_what_did_not_come_from_whatsapp_is_not_quoted() -> None:
    typed = replace(said(chat=GROUP), metadata='{"from":"terminal"}')

    async def scenario(line: Line, sending: Sending) -> None:
        await sending.post(Place(f"whatsapp:{GROUP}", answers=typed), "Four.")
        assert line.go.sent() == [(GROUP, text_message("Four."))]

    run(scenario)


def test_a_quote_of_something_long_is_short() -> None:
    asked = said("3EB0AB", "long " * 2000, chat=GROUP)

    async def scenario(line: Line, sending: Sending) -> None:
        await sending.post(Place(f"whatsapp:{GROUP}", answers=asked), "Four.")
        [(_, message)] = line.go.sent()
        assert message.ByteSize() < 2000

    run(scenario)


def test_a_reaction_names_the_message_as_its_sender_does() -> None:
    theirs = said("3EB0AB", chat=GROUP, jid="88001@lid")

    async def scenario(line: Line, sending: Sending) -> None:
        await sending.react(GROUP, theirs, "👀")
        await sending.react(GROUP, by_owner(theirs), "👀")
        await sending.react(BOB, said("3EB0AC"), "")
        reactions = [message.reactionMessage for _, message in line.go.sent()]
        keys = [
            (key.remoteJID, key.fromMe, key.participant, key.ID)
            for key in (reaction.key for reaction in reactions)
        ]
        assert keys == [
            (GROUP, False, "88001@lid", "3EB0AB"),
            (GROUP, True, "", "3EB0AB"),
            (BOB, False, "", "3EB0AC"),
        ]
        assert [reaction.text for reaction in reactions] == ["👀", "👀", ""]
        assert reactions[0].senderTimestampMS > 1_700_000_000_000

    run(scenario)


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("server returned error 503", NotSent),
        ("failed to get group members: you're not participating in that group", NeverSent),
        ("failed to send message node: websocket not connected", Away),
        (LOST, Unsure),
    ],
)
def test_what_the_library_says_is_told_as_an_outcome(words: str, kind: type[Exception]) -> None:
    async def scenario(line: Line, sending: Sending) -> None:
        line.go.errors.append(words)
        with pytest.raises(kind) as told:
            await sending.post(DM, "hello")
        assert type(told.value) is kind
        assert await sending.post(DM, "hello") == "3EB0OUT1"
        assert not line.renewed

    run(scenario)


def test_without_a_connection_nothing_is_begun() -> None:
    async def scenario(line: Line, sending: Sending) -> None:
        line.why_away = "WhatsApp can't be reached."
        for attempt in (
            sending.post(DM, "hello"),
            sending.react(BOB, said(), "👀"),
            sending.typing(BOB, on=True),
            sending.mark_read(BOB, BOB, ["3EB0AA"]),
        ):
            with pytest.raises(Away):
                await attempt
        assert not line.go.calls

    run(scenario)


@pytest.mark.parametrize("chat", ["whatsapp:4912345", "whatsapp:", "whatsapp:@g.us"])
def test_what_is_no_address_is_never_sent_to(chat: str) -> None:
    async def scenario(line: Line, sending: Sending) -> None:
        with pytest.raises(NeverSent):
            await sending.post(Place(chat), "hello")
        assert not line.go.calls

    run(scenario)


def test_what_waits_for_another_message_is_certain_not_to_be_sent() -> None:
    async def scenario(line: Line, sending: Sending) -> None:
        line.go.holds.add("SendMessage")
        first = asyncio.create_task(sending.post(DM, "first"))
        await until(line.go.sent)
        assert sending.is_busy()
        with pytest.raises(NotSent) as told:
            await sending.post(Place(f"whatsapp:{GROUP}"), "second")
        assert told.value.retry_after is not None
        assert len(line.go.sent()) == 1
        line.go.release()
        assert await first == "3EB0OUT1"
        assert not sending.is_busy()
        assert await sending.post(Place(f"whatsapp:{GROUP}"), "second") == "3EB0OUT2"

    run(scenario, turn=0.01)


def test_messages_go_out_one_after_the_other() -> None:
    async def scenario(line: Line, sending: Sending) -> None:
        texts = [f"text {number}" for number in range(30)]
        ids = await asyncio.gather(*(sending.post(DM, text) for text in texts))
        assert ids == [f"3EB0OUT{number}" for number in range(1, 31)]
        assert [message.conversation for _, message in line.go.sent()] == texts

    run(scenario)


def test_a_message_that_nobody_answers_holds_up_nobody_for_long() -> None:
    async def scenario(line: Line, sending: Sending) -> None:
        stuck = line.go
        stuck.holds.add("SendMessage")
        with pytest.raises(Unsure):
            await sending.post(DM, "first")
        assert len(line.renewed) == 1
        # The old client would have it wait behind the first, and nobody could tell.
        with pytest.raises(Away):
            await sending.post(Place(f"whatsapp:{GROUP}"), "second")
        assert len(stuck.sent()) == 1
        line.anew()
        assert await sending.post(Place(f"whatsapp:{GROUP}"), "second") == "3EB0OUT1"
        stuck.errors.append(LOST)
        stuck.release()

    run(scenario, patience=0.01)


def test_a_client_that_answers_after_all_is_used_again() -> None:
    async def scenario(line: Line, sending: Sending) -> None:
        line.go.holds.add("SendMessage")
        with pytest.raises(Unsure):
            await sending.post(DM, "first")
        line.go.release()
        while True:
            try:
                assert await sending.post(DM, "second") == "3EB0OUT2"
                break
            except Away:
                await asyncio.sleep(0)

    run(scenario, patience=0.01)


def test_a_message_that_is_called_off_counts_as_unanswered() -> None:
    async def scenario(line: Line, sending: Sending) -> None:
        line.go.holds.add("SendMessage")
        first = asyncio.create_task(sending.post(DM, "first"))
        await until(line.go.sent)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        with pytest.raises(Away):
            await sending.post(DM, "second")
        assert len(line.go.sent()) == 1

    run(scenario)


def test_typing_and_read_marks_name_chat_and_sender() -> None:
    async def scenario(line: Line, sending: Sending) -> None:
        await sending.typing(BOB, on=True)
        await sending.typing(BOB, on=False)
        await sending.mark_read(GROUP, "88001@lid", ["3EB0AA", "3EB0AB"])
        typing = [call.arguments[2:] for call in line.go.named("SendChatPresence")]
        assert typing == [(0, 0), (1, 0)]
        [read] = line.go.named("MarkRead")
        assert read.arguments[0] == b"3EB0AA 3EB0AB"
        assert read.arguments[-1] == b"read"

    run(scenario)
