"""What became of a message, by the words of the library's error: it gives no more than these. What
is not known to have failed before the message went out, or to be refused by the server, may have
been sent."""

from __future__ import annotations

import re

from pynchy_cli.channels.base import Away, NeverSent, NotSent, Unsure
from pynchy_cli.errors import PynchyError

BEFORE = (
    "can't send message to unknown server",
    "client is nil",
    "failed to add message to retry store",
    "failed to create sender key distribution message",
    "failed to encrypt group message",
    "failed to fetch prekeys",
    "failed to get LID for PN",
    "failed to get broadcast list members",
    "failed to get device list",
    "failed to get group members",
    "failed to get user info for",
    "failed to marshal message",
    "failed to marshal sender key distribution message",
    "failed to prefetch sessions",
    "failed to save cached sessions",
    "failed to send prekey request",
    "failed to send usync query",
    "failed to store cached sessions",
    "message recipient must be a user JID with no device part",
    "no LID found for",
    "the store doesn't contain a device JID",
)
"""How errors begin that come up before the message is given to the connection: while its readers
and their devices are asked for, and while it is encrypted."""
UNWRITTEN = "failed to send message node: "
"""How errors begin that come up when it is given to the connection: most tell nothing."""
CLOSED = ("frame socket is closed", "websocket not connected")
"""There was no connection to give it to. By themselves, without what comes before them above, they
are said of the second attempt to send it, too, and tell nothing of the first."""
HEADLESS = "failed to write frame header: "
"""What is said where a connection had failed before: not even the beginning of it was written."""
LOGGED_OUT = ("client is nil", "the store doesn't contain a device JID")
CUT = re.compile(r"websocket disconnected before \S.* returned response")
MEMBERS = "failed to get group members: "
NEVER = {
    f"{MEMBERS}info query returned status 403": "the account isn't in the group any more",
    f"{MEMBERS}info query returned status 404": "there is no such group",
    "can't send message to unknown server": "there can be no such chat",
    "frame too large": "it is too long",
    "message recipient must be a user JID with no device part": "there can be no such chat",
    "that group does not exist": "there is no such group",
    "you're not participating in that group": "the account isn't in the group any more",
}
"""Why WhatsApp will never take something, in words."""
NACK = re.compile(r"server returned error (\d+)")
REASONS = {
    401: "the account may not write there",
    403: "the account may not write there",
    404: "there is no such chat",
    405: "it isn't allowed there",
    420: "the list of the chat's devices is out of date",
    421: "the list of the chat's devices is out of date",
    429: "too much was sent in a short time",
    463: "the account may not write to this person just now",
    479: "something about the chat's devices is out of date",
}
"""What WhatsApp's error codes are taken for; most of them pass, so that all are tried again."""


def outcome(said: str) -> PynchyError:
    """Our error for what the library said of a message that was to be sent: NotSent, NeverSent,
    Away, or else Unsure."""
    if nack := NACK.fullmatch(said):
        code = int(nack[1])
        return NotSent(f"WhatsApp refuses it: {REASONS.get(code, 'no reason is known')} ({code}).")
    if said.startswith(UNWRITTEN):
        is_definite = said.endswith((*CLOSED, *NEVER)) or HEADLESS in said
    else:
        is_definite = said.startswith(BEFORE)
    if not is_definite:
        return Unsure(f"WhatsApp's answer was lost: {said}.")
    if said in LOGGED_OUT or said.endswith(CLOSED) or HEADLESS in said or CUT.search(said):
        return Away(f"WhatsApp can't be reached: {said}.")
    for words, reason in NEVER.items():
        if words in said:
            return NeverSent(f"WhatsApp refuses it: {reason}.")
    return NotSent(f"WhatsApp could not be given it: {said}.")
