"""The few calls that a sandbox may make. Whatever isn't in this table doesn't exist, however
its path is spelt."""

from __future__ import annotations

import re
from typing import Literal

Call = Literal["messages", "count_tokens", "models", "hello"]

_DOORS: tuple[tuple[str, re.Pattern[str], Call], ...] = (
    ("POST", re.compile(r"/v1/messages"), "messages"),
    ("POST", re.compile(r"/v1/messages/count_tokens"), "count_tokens"),
    ("GET", re.compile(r"/v1/models(/[A-Za-z0-9][A-Za-z0-9._:@-]*)?"), "models"),
    ("GET", re.compile(r"/(api/hello)?"), "hello"),
    ("HEAD", re.compile(r"/(api/hello)?"), "hello"),
)


def call_of(method: str, raw_path: str) -> Call | None:
    """The call behind a method and a path as it was sent, or None."""
    for known, pattern, call in _DOORS:
        if method == known and pattern.fullmatch(raw_path):
            return call
    return None
