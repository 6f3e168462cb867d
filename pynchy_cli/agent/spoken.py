"""What of an agent's text is meant for people: everything but what stands between `<internal>` and
`</internal>`. In code these are words like any others."""

from __future__ import annotations

import re

START, END = "<internal>", "</internal>"
_PARTS = re.compile(
    rf"(?P<code>```.*?(?:```|\Z)|`[^`\n]*`)|{START}(?P<hidden>.*?)(?:{END}|(?P<open>\Z))", re.DOTALL
)
_BEGUN = re.compile("|".join(re.escape(START[:length]) + r"\Z" for length in range(9, 0, -1)))


def spoken(text: str, *, is_final: bool) -> str:
    """The text without what is internal. Of one that is still being written, the rest after an
    open `<internal>` is held back; in a final one that never ends it is shown, so that no
    answer is lost by a slip."""

    def kept(part: re.Match[str]) -> str:
        if part["code"] is not None or (part["open"] is not None and is_final):
            return part[0]
        return ""

    found = _PARTS.sub(kept, text)
    if text.lstrip().startswith(START):
        found = found.lstrip()
    return found if is_final else _BEGUN.sub("", found)


def internal(text: str) -> list[str]:
    """What is internal in a final text, for the log."""
    return [
        part["hidden"].strip()
        for part in _PARTS.finditer(text)
        if part["hidden"] is not None and part["open"] is None
    ]
