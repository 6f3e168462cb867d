"""Whether a Slack workspace is set up as it must be: both tokens, scopes, one app, Socket Mode.
Each failure in plain words, with what to do about it. Nothing is changed anywhere."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping
from typing import Any

import aiohttp

from pynchy_cli import locks
from pynchy_cli.channels.slack.api import Api, Message, goes_direct
from pynchy_cli.channels.slack.channel import app_of, lock_of
from pynchy_cli.channels.slack.manifest import APP_SCOPE, SCOPES, USEFUL
from pynchy_cli.channels.slack.outcomes import DENIED, Denied, Refused
from pynchy_cli.channels.slack.report import Finding, Report
from pynchy_cli.channels.slack.socket import WANTED_AWAY
from pynchy_cli.config.channels import MAIN, PLAIN_TOKENS
from pynchy_cli.config.settings import SlackRules
from pynchy_cli.errors import PynchyError

APPS = "https://api.slack.com/apps"
GREETING = 10.0
"""Seconds in which Slack must greet a connection."""
KINDS = {"bot_token": ("xoxb-", "bot token"), "app_token": ("xapp-", "app token")}
ONE = {"bot_token": "a bot token", "app_token": "an app token"}
WHERE = {
    "bot_token": "OAuth & Permissions, Bot User OAuth Token",
    "app_token": f"Basic Information, App-Level Tokens, with the scope {APP_SCOPE}",
}


async def check(
    channel: str,
    name: str,
    rules: SlackRules,
    environ: Mapping[str, str],
    *,
    is_only: bool,
    connects: bool = True,
) -> Report:
    """Look at one workspace, the section of this name; `is_only` where no other is configured.
    Unless it `connects`, whether Socket Mode is on isn't tried, which takes a connection."""
    report = Report(channel, [])
    api = Api(rules)
    checker = _Checker(api, report, name, environ, is_only=is_only, connects=connects)
    try:
        await checker.all()
    finally:
        await api.close()
    return report


