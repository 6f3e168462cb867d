"""Sandboxes by bubblewrap: user, process, network and mount namespaces of their own, and a
host uid that owns nothing else. Started by root it drops to the group's uid first, because
bubblewrap started by root leaves the sandbox kernel uid 0."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from pynchy_cli.errors import SandboxUnavailable
from pynchy_cli.plugins import hookimpl
from pynchy_cli.sandbox import control, foreign, limits, ownership, process, site, trial, view
from pynchy_cli.sandbox.base import DiesWithWorker, Mount, Place, Runtime, Spec


class Bubblewrap(DiesWithWorker):
    """Makes sandboxes with bubblewrap."""

    name = "bubblewrap"
    is_isolated = True

    def __init__(self) -> None:
        self._program = shutil.which("bwrap")
        self._verdict: trial.Verdict | None = None
        self._means: control.Means | None = None
        self._site: site.Site | None = None

    def problem(self) -> str | None:
        """Why it can't be used here; a sandbox is really made, once, to find out."""
        return self._tried().problem

    def missing(self) -> list[str]:
        """Protections that can't be had here."""
        version = self._tried().version
        found = []
        if version < view.WITH_DISABLE_USERNS:
            found.append("no user namespaces inside (needs bubblewrap 0.8)")
        if version < view.WITH_SIZE:
            found.append("a limit on files in memory (needs bubblewrap 0.7)")
        if self._tried().filter is None:
            found.append("a filter of system calls (needs seccomp, on x86_64 or aarch64)")
        found += self._without_limit()
        if os.geteuid() != 0:
            found.append("a host uid for each group (needs root)")
        return found

    def prepare(
        self, data: Path, say: Callable[[str], None], packages: tuple[str, ...] = ()
    ) -> None:
        """Make the agent's site folder. Raises SandboxUnavailable."""
        if (problem := self.problem()) is not None:
            raise SandboxUnavailable(problem)
        if self._site is None:
            control.sweep(self._limiting())
            self._site = site.make(data, say, packages)

    def inside(self, path: str, spec_mounts: tuple[Mount, ...]) -> str:
        """The same: the agent sees the paths of the specification."""
        return path

    async def start(self, spec: Spec) -> Place:
        """Start a sandbox. Raises SandboxUnavailable; what goes wrong later, while
        bubblewrap makes it, ends it and stands in its log."""
        if self._site is None:
            raise SandboxUnavailable("The runtime bubblewrap has not been prepared.")
        ownership.check(spec.mounts)
        is_root = os.geteuid() == 0
        if is_root:
            await asyncio.to_thread(ownership.hand_over, spec.mounts, spec.uid)
        means = self._limiting()
        group = control.group(means, spec.limits)
        places = _places(spec, self._site, is_root)
        dropping = _dropping(spec, group, places) if is_root else []
        base = view.Base.of(self._tried().version, self._site, places)
        checking = foreign.checking(spec, view.python())
        seen = replace(spec, masks=()) if is_root else spec  # Root has laid them already.
        with trial.Options(view.arguments(seen, base, places), self._tried().filter) as options:
            bubblewrap = [str(self._program), *options.arguments, "--"]
            command = [*control.scope(means, spec.limits), *dropping, *bubblewrap]
            command += [*limits.prefix(spec.limits), *checking, *view.command(spec)]
            needed = {**trial.environment(), **control.environment(means, os.environ)}
            return await _start(spec, command, needed, options.descriptors, group)

    def _without_limit(self) -> list[str]:
        kinds, needs = self._limiting().kinds, "(needs control groups: root, or a user's systemd)"
        found = [
            f"a limit on {words} {needs}"
            for kind, words in (("memory", "memory"), ("cpu", "processors"))
            if kind not in kinds
        ]
        if "pids" not in kinds and not limits.counts_processes():
            found.append("a limit on processes (needs root or Linux 5.14)")
        return found

    def _limiting(self) -> control.Means:
        if self._means is None:
            self._means = control.find(os.environ, is_root=os.geteuid() == 0)
        return self._means

    def _tried(self) -> trial.Verdict:
        if self._verdict is None:
            self._verdict = trial.judge(self._program)
        return self._verdict


def _places(spec: Spec, own: site.Site, is_root: bool) -> dict[str, str]:
    """Where bubblewrap finds each thing that it binds: at its path, or where root bound it."""
    python = view.python_to_bind()
    paths = [*(mount.source for mount in spec.mounts), own.packages, own.etc]
    sources = dict.fromkeys(str(path) for path in [*paths, *([python] if python else [])])
    return {
        source: f"{trial.STAGE}/{number}" if is_root else source
        for number, source in enumerate(sources)
    }


def _dropping(
    spec: Spec, group: control.ControlGroup | None, places: Mapping[str, str]
) -> list[str]:
    return trial.dropping(spec.uid, _name(group), list(places), foreign.described(spec, places))


def _name(group: control.ControlGroup | None) -> str:
    return group.name if group is not None else ""


async def _start(
    spec: Spec,
    command: list[str],
    environment: Mapping[str, str],
    options: tuple[int, ...],
    group: control.ControlGroup | None,
) -> Place:
    place = await process.start(
        spec.name,
        command,
        environment=environment,
        folder="/",
        keep=(spec.lease, *options),
        log=spec.log,
        tidy=group.remove if group is not None else _nothing,
    )
    if group is not None:
        await _join(group, place)
    return place


async def _join(group: control.ControlGroup, place: process.ProcessPlace) -> None:
    """Put the sandbox into its control group, while its Python starts."""
    try:
        await asyncio.get_running_loop().run_in_executor(None, group.join, place.pid)
    except ProcessLookupError:
        return  # It has ended already; its log says why.
    except OSError as error:
        if place.has_ended:
            return  # Its control group went with it.
        await place.stop(0)
        raise SandboxUnavailable(f"What {place.name} uses up can't be limited: {error}.") from error


async def _nothing() -> None:
    pass


class Plugin:
    """How the runtime comes in."""

    @hookimpl
    def pynchy_runtime(self, name: str) -> Runtime | None:
        """Offer the runtime under its name."""
        return Bubblewrap() if name == Bubblewrap.name else None


plugin = Plugin()
