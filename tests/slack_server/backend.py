"""The state of the server beyond the workspace: tokens, faults, books of what was asked."""

from __future__ import annotations

import asyncio
import random
import secrets
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
TIERS = {
    "apps.connections.open": 5,
    "conversations.list": 20,
    "users.list": 20,
    **dict.fromkeys(
        ("conversations.history", "conversations.replies", "conversations.info", "chat.update",
         "chat.delete", "conversations.open", "users.conversations", "reactions.add",
         "reactions.remove", "reactions.get", "conversations.join", "bots.info"),
        50,
    ),
    **dict.fromkeys(
        ("users.info", "conversations.members", "chat.postEphemeral", "files.info",
         "files.getUploadURLExternal", "files.completeUploadExternal", "chat.appendStream"),
        100,
    ),
}  # fmt: skip
"""Calls in a minute of each method: what Slack promises; it often lets more through."""
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
    app: str = field(default_factory=lambda: f"A0{secrets.token_hex(4).upper()}")
    """Another one each time, since only one process on a machine is connected as an app."""
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
    ticket_lives: float = 30.0
    """Seconds in which a socket's address can be used."""
    keeps_blocks: bool = True
    """chat.update with a text and without blocks leaves the old blocks. Slack's own pages have said
    both; who gives blocks with every update is right either way."""
    share_delay: float = 0.02
    """Seconds until the message with an uploaded file is there, after the call has ended."""
    latency: float = 0.0
    """Seconds that a call takes, half of them after acceptance: events may come before answers."""
    history_lag: float = 0.0
    """Seconds until what the app posted is found in the history."""
    doubled: float = 0.0
    """How many of the acked events come once more all the same, from 0 to 1."""
    unfurls: bool = False
    """A person's message with a link in it is changed by Slack at once (`message_changed`)."""
    tiers: bool = False
    """Slack's limits of calls a minute, for each method."""
    jitter: float = 0.0
    """Events are late by up to so many seconds, each by itself, so that their order is lost."""
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
class Response:
    """Where an app may answer what somebody did, five times."""

    user: str
    channel: str
    ts: str
    left: int = 5


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
    responses: dict[str, Response] = field(default_factory=dict)
    limits: dict[str, int] = field(default_factory=dict)
    recent: dict[str, list[float]] = field(default_factory=dict)
    paced: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        given = self.options
        app = User(given.bot, given.bot_name, given.bot_name.title(), is_bot=True,
                   bot_id="B" + given.bot[1:], app_id=given.app)  # fmt: skip
        self.random = random.Random(given.seed)
        self.work = Workspace(app, given.team, lambda: self.clock() + given.skew)
        self.work.publish = self.publish
        self.work.users["USLACKBOT"] = User("USLACKBOT", "slackbot", "Slackbot")
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
        if (mention := self._mention(event)) and "app_mentions:read" in self.app_scopes:
            sent.insert(self.random.randrange(2) if sent else 0, mention)
        for one in sent:
            self.sockets.send_event(one)

    def _mention(self, event: dict[str, Any]) -> dict[str, Any] | None:
        """The second event of a message that mentions the app, or does so since it was edited."""
        if event["type"] != "message" or event.get("channel_type") == "im":
            return None
        said, before = event, ""
        if event.get("subtype") == "message_changed":
            place = {"channel": event["channel"], "event_ts": event["event_ts"]}
            said, before = {**event["message"], **place}, event["previous_message"]["text"]
        plain = said.get("subtype", "") in ("", "file_share", "thread_broadcast")
        sign = f"<@{self.work.app.id}"
        if not plain or said.get("user") == self.work.app.id or sign in before:
            return None
        if sign not in said.get("text", ""):
            return None
        kept = {name: said[name] for name in said if name != "channel_type"}
        return {**kept, "type": "app_mention"}

    def accepted(self, place: Chat, one: Message) -> None:
        """Notes what the app posted."""
        mark = (one.metadata or {}).get("event_payload", {}).get("id")
        where = {"channel": place.id, "thread_ts": one.thread_ts if one.is_reply else None}
        what = {"ts": one.ts, "text": one.text, "sent": one.sent, "metadata": one.metadata}
        self.posts.append({**where, **what, "mark": mark, "files": one.files, "at": time.time()})

    def response_url(self, who: User, place: Chat, ts: str) -> str:
        """Where an app may answer what somebody did."""
        name = uuid.uuid4().hex
        self.responses[name] = Response(who.id, place.id, ts)
        return f"{self.work.url}/actions/{self.work.team}/{name}"

    def limited(self, method: str) -> None:
        """Refuses if a method was called too often in the last minute."""
        tiers = TIERS if self.options.tiers else {}
        most = self.limits.get(method, tiers.get(method))
        if most is None:
            return
        now = time.monotonic()
        recent = [one for one in self.recent.get(method, []) if one > now - 60]
        if len(recent) >= most:
            raise SlackError("ratelimited", retry_after=max(1, round(recent[0] + 60 - now)))
        self.recent[method] = [*recent, now]

    def pace(self, place: Chat) -> None:
        """About one message a second in a chat, if that is asked for."""
        now = asyncio.get_running_loop().time()
        if self.options.pace and now < self.paced.get(place.id, 0) + self.options.pace:
            raise SlackError("ratelimited", retry_after=max(1, round(self.options.pace)))
        self.paced[place.id] = now
