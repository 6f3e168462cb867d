"""A workspace and what can happen in it, whoever does it; each deed becomes an event."""

from __future__ import annotations

import copy
import uuid
from collections.abc import Callable
from typing import Any

from tests.slack_server import shapes
from tests.slack_server.state import Chat, File, Message, SlackError, User

Publish = Callable[[dict[str, Any], Chat | None], None]


class Workspace:
    """People, chats and files of one workspace, and the one app in it that is tested."""

    def __init__(self, app: User, team: str, clock: Callable[[], float]) -> None:
        self.app = app
        self.team = team
        self.url = ""
        self.users: dict[str, User] = {app.id: app}
        self.chats: dict[str, Chat] = {}
        self.files: dict[str, File] = {}
        self.publish: Publish = lambda event, place: None
        self.now = clock
        self._last = 0
        self._numbers: dict[str, int] = {}

    def stamp(self, at: float | None = None) -> str:
        """A new ts, later than all before unless a moment is given."""
        micros = int((self.now() if at is None else at) * 1_000_000)
        if at is None:
            micros = self._last = max(micros, self._last + 1)
        return f"{micros // 1_000_000}.{micros % 1_000_000:06d}"

    def identify(self, prefix: str) -> str:
        """A new id of that kind."""
        number = self._numbers[prefix] = self._numbers.get(prefix, 0) + 1
        return f"{prefix}{number:09d}"

    def person(self, name: str, real_name: str = "", **more: Any) -> User:
        """Somebody new."""
        one = User(self.identify("U0"), name, real_name or name.title(), **more)
        self.users[one.id] = one
        return one

    def bot(self, name: str) -> User:
        """Another app's bot."""
        made = self.person(name, is_bot=True, app_id=self.identify("A0"))
        made.bot_id = self.identify("B0")
        return made

    def chat(self, name: str, kind: str, members: list[str]) -> Chat:
        """A new chat."""
        prefix = {"channel": "C0", "group": "C1", "im": "D0", "mpim": "C2"}[kind]
        creator = members[0] if members else ""
        made = Chat(self.identify(prefix), name, kind, members, int(self.now()), creator)
        self.chats[made.id] = made
        return made

    def together(self, members: list[str]) -> Chat:
        """The DM or group DM of exactly these people, made if there is none."""
        for one in self.chats.values():
            if one.kind in ("im", "mpim") and set(one.members) == set(members):
                return one
        names = "-".join(sorted(self.users[each].name for each in members))
        kind = "mpim" if len(members) > 2 else "im"
        return self.chat(f"mpdm-{names}-1" if kind == "mpim" else "", kind, list(members))

    def who(self, name: str) -> User:
        """A user by id, name or bot id."""
        for one in self.users.values():
            if name in (one.id, one.name, one.bot_id):
                return one
        raise SlackError("user_not_found")

    def where(self, name: str) -> Chat:
        """A chat by id or name (`#dev`, `dev`)."""
        if name in self.chats:
            return self.chats[name]
        for one in self.chats.values():
            if one.name and one.name == name.removeprefix("#"):
                return one
        raise SlackError("channel_not_found")

    def post(self, place: Chat, one: Message) -> Message:
        """A message into a chat; a first answer makes a thread of its parent."""
        if place.archived:
            raise SlackError("is_archived")
        parent = place.messages.get(one.thread_ts) if one.thread_ts else None
        if parent is not None:
            one.thread_ts = parent.thread_ts or parent.ts
            place.messages[one.thread_ts].thread_ts = one.thread_ts
        place.messages[one.ts] = one
        for each in one.files:
            self.files[each].shares.append((place.id, one.ts, one.thread_ts))
        self.tell(self.said(place, one), place)
        return one

    def said(self, place: Chat, one: Message) -> dict[str, Any]:
        """The event of a new message."""
        event = shapes.message(self, place, one)
        return {**event, "channel": place.id, "event_ts": one.ts, "channel_type": place.kind}

    def edit(self, place: Chat, one: Message, editor: str | None, **changes: Any) -> str:
        """Changes a message; `editor` None is Slack itself (an unfurled link). The event's ts."""
        before = shapes.message(self, place, copy.deepcopy(one))
        for name, value in changes.items():
            setattr(one, name, value)
        ts = self.stamp()
        if editor is not None:
            one.edited = {"user": editor, "ts": f"{ts.partition('.')[0]}.000000"}
        event = {"message": shapes.message(self, place, one), "previous_message": before}
        self._changed(place, "message_changed", ts, event)
        return ts

    def delete(self, place: Chat, one: Message) -> None:
        """Takes a message away; one with answers under it stays as a tombstone."""
        if place.replies(one.ts):
            self.edit(place, one, None, text="This message was deleted.", subtype="tombstone",
                      user="USLACKBOT", blocks=[], files=[], metadata=None, client_msg_id="",
                      more={"hidden": True})  # fmt: skip
            return
        before = shapes.message(self, place, one)
        del place.messages[one.ts]
        event = {"deleted_ts": one.ts, "previous_message": before}
        self._changed(place, "message_deleted", self.stamp(), event)

    def _changed(self, place: Chat, subtype: str, ts: str, event: dict[str, Any]) -> None:
        common = {"type": "message", "subtype": subtype, "channel": place.id, "hidden": True}
        end = {"ts": ts, "event_ts": ts, "channel_type": place.kind}
        self.tell({**common, **event, **end}, place)

    def react(self, place: Chat, one: Message, user: str, name: str, on: bool = True) -> None:
        """Puts an emoji on a message, or takes it off."""
        there = one.reactions.setdefault(name, [])
        if on == (user in there):
            raise SlackError("already_reacted" if on else "no_reaction")
        there.append(user) if on else there.remove(user)
        if not there:
            del one.reactions[name]
        kind = "reaction_added" if on else "reaction_removed"
        item = {"type": "message", "channel": place.id, "ts": one.ts}
        event = {"type": kind, "user": user, "reaction": name, "item": item}
        self.tell({**event, "item_user": one.user, "event_ts": self.stamp()}, place)

    def join(self, place: Chat, user: str, inviter: str = "") -> None:
        """Somebody comes into a channel."""
        if user in place.members:
            raise SlackError("already_in_channel")
        place.members.append(user)
        kind = {"channel": "C", "group": "G"}.get(place.kind, "G")
        event = {"type": "member_joined_channel", "user": user, "channel": place.id,
                 "channel_type": kind, "team": self.team, "event_ts": self.stamp()}  # fmt: skip
        self.tell({**event, **({"inviter": inviter} if inviter else {})}, place)
        more = {"inviter": inviter} if inviter else {}
        text = f"<@{user}> has joined the channel"
        kind = "channel_join" if place.kind == "channel" else "group_join"
        self.post(place, Message(self.stamp(), user, text, subtype=kind, more=more))

    def leave(self, place: Chat, user: str) -> None:
        """Somebody leaves, or is removed."""
        place.members.remove(user)
        kind = "C" if place.kind == "channel" else "G"
        event = {"type": "member_left_channel", "user": user, "channel": place.id,
                 "channel_type": kind, "team": self.team, "event_ts": self.stamp()}  # fmt: skip
        self.tell(event, place)
        if user == self.app.id:
            mine = "channel_left" if place.kind == "channel" else "group_left"
            self.tell({"type": mine, "channel": place.id, "event_ts": self.stamp()}, None)

    def tell(self, event: dict[str, Any], place: Chat | None) -> None:
        """Hands an event to whoever listens, as it is now."""
        self.publish(copy.deepcopy(event), place)


def new_client_id() -> str:
    """What a person's app gives to a message."""
    return str(uuid.uuid4())
