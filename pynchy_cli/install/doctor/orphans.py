"""What is left of sandboxes that are gone: folders, rows, and containers that nobody knows. Whoever
runs agents clears that up himself; here it is found where nobody does."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from pynchy_cli import locks
from pynchy_cli.agent import removal
from pynchy_cli.agent.identity import lease_path
from pynchy_cli.errors import PynchyError
from pynchy_cli.install.doctor.facts import Facts
from pynchy_cli.install.doctor.finding import Seen, ok, warning
from pynchy_cli.sandbox import distance, engine
from pynchy_cli.sandbox.docker import Docker
from pynchy_cli.store import sessions
from pynchy_cli.store.processes import owner_lock

STAGE = "run-agent"


def orphaned(facts: Facts) -> Iterator[Seen]:
    """No sandbox, and nothing of one, is left that nobody knows."""
    if any(one.stage == STAGE for one in facts.running()):
        yield ok(f"`{STAGE}` runs, which clears up what is left.")
        return
    left = list(_left(facts))
    with facts.reading() as db:
        rows = [one for one in sessions.live(db) if not _is_owned(facts, one.owner)]
    seen = []
    if left:
        said = f"{len(left)} folders of sandboxes that are gone: {', '.join(map(str, left[:5]))}."
        mend = partial(_remove, facts, left)
        seen.append(warning(said, "`pynchy up` removes them.", mend))
    if rows:
        names = ", ".join(str(one.sandbox) for one in rows[:5])
        said = f"{len(rows)} sandboxes have lost their worker: {names}."
        seen.append(warning(said, "`pynchy up` takes them over, or ends them."))
    yield from seen or [ok("Nothing is left of sandboxes that are gone.")]


def _left(facts: Facts) -> Iterator[Path]:
    """Folders of sandboxes that no row knows, whose maker and whose processes are gone."""
    with facts.reading() as db:
        known = {one.folder for one in sessions.live(db)}
    with contextlib.suppress(FileNotFoundError):
        for group in os.scandir(facts.home.ipc):
            if not group.is_dir(follow_symlinks=False):
                continue
            for entry in os.scandir(group.path):
                maker = entry.name[1:].partition("-")[0]
                is_ours = entry.is_dir(follow_symlinks=False) and maker.isdigit()
                if not is_ours or entry.name in known or _is_owned(facts, int(maker)):
                    continue
                if not locks.is_held(lease_path(facts.home, entry.name)):
                    yield Path(entry.path)


def _is_owned(facts: Facts, owner: int | None) -> bool:
    return owner is not None and locks.is_held(owner_lock(facts.home.locks, owner))


def _remove(facts: Facts, left: list[Path]) -> str:
    """Raises PynchyError where somebody is at work since."""
    if any(one.stage == STAGE for one in facts.running()):
        raise PynchyError(f"`{STAGE}` runs now, which does it.")
    again = set(_left(facts))
    gone = [path for path in left if path in again]
    for path in gone:
        removal.remove(path)
        lease_path(facts.home, path.name).unlink(missing_ok=True)
    return f"{len(gone)} folders are removed."


def containers(facts: Facts) -> Iterator[Seen]:
    """No container of this home is left that nobody knows."""
    address = engine.find(facts.environ)
    if address is None or distance.elsewhere(address) or address.problem():
        yield ok("No container engine is used.")
        return
    if any(one.stage == STAGE for one in facts.running()):
        yield ok(f"`{STAGE}` runs, which clears up what is left.")
        return
    docker = Docker(facts.settings, address)
    names = [name for _, name in asyncio.run(docker.strangers(facts.home.id, _Known(facts)))]
    if not names:
        yield ok("No container is left that nobody knows.")
        return
    yield warning(
        f"{len(names)} containers that nobody knows: {', '.join(names[:5])}.",
        "`pynchy up` removes them where its runtime is docker.",
        partial(_sweep, facts, address),
    )


def _sweep(facts: Facts, address: engine.Address) -> str:
    """Raises PynchyError where somebody is at work since."""
    if any(one.stage == STAGE for one in facts.running()):
        raise PynchyError(f"`{STAGE}` runs now, which does it.")
    gone = asyncio.run(Docker(facts.settings, address).sweep(facts.home.id, _Known(facts)))
    return f"{len(gone)} containers are removed."


class _Known:
    """The sandboxes that rows tell of, at the moment at which it is asked."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts

    def __contains__(self, folder: object) -> bool:
        with self._facts.reading() as db:
            return folder in {one.folder for one in sessions.live(db)}
