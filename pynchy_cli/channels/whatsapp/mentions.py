"""People who are mentioned in a text, by the names that are known of them. A mention of the account
calls the assistant only where the account is its own, and no other name passes for that."""

from __future__ import annotations

import re
from collections.abc import Iterable

from pynchy_cli.channels.seen import NO_CALL
from pynchy_cli.channels.whatsapp import addresses, contents
from pynchy_cli.channels.whatsapp.names import Names
from pynchy_cli.channels.whatsapp.speakers import Identity

MOST = 100
"""Mentions of one message that are looked at."""
_MENTION = re.compile(r"@([0-9]{4,20})")


class Mentions:
    """Puts names in the place of numbers."""

    def __init__(self, who: Identity, names: Names) -> None:
        self._who = who
        self._names = names

    def named(self, text: str, jids: Iterable[str]) -> str:
        """The text, in which `@4912345` is `@` and a name for those who are mentioned by `jids`."""
        known: dict[str, str] = {}
        for jid, _ in zip(jids, range(MOST), strict=False):
            address = addresses.written(jid)
            person = addresses.person(address, None, self._names)
            if address is not None and person is not None and (name := self._name(person)):
                known[address.user] = name
        if not known:
            return text
        return _MENTION.sub(lambda found: known.get(found[1], found[0]), text)[: contents.LONGEST]

    def _name(self, person: str) -> str | None:
        if self._who.is_own(person) and self._who.is_assistants:
            return f"@{self._who.agent_name}"
        name = self._names.called(person)
        if name is None:
            # The number, where only the LID stands there.
            return f"@{person}" if "@" not in person else None
        waking = "|".join(map(re.escape, (self._who.agent_name, *self._who.waking)))
        # As calls are looked for: there are letters that are one in this way, and in no other.
        taken = re.match(waking, name, re.IGNORECASE) is not None
        return f"@{NO_CALL}{name}" if taken else f"@{name}"
