"""Where agents live: a runtime that works, its image, and what the kernel must give."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

from pynchy_cli.agent import cores
from pynchy_cli.errors import SandboxUnavailable
from pynchy_cli.gateway.mode import mode_of
from pynchy_cli.install.doctor.facts import Facts
from pynchy_cli.install.doctor.finding import Seen, failed, ok, warning
from pynchy_cli.sandbox import choice, control, distance, engine, image
from pynchy_cli.sandbox.trial import SWITCHES


def runtime(facts: Facts) -> Iterator[Seen]:
    """Sandboxes can be made here."""
    try:
        chosen = choice.choose(facts.settings)
        missing = chosen.missing()
    except SandboxUnavailable as error:
        yield failed(str(error), "docs/sandboxes.md tells what each runtime needs.")
        return
    if not chosen.is_isolated:
        is_real = mode_of(facts.settings) == "anthropic"
        said = f"The runtime {chosen.name} keeps agents in nothing."
        todo = "Set runtime below [sandbox] to auto."
        yield failed(said, todo) if is_real else warning(said, todo)
    elif missing:
        yield warning(
            f"{chosen.name} works; not to be had here: {'; '.join(missing)}.",
            "Each has in brackets what it needs; agents work without.",
        )
    else:
        yield ok(f"{chosen.name} works, with all protections.")


def container_engine(facts: Facts) -> Iterator[Seen]:
    """The container engine answers, where one is used."""
    named, address = facts.settings.sandbox.runtime, engine.find(facts.environ)
    problem, told = _engine(address)
    facts.noted["engine"] = told
    if problem is None:
        yield ok(f"{told['name']} {told['version']} at {told['url']}, {told['running']} running.")
    elif named == "docker":
        yield failed(problem, "Start it, or set runtime below [sandbox] to bubblewrap.")
    elif address is not None and address.problem() is None and address.socket is not None:
        yield warning(problem, "Start it, or leave it: bubblewrap does without.")
    else:
        yield ok(f"No engine is used: {problem}")


def _engine(address: engine.Address | None) -> tuple[str | None, dict[str, Any]]:
    """Why it can't be used, or None, and what it says of itself."""
    told: dict[str, Any] = {"reachable": False, "url": address.url if address else None}
    if address is None:
        return "no container engine was found.", told
    problem = distance.elsewhere(address) or address.problem()
    if problem is not None:
        return problem, told
    try:
        with engine.connect(address) as connected:
            facts = connected.facts
            told |= {
                "reachable": True,
                "name": "Podman" if connected.is_podman else "Docker",
                "version": facts.get("ServerVersion"),
                "running": facts.get("ContainersRunning"),
            }
            return distance.desktop(connected), told
    except SandboxUnavailable as error:
        return str(error), told


def agents_image(facts: Facts) -> Iterator[Seen]:
    """The image of the docker runtime is there and of today's sources."""
    settings, address = facts.settings, engine.find(facts.environ)
    if settings.sandbox.runtime not in ("docker", choice.AUTO) or address is None:
        yield ok("No image is needed.")
        return
    if distance.elsewhere(address) or address.problem():
        yield ok("No container engine is used, so no image is needed.")
        return
    packages = cores.packages(cores.chosen(settings))
    wanted = image.Choice(settings.sandbox.image, settings.sandbox.base_image, packages)
    with engine.connect(address) as connected:
        found = image.find(connected, wanted.image)
        built_of = image.sources(found) if found is not None else None
        is_current = found is not None and built_of in (None, image.wanted(connected, wanted))
    if is_current:
        yield ok(f"{wanted.image} is there.")
        return
    is_old = "is of older sources" if found is not None else "isn't there"
    yield warning(
        f"{wanted.image} {is_old}: the next start of run-agent takes minutes.",
        "`pynchy image build`.",
    )


def namespaces(facts: Facts) -> Iterator[Seen]:
    """The kernel lets users make namespaces, of which bubblewrap's sandboxes are."""
    seen = []
    for name, forbidden, allowed in SWITCHES:
        if facts.proc(f"proc/sys/{name}") == forbidden and not _may_anyway(facts, name):
            said = f"{name.replace('/', '.')} is {forbidden}: no user namespaces can be made."
            todo = f"`sysctl -w {allowed}`, and put it into /etc/sysctl.d."
            is_needed = facts.settings.sandbox.runtime == "bubblewrap"
            seen.append(failed(said, todo) if is_needed else warning(said, todo))
    yield from seen or [ok("The kernel forbids nobody to make namespaces.")]


def _may_anyway(facts: Facts, name: str) -> bool:
    """Whether a switch that is for ordinary users isn't for us."""
    return facts.uid == 0 and "unprivileged" in name


def cgroups(facts: Facts) -> Iterator[Seen]:
    """What a sandbox uses up can be limited."""
    if sys.platform != "linux":
        yield ok("Sandboxes of this system have limits of their own.")
        return
    kinds = control.find(facts.environ, is_root=facts.uid == 0).kinds
    missing = [words for kind, words in _LIMITS.items() if kind not in kinds]
    if not missing:
        yield ok("Memory, processors and processes of a sandbox can be limited.")
        return
    yield warning(
        f"Bubblewrap's sandboxes can't be limited in {', '.join(missing)}.",
        "Start it by a user's systemd (`pynchy install systemd --user`) or as root, or use docker."
        if facts.uid
        else "Give this container control groups that it may write (`--cgroupns=host` or private).",
    )


_LIMITS = {"memory": "memory", "cpu": "processors", "pids": "processes"}
