"""The configuration: that it can be read, and that what it names is there."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from pynchy_cli import plugins
from pynchy_cli.agent import advice, cores, extra_mounts
from pynchy_cli.config.home import make_group
from pynchy_cli.config.tiers import for_group
from pynchy_cli.errors import ConfigInvalid, PluginBroken, PluginUnknown, UsageWrong
from pynchy_cli.gateway.mode import mode_of
from pynchy_cli.install.doctor.facts import Facts
from pynchy_cli.install.doctor.finding import Seen, failed, ok, warning
from pynchy_cli.model import Group
from pynchy_cli.sandbox.choice import AUTO
from pynchy_cli.store import groups
from pynchy_cli.supervise.services import services


def valid(facts: Facts) -> Iterator[Seen]:
    """config.toml, .env and the environment can be used."""
    try:
        mode_of(facts.settings)
    except ConfigInvalid as error:
        yield failed(str(error), "Mend it; what runs goes on with the configuration before.")
        return
    read = [str(one) for one in (facts.home.config, facts.home.env) if one.exists()]
    yield ok(f"{' and '.join(read) or 'All defaults'}.")


def names(facts: Facts) -> Iterator[Seen]:
    """The core, the runtime and the stages that are named exist."""
    settings = facts.settings
    where = "[agent] core"
    try:
        cores.chosen(settings)
        where = "[sandbox] runtime"
        if settings.sandbox.runtime != AUTO:
            plugins.runtime(settings.sandbox.runtime, settings)
        where = "[supervise] stages"
        services(list(settings.supervise.stages), facts.home.root)
    except (PluginUnknown, PluginBroken, UsageWrong) as error:
        yield failed(f"{where}: {error}", "Name one that there is, or install its plugin.")
        return
    yield ok("The core, the runtime and the stages that are named are there.")


def notes(facts: Facts) -> Iterator[Seen]:
    """Directives, skills, groups, people and tools that are named exist."""
    found = advice.notes(facts.home, facts.settings, _groups(facts))
    todo = "Correct the name in config.toml, or make what is missing."
    yield from [warning(note, todo) for note in found] or [ok("All that is named is there.")]


def admin(facts: Facts) -> Iterator[Seen]:
    """There is an admin group: it is who is told when something is wrong."""
    found = _groups(facts)
    admins = [one.folder for one in found if one.is_admin]
    if admins:
        yield ok(
            f"{', '.join(admins)} is told when something is wrong; groups in all: {len(found)}."
        )
        return
    what = "no admin group" if found else "no group"
    yield failed(
        f"There is {what}: nobody is told when something is wrong, nor asked about new chats.",
        "`pynchy groups add local:main --folder main --admin`.",
    )


def folders(facts: Facts) -> Iterator[Seen]:
    """Each group has its folder, which is no link."""
    wrong = []
    for group in _groups(facts):
        path = facts.home.group(group.folder)
        if path.is_symlink() or (path.exists() and not path.is_dir()):
            wrong.append(failed(f"{path} is no folder.", "Move it away; pynchy makes a new one."))
        elif not path.exists():
            mend = partial(_make, facts, group.folder)
            wrong.append(warning(f"{path} is missing; it is made when needed.", "Nothing.", mend))
    yield from wrong or [ok(f"All groups have their folders in {facts.home.groups}.")]


def _make(facts: Facts, folder: str) -> str:
    return f"{make_group(facts.home, folder)} is made."


def allowlist(facts: Facts) -> Iterator[Seen]:
    """The list of what agents may see of this machine can be trusted, where it is used."""
    known = extra_mounts.listed(facts.home, facts.environ)
    wanted = [rule for rules in _rules(facts) for rule in rules]
    if known.problem is None:
        yield ok(f"{known.path} allows {len(known.rules.allowed_roots)} folders.")
    elif known.path.exists():
        yield failed(known.problem, "Mend it: until then no mount is allowed.")
    elif wanted:
        yield failed(known.problem, f"Write it; docs/mounts.md shows one. Path: {known.path}")
    else:
        yield ok("No mounts are configured, and no allowlist is there.")


def _rules(facts: Facts) -> Iterator[tuple[object, ...]]:
    settings = facts.settings
    for one in (settings.defaults, *settings.profiles.values(), *settings.groups.values()):
        yield one.mounts


def mounts(facts: Facts) -> Iterator[Seen]:
    """Each mount that is configured is allowed."""
    known = extra_mounts.listed(facts.home, facts.environ)
    where = extra_mounts.places(facts.home, facts.environ)
    seen: list[Seen] = []
    count = 0
    for group in _groups(facts):
        rules = for_group(facts.settings, group.folder).mounts
        uid = facts.settings.sandbox.uid_base + group.number
        for one in extra_mounts.check(rules, known, where, is_admin=group.is_admin, uid=uid):
            count += 1
            if not one.verdict.allowed:
                said = f"{group.folder} doesn't get {one.rule.host_path}: {one.verdict.reason}"
                todo = f"Allow it in {known.path}, or take it out of config.toml."
                seen.append(warning(said, todo))
    yield from seen or [ok(f"{count} mounts are configured, and all of them allowed.")]


def _groups(facts: Facts) -> list[Group]:
    with facts.reading() as db:
        return groups.all(db)
