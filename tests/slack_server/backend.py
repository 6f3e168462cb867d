"""The state of the server beyond the workspace: tokens, faults, books of what was asked."""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.slack_server.faults import Faults
from tests.slack_server.sockets import Sockets
from tests.slack_server.state import PREFIX, Chat, Message, SlackError, User
from tests.slack_server.workspace import Workspace

SCOPES = (
    "app_mentions:read channels:history channels:join channels:read chat:write commands files:read "
    "files:write groups:history groups:read im:history im:read im:write mpim:history mpim:read "
    "mpim:write reactions:read reactions:write users:read"
)
EVENTS = {
    "app_mention": "app_mentions:read",
    "reaction_added": "reactions:read",
    "reaction_removed": "reactions:read",
}
"""The scope without which an event isn't sent; messages need the chat's `…:history`."""


@dataclass
class Options:
    """How this Slack is; the real one's numbers where tests can bear them."""

    port: int = 0
    team: str = "T000000001"
    app: str = "A0PYNCHY01"
    bot: str = "U0PYNCHY01"
    bot_name: str = "pynchy"
    bot_token: str = "xoxb-pynchy"
    app_token: str = "xapp-1-A0PYNCHY01"
    scopes: str = SCOPES
    ack: float = 3.0
    """Seconds until an envelope without an ack is sent again."""
    retries: tuple[float, ...] = (0.05, 0.2, 0.5)
    """Seconds before each further attempt (Slack: at once, a minute, five)."""
    page_size: int = 1000
    """No page is longer, whatever limit was asked for."""
    pace: float = 0.0
    """Seconds between two posts in one chat; 0 is no limit. Slack: 1."""
    skew: float = 0.0
    """How far Slack's clock is ahead of ours, in seconds."""
    seed: int = 1


@dataclass
class Token:
    """What a token may do; `error` is what every call with it gets."""

    user: str
    scopes: set[str]
    error: str = ""


@dataclass
class Backend:
    """Everything one server knows."""

    options: Options
    clock: Callable[[], float] = time.time
    tokens: dict[str, Token] = field(default_factory=dict)
    calls: list[dict[str, Any]] = field(default_factory=list)
    posts: list[dict[str, Any]] = field(default_factory=list)
    ephemerals: list[dict[str, Any]] = field(default_factory=list)
    statuses: list[dict[str, Any]] = field(default_factory=list)
    streams: dict[str, str] = field(default_factory=dict)
    responses: dict[str, tuple[str, str]] = field(default_factory=dict)
    paced: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        given = self.options
        app = User(given.bot, given.bot_name, given.bot_name.title(), is_bot=True,
                   bot_id="B" + given.bot[1:], app_id=given.app)  # fmt: skip
        self.random = random.Random(given.seed)
        self.work = Workspace(app, given.team, lambda: self.clock() + given.skew)
        self.work.publish = self.publish
        self.faults = Faults(self.random)
        self.sockets = Sockets(self)
        scopes = set(given.scopes.split())
        self.tokens[given.bot_token] = Token(app.id, scopes)
        self.tokens[given.app_token] = Token("", {"connections:write"})

    @property
    def app_scopes(self) -> set[str]:
        """What the bot's token may do now."""
        return self.tokens[self.options.bot_token].scopes

    def publish(self, event: dict[str, Any], place: Chat | None) -> None:
        """An event to the app, if it is in the chat and may see it; a mention is one more."""
        app = self.work.app
        if place is not None and app.id not in place.members:
            return
        needed = EVENTS.get(event["type"])
        if event["type"] == "message" and place is not None:
            needed = f"{PREFIX[place.kind]}:history"
        sent = [event] if needed is None or needed in self.app_scopes else []
        if self._mentions(event) and "app_mentions:read" in self.app_scopes:
            kept = {name: event[name] for name in event if name != "channel_type"}
            sent.insert(self.random.randrange(2) if sent else 0, {**kept, "type": "app_mention"})
        for one in sent:
            self.sockets.send_event(one)

    def _mentions(self, event: dict[str, Any]) -> bool:
        if event["type"] != "message" or event.get("channel_type") == "im":
            return False
        plain = event.get("subtype", "") in ("", "file_share", "thread_broadcast")
        own = event.get("user") == self.work.app.id
        return plain and not own and f"<@{self.work.app.id}" in event.get("text", "")

    def accepted(self, place: Chat, one: Message) -> None:
        """Notes what the app posted."""
        mark = (one.metadata or {}).get("event_payload", {}).get("id")
        where = {"channel": place.id, "thread_ts": one.thread_ts if one.is_reply else None}
        what = {"ts": one.ts, "text": one.text, "sent": one.sent, "metadata": one.metadata}
        self.posts.append({**where, **what, "mark": mark, "files": one.files, "at": time.time()})

    def response_url(self, place: Chat, ts: str) -> str:
        """Where an app may answer what somebody did."""
        name = uuid.uuid4().hex
        self.responses[name] = (place.id, ts)
        return f"{self.work.url}/actions/{self.work.team}/{name}"

    def pace(self, place: Chat) -> None:
        """About one message a second in a chat, if that is asked for."""
        now = asyncio.get_running_loop().time()
        if self.options.pace and now < self.paced.get(place.id, 0) + self.options.pace:
            raise SlackError("ratelimited", retry_after=max(1, round(self.options.pace)))
        self.paced[place.id] = now
