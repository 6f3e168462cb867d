"""What the library says of a message that it could not send, as one of the outcomes that the
delivery tells apart. These words are its own."""

from __future__ import annotations

import pytest

from pynchy_cli.channels.base import Away, NeverSent, NotSent, Unsure
from pynchy_cli.channels.whatsapp.outcomes import outcome

NO_QUERY = "failed to get device list: failed to send usync query: "
CUT_QUERY = "websocket disconnected before info query returned response"
OUT = "failed to send message node: "


@pytest.mark.parametrize(
    "words",
    [
        "timed out waiting for message send response",
        "websocket disconnected before message send returned response",
        "websocket disconnected before message send (retry) returned response",
        # Of the second attempt, after the first was written.
        "websocket not connected",
        "frame socket is closed",
        f"{OUT}failed to write msg: write tcp 10.0.0.2:1->10.0.0.3:443: broken pipe",
        f"{OUT}failed to write msg: failed to write frame: failed to flush: write tcp: broken pipe",
        f"{OUT}context canceled",
        "context deadline exceeded",
        "server returned error",
        "info query timed out",
        "something that no version has said yet",
        "",
    ],
)
def test_what_may_have_been_sent_is_never_told_as_not_sent(words: str) -> None:
    assert type(outcome(words)) is Unsure


@pytest.mark.parametrize(
    "words",
    [
        "the store doesn't contain a device JID",
        "client is nil",
        f"{OUT}websocket not connected",
        f"{OUT}frame socket is closed",
        # Of a connection that had failed before: the frame was not even begun.
        f"{OUT}failed to write msg: failed to write frame: failed to write frame header: "
        "write tcp 10.0.0.2:1->10.0.0.3:443: write: broken pipe",
        f"{NO_QUERY}websocket not connected",
        f"{NO_QUERY}{CUT_QUERY}",
        f"failed to get group members: {CUT_QUERY}",
        "failed to get LID for PN 4912345@s.whatsapp.net: websocket not connected",
    ],
)
def test_without_a_connection_nothing_was_sent(words: str) -> None:
    assert type(outcome(words)) is Away


@pytest.mark.parametrize(
    "words",
    [
        f"{NO_QUERY}info query timed out",
        f"{NO_QUERY}info query returned status 500: internal-server-error",
        "failed to get group members: info query returned status 429: rate-overlimit",
        "failed to fetch prekeys: failed to send prekey request: info query timed out",
        "failed to prefetch sessions: database is locked",
        "failed to encrypt group message to send 3EB0 to 1@g.us: no session",
        "no LID found for 4912345@s.whatsapp.net from server",
        "server returned error 400",
        "server returned error 463",
        "server returned error 503",
    ],
)
def test_what_was_refused_or_never_went_out_is_tried_again(words: str) -> None:
    assert type(outcome(words)) is NotSent


@pytest.mark.parametrize(
    "words",
    [
        "can't send message to unknown server nowhere",
        "message recipient must be a user JID with no device part",
        f"{OUT}frame too large",
        "failed to get group members: you're not participating in that group",
        "failed to get group members: that group does not exist",
        "failed to get group members: info query returned status 403: forbidden",
        "failed to get group members: info query returned status 404: item-not-found",
    ],
)
def test_what_can_never_be_sent_is_given_up(words: str) -> None:
    assert type(outcome(words)) is NeverSent


def test_a_refusal_tells_the_networks_code_and_what_it_means() -> None:
    assert str(outcome("server returned error 429")) == (
        "WhatsApp refuses it: too much was sent in a short time (429)."
    )
    assert "no reason is known (499)" in str(outcome("server returned error 499"))
