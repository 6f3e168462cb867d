"""What a workspace is made of: people, chats, messages, files. No rules here."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

PREFIX = {"channel": "channels", "group": "groups", "im": "im", "mpim": "mpim"}
"""A chat's kind, as scopes name it."""


class SlackError(Exception):
    """`ok: false` with this name, and what else the answer says."""

    def __init__(self, name: str, **more: Any) -> None:
        super().__init__(name)
        self.name = name
        self.more = more


@dataclass
class User:
    """A person or a bot."""

    id: str
    name: str
    real_name: str
    display_name: str = ""
    is_bot: bool = False
    deleted: bool = False
    bot_id: str = ""
    app_id: str = ""


@dataclass
class Message:
    """What stands in a chat. `blocks` are those that the sender gave."""

    ts: str
    user: str
    text: str
    thread_ts: str = ""
    client_msg_id: str = ""
    bot_id: str = ""
    app_id: str = ""
    subtype: str = ""
    broadcast: bool = False
    blocks: list[dict[str, Any]] = field(default_factory=list)
    attachments: list[dict[str, Any]] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    metadata: dict[str, Any] | None = None
    edited: dict[str, str] | None = None
    reactions: dict[str, list[str]] = field(default_factory=dict)
    more: dict[str, Any] = field(default_factory=dict)
    sent: str | None = None
    """The text as the app sent it."""

    @property
    def is_reply(self) -> bool:
        """It hangs under another message."""
        return bool(self.thread_ts) and self.thread_ts != self.ts


@dataclass
class Chat:
    """A conversation of the kind `channel`, `group` (private), `im` or `mpim`."""

    id: str
    name: str
    kind: str
    members: list[str]
    created: int
    creator: str
    messages: dict[str, Message] = field(default_factory=dict)
    archived: bool = False

    @property
    def is_private(self) -> bool:
        """Only members know of it."""
        return self.kind != "channel"

    def replies(self, parent: str) -> list[Message]:
        """What hangs under a message, oldest first."""
        return [one for one in self.ordered() if one.is_reply and one.thread_ts == parent]

    def ordered(self) -> list[Message]:
        """All messages, oldest first."""
        return sorted(self.messages.values(), key=lambda one: one.ts)


@dataclass
class File:
    """A file; `content` is None until it was uploaded."""

    id: str
    name: str
    title: str
    mimetype: str
    user: str
    created: int
    length: int
    content: bytes | None = None
    shares: list[tuple[str, str, str]] = field(default_factory=list)
    """Chat, ts and thread_ts of each message that carries it."""
    hidden: bool = False
    """Events tell only its id (`check_file_info`)."""
