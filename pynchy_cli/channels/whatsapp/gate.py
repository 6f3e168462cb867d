"""Has WhatsApp wait until what it said is stored. Our callback alone doesn't do that: whatsmeow
acknowledges a message as soon as it is in neonize's queue for us, which takes a hundred (measured:
three were acknowledged while the callback of the first was still at work). But it tells its logger,
at level debug, of each frame that came and of each that is about to leave, and goes on when the
logger returns. So the gate stands there: the frame with the next message isn't read before the last
message is stored, and no acknowledgement leaves before its row is there. Should whatsmeow log
otherwise one day, things are as they were without the gate.

What remains: reading a message uses up its key. A process that is killed after that, and before the
row is there, some milliseconds later, leaves one message that comes again and can't be read any
more. whatsmeow says in its log that it ignores it, acknowledges it, and brings no event (measured).
That acknowledgement is held, too: the connection is made anew without the keys, and then the
message is asked for again, as with any keys that are out of step."""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Callable
from threading import Condition

IDLE = 1.0
"""Seconds without any sign of a message after which it is taken for one that brings no event."""
QUIET = 0.1
"""The same where no further frames come."""
LONGEST = 30.0
"""Seconds for which one frame is held at most: behind it are answers, and signs of life."""
REMEMBERED = 1000
HELD = frozenset({"", "inactive", "sender", "peer_msg", "hist_sync"})
"""The types of receipts by which WhatsApp forgets a message; others are about reading and such."""
_ATTRIBUTE = re.compile(r'([a-z_]+)="([^"]*)"')
# Whoever says it chooses the id: what the library says of it stands behind.
_IGNORED = re.compile(r"Ignoring message (.+) from (\S+)(?: in (\S+))?: ", re.DOTALL)


class Gate:
    """Where threads of Go wait. `idle` are the seconds of IDLE."""

    def __init__(self, idle: float = IDLE, longest: float = LONGEST) -> None:
        self._idle = idle
        self._longest = longest
        self._changed = Condition()
        self._is_open = False
        self._at_work = 0
        self.signs = 0
        """How much has happened to messages that came."""
        self._due: str | None = None
        self._stored: deque[str] = deque(maxlen=REMEMBERED)
        self._known: deque[str] = deque(maxlen=REMEMBERED)
        self._doubted: set[str] = set()
        self._unanswered: set[str] = set()

    def frame(self, came: bool, text: str) -> None:
        """A frame, as whatsmeow writes it down, came or is about to leave. Waits where it must."""
        if not text.startswith(("<message ", "<receipt ", "<ack ")):
            return
        # In the order of their names, as people wrote them: the first `id` is before any `notify`,
        # and what somebody is called may look like a further one.
        head = dict(reversed(_ATTRIBUTE.findall(text.partition(">")[0])))
        if came and text.startswith("<message "):
            self._message(head.get("id", ""))
        elif came and head.get("class") == "message":
            self._unanswered.discard(head.get("id", ""))
        elif not came and text.startswith("<message "):
            self._unanswered.add(head.get("id", ""))
        elif not came and text.startswith("<receipt ") and head.get("type", "") in HELD:
            self._receipt(head.get("id", ""))

    def began(self) -> None:
        """Something has been handed to us."""
        with self._changed:
            self._at_work += 1
            self._sign()

    def ended(self, message_id: str | None) -> None:
        """It was dealt with; a message is stored."""
        with self._changed:
            self._at_work -= 1
            if message_id is not None:
                self._is_over(message_id)
            self._sign()

    def ignored(self, text: str) -> tuple[str, str, str] | None:
        """What a line of the log says of a message that came again and was ignored, having been
        decrypted once before: its id, sender and chat. None where it says no such thing, or where
        this process has stored the message."""
        found = _IGNORED.match(text)
        if found is None:
            return None
        message_id, sender, chat = found[1], found[2], found[3] or found[2]
        with self._changed:
            is_known = message_id in self._known
            self._is_over(message_id)
            if not is_known:
                self._doubted.add(message_id)
            self._sign()
        return None if is_known else (message_id, sender, chat)

    def give_up(self, message_id: str) -> None:
        """Let WhatsApp know that a message came which was ignored: else it isn't told of it."""
        with self._changed:
            self._doubted.discard(message_id)
            self._sign()

    def awaits_answers(self) -> bool:
        """Whether WhatsApp has yet to say that something of ours came."""
        return bool(self._unanswered)

    def drain(self, longest: float) -> None:
        """Wait until all that came is dealt with, for so many seconds at most."""
        with self._changed:
            self._wait(lambda: False, longest, QUIET)

    def open(self) -> None:
        """Hold nobody any more."""
        with self._changed:
            self._is_open = True
            self._sign()

    def _message(self, message_id: str) -> None:
        """Wait until the message before this one is over."""
        with self._changed:
            self._wait(lambda: self._due is None, self._longest)
            self._due = message_id
            if message_id in self._stored:  # it comes once more, perhaps readable now
                self._stored.remove(message_id)
            self._sign()

    def _receipt(self, message_id: str) -> None:
        """Wait until this message is stored; or seems to bring nothing to be stored."""
        with self._changed:
            while message_id in self._doubted and not self._is_open:
                self._changed.wait()
            self._wait(lambda: message_id in self._stored, None)
            if self._due == message_id:
                self._due = None
            self._sign()

    def _wait(
        self, is_over: Callable[[], bool], longest: float | None, idle: float | None = None
    ) -> None:
        """Wait until it is over, or nothing is under way any more."""
        end = None if longest is None else time.monotonic() + longest
        while not self._is_open and not is_over():
            signs = self.signs
            told = self._changed.wait(idle or self._idle)
            if not told and signs == self.signs and not self._at_work:
                return
            if end is not None and time.monotonic() >= end:
                return

    def _is_over(self, message_id: str) -> None:
        self._stored.append(message_id)
        self._known.append(message_id)
        if self._due == message_id:
            self._due = None

    def _sign(self) -> None:
        self.signs += 1
        self._changed.notify_all()
