"""What tests call; the same for a server in this process and for one in another."""

from __future__ import annotations

import base64
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

Row = dict[str, Any]


class Control(ABC):
    """People, faults and books of one server. Users and channels by id or name everywhere.

    Raises `RuntimeError` with Slack's name for what can't be done (`channel_not_found`).
    """

    @abstractmethod
    def _call(self, op: str, /, **arguments: Any) -> Any: ...

    def person(self, name: str, real_name: str = "", display_name: str = "") -> str:
        """Somebody new; gives the user id."""
        return self._call("person", name=name, real_name=real_name, display_name=display_name)

    def bot(self, name: str) -> str:
        """Another app's bot, which can `say` things, and has the token `xoxb-NAME`; gives its user
        id."""
        return self._call("bot", name=name)

    def rename(self, user: str, real_name: str) -> None:
        """Somebody is called otherwise from now on (`user_change`)."""
        self._call("rename", user=user, real_name=real_name)

    def deactivate(self, user: str) -> None:
        """Somebody left the workspace."""
        self._call("deactivate", user=user)

    def channel(self, name: str, *members: str, private: bool = False, bot: bool = True) -> str:
        """A new channel, by default with the app's bot in it; gives the channel's id."""
        given = {"private": private, "members": list(members), "bot": bot}
        return self._call("channel", name=name, **given)

    def channel_id(self, name: str) -> str:
        """The id of a channel by its name."""
        return self._call("channel_id", name=name)

    def dm(self, *users: str) -> str:
        """The DM of one person with the bot, or the group DM of several; gives its id."""
        return self._call("dm", users=list(users))

    def invite(self, channel: str, by: str, user: str = "") -> None:
        """Brings the bot, or `user`, into a channel."""
        self._call("invite", channel=channel, by=by, user=user)

    def kick(self, channel: str, user: str = "") -> None:
        """Removes the bot, or `user`, from a channel."""
        self._call("kick", channel=channel, user=user)

    def rename_channel(self, channel: str, name: str) -> None:
        """A channel is called otherwise from now on."""
        self._call("rename_channel", channel=channel, name=name)

    def archive(self, channel: str, on: bool = True) -> None:
        """Archives a channel, or brings it back."""
        self._call("archive", channel=channel, on=on)

    def say(
        self,
        user: str,
        channel: str,
        text: str = "",
        thread_ts: str = "",
        files: Mapping[str, bytes] | None = None,
        *,
        at: float | None = None,
        wire: bool = False,
        broadcast: bool = False,
        silent: bool = False,
        subtype: str = "",
        hidden: bool = False,
    ) -> str:
        """A message; gives its ts.

        The text is what a person types: `@pynchy` becomes a mention, `&<>` are escaped, addresses
        marked as links; with `wire` it is stored as given. `at` (epoch seconds) puts it in the
        past; `silent` tells the app nothing (an event that was lost); `subtype` is `me_message`,
        `channel_topic` …; of `hidden` files the app only gets the id (`check_file_info`).
        """
        content = {name: base64.b64encode(data).decode() for name, data in (files or {}).items()}
        how = {"at": at, "wire": wire, "broadcast": broadcast, "silent": silent}
        how |= {"subtype": subtype, "hidden": hidden}
        what = {"text": text, "thread_ts": thread_ts, "files": content}
        return self._call("say", user=user, channel=channel, **what, **how)

    def say_all(self, messages: Sequence[tuple[str, str, str, str]]) -> list[str]:
        """Many messages at once, each as (user, channel, text, thread_ts); gives each one's ts."""
        return self._call("say_all", messages=[list(one) for one in messages])

    def upload(self, user: str, channel: str, name: str, content: bytes, text: str = "") -> str:
        """A message with one file; gives its ts."""
        return self.say(user, channel, text, files={name: content})

    def webhook(self, channel: str, text: str, name: str = "Deploys") -> str:
        """A message of an old integration: `bot_message`, with no user at all; gives its ts."""
        return self._call("webhook", channel=channel, text=text, name=name)

    def link_file(self, user: str, channel: str, name: str, url: str) -> str:
        """A message with a file that lies elsewhere (an app's token must not go there)."""
        return self._call("link_file", user=user, channel=channel, name=name, url=url)

    def remove_files(self, channel: str, ts: str) -> None:
        """The files of a message are deleted: tombstones are left."""
        self._call("remove_files", channel=channel, ts=ts)

    def edit(self, channel: str, ts: str, text: str, wire: bool = False) -> str:
        """Whoever wrote a message changes it; gives the event's ts."""
        return self._call("edit", channel=channel, ts=ts, text=text, wire=wire)

    def unfurl(self, channel: str, ts: str) -> str:
        """Slack shows a link's page under a message: `message_changed` with the same text."""
        return self._call("unfurl", channel=channel, ts=ts)

    def delete(self, channel: str, ts: str) -> None:
        """Whoever wrote a message takes it back."""
        self._call("delete", channel=channel, ts=ts)

    def react(self, user: str, channel: str, ts: str, name: str, on: bool = True) -> None:
        """Puts an emoji (`eyes`) on a message, or takes it off."""
        self._call("react", user=user, channel=channel, ts=ts, name=name, on=on)

    def press(self, user: str, channel: str, ts: str, action: str) -> str:
        """Presses the button with this action id, value or label; gives an id for `answer`."""
        return self._call("press", user=user, channel=channel, ts=ts, action=action)

    def command(self, user: str, channel: str, text: str, command: str = "/pynchy") -> str:
        """A slash command; gives an id for `answer`."""
        return self._call("command", user=user, channel=channel, text=text, command=command)

    def event(self, event: Row, whole: bool = False) -> str:
        """Sends any event, in an envelope; `whole`: the payload itself, as it is."""
        return self._call("event", payload=event, whole=whole)

    def again(self, event_id: str) -> None:
        """Sends an event once more, with the same event id."""
        self._call("again", event_id=event_id)

    def rate_limited(self) -> str:
        """Tells that there were too many events: a payload without an event in it."""
        return self._call("rate_limited")

    def answered(self, sending: str) -> Row:
        """`state` (sending, acked, lost) and the ack's `payload`."""
        return self._call("answered", sending=sending)

    def answer(self, sending: str, seconds: float = 10) -> Any:
        """Waits for the ack of a press or a command and gives its payload, if it had one.

        Don't call it in the loop that has to ack. Raises `TimeoutError`.
        """
        end = time.monotonic() + seconds
        while (found := self.answered(sending))["state"] == "sending":
            if time.monotonic() > end:
                raise TimeoutError(sending)
            time.sleep(0.005)
        if found["state"] == "lost":
            raise TimeoutError(f"{sending} was not acked")
        return found["payload"]

    def fault(
        self,
        method: str,
        kind: str,
        times: int | None = 1,
        *,
        seconds: float = 0,
        retry_after: int = 1,
        error: str = "",
        chance: float = 1,
        match: Mapping[str, str] | None = None,
    ) -> None:
        """The next `times` calls (None: all) of `method` (`*`: any) go wrong.

        `429` (with `retry_after`), `500`, `not_json`, `html`, `error` (with `error`), `drop` (cut
        before acceptance), `after_drop`, `after_500` and
        `after_error` (accepted, answer lost), `sleep` and
        `sleep_after` (`seconds` before or after acceptance), `hold` and `hold_after` (until
        `release`). Any kind waits `seconds` first.
        `download`: 500 (or `error="404"`), 429, `html`, `drop`, `cut` (half of it), `sleep`,
        `lead` (to the address `error`).
        `upload`: `drop`, `500`. `match`: only calls with these arguments; `chance`: only so often.
        """
        how = {"seconds": seconds, "retry_after": retry_after, "error": error, "chance": chance}
        self._call("fault", method=method, kind=kind, times=times, match=dict(match or {}), **how)

    def heal(self) -> None:
        """No faults and no limits any more."""
        self._call("heal")

    def held(self) -> int:
        """How many calls wait, by the fault `hold` or `hold_after`."""
        return self._call("held")

    def release(self) -> None:
        """Lets these calls go on, even if nobody waits for the answer any more."""
        self._call("release")

    def limit(self, method: str, per_minute: int) -> None:
        """More calls of this method in a minute are `ratelimited`. Slack: see the tiers."""
        self._call("limit", method=method, per_minute=per_minute)

    def end_streams(self) -> None:
        """No message is in streaming state any more, as after some minutes of silence."""
        self._call("end_streams")

    def token_error(self, error: str, app: bool = True, bot: bool = True) -> None:
        """All calls with these tokens fail so (`account_inactive`); empty: they are good again."""
        self._call("token_error", error=error, app=app, bot=bot)

    def scopes(self, scopes: str, app: bool = False) -> None:
        """What the bot's (or the app's) token may do from now on."""
        self._call("scopes", scopes=scopes, app=app)

    def option(self, **options: Any) -> None:
        """Changes options of the server while it runs."""
        self._call("option", **options)

    def disconnect(self, reason: str = "refresh_requested", close: bool = False) -> None:
        """A `disconnect` frame to every socket: `warning`, `link_disabled` …"""
        self._call("disconnect", reason=reason, close=close)

    def kill(self) -> None:
        """Resets every socket's connection."""
        self._call("kill")

    def stall(self, on: bool = True) -> None:
        """Sockets stay open and new ones open, but nothing is read or written there."""
        self._call("stall", on=on)

    def refuse_links(self, times: int = 1) -> None:
        """The next sockets are refused, and their tickets used up."""
        self._call("refuse_links", times=times)

    def disable_socket_mode(self, on: bool = True) -> None:
        """Every new socket is told `link_disabled` and closed."""
        self._call("disable_socket_mode", on=on)

    def stop(self) -> None:
        """The server is gone: connections are reset, new ones refused. State is kept."""
        self._call("stop")

    def start(self) -> None:
        """It is back, at the same address."""
        self._call("start")

    def history(self, channel: str, thread: str | None = None) -> list[Row]:
        """All messages as they stand, replies among them, oldest first, with their metadata."""
        return self._call("history", channel=channel, thread=thread)

    def texts(self, channel: str, thread: str | None = None) -> list[str]:
        """The texts of `history`."""
        return [one["text"] for one in self.history(channel, thread)]

    def posts(self, channel: str = "", thread: str | None = None) -> list[Row]:
        """What the app posted and Slack accepted, in that order, whatever became of it.

        `channel`, `thread_ts` (None at the top), `ts`, `sent` (the text as it came), `text` (as
        first stored), `metadata`, `mark` (the id in it), `files`, `at`.
        """
        return self._call("posts", channel=channel, thread=thread)

    def copies(self) -> dict[str, int]:
        """How often a message with each mark was accepted."""
        return self._call("copies")

    def acks(self) -> list[Row]:
        """Each attempt: `event_id`, `type`, the event's `ts`, `attempt`, when it was sent (`at`),
        `seconds` until its ack, or why it `failed`."""
        return self._call("acks")

    def unacked(self) -> list[str]:
        """What is on its way still, or was given up."""
        return self._call("unacked")

    def calls(self, method: str = "") -> list[Row]:
        """Each call of the Web API: `at`, `method`, `args`, `outcome`, perhaps `fault`."""
        return self._call("calls", method=method)

    def sockets(self) -> int:
        """How many are open."""
        return self._call("sockets")

    def link_tries(self) -> int:
        """How often a socket was tried to open, with or without luck."""
        return self._call("link_tries")

    def ephemerals(self) -> list[Row]:
        """What only one person saw."""
        return self._call("ephemerals")

    def statuses(self) -> list[Row]:
        """All calls of assistant.threads.setStatus."""
        return self._call("statuses")

    def forget(self) -> None:
        """Empties the books of calls and acks."""
        self._call("forget")
