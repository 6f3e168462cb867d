"""What went wrong at the model, in words for the person who asked: pure functions over what
the client says."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from claude_agent_sdk import ResultMessage

LONG = 500
"""Characters of the client's own words that are repeated."""

MEANING = {
    400: "The model's API refused the request",
    401: "The model's API refused the key; check ANTHROPIC_API_KEY or the login",
    403: "The model's API refused the key; check ANTHROPIC_API_KEY or the login",
    404: "The model's API doesn't know what was asked for; check the name of the model",
    413: "The conversation is too large for the model's API; `reset context` begins a new one",
    429: "The model's API got too many requests from this key; it may be tried again later",
    502: "The gateway to the model does not answer",
    529: "The model is overloaded; it may be tried again later",
}
EMPTY_WORDS = re.compile(
    r"^(?:Failed to authenticate\. )?API Error: (?:\d{3} )?| If it persists, check your .*",
    re.DOTALL,
)
"""What the client says besides: the number once more, and an address that only it knows."""
PERMANENT = frozenset({400, 401, 403, 404, 413})
"""Trying the same again can't help."""
STOPPED = {
    "error_max_turns": "The agent took more steps than it may",
    "error_max_budget_usd": "The agent spent more than it may",
    "error_during_execution": "The agent was interrupted",
}


@dataclass(frozen=True)
class Failure:
    """Why a turn has no answer."""

    words: str
    is_permanent: bool = False


def failure(result: ResultMessage) -> Failure | None:
    """What a result says went wrong; None if it is an answer."""
    if not result.is_error and result.subtype == "success":
        return None
    said = EMPTY_WORDS.sub("", (result.result or "; ".join(result.errors or [])).strip())[:LONG]
    status = result.api_error_status
    if status is not None:
        meaning = MEANING.get(status, "The model's API failed")
        return Failure(_joined(f"{meaning} ({status})", said), status in PERMANENT)
    if result.subtype in STOPPED:
        return Failure(_joined(STOPPED[result.subtype], said))
    return Failure(_joined("The model can't be reached or gave no answer", said))


def died(error: BaseException | None, stderr: Sequence[str]) -> str:
    """What is known of a client that ended by itself."""
    said = " | ".join(line.strip() for line in stderr if line.strip())[-LONG:]
    first = str(error).splitlines()[0] if error is not None and str(error) else "it just ended"
    return _joined(f"The Claude client ended: {first[:LONG]}", said)


def _joined(meaning: str, said: str) -> str:
    return f"{meaning}: {said}" if said else f"{meaning}."
