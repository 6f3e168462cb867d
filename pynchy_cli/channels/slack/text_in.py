"""Slack's text as people and agents read it. Whoever else is called as the assistant is, and is
mentioned where one calls the assistant, doesn't pass for it: people choose their names."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Protocol

from pynchy_cli.channels.seen import NO_CALL, line, whole

LONGEST = 200_000
"""Characters of a text that are read; Slack itself cuts off after 40,000."""
ID = re.compile(r"[A-Z][A-Z0-9]{0,63}")
"""How Slack's ids look: none passes for anything else in ours."""
_CODE = re.compile(r"```.*?```|`[^`\n]+`", re.DOTALL)
_MARK = re.compile(r"<([^<>]*)>|&(amp|lt|gt);")
_PLAIN = {"amp": "&", "lt": "<", "gt": ">"}
_SCHEME = re.compile(r"^(?:mailto:|tel:|[a-z][a-z0-9+.-]*://)", re.IGNORECASE)


class Known(Protocol):
    """What things are called."""

    def called(self, id: str) -> str | None:
        """The name of a user, a channel (`#dev`) or a user group, where it is known."""


@dataclass
class Reader:
    """Reads the texts of one message. `wants` are the ids that have no name yet, in order."""

    names: Known
    bot_user: str
    waking: tuple[str, ...]
    """The words that wake the assistant; the first is its name."""
    wants: list[str] = field(default_factory=list)

    def text(self, raw: str) -> str:
        """A message's text, with names for ids and plain characters for escaped ones."""
        raw = whole(raw)
        parts = []
        end = 0
        for code in _CODE.finditer(raw):
            parts.append(self._outside(raw[end : code.start()], end == 0))
            parts.append(_MARK.sub(lambda found: self._mark(found, in_code=True), code[0]))
            end = code.end()
        parts.append(self._outside(raw[end:], end == 0))
        return "".join(parts)

    def user(self, id: str, label: str = "", *, may_call: bool = False) -> str:
        """A person, as they are mentioned."""
        if id == self.bot_user:
            return f"@{self.waking[0]}"
        return self._at(self._called(id) or line(label) or id, guarded=may_call)

    def _outside(self, raw: str, is_first: bool) -> str:
        start = len(raw) - len(raw.lstrip()) if is_first else -1
        return _MARK.sub(lambda found: self._mark(found, may_call=found.start() == start), raw)

    def _mark(self, found: re.Match[str], *, in_code: bool = False, may_call: bool = False) -> str:
        if found[2]:
            return _PLAIN[found[2]]
        target, _, label = found[1].partition("|")
        label = _unescaped(label)
        match target[:1]:
            case "@":
                return self.user(target[1:], label, may_call=may_call)
            case "#":
                return self.channel(target[1:], label)
            case "!":
                return self._special(target[1:], label, may_call)
            case "":
                return _unescaped(found[0])
        return link(_unescaped(target), label, in_code=in_code)

    def channel(self, id: str, label: str = "") -> str:
        """A channel, as it is mentioned."""
        name = line(label) or self._called(id) or id
        return name if name.startswith("#") else f"#{name}"

    def group(self, id: str, label: str = "", *, may_call: bool = False) -> str:
        """A group of users, as it is mentioned."""
        name = line(label).removeprefix("@") or self._called(id) or id
        return self._at(name, guarded=may_call)

    def _special(self, target: str, label: str, may_call: bool) -> str:
        kind, _, rest = target.partition("^")
        if kind == "subteam":
            return self.group(rest, label, may_call=may_call)
        if kind in ("here", "channel", "everyone"):
            return f"@{kind}"
        return line(label) or kind

    def _called(self, id: str) -> str | None:
        name = self.names.called(id)
        if name is None and ID.fullmatch(id):
            self.wants.append(id)
        return name

    def _at(self, name: str, *, guarded: bool) -> str:
        taken = name.casefold().startswith(tuple(word.casefold() for word in self.waking))
        return f"@{NO_CALL}{name}" if guarded and taken else f"@{name}"


def _unescaped(text: str) -> str:
    return re.sub("&(amp|lt|gt);", lambda found: _PLAIN[found[1]], text)


def link(url: str, label: str, *, in_code: bool = False) -> str:
    """A link, as it is read: its label and where it leads, or only that where it says the same."""
    if in_code:
        return label or url
    bare = _SCHEME.sub("", url)
    if label and label.rstrip("/") == bare.rstrip("/"):
        return label  # as it was typed: Slack makes links of names of files, too
    if not label or label.rstrip("/") == url.rstrip("/"):
        return bare if url.lower().startswith(("mailto:", "tel:")) else url
    return f"{label} ({url})"
