"""Passes a call on to the real model with the real credential, and its answer back as it
comes. Neither a log line nor an answer ever holds the credential, even if the model says it."""

from __future__ import annotations

import asyncio
import base64
from urllib.request import getproxies, proxy_bypass

import aiohttp
from aiohttp import web
from yarl import URL

from pynchy_cli.gateway.body import Body
from pynchy_cli.gateway.headers import downward, upward
from pynchy_cli.gateway.mask import Mask, masked
from pynchy_cli.gateway.mode import Credential
from pynchy_cli.gateway.patience import Patience
from pynchy_cli.gateway.refusals import refusal
from pynchy_cli.log import Log


class Upstream:
    """The connections to the model."""

    def __init__(self, log: Log, patience: Patience) -> None:
        self._log = log
        self._patience = patience
        self._session: aiohttp.ClientSession | None = None
        self._refused: Credential | None = None

    async def pass_on(
        self, request: web.BaseRequest, base: str, credential: Credential, limit: int
    ) -> web.StreamResponse:
        """The model's answer to the sandbox's call, or why there is none."""
        body = Body(request.content, limit)
        url = target(base, request.rel_url)
        try:
            proxy, login = proxy_for(url)
            async with self._open().request(
                request.method,
                url,
                headers=upward(request.headers, credential),
                data=body.pieces() if request.body_exists else None,
                allow_redirects=False,  # the credential is for this host alone
                proxy=proxy,
                proxy_headers=login,
            ) as received:
                self._note(received.status, credential)
                return await self._pass_back(request, received, credential)
        except TimeoutError:
            return self._none(504, f"{url.host} did not answer in time", credential)
        except (aiohttp.ClientError, ProxyUnusable) as error:
            if body.is_too_large:
                return refusal(413, f"A call may have {limit} bytes.")
            return self._none(502, f"{url.host} can't be reached ({why(error)})", credential)

    async def _pass_back(
        self,
        request: web.BaseRequest,
        received: aiohttp.ClientResponse,
        credential: Credential,
    ) -> web.StreamResponse:
        answer = web.StreamResponse(
            status=received.status, headers=downward(received.headers, credential)
        )
        mask = Mask(credential.secret.encode())
        is_stream = received.content_type == "text/event-stream"
        patience = self._patience.stream if is_stream else self._patience.silence
        await answer.prepare(request)
        try:
            while True:
                async with asyncio.timeout(patience):
                    piece = await received.content.readany()
                if not piece:
                    break
                if passed := mask.feed(piece):
                    await answer.write(passed)
            await answer.write_eof(mask.end())
        except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
            # The answer has begun: all that can still be told is that it isn't whole.
            if request.transport is not None and not request.transport.is_closing():
                self._log.warning("answer cut off", reason=type(error).__name__)
                request.transport.close()
        return answer

    def _none(self, status: int, reason: str, credential: Credential) -> web.Response:
        reason = masked(reason, credential.secret)
        self._log.warning("no answer from the model", reason=reason)
        return refusal(status, f"{reason}. Try again later.")

    def _note(self, status: int, credential: Credential) -> None:
        """Say once for each credential that the model refuses it."""
        if status == 401 and credential != self._refused:
            self._refused = credential
            name = (
                "ANTHROPIC_API_KEY" if credential.kind == "api_key" else "CLAUDE_CODE_OAUTH_TOKEN"
            )
            self._log.error(f"The model refuses the key in {name}. Put a valid one into .env.")
        elif status < 400:
            self._refused = None

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(
                    total=None,
                    sock_connect=self._patience.connect,
                    sock_read=self._patience.silence,
                ),
            )
        return self._session

    async def close(self) -> None:
        """Let go of all connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None


def target(base: str, asked: URL) -> URL:
    """Where a call goes: our own host and path in front of what was asked for."""
    query = f"?{asked.raw_query_string}" if asked.raw_query_string else ""
    return URL(f"{base.rstrip('/')}{asked.raw_path}{query}", encoded=True)


class ProxyUnusable(Exception):
    """The environment names a proxy by what is no address."""


def proxy_for(url: URL) -> tuple[URL | None, dict[str, str]]:
    """The proxy that the environment names for an address, and a header with our login there,
    which must not stay in an address: errors repeat those. (aiohttp's own way of asking would
    also put passwords from ~/.netrc in the credential's place.) Raises ProxyUnusable."""
    named = None if proxy_bypass(url.host or "") else getproxies().get(url.scheme)
    if not named:
        return None, {}
    try:
        proxy = URL(named if "://" in named else f"http://{named}")
    except ValueError as error:
        raise ProxyUnusable("the proxy that the environment names has no address") from error
    if not proxy.user:
        return proxy, {}
    login = base64.b64encode(f"{proxy.user}:{proxy.password or ''}".encode())
    # aiohttp makes Proxy-Authorization of it, whichever way it asks.
    return proxy.with_user(None), {"Authorization": f"Basic {login.decode()}"}


def why(error: Exception) -> str:
    """An error in words. Of one that repeats an address, or what was answered, no more than
    its kind: neither is the sandbox's business."""
    match error:
        case aiohttp.ClientHttpProxyError(status=status):
            return f"the proxy answered {status}"
        case aiohttp.ClientResponseError() | aiohttp.InvalidURL():
            return type(error).__name__
    return str(error)
