"""Slack's Web API as a channel needs it. Nothing is retried here: a call that was taken may never
be made twice by a library, so whoever calls is told the outcome, and decides."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from typing import Any
from urllib.parse import urlsplit
from urllib.request import proxy_bypass

import aiohttp
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.web.async_slack_response import AsyncSlackResponse

from pynchy_cli import clock
from pynchy_cli.channels.base import NeverSent, NotSent, OutgoingFile, Place
from pynchy_cli.channels.slack.outcomes import FAULTS, Refused, outcome
from pynchy_cli.config.settings import SlackRules

PAGE = 200
"""Messages asked for at once."""
TIMEOUT = aiohttp.ClientTimeout(total=30, sock_connect=10)
UPLOAD = aiohttp.ClientTimeout(total=600, sock_connect=10, sock_read=60)
EVENT = "pynchy_out"
"""The type of the metadata that our mark goes by."""
LOOK_BACK = 600.0
"""Seconds before a post was begun, from which on it is looked for."""
KINDS = "public_channel,private_channel,mpim,im"
Method = Callable[..., Awaitable[AsyncSlackResponse]]
Message = Mapping[str, Any]
Wait = Callable[[NotSent | None], Awaitable[None]]


def hushed() -> logging.Logger:
    """The logger for slack_sdk, which would tell tickets and tokens, and its every attempt."""
    logger = logging.getLogger("slack_sdk.hushed")
    logger.setLevel(logging.CRITICAL + 1)
    return logger


def channel_id(chat_jid: str) -> str:
    """What Slack calls a chat."""
    return chat_jid.partition(":")[2]


def goes_direct(url: str) -> bool:
    """Whether an address is reached without the proxy that the environment may name."""
    host = urlsplit(url).hostname or ""
    return host in ("127.0.0.1", "localhost", "::1") or bool(proxy_bypass(host))


class Api:
    """One workspace's Web API. Every call raises NotSent, NeverSent (Refused), Away (Denied), and a
    post also Unsure."""

    def __init__(self, rules: SlackRules) -> None:
        self.rules = rules
        self.web = AsyncWebClient(
            token=rules.bot_token, base_url=rules.base_url, retry_handlers=[], logger=hushed()
        )
        if goes_direct(rules.base_url):
            self.web.proxy = None
        self._me: Message = {}

    @property
    def session(self) -> aiohttp.ClientSession:
        """The connections, kept open between calls."""
        if self.web.session is None or self.web.session.closed:
            self.web.session = aiohttp.ClientSession(timeout=TIMEOUT)
        return self.web.session

    async def close(self) -> None:
        """Let the connections go."""
        if self.web.session is not None:
            await self.web.session.close()

    async def ask(self, method: Method, *, is_post: bool = False, **arguments: Any) -> Message:
        """Slack's answer to one call, with its headers as `headers`."""
        name = method.__name__.replace("_", ".")
        _ = self.session  # made anew where it isn't there
        try:
            response = await method(**arguments)
        except FAULTS as error:
            raise outcome(name, error, is_post=is_post) from error
        data = response.data
        return {**data, "headers": response.headers} if isinstance(data, dict) else {}

    async def get(self, method: str, **arguments: str) -> Message:
        """Slack's answer to a question."""
        try:
            _ = self.session
            response = await self.web.api_call(method, http_verb="GET", params=arguments)
        except FAULTS as error:
            raise outcome(method, error, is_post=False) from error
        data = response.data
        return data if isinstance(data, dict) else {}

    async def who(self) -> Message:
        """Who we are there."""
        self._me = await self.get("auth.test")
        return self._me

    async def open_socket(self) -> str:
        """An address for one connection of Socket Mode."""
        answer = await self.ask(self.web.apps_connections_open, app_token=self.rules.app_token)
        return str(answer.get("url") or "")

    async def post(self, place: Place, shown: Mapping[str, Any], mark: str) -> str:
        """Post a message as `shown` says; its id. `mark` goes with it unseen."""
        answer = await self.ask(
            self.web.chat_postMessage,
            is_post=True,
            channel=channel_id(place.chat_jid),
            thread_ts=place.thread or None,
            metadata={"event_type": EVENT, "event_payload": {"id": mark}},
            unfurl_links=False,
            unfurl_media=False,
            **shown,
        )
        return str(answer["ts"])

    async def edit(self, place: Place, ts: str, shown: Mapping[str, Any]) -> None:
        """Change a message of ours to what is `shown`; its mark stays. Unlike in a post names in
        plain text would be looked for, and whoever is called so be notified."""
        where: dict[str, Any] = {"channel": channel_id(place.chat_jid), "ts": ts}
        await self.ask(self.web.chat_update, parse="none", **where, **shown)

    async def remove(self, place: Place, ts: str) -> None:
        """Take a message of ours out; one that isn't there any more is no error."""
        try:
            await self.ask(self.web.chat_delete, channel=channel_id(place.chat_jid), ts=ts)
        except Refused as refused:
            if refused.code != "message_not_found":
                raise

    async def find(self, place: Place, mark: str, after: str | None, since: str) -> str | None:
        """The id of what we posted with a mark, if it is there: later than `after`, and from about
        the moment `since` on. Others can give what they post any mark."""
        me = self._me or await self.who()
        async for message in self._later(place, after, since):
            given = message.get("metadata") or {}
            is_marked = (given.get("event_payload") or {}).get("id") == mark
            if is_marked and _is_whose(message, me):
                return str(message["ts"])
        return None

    async def find_file(
        self, place: Place, file: OutgoingFile, sent: Collection[str], after: str | None, since: str
    ) -> str | None:
        """The id of a file of this name and size that was posted then, and is none of those `sent`
        before. Slack takes no mark with a file."""
        me = self._me or await self.who()
        async for message in self._later(place, after, since):
            for one in message.get("files") or ():
                is_such = one.get("title") == file.name and one.get("size") == file.size
                if is_such and one.get("id") not in sent and _is_whose(message, me):
                    return str(one["id"])
        return None

    async def _later(self, place: Place, after: str | None, since: str) -> AsyncIterator[Message]:
        """What stands in a chat, or a thread, later than `after`. What is much older than `since`
        is left out, but never all of it: our clock may be ahead of Slack's."""
        begun = f"{clock.parse(since).timestamp() - LOOK_BACK:.6f}"
        async for page in self._newest(place, after or "0", max(after or "0", begun)):
            for message in page:
                if message["ts"] > (after or "0"):
                    yield message

    async def _newest(self, place: Place, after: str, oldest: str) -> AsyncIterator[list[Message]]:
        chat, with_marks = channel_id(place.chat_jid), {"include_all_metadata": True}
        if place.thread:
            is_empty = True
            for begin in dict.fromkeys((oldest, after)):
                async for page in self.replies(chat, place.thread, begin, **with_marks):
                    is_empty = is_empty and all(one["ts"] == place.thread for one in page)
                    yield page
                if not is_empty:
                    return
            return
        async for page in self.history(chat, oldest=after, **with_marks):
            yield page
            if page and page[-1]["ts"] < oldest:
                return

    def history(self, chat: str, **arguments: Any) -> AsyncIterator[list[Message]]:
        """The pages of a chat's messages outside of threads, the newest first."""
        return self._pages(self.web.conversations_history, "messages", channel=chat, **arguments)

    def replies(
        self, chat: str, thread: str, oldest: str, **arguments: Any
    ) -> AsyncIterator[list[Message]]:
        """The pages of a thread's messages after `oldest`, oldest first; its first one comes with
        each page."""
        return self._pages(
            self.web.conversations_replies,
            "messages",
            channel=chat,
            ts=thread,
            oldest=oldest,
            **arguments,
        )

    def conversations(self) -> AsyncIterator[list[Message]]:
        """The pages of the chats that we are in."""
        return self._pages(
            self.web.users_conversations, "channels", types=KINDS, exclude_archived=True
        )

    async def file_info(self, id: str) -> Message:
        """What Slack knows of a file."""
        answer = await self.ask(self.web.files_info, file=id)
        found: Message = answer.get("file") or {}
        return found

    async def send_file(self, place: Place, file: OutgoingFile) -> str:
        """Post a file; its id. Until the last of three calls nobody sees anything of it."""
        if file.size == 0:
            raise Refused(f"Slack takes no empty file, such as {file.name}.", "empty_file")
        where = await self.ask(
            self.web.files_getUploadURLExternal, filename=file.name, length=file.size
        )
        await self._upload(str(where["upload_url"]), file)
        await self.ask(
            self.web.files_completeUploadExternal,
            is_post=True,
            files=[{"id": where["file_id"], "title": file.name}],
            channel_id=channel_id(place.chat_jid),
            thread_ts=place.thread or None,
        )
        return str(where["file_id"])

    async def _upload(self, url: str, file: OutgoingFile) -> None:
        try:
            with file.path.open("rb") as data:
                posted = self.session.post(url, data=data, timeout=UPLOAD, proxy=self.web.proxy)
                async with posted as response:
                    if response.status >= 400:
                        raise NotSent(f"Slack didn't take the file: HTTP {response.status}.")
        except FileNotFoundError as error:
            raise Refused(f"The file {file.name} isn't there any more.", "no_file") from error
        except FAULTS as error:
            raise outcome("the upload", error, is_post=False) from error

    async def _pages(
        self, method: Method, key: str, *, wait: Wait | None = None, **arguments: Any
    ) -> AsyncIterator[list[Message]]:
        """The pages of a list. `wait` is awaited before each call, and after one that failed: it
        is made again, unless that raises."""
        cursor: str | None = None
        failure: NotSent | None = None
        while True:
            if wait is not None:
                await wait(failure)
            try:
                answer = await self.ask(method, limit=PAGE, cursor=cursor, **arguments)
                failure = None
            except NeverSent:
                raise
            except NotSent as error:
                if wait is None:
                    raise
                failure = error
                continue
            yield list(answer.get(key) or ())
            cursor = (answer.get("response_metadata") or {}).get("next_cursor") or None
            if cursor is None:
                return


def _is_whose(message: Message, me: Message) -> bool:
    """Whether a message is of whom `auth.test` tells."""
    keys = (("user", "user_id"), ("bot_id", "bot_id"))
    return any(me.get(told) and message.get(key) == me[told] for key, told in keys)
