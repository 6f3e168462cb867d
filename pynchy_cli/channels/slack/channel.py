"""A Slack workspace as a channel: lets itself in, holds the connection, posts, edits and finds. One
process may do that for an app, since Slack gives each connection a part of what is said."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from pynchy_cli import locks
from pynchy_cli.channels.base import Away, Host, NotSent, Outgoing, OutgoingFile, Piece, Place
from pynchy_cli.channels.slack import blocks
from pynchy_cli.channels.slack.api import Api, Message
from pynchy_cli.channels.slack.connection import Connection
from pynchy_cli.channels.slack.events import Identity
from pynchy_cli.channels.slack.outcomes import Denied, Refused
from pynchy_cli.config.channels import section_of, slack_rules
from pynchy_cli.config.paths import runtime
from pynchy_cli.config.settings import Settings
from pynchy_cli.errors import (
    AlreadyRunning,
    DatabaseBusy,
    DatabaseFull,
    LoggedOut,
)

LIMIT = 3500
"""UTF-16 units in one message, so that it can be changed, too: Slack takes 4,000 there."""
LONGEST_PAUSE = 30.0
_APP = re.compile(r"xapp-\d+-(A[0-9A-Z]+)-?")


class SlackChannel:
    """One workspace, as the section of this channel configures it. Raises UsageWrong where there is
    none."""

    capabilities = frozenset({"edit", "history", "threads", "buttons", "files", "ordered"})
    limit = LIMIT
    at_once = 20

    def __init__(
        self, name: str, settings: Settings, environ: Mapping[str, str] = os.environ
    ) -> None:
        self.name = self.title = name
        self.rules = slack_rules(settings, name)
        self.edit_interval = self.rules.edit_interval
        self.settle = self.rules.settle
        self.on_unknown: str = self.rules.on_unknown
        self._agent = settings.agent
        self._environ = environ
        self._api = Api(self.rules)

    async def run(self, host: Host) -> None:
        """Hold the connection until cancelled. Raises LoggedOut where only a person can mend it,
        and AlreadyRunning where another process is connected as this app."""
        try:
            who, url = await self._enter(host)
            with only_one(who.app_id, self._environ):
                await Connection(self._api, who, host).run(url)
        finally:
            await self._api.close()

    def render(self, reply: Outgoing) -> list[Piece]:
        """The messages by which a reply is shown."""
        return blocks.pieces(reply, self.limit)

    async def post(self, place: Place, piece: Piece, mark: str) -> str:
        """Post a message; its id. Raises NotSent, NeverSent, Unsure, Away."""
        return await self._api.post(place, blocks.arguments(piece), mark)

    async def edit(self, place: Place, remote_id: str, piece: Piece) -> None:
        """Change a message of ours. Raises NotSent, NeverSent, Away."""
        await self._api.edit(place, remote_id, blocks.arguments(piece))

    async def remove(self, place: Place, remote_id: str) -> None:
        """Take a message of ours out. Raises NotSent, Away."""
        await self._api.remove(place, remote_id)

    async def find(self, place: Place, mark: str, after_id: str | None, since: str) -> str | None:
        """The id of what was posted with this mark. Raises NotSent, NeverSent, Away."""
        return await self._api.find(place, mark, after_id, since)

    async def find_file(
        self,
        place: Place,
        file: OutgoingFile,
        sent: Collection[str],
        after_id: str | None,
        since: str,
    ) -> str | None:
        """The id of such a file, which is none of those `sent`. Raises NotSent, NeverSent, Away."""
        return await self._api.find_file(place, file, sent, after_id, since)

    async def send_file(self, place: Place, file: OutgoingFile) -> str:
        """Post a file; its id. Raises NotSent, NeverSent, Unsure, Away."""
        return await self._api.send_file(place, file)

    async def _enter(self, host: Host) -> tuple[Identity, str]:
        """Who we are there, and an address to connect to, as soon as Slack can be reached."""
        require_tokens(self.name, self.rules.bot_token, self.rules.app_token)
        pause = self.rules.ping_interval
        while True:
            try:
                me = await self._api.who()
                url = await self._api.open_socket()
                return self._identity(me, url), url
            except (Denied, Refused) as error:
                raise LoggedOut(f"{error} `{_auth(self.name)}` tells more.") from error
            except (NotSent, Away) as error:
                _tell(host, str(error))
                asked = error.retry_after if isinstance(error, NotSent) else None
                await asyncio.sleep(asked or pause)
                pause = min(LONGEST_PAUSE, 2 * pause)

    def _identity(self, me: Message, url: str) -> Identity:
        return Identity(
            team=str(me.get("team_id") or ""),
            app_id=app_of(self.rules.app_token, url),
            bot_user=str(me.get("user_id") or ""),
            bot_id=str(me.get("bot_id") or ""),
            agent_name=self._agent.name,
            waking=self._agent.trigger_aliases,
        )


def app_of(app_token: str, url: str = "") -> str:
    """The app whose token it is: as the address says that was got by it, else the token itself."""
    asked = parse_qs(urlsplit(url).query).get("app_id", [])
    found = _APP.match(app_token)
    return asked[0] if asked else found[1] if found else ""


def lock_of(app_id: str, environ: Mapping[str, str]) -> Path:
    """The lock of whoever is connected as an app, for all homes of this user."""
    return runtime(environ) / "apps" / f"slack-{app_id}.lock"


def require_tokens(channel: str, bot_token: str, app_token: str) -> None:
    """Raises LoggedOut where a token is missing."""
    for name, token in (("bot_token", bot_token), ("app_token", app_token)):
        if not token:
            raise LoggedOut(
                f"The {name} of the channel {channel} isn't set. `{_auth(channel)}` tells how."
            )


@contextlib.contextmanager
def only_one(app_id: str, environ: Mapping[str, str]) -> Iterator[None]:
    """Be the one process that is connected as an app. Raises AlreadyRunning."""
    lock = locks.take(lock_of(app_id, environ))
    if lock is None:
        raise AlreadyRunning(
            f"Another process on this machine is connected as the Slack app {app_id}. Slack would"
            " give each of them a part of what is said. Stop that one, or make an app of its own"
            " for this home: `pynchy auth slack --manifest`."
        )
    try:
        yield
    finally:
        lock.release()


def _auth(channel: str) -> str:
    return f"pynchy auth slack {section_of(channel)[1]}"


def _tell(host: Host, why: str) -> None:
    with contextlib.suppress(DatabaseBusy, DatabaseFull):
        host.state(False, why)
