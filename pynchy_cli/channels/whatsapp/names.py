"""What people and groups on WhatsApp are called, and whose LID is whose: as they tell it with what
they say and do. Nobody is asked, but for what the library has stored."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from pynchy_cli.channels.seen import letters, line
from pynchy_cli.channels.whatsapp import addresses
from pynchy_cli.model import Chat

if TYPE_CHECKING:
    from neonize.proto.Neonize_pb2 import GroupInfo, GroupInfoEvent

MOST = 10_000
"""Names that are remembered, and as many LIDs."""


def _nobody(lid: str) -> str | None:
    return None


class Names:
    """Remembers `most` at most. `ask` gives the phone number that the library knows of a LID, both
    as digits."""

    def __init__(self, ask: Callable[[str], str | None] = _nobody, most: int = MOST) -> None:
        self._ask = ask
        self._most = most
        self._names: dict[str, str] = {}
        self._first: dict[str, str] = {}
        self._numbers: dict[str, str] = {}
        self._lids: dict[str, str] = {}

    def called(self, id: str) -> str | None:
        """The name of a person or a group, where it is known."""
        return self._names.get(id)

    def learn(self, id: str, name: str) -> None:
        """Somebody, or a group, is called so now."""
        if shown := line(name):
            self._keep(self._names, id, shown)

    def is_anothers(self, name: str, id: str, chat: str) -> bool:
        """Whether somebody else went by a name, or one that looks like it, in a chat before."""
        key = f"{chat} {letters(name) or name}"
        first = self._first.get(key, id)
        if first != id and self._numbers.get(first.partition("@")[0]) != id:
            return True
        self._keep(self._first, key, id)
        return False

    def number_of(self, lid: str) -> str | None:
        """The phone number of a LID, both as digits, where it is known."""
        number = self._numbers.get(lid)
        if number is None and (number := self._ask(lid)):
            self.same(lid, number)
        return number

    def same(self, lid: str, number: str) -> None:
        """They are one person's."""
        self._keep(self._numbers, lid, number)
        self._keep(self._lids, number, lid)

    def lid_of(self, number: str) -> str | None:
        """The LID of a phone number, both as digits, where somebody has told of both."""
        return self._lids.get(number)

    def joined(self, info: GroupInfo) -> Chat | None:
        """A group that we are in; None where it is none."""
        address = addresses.address(info.JID)
        if address is None or not address.is_group:
            return None
        self.learn(str(address), addresses.plain(info.GroupName.Name))
        for one in info.Participants:
            known = [addresses.address(jid) for jid in (one.JID, one.LID, one.PhoneNumber)]
            there = {found.server: found for found in known if found is not None}
            addresses.person(there.get(addresses.NUMBERS), there.get(addresses.LIDS), self)
        return Chat(addresses.chat_of(address), self.called(str(address)))

    def changed(self, event: GroupInfoEvent) -> Chat | None:
        """A group whose name was changed; None where something else was."""
        address = addresses.address(event.JID)
        name = line(addresses.plain(event.Name.Name)) if event.HasField("Name") else ""
        if address is None or not address.is_group or not name:
            return None
        self.learn(str(address), name)
        return Chat(addresses.chat_of(address), name)

    def _keep(self, where: dict[str, str], key: str, value: str) -> None:
        where.pop(key, None)
        while len(where) >= self._most:
            del where[next(iter(where))]
        where[key] = value
