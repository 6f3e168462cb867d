"""Reads one payload of Slack's: who speaks in it, what is said, and what it does to what was said
before. Own and other programs' words are nobody's."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pynchy_cli.channels.base import Event
from pynchy_cli.channels.seen import passes_for
from pynchy_cli.channels.slack import blocks_in, payloads
from pynchy_cli.channels.slack.names import Names
from pynchy_cli.channels.slack.text_in import Reader
from pynchy_cli.model import PRESSED, NewMessage, thread_in
from pynchy_cli.security.senders import OWNER

SPEECH = frozenset({None, "file_share", "thread_broadcast", "me_message"})
"""Subtypes of messages in which a person says something."""
HEARD = frozenset({"eyes", "x"})
"""Emojis that are heard as reactions."""
MOST_NAMES = 20
"""Names that are asked for because of one message; who is mentioned beyond that goes by the id."""
PROGRAM = "pynchy"
"""By this name our own host speaks to agents."""
_LONGEST_PRESS = 2000


@dataclass(frozen=True)
class Identity:
    """Who we are in a workspace. `waking` are words besides the agent's name that wake it."""

    team: str
    app_id: str
    bot_user: str
    bot_id: str
    agent_name: str
    waking: tuple[str, ...] = ()


@dataclass(frozen=True)
class Read:
    """What a payload is: an event, or `why` it is none (`is_odd`: it isn't what Slack sends); what
    is answered to it, the channel that we were invited to just now, and the ids whose names aren't
    known yet."""

    event: Event | None = None
    ack: dict[str, Any] | None = None
    joined: str | None = None
    wants: set[str] = field(default_factory=set)
    why: str | None = None
    is_odd: bool = False