class _Checker:
    def __init__(
        self,
        api: Api,
        report: Report,
        name: str,
        environ: Mapping[str, str],
        *,
        is_only: bool,
        connects: bool,
    ) -> None:
        self.api = api
        self.report = report
        self.name = name
        self.environ = environ
        self.is_only = is_only
        self.connects = connects
        self.app_of_bot: str | None = None

    async def all(self) -> None:
        tokens = {key: getattr(self.api.rules, key) for key in KINDS}
        for key, token in tokens.items():
            self._token(key, token)
        wrong = {one.check for one in self.report.findings if one.ok is False}
        if "bot_token" not in wrong:
            await self._bot()
        if "app_token" not in wrong and not self.report.is_away:
            await self._app()

    def _token(self, key: str, token: str) -> None:
        """Whether a token is there, and looks like one of its kind."""
        begins, words = KINDS[key]
        if token.startswith(begins):
            return
        if not token:
            self._wrong(key, f"There is no {words}.", self._put(key))
        else:
            kind = re.match(r"[a-z]{1,5}(?=-)", token)
            said = f"begins with {kind[0]}-" if kind else "doesn't look like a token"
            self._wrong(
                key, f"The {words} {said}; {ONE[key]} begins with {begins}.", self._put(key)
            )

    async def _bot(self) -> None:
        try:
            me = await self.api.ask(self.api.web.auth_test)
        except PynchyError as error:
            self._failed("bot_token", error)
            return
        report = self.report
        report.team, report.team_id = me.get("team"), me.get("team_id")
        report.bot_user = me.get("user_id")
        if not me.get("bot_id"):
            said = "The bot token is a person's, not a bot's."
            self._wrong("bot_token", said, self._put("bot_token"))
            return
        self._right("bot_token", f"The bot token is {me.get('user')}'s, in {me.get('team')}.")
        self._scopes(me)
        try:
            bot = (await self.api.get("bots.info", bot=str(me["bot_id"]))).get("bot")
            self.app_of_bot = bot.get("app_id") if isinstance(bot, dict) else None
        except PynchyError:
            return  # the scope for it is missing, which was said

    def _scopes(self, me: Message) -> None:
        given = me.get("headers", {}).get("x-oauth-scopes")
        if given is None:
            self.report.findings.append(
                Finding("scopes", None, "Slack doesn't tell what the bot may do.")
            )
            return
        has = {scope.strip() for scope in str(given).split(",")}
        missing = [scope for scope in SCOPES if scope not in has]
        for scope in missing:
            self._wrong(
                f"scope {scope}",
                f"The scope {scope} is missing: without it, it can't {SCOPES[scope]}.",
                f"{APPS}, your app, OAuth & Permissions, Bot Token Scopes: add {scope}, then"
                " reinstall the app.",
            )
        if not missing:
            self._right("scopes", "The bot has all scopes that it needs.")
        for scope in USEFUL:
            if scope not in has:
                said = f"The scope {scope} is missing, which only means that it can't"
                finding = Finding(f"scope {scope}", None, f"{said} {USEFUL[scope]}.")
                self.report.findings.append(finding)

    async def _app(self) -> None:
        try:
            url = await self.api.open_socket()
        except PynchyError as error:
            self._failed("app_token", error)
            return
        app = self.report.app_id = app_of(self.api.rules.app_token, url)
        self._right("app_token", f"The app token is that of the app {app}.")
        if self.app_of_bot is not None and self.app_of_bot != app:
            self._wrong(
                "same_app",
                f"The bot token belongs to the app {self.app_of_bot}, the app token to {app}.",
                f"Take both from one app at {APPS}.",
            )
        elif self.app_of_bot is not None:
            self._right("same_app", "Both tokens belong to the same app.")
        if self.connects:
            await self._socket(url, app)

    async def _socket(self, url: str, app: str) -> None:
        """Whether a connection can be had. While somebody listens, none is made: it would take a
        part of what is said away from him."""
        if locks.is_held(lock_of(app, self.environ)):
            self._right("socket_mode", "The app is connected from this machine just now.")
            return
        try:
            said = await self._greeting(url)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            self.report.is_away = True
            why = str(error) or type(error).__name__
            said_why = f"A connection by Socket Mode can't be had just now: {why}."
            self.report.findings.append(Finding("socket_mode", None, said_why))
            return
        if said.get("type") == "hello":
            self._right("socket_mode", "Socket Mode is on.")
            return
        reason = str(said.get("reason") or said.get("type"))
        self._wrong(
            "socket_mode",
            f"Slack wants no connection: {WANTED_AWAY.get(reason, reason)}.",
            f"{APPS}, your app, Socket Mode: Enable Socket Mode."
            if reason == "link_disabled"
            else "Stop the other programs that are connected as this app.",
        )

    async def _greeting(self, url: str) -> Mapping[str, Any]:
        """The first thing that a connection hears."""
        proxy = None if goes_direct(url) else self.api.web.proxy
        async with (
            asyncio.timeout(GREETING),
            self.api.session.ws_connect(url, proxy=proxy) as socket,
        ):
            said = json.loads(await socket.receive_str())
            return said if isinstance(said, dict) else {}

    def _failed(self, check: str, error: PynchyError) -> None:
        words = KINDS[check][1]
        if isinstance(error, Refused) and error.code == "missing_scope":
            self._wrong(check, f"The {words} lacks the scope {error.needed}.", self._put(check))
        elif isinstance(error, Denied):
            why = f"{DENIED[error.code]} ({error.code})"
            self._wrong(check, f"Slack doesn't take the {words}: {why}.", self._put(check))
        elif isinstance(error, Refused):
            self._wrong(check, f"Slack doesn't take the {words}: {error}", self._put(check))
        else:
            self.report.is_away = True
            finding = Finding(check, None, f"The {words} can't be checked: {error}")
            self.report.findings.append(finding)

    def _put(self, key: str) -> str:
        variable = f"PYNCHY_CHANNELS__SLACK__{self.name.upper()}__{key.upper()}"
        if self.is_only and self.name == MAIN:
            variable = next(plain for plain, of in PLAIN_TOKENS.items() if of == key)
        return f"{APPS}, your app, {WHERE[key]}: put it into .env as {variable}={KINDS[key][0]}…"

    def _right(self, check: str, message: str) -> None:
        self.report.findings.append(Finding(check, True, message))

    def _wrong(self, check: str, message: str, fix: str) -> None:
        self.report.findings.append(Finding(check, False, message, fix))
