"""What came of a call of Slack's Web API, as one of the outcomes that channels tell apart. What may
have been posted though its answer was lost is never told as not sent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import aiohttp
from slack_sdk.errors import SlackApiError

from pynchy_cli.channels.base import Away, NeverSent, NotSent, Unsure
from pynchy_cli.errors import PynchyError

FAULTS = (SlackApiError, aiohttp.ClientError, TimeoutError, OSError, AttributeError)
"""What a call raises; AttributeError where slack_sdk stumbles over an answer in plain text."""
DENIED = {
    "access_denied": "access is denied",
    "account_inactive": "the token's account was removed, or the app taken out of the workspace",
    "ekm_access_denied": "the workspace's administrators have suspended access",
    "enterprise_is_restricted": "the organisation doesn't let apps do this",
    "forbidden_team": "the workspace may not use this",
    "invalid_auth": "the token isn't valid",
    "not_allowed_token_type": "this kind of token isn't the one that is needed",
    "not_authed": "there is no token",
    "org_login_required": "the workspace is being moved into an organisation",
    "team_access_not_granted": "the app isn't approved for this workspace",
    "token_expired": "the token has expired",
    "token_revoked": "the token was revoked",
}
"""Why Slack lets nobody in, in words."""
LATER = frozenset({"ratelimited", "rate_limited", "request_timeout", "team_added_to_org"})
"""Nothing was done, and it may be asked again."""
CLOUDY = frozenset({"fatal_error", "internal_error", "service_unavailable"})
"""Slack itself doesn't know how much of it was done."""
REASONS = {
    "cant_delete_message": "it may not be taken out",
    "cant_update_message": "it may not be changed",
    "channel_not_found": "there is no such chat, or the app isn't in it",
    "edit_window_closed": "it is too old to be changed",
    "invalid_blocks": "Slack can't show it so",
    "is_archived": "the chat is archived",
    "message_not_found": "there is no such message any more",
    "msg_blocks_too_long": "it is too long",
    "msg_too_long": "it is too long",
    "no_text": "there is nothing in it",
    "not_in_channel": "the app isn't in the chat: invite it there",
    "restricted_action": "the workspace's settings don't allow it",
    "thread_not_found": "there is no such thread",
}
"""Why Slack will never take something, in words."""
PATIENCE = 30.0
"""Seconds to wait where Slack asks us to, and doesn't say how long."""
LONGEST = 3600.0


class Denied(Away):
    """Slack doesn't let us in; `code` is its word for why."""

    def __init__(self, why: str, code: str) -> None:
        super().__init__(why)
        self.code = code


class Refused(NeverSent):
    """Slack will never do it; `code` is its word for why, `needed` the scope that is missing."""

    def __init__(self, why: str, code: str, needed: str = "") -> None:
        super().__init__(why)
        self.code = code
        self.needed = needed


def outcome(method: str, error: Exception, *, is_post: bool) -> PynchyError:
    """Our error for what a call of `method` has raised. A lost answer leaves it unsure whether
    something `is_post`ed stands there; everything else may be done twice, and wasn't done."""
    if isinstance(error, SlackApiError):
        return _answered(method, error, is_post=is_post)
    if isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
        why = getattr(error, "strerror", None) or _words(error)
        return Away(f"Slack can't be reached: {why}.")
    why = f"Slack's answer to {method} was lost: {_words(error)}."
    return Unsure(why) if is_post else NotSent(why)


def _answered(method: str, error: SlackApiError, *, is_post: bool) -> PynchyError:
    status, headers, data = _parts(error)
    code = str(data.get("error") or "")
    if status == 429 or code in ("ratelimited", "rate_limited"):
        wait = _seconds(headers.get("Retry-After"))
        return NotSent(f"Slack asks for {wait:g} s of patience with {method}.", wait)
    if code in DENIED:
        return Denied(f"Slack doesn't let us in: {DENIED[code]} ({code}).", code)
    if not code or status >= 500 or code in CLOUDY:
        why = f"Slack failed at {method}: {code or _shown(status)}."
        return Unsure(why) if is_post and status != 404 else NotSent(why)
    if code in LATER:
        return NotSent(f"Slack would not do {method} just now: {code}.")
    needed = str(data.get("needed") or "")
    reason = f"the app has no scope {needed}" if needed else REASONS.get(code, "it can't be done")
    return Refused(f"Slack refuses {method}: {reason} ({code}).", code, needed)


def _parts(error: SlackApiError) -> tuple[int, Mapping[str, str], Mapping[str, Any]]:
    """Status, headers and body of an answer; slack_sdk gives aiohttp's own where the body isn't
    JSON."""
    response: Any = error.response
    status = getattr(response, "status_code", None) or getattr(response, "status", None) or 0
    data = getattr(response, "data", None)
    return int(status), response.headers, data if isinstance(data, dict) else {}


def _seconds(asked: str | None) -> float:
    try:
        return min(LONGEST, max(0.0, float(asked or PATIENCE)))
    except ValueError:
        return PATIENCE


def _shown(status: int) -> str:
    """An answer that says nothing: an error's page, or that of a proxy or a hotspot before us."""
    return f"HTTP {status}" if status >= 400 else f"an answer that isn't Slack's (HTTP {status})"


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__
