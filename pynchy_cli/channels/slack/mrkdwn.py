"""Markdown as Slack writes it. Nothing that an agent says can notify a channel or name a person:
only links of ours are written with angle brackets, all others are escaped."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from urllib.parse import urlsplit

from pynchy_cli.channels.chunks import Measure
from pynchy_cli.channels.markdown import Names, Notation, written
from pynchy_cli.channels.passage import utf16

SCHEMES = ("http://", "https://", "mailto:")
"""What a link may begin with; others are text."""
_IN_URL = {"|": "%7C", "<": "%3C", ">": "%3E", " ": "%20", "&": "&amp;", "\n": "", "\r": ""}
_GROWS = re.compile(
    r"^[ \t]*\|?[ \t]*:?-+:?[ \t]*(?:\||$)"  # a table
    r"|^[ >*+\-\d.)\t]*\[[^\n]*\]:"  # a name for an address, which may be used often
    r"|\]\([ \t\n]*<|\||\t|\0"
    r"|^(?:[ \t]{2,}|[ \t]*(?:[>*+-]|\d+[.)])[ \t]*)(?:[>*+-]|\d+[.)])(?:[ \t]|$)",  # a list in one
    re.M,
)
_ADDRESS = re.compile(
    r"(?:://|\bwww\.|(?<![\w.@/-])(?=[\w.-]+\.(?:app|com|dev|edu|gov|io|net|org)\b))"
    r"(?:[^\s/?#]*@)?(?P<host>[\w.-]+)",
    re.I,
)
"""An address in what a link is called."""
_LOOKED = 500
_INDENT = re.compile(r"^[ \t]+", re.M)


class _Mrkdwn(Notation):
    marks: Mapping[str, str] = MappingProxyType({"strong": "*", "em": "_", "s": "~", "code": "`"})

    def escaped(self, text: str) -> str:
        return escaped(text)

    def link(self, label: str, url: str) -> str:
        if not url.lower().startswith(SCHEMES):
            return self.escaped(super().link(label, url))
        target = "".join(_IN_URL.get(one, one) for one in url)
        if label in ("", url) and "|" not in url:
            return f"<{target}>"
        if _misleads(label, url):
            # It says that it leads elsewhere: where it does lead is to be seen, too.
            return f"{self.escaped(label)} <{target}>"
        return f"<{target}|{self.escaped((label or url).replace('|', '¦'))}>"

    def code(self, text: str) -> str:
        return self.escaped(text.replace("`", "ˋ"))

    def block(self, text: str) -> str:
        # Three in a row would end it, wherever they stand.
        apart = re.sub("`(?=`)", "`\u200b", text)
        return f"```\n{self.escaped(apart)}\n```"


def escaped(text: str) -> str:
    """Text that means nothing but itself, as far as it could name somebody or be a link."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _misleads(label: str, url: str) -> bool:
    """Whether a link is called by an address other than that to which it leads."""
    named = _ADDRESS.search(label[:_LOOKED])
    if named is None:
        return False
    try:
        host = urlsplit(url).hostname or url.rpartition("@")[2]
    except ValueError:
        return True
    told = named["host"].lower().strip(".").removeprefix("www.")
    return not f".{host.lower()}".endswith(f".{told}")


def mrkdwn(text: str, names: Names | None = None) -> str:
    """A text in Markdown, as Slack's messages are written; `names` are those of addresses that are
    told elsewhere."""
    return written(text, _Mrkdwn(), names)


def measure(limit: int, names: Names | None = None) -> Measure:
    """UTF-16 code units of a text when it is written for Slack, or no less where that is within the
    limit, too: most texts needn't be written to know that they fit."""

    def measured(text: str) -> int:
        most = limit + 1 if names else at_most(text)
        return most if most <= limit else utf16(mrkdwn(text, names))

    return measured


def at_most(text: str) -> int:
    """No less than what a text measures in Slack; cheap where nothing in it can grow much, as
    characters are only counted then."""
    if _GROWS.search(text):
        return utf16(mrkdwn(text))
    grown = 4 * text.count("&") + 3 * (text.count("<") + text.count(">")) + 2 * text.count("\n")
    marks = sum(text.count(mark) for mark in "*_`~#")
    return utf16(text) + grown + 2 * marks + sum(map(len, _INDENT.findall(text))) + 8
