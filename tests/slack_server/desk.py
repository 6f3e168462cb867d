"""What tests can do and ask, on the server's side: plain values in, JSON out."""

from __future__ import annotations

import asyncio
import base64
import mimetypes
from collections import Counter
from typing import Any

from tests.slack_server import interactions, shapes, typed
from tests.slack_server.backend import Backend, Token
from tests.slack_server.faults import Fault
from tests.slack_server.state import Chat, File, Message, SlackError, User
from tests.slack_server.workspace import new_client_id


class Desk:
    """One method for each of the control's; run on the server's loop."""

    def __init__(self, back: Backend) -> None:
        self._back = back
        self._work = back.work

    # People and chats

    def person(self, name: str, real_name: str, display_name: str) -> str:
        return self._work.person(name, real_name, display_name=display_name).id

    def bot(self, name: str) -> str:
        made = self._work.bot(name)
        scopes = set(self._back.options.scopes.split())
        self._back.tokens[f"xoxb-{name}"] = Token(made.id, scopes)
        return made.id

    def rename(self, user: str, real_name: str) -> None:
        one = self._work.who(user)
        one.real_name = real_name
        told = {"type": "user_change", "user": shapes.user(self._work.team, one)}
        self._work.tell({**told, "event_ts": self._work.stamp()}, None)

    def deactivate(self, user: str) -> None:
        self._work.who(user).deleted = True

    def channel(self, name: str, private: bool, members: list[str], bot: bool) -> str:
        who = [self._work.who(each).id for each in members]
        app = [self._work.app.id] if bot else []
        return self._work.chat(name, "group" if private else "channel", [*who, *app]).id

    def channel_id(self, name: str) -> str:
        return self._work.where(name).id

    def dm(self, users: list[str]) -> str:
        who = [self._work.who(each).id for each in users]
        return self._work.together([*who, self._work.app.id]).id

    def invite(self, channel: str, by: str, user: str) -> None:
        joins = self._work.who(user).id if user else self._work.app.id
        self._work.join(self._work.where(channel), joins, self._work.who(by).id)

    def kick(self, channel: str, user: str) -> None:
        leaves = self._work.who(user).id if user else self._work.app.id
        self._work.leave(self._work.where(channel), leaves)

    def rename_channel(self, channel: str, name: str) -> None:
        place = self._work.where(channel)
        place.name = name
        told = {"id": place.id, "name": name, "created": place.created}
        self._work.tell({"type": "channel_rename", "channel": told}, place)

    def archive(self, channel: str, on: bool) -> None:
        place = self._work.where(channel)
        place.archived = on
        kind = "channel_archive" if on else "channel_unarchive"
        self._work.tell({"type": kind, "channel": place.id}, place)

    # What people do

    def say(self, user: str, channel: str, text: str, thread_ts: str, files: dict[str, str],
            at: float | None, wire: bool, broadcast: bool, silent: bool,
            subtype: str, hidden: bool) -> str:  # fmt: skip
        who, place = self._work.who(user), self._in(channel, user)
        one = Message(self._work.stamp(at), who.id, self._text(text, wire), thread_ts=thread_ts)
        if who.is_bot:
            one.bot_id, one.app_id = who.bot_id, who.app_id
        else:
            one.client_msg_id = new_client_id()
        made = [self._file(who, name, content) for name, content in files.items()]
        for each in made:
            each.hidden = hidden
        one.files = [each.id for each in made]
        one.subtype = subtype or ("file_share" if files else "")
        if broadcast:
            one.broadcast, one.subtype = True, "thread_broadcast"
        publish = self._work.publish
        if silent:
            self._work.publish = lambda event, place: None
        try:
            self._work.post(place, one)
        finally:
            self._work.publish = publish
        if self._back.options.unfurls and not silent and "<http" in one.text and not who.is_bot:
            self.unfurl(place.id, one.ts)
        return one.ts

    def say_all(self, messages: list[list[str]]) -> list[str]:
        how = {"files": {}, "at": None, "subtype": ""}
        flags = dict.fromkeys(("wire", "broadcast", "silent", "hidden"), False)
        names = ("user", "channel", "text", "thread_ts")
        said = (dict(zip(names, one, strict=True)) for one in messages)
        return [self.say(**one, **how, **flags) for one in said]

    def webhook(self, channel: str, text: str, name: str) -> str:
        place = self._work.where(channel)
        made = Message(self._work.stamp(), "", text, subtype="bot_message")
        made.bot_id, made.more = self._work.identify("B1"), {"username": name}
        return self._work.post(place, made).ts

    def link_file(self, user: str, channel: str, name: str, url: str) -> str:
        who, place = self._work.who(user), self._in(channel, user)
        made = self._file(who, name, "")
        made.elsewhere = url
        one = Message(self._work.stamp(), who.id, "", subtype="file_share", files=[made.id])
        return self._work.post(place, one).ts

    def remove_files(self, channel: str, ts: str) -> None:
        _, one = self._one(channel, ts)
        for each in one.files:
            self._work.files[each].removed = True
            event = {"type": "file_deleted", "file_id": each, "event_ts": self._work.stamp()}
            self._work.tell(event, None)

    def edit(self, channel: str, ts: str, text: str, wire: bool) -> str:
        place, one = self._one(channel, ts)
        return self._work.edit(place, one, one.user, text=self._text(text, wire))

    def unfurl(self, channel: str, ts: str) -> str:
        place, one = self._one(channel, ts)
        link = {"id": 1, "title": "A page", "fallback": "A page", "from_url": "https://example.com"}
        return self._work.edit(place, one, None, attachments=[link])

    def delete(self, channel: str, ts: str) -> None:
        self._work.delete(*self._one(channel, ts))

    def react(self, user: str, channel: str, ts: str, name: str, on: bool) -> None:
        place, one = self._one(channel, ts)
        self._work.react(place, one, self._work.who(user).id, name, on)

    def press(self, user: str, channel: str, ts: str, action: str) -> str:
        place, one = self._one(channel, ts)
        who = self._work.who(user)
        payload = interactions.press(self._back, who, place, one, action)
        return self._back.sockets.send(payload, "interactive")

    def command(self, user: str, channel: str, text: str, command: str) -> str:
        who, place = self._work.who(user), self._work.where(channel)
        payload = interactions.command(self._back, who, place, command, text)
        return self._back.sockets.send(payload, "slash_commands", accepts=True)

    def event(self, payload: dict[str, Any], whole: bool) -> str:
        made = payload if whole else self._back.sockets.callback(payload)
        return self._back.sockets.send(made, "events_api")

    def again(self, event_id: str) -> None:
        self._back.sockets.send(self._back.sockets.sendings[event_id].payload, "events_api")

    def rate_limited(self) -> str:
        payload = {"token": "legacy", "type": "app_rate_limited", "team_id": self._work.team,
                   "minute_rate_limited": int(self._work.now()) // 60 * 60,
                   "api_app_id": self._work.app.app_id}  # fmt: skip
        return self._back.sockets.send(payload, "events_api")

    def answered(self, sending: str) -> dict[str, Any]:
        found = self._back.sockets.sendings[sending]
        return {"state": found.state, "payload": found.answer}

    # What goes wrong

    def fault(self, **fault: Any) -> None:
        self._back.faults.add(Fault(**fault))

    def heal(self) -> None:
        self._back.faults.clear()
        self._back.limits.clear()

    def held(self) -> int:
        return self._back.faults.held()

    def release(self) -> None:
        self._back.faults.release()

    def limit(self, method: str, per_minute: int) -> None:
        self._back.limits[method] = per_minute

    def end_streams(self) -> None:
        self._back.streams.clear()

    def token_error(self, error: str, app: bool, bot: bool) -> None:
        for name, wanted in ((self._back.options.app_token, app),
                             (self._back.options.bot_token, bot)):  # fmt: skip
            if wanted:
                self._back.tokens[name].error = error

    def scopes(self, scopes: str, app: bool) -> None:
        name = self._back.options.app_token if app else self._back.options.bot_token
        self._back.tokens[name].scopes = set(scopes.split())

    def option(self, **options: Any) -> None:
        for name, value in options.items():
            if not hasattr(self._back.options, name):
                raise ValueError(f"no option {name}")
            setattr(self._back.options, name, value)

    async def disconnect(self, reason: str, close: bool) -> None:
        await self._back.sockets.disconnect(reason, close)

    def kill(self) -> None:
        self._back.sockets.kill()

    def stall(self, on: bool) -> None:
        self._back.sockets.stall(on)

    def refuse_links(self, times: int) -> None:
        self._back.sockets.refuse = times

    def disable_socket_mode(self, on: bool) -> None:
        self._back.sockets.disabled = on

    # What there is

    def history(self, channel: str, thread: str | None) -> list[dict[str, Any]]:
        place = self._work.where(channel)
        return [
            {**shapes.message(self._work, place, one, metadata=True), "sent": one.sent}
            for one in place.ordered()
            if thread is None or thread in (one.ts, one.thread_ts)
        ]

    def posts(self, channel: str, thread: str | None) -> list[dict[str, Any]]:
        place = self._work.where(channel).id if channel else ""
        return [
            one
            for one in self._back.posts
            if (not place or one["channel"] == place)
            and (thread is None or one["thread_ts"] == thread)
        ]

    def copies(self) -> dict[str, int]:
        return dict(Counter(one["mark"] for one in self._back.posts if one["mark"]))

    def acks(self) -> list[dict[str, Any]]:
        return self._back.sockets.acks

    def unacked(self) -> list[str]:
        found = self._back.sockets.sendings
        return [name for name, one in found.items() if one.state != "acked"]

    def calls(self, method: str) -> list[dict[str, Any]]:
        return [one for one in self._back.calls if not method or one["method"] == method]

    def sockets(self) -> int:
        return len([one for one in self._back.sockets.open if not one.closed])

    def link_tries(self) -> int:
        return self._back.sockets.tries

    def ephemerals(self) -> list[dict[str, Any]]:
        return self._back.ephemerals

    def statuses(self) -> list[dict[str, Any]]:
        return self._back.statuses

    def forget(self) -> None:
        for book in (self._back.calls, self._back.sockets.acks):
            book.clear()

    # Within

    def _in(self, channel: str, user: str) -> Chat:
        place = self._work.where(channel)
        if place.kind != "channel" and self._work.who(user).id not in place.members:
            raise SlackError("not_in_channel")
        return place

    def _one(self, channel: str, ts: str) -> tuple[Chat, Message]:
        place = self._work.where(channel)
        if ts not in place.messages:
            raise SlackError("message_not_found")
        return place, place.messages[ts]

    def _text(self, text: str, wire: bool) -> str:
        if wire:
            return text
        names = {one.name: one.id for one in self._work.users.values()}
        return typed.by_person(text, names)

    def _file(self, who: User, name: str, content: str) -> File:
        kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
        data = base64.b64decode(content)
        now = int(self._work.now())
        number = self._work.identify("F0")
        made = File(number, name, name, kind, who.id, now, len(data), data)
        self._work.files[number] = made
        return made


def run(desk: Desk, name: str, arguments: dict[str, Any]) -> Any:
    """What the named method gives, perhaps something to await."""
    if name.startswith("_"):
        raise ValueError(name)
    return getattr(desk, name)(**arguments)


async def finish(result: Any) -> Any:
    """The value, awaited if it has to be."""
    return await result if asyncio.iscoroutine(result) else result
