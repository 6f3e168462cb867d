"""Something that a person said to a group, and what of it can be told from its text alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pynchy_cli.model import CHAT_LANE, FROM_API, FROM_TERMINAL, PRESSED, Chat, Group, Message
from pynchy_cli.routing import triggers
from pynchy_cli.routing.chat_commands import Command, Words
from pynchy_cli.security.senders import API, LOCAL, OWNER


@dataclass(frozen=True)
class Said:
    """A message with its text, free of the word that wakes the assistant; whether the assistant is
    meant, and was called by that word; and the command that the text is, if it is one."""

    message: Message
    group: Group
    text: str
    is_triggered: bool = False
    is_called: bool = False
    command: Command | None = None
    lane: str = CHAT_LANE
    """The conversation that it belongs to."""
    original: Message | None = None
    """The message that it is an edit of, where it is one that says something new to us."""

    @property
    def about(self) -> Message:
        """The message that the assistant reads, and is answered."""
        return self.original or self.message

    @property
    def is_press(self) -> bool:
        """Whether it was said by pressing a button of ours."""
        return self.message.metadata == PRESSED

    @property
    def is_from_api(self) -> bool:
        """Whether somebody said it over HTTP who showed no token. It is for the assistant to read,
        and nothing that the host itself obeys."""
        return self.message.metadata == FROM_API

    @property
    def sender(self) -> tuple[str, str]:
        """The channel, and who spoke there; whoever speaks from the terminal into another
        channel's chat is the owner there, too."""
        if self.message.metadata == FROM_TERMINAL and self.message.sender == OWNER:
            return LOCAL, OWNER
        if self.is_from_api:
            return API, API
        return Chat(self.message.chat_jid).channel, self.message.sender

    @property
    def is_speech(self) -> bool:
        """Whether a person said it to somebody just now, who may be obeyed."""
        if self.is_from_api:
            return False
        if self.message.message_type == "edit":
            return self.is_triggered
        return self.message.message_type == "user"


def read(
    message: Message, group: Group, waking: tuple[str, ...], words: Words, lane: str = CHAT_LANE
) -> Said:
    """What a message says. Only people say something to the assistant; what the host lays before
    the agent is for it to read."""
    if message.message_type != "user":
        return Said(message, group, message.content, lane=lane)
    return _read(message, group, waking, words, lane)


def reread(
    message: Message,
    group: Group,
    waking: tuple[str, ...],
    words: Words,
    lane: str,
    original: Message | None,
    earlier: Sequence[str],
) -> Said:
    """What an edit says: something only where it is for the assistant now, and none of the
    `earlier` versions was: nothing is said twice."""
    now = _read(message, group, waking, words, lane)
    before = [_read(replace(message, content=text), group, waking, words, lane) for text in earlier]
    if any(one.is_triggered for one in before):
        return Said(message, group, message.content, lane=lane)
    return replace(now, original=original)


def _read(message: Message, group: Group, waking: tuple[str, ...], words: Words, lane: str) -> Said:
    decision = triggers.for_group(message.content, waking, group)
    command = None
    if message.metadata != FROM_API:
        command = words.command_in(decision.text, is_triggered=decision.triggered)
    return Said(
        message, group, decision.text, decision.triggered, decision.is_called, command, lane
    )