class Reading:
    """Reads one payload. Its methods raise Odd."""

    def __init__(self, who: Identity, names: Names) -> None:
        self.who = who
        self.names = names
        waking = (who.agent_name, *who.waking)
        self.reader = Reader(names, who.bot_user, waking)

    def callback(self, payload: Mapping[str, Any]) -> Read:
        """An event that we have subscribed to."""
        if payload.get("type") != "event_callback":
            return Read(why=f"of the type {payloads.shown(payload.get('type'))}")
        event = payloads.mapping(payload, "event")
        match event.get("type"):
            case "message":
                return self._message_event(event)
            case "app_mention":
                return self.message(event, payloads.chat(event, "channel"), payloads.ts(event))
            case "reaction_added":
                return self._reaction(event)
            case "member_joined_channel":
                if payloads.user(event) != self.who.bot_user:
                    return Read(why="somebody else joined")
                joined = payloads.channel(event, "channel")
                return Read(joined=joined, why="we were invited", wants=self._wants(joined))
        return Read(why=f"an event of the type {payloads.shown(event.get('type'))}")

    def _message_event(self, event: Mapping[str, Any]) -> Read:
        chat_jid = payloads.chat(event, "channel")
        match event.get("subtype"):
            case "message_changed":
                after, before = payloads.mapping(event, "message"), payloads.before(event)
                if before:
                    after = {"edited": {"ts": event.get("ts")}, **after}
                return self.edit(after, chat_jid, before)
            case "message_deleted":
                gone = payloads.ts(event, "deleted_ts")
                return self._deletion(event, chat_jid, payloads.before(event), gone)
        return self.message(event, chat_jid, payloads.ts(event))

    def message(self, event: Mapping[str, Any], chat_jid: str, cursor: str | None = None) -> Read:
        """A message as it was said."""
        if (why := self._unheard(event)) is not None:
            return Read(why=why)
        payloads.require_text(event)
        content = blocks_in.content(event, self.reader)
        files = payloads.files(event)
        if not content and not files:
            return Read(why="nothing in it")
        ts = payloads.ts(event)
        said = NewMessage(
            id=f"slack-{ts}",
            chat_jid=chat_jid,
            sender=payloads.user(event),
            sender_name=self._name(payloads.user(event)),
            content=content,
            timestamp=payloads.time(ts),
            thread=_thread(event, chat_jid),
            files=files,
        )
        return self._event(said, cursor)

    def edit(self, after: Mapping[str, Any], chat_jid: str, before: Mapping[str, Any]) -> Read:
        """A message as it is now, and as it was if that is known."""
        if after.get("subtype") == "tombstone":
            return self._deletion(after, chat_jid, before, payloads.ts(after))
        if (why := self._unheard(after)) is not None:
            return Read(why=why)
        payloads.require_text(after)
        payloads.require_text(before)
        content = blocks_in.own_words(after, self.reader)
        if before and content == blocks_in.own_words(before, self.reader):
            return Read(why="what it says is unchanged")
        edited = payloads.mapping(after, "edited")
        at = payloads.ts(edited)
        sender = payloads.user(edited if "user" in edited else after)
        if self._is_program(sender):
            return Read(why="a program's edit")
        ts = payloads.ts(after)
        said = NewMessage(
            id=f"slack-{ts}-edit-{at}{payloads.mark(after)}",
            chat_jid=chat_jid,
            sender=sender,
            sender_name=self._name(sender),
            content=content,
            timestamp=payloads.time(at),
            message_type="edit",
            thread=_thread(after, chat_jid),
            replaces=f"slack-{ts}",
        )
        return self._event(said)

    def _deletion(
        self, event: Mapping[str, Any], chat_jid: str, message: Mapping[str, Any], gone: str
    ) -> Read:
        """Who deleted it isn't told; it is taken for the one who said it."""
        if (why := self._unheard({**message, "subtype": None}, needs_user=False)) is not None:
            return Read(why=why)
        sender = payloads.user(message) if "user" in message else ""
        said = NewMessage(
            id=f"slack-{gone}-deleted",
            chat_jid=chat_jid,
            sender=sender,
            sender_name=self._name(sender) if sender else "",
            content="",
            timestamp=payloads.time(payloads.ts(event) if "ts" in event else gone),
            message_type="deletion",
            thread=_thread({**message, "ts": gone}, chat_jid),
            replaces=f"slack-{gone}",
        )
        return self._event(said)

    def _reaction(self, event: Mapping[str, Any]) -> Read:
        emoji = event.get("reaction")
        if not isinstance(emoji, str) or emoji not in HEARD:
            return Read(why="a reaction that says nothing to us")
        item = payloads.mapping(event, "item")
        if item.get("type") != "message":
            return Read(why="a reaction to no message")
        sender = payloads.user(event)
        if self._is_program(sender):
            return Read(why="a program's reaction")
        at, ts = payloads.ts(event, "event_ts"), payloads.ts(item)
        said = NewMessage(
            id=f"slack-{ts}-{emoji}-{sender}-{at}",
            chat_jid=payloads.chat(item, "channel"),
            sender=sender,
            sender_name=self._name(sender),
            content=emoji,
            timestamp=payloads.time(at),
            message_type="reaction",
            replaces=f"slack-{ts}",
            metadata=json.dumps({"on": ts}),
        )
        return self._event(said)

    def pressed(self, payload: Mapping[str, Any]) -> Read:
        """A button of ours that somebody pressed."""
        if payload.get("type") != "block_actions":
            return Read(why=f"an interaction of the type {payloads.shown(payload.get('type'))}")
        press = payloads.press(payload)
        if press.app_id and self.who.app_id and press.app_id != self.who.app_id:
            return Read(why="another app's button")
        if not press.says or len(press.says) > _LONGEST_PRESS:
            return Read(why="a button that says nothing")
        jid = f"slack:{press.channel}"
        said = NewMessage(
            id=f"slack-{press.ts}-press-{press.at}-{press.user}-{press.action}",
            chat_jid=jid,
            sender=press.user,
            sender_name=self._name(press.user),
            content=press.says,
            timestamp=payloads.time(press.at),
            thread=thread_in(jid, press.thread) if press.thread else "",
            metadata=PRESSED,
        )
        return self._event(said)

    def command(self, payload: Mapping[str, Any], now: str) -> Read:
        """A slash command; one that says nothing asks for help."""
        payloads.require_text(payload)
        sender = payloads.user(payload, "user_id")
        asked = self.reader.text(payload.get("text") or "").strip() or "help"
        said = NewMessage(
            id=f"slack-command-{payloads.trigger(payload)}",
            chat_jid=payloads.chat(payload, "channel_id"),
            sender=sender,
            sender_name=self._name(sender),
            content=f"@{self.who.agent_name} {asked}",
            timestamp=now,
        )
        return self._event(said, ack={"response_type": "in_channel"})

    def _unheard(self, message: Mapping[str, Any], *, needs_user: bool = True) -> str | None:
        """Why nobody speaks in a message, if nobody does."""
        subtype = message.get("subtype")
        if not isinstance(subtype, str | None) or subtype not in SPEECH:
            return f"a message of the subtype {payloads.shown(subtype)}"
        if message.get("hidden") is True:
            return "a hidden message"
        if message.get("bot_id") or message.get("bot_profile"):
            return "a program's message"
        if not needs_user and "user" not in message:
            return None
        sender = payloads.user(message)
        return "a program's message" if self._is_program(sender) else None

    def _is_program(self, user: str) -> bool:
        return user in (self.who.bot_user, "USLACKBOT") or self.names.is_bot(user)

    def _name(self, user: str) -> str:
        """What a person is called. People choose their names; one by which the owner or the
        assistant goes tells whose it is."""
        name = self.names.called(user)
        if name is None:
            return user
        taken = (OWNER, PROGRAM, self.who.agent_name, *self.who.waking)
        return f"{name} ({user})" if passes_for(name, taken) else name

    def _wants(self, *ids: str) -> set[str]:
        mentioned = [id for id in dict.fromkeys(self.reader.wants) if self.names.is_wanted(id)]
        return {id for id in ids if self.names.is_wanted(id)} | set(mentioned[:MOST_NAMES])

    def _event(
        self, said: NewMessage, cursor: str | None = None, ack: dict[str, Any] | None = None
    ) -> Read:
        channel = said.chat_jid.partition(":")[2]
        wants = self._wants(channel, *([said.sender] if said.sender else []))
        return Read(Event(said, self.names.called(channel), cursor), ack, wants=wants)


def _thread(message: Mapping[str, Any], chat_jid: str) -> str:
    """The thread that a message is a reply in; its first one is none."""
    thread = payloads.thread(message)
    return thread_in(chat_jid, thread) if thread else ""
