"""What a group's agents see of the host besides their own folders: what its rules name, where
the allowlist permits it and nothing in it stays unhidden. What is refused is left out and said;
it never keeps an agent from starting."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pynchy_cli import clock
from pynchy_cli.config.paths import Home
from pynchy_cli.config.settings import MountRule
from pynchy_cli.config.tiers import for_group
from pynchy_cli.errors import DatabaseBusy, DatabaseFull
from pynchy_cli.model import Group
from pynchy_cli.sandbox import foreign
from pynchy_cli.sandbox.base import Mount
from pynchy_cli.security import allowlist, masks, mounts
from pynchy_cli.security.allowlist import Allowlist
from pynchy_cli.security.mounts import Asked, Places, Verdict
from pynchy_cli.store import failures

if TYPE_CHECKING:
    from pynchy_cli.loop import Context


@dataclass(frozen=True)
class Checked:
    """A mount that was asked for: the verdict, and the paths inside that will be hidden."""

    rule: MountRule
    verdict: Verdict
    masks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Extra:
    """A group's further mounts, what is hidden in them, and those that it doesn't get."""

    mounts: tuple[Mount, ...] = ()
    masks: tuple[str, ...] = ()
    refused: tuple[Checked, ...] = ()


def places(home: Home, environ: Mapping[str, str]) -> Places:
    """Where the person's home and pynchy's lie."""
    person = Path(environ.get("HOME") or os.path.expanduser("~"))  # noqa: PTH111 - never fails
    return Places(person if person.is_absolute() else Path("/nonexistent"), home.root)


def listed(home: Home, environ: Mapping[str, str]) -> Allowlist:
    """The person's allowlist; one that lies in pynchy's home allows nothing."""
    path = allowlist.place(environ, places(home, environ).person)
    if path.resolve().is_relative_to(home.root.resolve()):
        return Allowlist(path, problem=f"The allowlist {path} must not lie in pynchy's home.")
    return allowlist.read(path)


def check(
    rules: Iterable[MountRule], known: Allowlist, where: Places, *, is_admin: bool, uid: int
) -> list[Checked]:
    """What becomes of each rule. `uid` is the one that the agent has where we are root. Blocks
    for as long as folders are searched."""
    found: list[Checked] = []
    taken: list[str] = []
    for rule in rules:
        asked = Asked(rule.host_path, rule.container_path, rule.readonly, is_admin)
        one = _checked(rule, mounts.ask(asked, known, where), known, where, uid)
        target = one.verdict.target
        if target is not None and (other := mounts.collision(target, taken)) is not None:
            words = f"The container path {rule.container_path!r} overlaps {other}."
            one = Checked(rule, Verdict(False, words))
        elif target is not None:
            taken.append(target)
        found.append(one)
    return found


def _checked(
    rule: MountRule, verdict: Verdict, known: Allowlist, where: Places, uid: int
) -> Checked:
    """The verdict, also on what lies below, and on whose it is."""
    source, target = verdict.source, verdict.target
    if source is None or target is None:
        return Checked(rule, verdict)
    if os.geteuid() == 0 and not verdict.readonly:
        why = foreign.unmappable(source.real, uid)
        if why is not None:
            return Checked(rule, Verdict(False, f"{why}."))
    try:
        search = masks.Search(mounts.patterns(known), mounts.never(known, where))
        hidden = search.below(source)
    except masks.Unsearchable as error:
        return Checked(rule, Verdict(False, str(error)))
    return Checked(rule, verdict, masks.inside(target, hidden))


def together(checked: Sequence[Checked]) -> Extra:
    """All that a sandbox gets."""
    return Extra(
        tuple(
            Mount(source.real, target, not one.verdict.readonly, source.identity)
            for one in checked
            if (source := one.verdict.source) is not None
            and (target := one.verdict.target) is not None
        ),
        tuple(path for one in checked for path in one.masks),
        tuple(one for one in checked if not one.verdict.allowed),
    )


class ExtraMounts:
    """Looks at a group's rules whenever a sandbox is made for it."""

    def __init__(self, context: Context, environ: Mapping[str, str]) -> None:
        self.context = context
        self._environ = environ

    async def of(self, group: Group) -> Extra:
        """The group's further mounts now. What is refused goes to the log and to `status`.

        Raises ConfigInvalid where the group's profile is unknown.
        """
        import asyncio  # a third of the time of `pynchy mounts list`, which doesn't come here

        context = self.context
        rules = for_group(context.settings, group.folder).mounts
        extra = Extra()
        if rules:
            extra = await asyncio.to_thread(self._find, group, rules)
        for one in extra.refused:
            context.log.warning(
                "a mount is refused",
                group=group.folder,
                path=one.rule.host_path,
                why=one.verdict.reason,
            )
        with contextlib.suppress(DatabaseBusy, DatabaseFull):
            self._note(group, extra)
        return extra

    def _find(self, group: Group, rules: Sequence[MountRule]) -> Extra:
        home, uid = self.context.home, self.context.settings.sandbox.uid_base + group.number
        known, where = listed(home, self._environ), places(home, self._environ)
        return together(check(rules, known, where, is_admin=group.is_admin, uid=uid))

    def _note(self, group: Group, extra: Extra) -> None:
        """Have `status` show what is refused now, and nothing that was refused before."""
        stage, begin = self.context.name, f"mount:{group.folder}:"
        words = {begin + one.rule.container_path: one.verdict.reason for one in extra.refused}
        before = {
            failure.subject
            for failure in failures.all(self.context.store.db)
            if failure.stage == stage and failure.subject.startswith(begin)
        }
        if not words and not before:
            return
        with self.context.store.atomic() as db:
            for subject in before - words.keys():
                failures.clear(db, stage, subject)
            for subject, why in words.items():
                failures.note(db, stage, subject, why, clock.now())
