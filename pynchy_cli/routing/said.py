"""Something that a person said to a group, and what of it can be told from its text alone."""

from __future__ import annotations

from dataclasses import dataclass

from pynchy_cli.model import CHAT_LANE, FROM_TERMINAL, Chat, Group, Message
from pynchy_cli.routing import triggers
from pynchy_cli.routing.chat_commands import Command, Words
from pynchy_cli.security.senders import LOCAL, OWNER


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

    @property
    def sender(self) -> tuple[str, str]:
        """The channel, and who spoke there; whoever speaks from the terminal into another
        channel's chat is the owner there, too."""
        if self.message.metadata == FROM_TERMINAL and self.message.sender == OWNER:
            return LOCAL, OWNER
        return Chat(self.message.chat_jid).channel, self.message.sender

    @property
    def is_speech(self) -> bool:
        """Whether a person said it."""
        return self.message.message_type == "user"


def read(
    message: Message, group: Group, waking: tuple[str, ...], words: Words, lane: str = CHAT_LANE
) -> Said:
    """What a message says. Only people say something to the assistant; what the host lays before
    the agent is for it to read."""
    if message.message_type != "user":
        return Said(message, group, message.content, lane=lane)
    decision = triggers.for_group(message.content, waking, group)
    command = words.command_in(decision.text, is_triggered=decision.triggered)
    return Said(
        message, group, decision.text, decision.triggered, decision.is_called, command, lane
    )
