"""Who may speak to a group's assistant. Asked once, when a message comes in; the verdict is
stored with the message and never asked again. What can't be decided is refused. Who may decide
what is asked is a list of names of the same kind."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field

from pynchy_cli.config import channels, phones
from pynchy_cli.config.settings import Settings
from pynchy_cli.model import Group, Verdict

OWNER = "owner"
"""Whoever has the shell: what the channels of the shell call their sender. Also whom [channels]
name as the owner on their networks."""
LOCAL = "local"
API = "api"
"""Whoever speaks over HTTP and shows no token: heard by every group, and obeyed by nobody. Both the
channel and the sender are called so."""
SHELL_CHANNELS = frozenset({LOCAL, "stdin"})
EVERYONE = "*"


@dataclass(frozen=True)
class People:
    """Whom names mean: `owner`, `*`, a list's name, ids as the channel gives them, or
    `channel:id`. `owners` are the owner's ids on networks, each as `kind:id`."""

    owners: frozenset[str] = frozenset()
    lists: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    def of(cls, settings: Settings) -> People:
        """As the settings have it."""
        lists = {name: rules.members for name, rules in settings.people.items()}
        return cls(frozenset(channels.owners(settings)), lists)

    def verdict(self, group: Group | None, channel: str, sender: str) -> Verdict:
        """Whether `sender` of `channel` may speak to the group. A chat of no group takes nobody."""
        if group is None:
            return "refused"
        return "allowed" if self.is_one_of(group.allowed_users, channel, sender) else "refused"

    def is_one_of(
        self, names: Iterable[str], channel: str, sender: str, *, everyone: bool = True
    ) -> bool:
        """Whether whoever is called `sender` on a channel is among some names. Without `everyone`
        `*` names nobody, be it in a list."""
        if not sender:
            return False
        meant = self._meant(names)
        if everyone and EVERYONE in meant:
            return True
        if OWNER in meant and self.is_owner(channel, sender):
            return True
        if not meant.isdisjoint(_addresses(channel, sender)):
            return True
        # A network's user who calls himself `owner`, or as a list is called, is neither; and an
        # id with a colon in it could pass for another channel's.
        is_plain = ":" not in sender and sender not in (OWNER, EVERYONE, *self.lists)
        return is_plain and sender in set(names)

    def is_owner(self, channel: str, sender: str) -> bool:
        """Whether that is the owner: whoever has the shell, or whom a network's section names."""
        if channel in SHELL_CHANNELS:
            return sender == OWNER
        return not self.owners.isdisjoint(_addresses(channel, sender))

    def _meant(self, names: Iterable[str]) -> set[str]:
        """The names with lists opened, however they nest. In a list an id needs its channel."""
        found: set[str] = set()
        waiting = list(names)
        while waiting:
            name = phones.meant(waiting.pop())
            if name not in found:
                found.add(name)
                waiting += self.lists.get(name, ()) if _may_be_list(name) else ()
        return found


def name_of(channel: str, sender: str) -> str:
    """What a sender is called in notes of who decided what: `owner`, or `channel:id`."""
    is_owner = sender == OWNER and channel in SHELL_CHANNELS
    return OWNER if is_owner else f"{channel}:{sender}"


def unknown_names(settings: Settings, groups: Iterable[Group]) -> list[str]:
    """What is to be said of names that mean nobody, or more people than one may think."""
    lists = settings.people
    known = {OWNER, EVERYONE, *filter(_may_be_list, lists)}
    found = [
        f"[people.{name}] can't be named: {name!r} means something else."
        for name in lists
        if not _may_be_list(name)
    ]
    for name, rules in lists.items():
        found += [
            f"[people.{name}] members: there is no list {one!r}, so it means nobody. Somebody on a "
            "network is named with that, such as slack:U012ABCDEF."
            for one in _unknown(rules.members, known)
        ]
        found += _nobody(f"[people.{name}] members", rules.members)
    named = {"[approvals] approvers": settings.approvals.approvers}
    named |= {f"The users of the group {group.folder}": group.allowed_users for group in groups}
    for where, names in named.items():
        found += [
            f"{where}: there is no list {one!r}, so it means whoever has that id on any network; "
            f"{_example(one)} means one."
            for one in _unknown(names, known)
        ]
        found += _nobody(where, names)
    return found


def _example(name: str) -> str:
    # Nobody in Slack is called by digits, and nobody in WhatsApp by anything else.
    number = phones.digits(name)
    return f"whatsapp:{number}" if number else f"slack:{name}"


def _unknown(names: Iterable[str], known: Container[str]) -> list[str]:
    return [name for name in names if ":" not in name and name not in known]


def _nobody(where: str, names: Iterable[str]) -> list[str]:
    return [
        f"{where}: {name!r} means nobody. People on WhatsApp go by their phone numbers with the "
        f"country's code, such as {phones.PREFIX}{phones.EXAMPLE}."
        for name in names
        if name.startswith(phones.PREFIX) and phones.person(name) is None
    ]


def _may_be_list(name: str) -> bool:
    """What means something else is never a list, whatever is configured."""
    return name not in (OWNER, EVERYONE) and ":" not in name


def _addresses(channel: str, sender: str) -> set[str]:
    """How somebody is named wherever it matters on which network: ids of all workspaces of a
    network are of one kind."""
    return {f"{channel}:{sender}", f"{channels.section_of(channel)[0]}:{sender}"}
