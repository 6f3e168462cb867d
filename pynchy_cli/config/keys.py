"""What credentials of Anthropic look like: which variable one belongs into."""

from __future__ import annotations

import re

KINDS = {"sk-ant-oat": "CLAUDE_CODE_OAUTH_TOKEN", "sk-ant-": "ANTHROPIC_API_KEY"}
"""How a credential begins, and the variable that it fills; the first that fits counts."""
_SHAPE = re.compile(r"sk-ant-[A-Za-z0-9_-]{16,500}")


def variable_of(text: str) -> str | None:
    """The variable that a key belongs into; None where it is none, or a part of one."""
    if not _SHAPE.fullmatch(text):
        return None
    return next(name for begin, name in KINDS.items() if text.startswith(begin))
