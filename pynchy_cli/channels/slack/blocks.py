"""A reply as Slack's messages: its text in as many as it needs, what the agent does just now below
it, and buttons under the last. Pure functions; nothing is sent here."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from pynchy_cli.channels.base import Button, Outgoing, Piece
from pynchy_cli.channels.chunks import split
from pynchy_cli.channels.markdown import names_in
from pynchy_cli.channels.passage import utf16
from pynchy_cli.channels.slack.mrkdwn import escaped, measure, mrkdwn

DOING = 120
"""Characters that are shown of what an agent does."""
SECTION = 3_000
LABEL = 75
SAYS = 2_000
BUTTONS = 25
ROW = 5
"""So much Slack takes: of text in a block, on a button and in its value, of buttons, and of those
that stand in a row."""
_BEGUN = re.compile(r"[-*+=_#>~`|]+|\d+[.)]?|[-*+] \[.?\]?")
"""A last line that is nothing yet: of a text that grows it might be taken for something else."""
_MARKS = str.maketrans({"_": "\u02cd", "*": "∗", "`": "ˋ", "~": "∼"})


def pieces(outgoing: Outgoing, limit: int) -> list[Piece]:
    """The messages that show a reply, each `limit` UTF-16 code units at most as Slack writes them.
    One that isn't open ends with exactly what was said."""
    doing = _doing(outgoing)
    limit = min(limit, SECTION) if outgoing.buttons else limit
    text = _without_begun(outgoing.content) if outgoing.is_open else outgoing.content
    names = names_in(text)
    written = [mrkdwn(one, names) for one in split(text, limit, measure(limit, names))]
    texts = [one for one in written if one.strip()]
    if doing:
        below = f"{texts[-1]}\n\n{doing}" if texts else doing
        if texts and utf16(below) <= limit:
            texts[-1] = below
        else:
            texts.append(doing)
    found = [Piece(text) for text in texts]
    if found and outgoing.buttons:
        found[-1] = replace(found[-1], buttons=outgoing.buttons)
    return found


def arguments(piece: Piece) -> dict[str, Any]:
    """What `chat.postMessage` and `chat.update` are given to show it, besides where."""
    if not piece.buttons:
        # Said even if there are none, so that an edit takes away those that were there.
        return {"text": piece.text, "blocks": []}
    sections = [
        {"type": "section", "text": {"type": "mrkdwn", "text": text}} for text in _sections(piece)
    ]
    shown = piece.buttons[:BUTTONS]
    rows = [
        {
            "type": "actions",
            "elements": [_button(one, first + at) for at, one in enumerate(shown[first:][:ROW])],
        }
        for first in range(0, len(shown), ROW)
    ]
    return {"text": piece.text, "blocks": [*sections, *rows]}


def _without_begun(text: str) -> str:
    said, _, last = text.rstrip().rpartition("\n")
    return said.rstrip() if said and _BEGUN.fullmatch(last.strip()) else text


def _doing(outgoing: Outgoing) -> str:
    """What the agent does, in one short line."""
    if not outgoing.is_open or not outgoing.doing:
        return ""
    line = " ".join(outgoing.doing.split()).translate(_MARKS)
    line = line if len(line) <= DOING else f"{line[: DOING - 1].rstrip()}…"
    return f"_{escaped(line)}_" if line else ""


def _sections(piece: Piece) -> list[str]:
    """The text in parts that a block takes; one as a rule, since what has buttons is made so."""
    return split(piece.text, SECTION)


def _button(button: Button, number: int) -> dict[str, Any]:
    element = {
        "type": "button",
        "action_id": f"say-{number}",
        "text": {"type": "plain_text", "text": _cut(button.label, LABEL), "emoji": False},
        "value": button.says[:SAYS],
    }
    return {**element, "style": button.style} if button.style else element


def _cut(label: str, most: int) -> str:
    line = " ".join(label.split()) or "…"
    return line if len(line) <= most else f"{line[: most - 1]}…"
