"""What is reached over a network: the model, Slack, WhatsApp, and our own port. Nothing is asked
that costs money, and nothing is sent to a chat."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Iterator
from ctypes.util import find_library
from importlib.util import find_spec

import aiohttp
from yarl import URL

from pynchy_cli import locks
from pynchy_cli.channels.slack import checks
from pynchy_cli.channels.slack.report import Report
from pynchy_cli.channels.whatsapp import device
from pynchy_cli.config.channels import MAIN, SLACK, called, enabled
from pynchy_cli.errors import ChannelBroken
from pynchy_cli.gateway.headers import upward
from pynchy_cli.gateway.mode import HOW_TO_GET_A_MODEL, Credential, credential_of, mode_of
from pynchy_cli.gateway.upstream import ProxyUnusable, proxy_for, target, why
from pynchy_cli.install.doctor.facts import Facts
from pynchy_cli.install.doctor.finding import Seen, failed, ok, unknown, warning

VERSION = "2023-06-01"
"""The version of the Anthropic API that is spoken."""
FREE = URL("/v1/models?limit=1")
"""A call that costs nothing."""
MAGIC = "`apt install libmagic1`, `dnf install file-libs` or `brew install libmagic`."
NAMES = {"api_key": "ANTHROPIC_API_KEY", "oauth": "CLAUDE_CODE_OAUTH_TOKEN"}


def model_key(facts: Facts) -> Iterator[Seen]:
    """The model takes the key."""
    settings = facts.settings
    credential = credential_of(settings)
    if mode_of(settings) == "rehearsal":
        if settings.gateway.mode == "rehearsal":
            yield ok("A script answers (rehearsal), as configured; no key is used.")
        else:
            todo = HOW_TO_GET_A_MODEL[0].upper() + HOW_TO_GET_A_MODEL[1:] + "."
            yield warning("There is no key: a script answers (rehearsal).", todo)
        return
    assert credential is not None  # as mode_of has said
    where, name = settings.gateway.upstream, NAMES[credential.kind]
    try:
        status = asyncio.run(_asked(where, credential, facts.patience))
    except (aiohttp.ClientError, ProxyUnusable, TimeoutError, OSError) as error:
        reason = why(error) or type(error).__name__
        todo = "Check this machine's network and proxy, and upstream below [gateway]."
        yield failed(f"{where} can't be reached: {reason}.", todo)
        return
    if status < 300:
        yield ok(f"{where} takes the key in {name}.")
    elif status in (401, 403):
        todo = f"Put a valid one into {facts.home.env}; it is used from the next call on."
        yield failed(f"{where} refuses the key in {name} ({status}).", todo)
    else:
        yield unknown(f"{where} answered {status}, which tells nothing of the key.", "Try again.")


async def _asked(where: str, credential: Credential, patience: float) -> int:
    """The status of a free call."""
    url = target(where, FREE)
    proxy, login = proxy_for(url)
    headers = upward({"anthropic-version": VERSION}, credential)
    timeout = aiohttp.ClientTimeout(total=patience)
    async with (
        aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar(), timeout=timeout) as session,
        session.get(
            url, headers=headers, allow_redirects=False, proxy=proxy, proxy_headers=login
        ) as answer,
    ):
        return answer.status


def slack(facts: Facts) -> Iterator[Seen]:
    """Slack takes both tokens, and the app may do what it must."""
    sections = {name: one for name, one in facts.settings.channels.slack.items() if one.enabled}
    if not sections:
        yield ok("No Slack workspace is configured.")
    for name, rules in sections.items():
        channel = called(SLACK, name)
        command = "pynchy auth slack" + (f" {name}" if name != MAIN else "")
        looked = checks.check(
            channel, name, rules, facts.environ, is_only=len(sections) == 1, connects=False
        )
        try:
            report = asyncio.run(asyncio.wait_for(looked, facts.patience))
        except TimeoutError:
            yield unknown(f"{channel}: Slack doesn't answer.", "Check this machine's network.")
            continue
        yield from _of_slack(report, command)


def _of_slack(report: Report, command: str) -> Iterator[Seen]:
    for one in report.findings:
        said = f"{report.channel}: {one.message}"
        if one.ok is False:
            yield failed(said, one.fix or f"`{command}` tells more.", command=command)
    if report.is_away:
        said = next(one.message for one in report.findings if one.ok is None)
        yield failed(f"{report.channel}: {said}", "Check this machine's network.", command=command)
    elif report.is_ok:
        yield ok(f"{report.channel}: both tokens are taken, in {report.team}.")


def whatsapp(facts: Facts) -> Iterator[Seen]:
    """A WhatsApp account is linked, and its library is there."""
    rules, database = facts.settings.channels.whatsapp.get(MAIN), facts.home.whatsapp
    if rules is None or not rules.enabled:
        yield ok("No WhatsApp account is configured.")
        return
    if find_spec("neonize") is None:
        yield failed("The library for WhatsApp is missing.", '`pip install "pynchy[whatsapp]"`.')
        return
    if find_library("magic") is None:
        yield failed("The library libmagic is missing, which WhatsApp's needs.", MAGIC)
        return
    if unusable := sorted(set(str(database)) & set(device.UNUSABLE)):
        said = (
            f"The home's path holds {' and '.join(unusable)}, which WhatsApp's library can't read."
        )
        yield failed(said, "Choose another home.")
        return
    try:
        linked = device.paired(database, in_use=True)
    except ChannelBroken as error:
        yield failed(str(error), "`pynchy auth whatsapp` links it again.")
        return
    if linked is None:
        yield failed("No WhatsApp account is linked here.", "`pynchy auth whatsapp` links one.")
    else:
        yield ok(f"{linked.in_words()} is linked.")


def connected(facts: Facts) -> Iterator[Seen]:
    """Each channel whose stage runs has its connection."""
    alive = [one for one in facts.running() if one.stage.startswith("listen@")]
    seen = [
        failed(
            f"{one.stage} runs, and isn't connected: {one.error or 'it tries'}.",
            "`pynchy status` and `pynchy logs` tell more.",
        )
        for one in alive
        if one.connected == 0
    ]
    told = f"{len(alive)} of {len(enabled(facts.settings))} networks' stages run, all connected."
    yield from seen or [ok(told)]


def port(facts: Facts) -> Iterator[Seen]:
    """The port of [serve] is its own."""
    serve = facts.settings.serve
    if not serve.port:
        yield ok("[serve] has its unix socket alone.")
        return
    where = f"{serve.host}:{serve.port}"
    if locks.is_held(facts.home.locks / "serve.lock"):
        yield _of_serve(str(facts.status()["stages"]["serve"]["error"] or ""), where, serve.port)
        return
    kind = socket.AF_INET6 if ":" in serve.host else socket.AF_INET
    with socket.socket(kind, socket.SOCK_STREAM) as door:
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            door.bind((serve.host, serve.port))
        except socket.gaierror:
            yield failed(f"{serve.host} is no address of this machine.", "Set host below [serve].")
        except OSError as error:
            yield _of_bind(error, where, serve.port)
        else:
            yield ok(f"{where} is free.")


def _of_serve(error: str, where: str, port: int) -> Seen:
    """What `serve`, which runs, says of its port."""
    return failed(error, _who_listens(port)) if where in error else ok(f"`serve` is at {where}.")


def _who_listens(port: int) -> str:
    return f"`ss -ltnp sport = :{port}` tells who; end that, or set port below [serve]."


def _of_bind(error: OSError, where: str, port: int) -> Seen:
    if error.errno == errno.EADDRINUSE:
        seen = f"Another program listens at {where}, so `serve` can't."
        return failed(seen, _who_listens(port))
    reason = error.strerror or str(error)
    return failed(f"`serve` can't listen at {where}: {reason}.", "Set host and port below [serve].")
