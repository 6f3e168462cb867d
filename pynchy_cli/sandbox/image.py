"""The agents' image: whether it is there, whether it is of today's sources, and its building. An
image of that name that bears no label of ours is somebody's own, and is never built over."""

from __future__ import annotations

import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pynchy_cli import locks
from pynchy_cli.errors import SandboxUnavailable
from pynchy_cli.sandbox import context
from pynchy_cli.sandbox.engine import PROBE, Engine, Refused

LABEL = "pynchy.sources"
BASE_LABEL = "pynchy.base"
PACKAGES_LABEL = "pynchy.packages"
PATIENCE = 1800.0
"""Seconds that a build may be silent, or somebody else's may take."""
STEP = 0.2
LACKS = "Left out: "
"""How the Dockerfile begins a line that says what could not be put in."""
TAIL = 5
"""Lines of a failed build that are shown."""

Say = Callable[[str], None]
Facts = Mapping[str, Any]


@dataclass(frozen=True)
class Choice:
    """The image's name, the base on which it is built, and the packages that it holds besides
    those of agent_runner."""

    image: str
    base: str
    packages: tuple[str, ...] = ()


def find(engine: Engine, name: str) -> Facts | None:
    """What the engine knows of an image, or None. Blocks; raises EngineAway and Refused."""
    try:
        facts: Facts = engine.now(engine.api.inspect_image, name)
    except Refused as refused:
        if refused.is_missing:
            return None
        raise
    return facts


def sources(facts: Facts) -> str | None:
    """The fingerprint of what an image was built of; None where that wasn't us."""
    found: str | None = ((facts.get("Config") or {}).get("Labels") or {}).get(LABEL)
    return found


def environment(facts: Facts) -> tuple[str, ...]:
    """The names of the variables that an image sets."""
    given = (facts.get("Config") or {}).get("Env") or []
    return tuple(entry.partition("=")[0] for entry in given)


def wanted(engine: Engine, choice: Choice) -> str:
    """The fingerprint that the image should have."""
    return context.fingerprint(
        choice.base, carries_packages=_may_carry(engine, choice), more=choice.packages
    )


def _may_carry(engine: Engine, choice: Choice) -> bool:
    """Whether the host's packages belong into the context: what the base says of its Python, as
    the official images do, or what its name says."""
    facts = find(engine, choice.base)
    given = ((facts or {}).get("Config") or {}).get("Env") or []
    named = [entry.partition("=")[2] for entry in given if entry.startswith("PYTHON_VERSION=")]
    if not named and choice.base.startswith("python:"):
        named = [choice.base.removeprefix("python:").partition("-")[0]]
    return context.may_fit(named[0] if named else None)


def problem(engine: Engine, choice: Choice) -> str | None:
    """Why there can be no image, or None: it is there and of today's sources, or its base is
    there, or can be fetched.

    Raises EngineAway and Refused.
    """
    facts = find(engine, choice.image)
    if facts is not None and _is_current(engine, replace(choice, packages=_packages(facts)), facts):
        return None
    if find(engine, choice.base) is not None:
        return None
    if engine.is_podman:
        return None  # It can't be asked; building it will tell.
    patience, engine.api.timeout = engine.api.timeout, PROBE
    try:
        engine.now(engine.api.inspect_distribution, choice.base)
    except SandboxUnavailable as error:
        return (
            f"There is no image {choice.image} of today's sources, and its base {choice.base} is "
            f"neither here nor can be fetched ({str(error).rstrip('.')}). Load it with "
            "`docker load`, or name another with base_image below [sandbox]."
        )
    finally:
        engine.api.timeout = patience
    return None


def _is_current(engine: Engine, choice: Choice, facts: Facts) -> bool:
    """Whether an image is of today's sources, or somebody's own."""
    return sources(facts) in (None, wanted(engine, choice))


def _packages(facts: Facts) -> tuple[str, ...]:
    """Those that were asked for when the image was built, beside agent_runner's own."""
    found = ((facts.get("Config") or {}).get("Labels") or {}).get(PACKAGES_LABEL, "")
    return tuple(found.split())


def ensure(engine: Engine, choice: Choice, folder: Path, say: Say) -> Facts:
    """The image, built where it is missing or of other sources. Safe for several processes.

    Blocks, for minutes where it is built. Raises SandboxUnavailable.
    """
    lock = alone(folder)
    try:
        facts = find(engine, choice.image)
        if facts is not None and _is_current(engine, choice, facts):
            return facts
        say(f"Building the image {choice.image} on {choice.base}; this takes a few minutes.")
        return build(engine, choice, lambda line: say(line) if line.startswith(LACKS) else None)
    finally:
        lock.release()


def alone(folder: Path) -> locks.Lock:
    """The lock of whoever makes an image for this home. Waits; raises SandboxUnavailable."""
    path, until = folder / "image.lock", time.monotonic() + PATIENCE
    while (lock := locks.take(path)) is None:
        if time.monotonic() > until:
            raise SandboxUnavailable(f"Somebody builds the image for {PATIENCE:g} s ({path}).")
        time.sleep(STEP)
    return lock


def build(engine: Engine, choice: Choice, say: Say, *, fresh: bool = False) -> Facts:
    """Build it, whatever there is; `say` gets each line. `fresh` takes nothing from the cache.

    Raises SandboxUnavailable.
    """
    carries = _may_carry(engine, choice)
    labels = {
        LABEL: context.fingerprint(choice.base, carries_packages=carries, more=choice.packages),
        BASE_LABEL: choice.base,
        PACKAGES_LABEL: " ".join(choice.packages),
    }
    with tempfile.TemporaryFile() as file:
        try:
            context.write(file, carries_packages=carries, more=choice.packages)
            file.seek(0)
        except OSError as error:
            raise SandboxUnavailable(
                f"What the image is built of can't be written to {tempfile.gettempdir()} "
                f"({error.strerror})."
            ) from error
        options = {"labels": labels, "nocache": fresh}
        engine.now(_build, engine.api, choice, file, options, say)
    facts = find(engine, choice.image)
    if facts is None or sources(facts) != labels[LABEL]:
        raise SandboxUnavailable(f"The image {choice.image} was built, and is not there.")
    return facts


def _build(api: Any, choice: Choice, file: Any, options: Mapping[str, Any], say: Say) -> None:
    told = api.build(
        fileobj=file,
        custom_context=True,
        tag=choice.image,
        buildargs={"BASE_IMAGE": choice.base},
        **options,
        rm=True,
        forcerm=True,
        decode=True,
        timeout=PATIENCE,
    )
    last: list[str] = []
    with closing(told):  # An error's traceback would keep its socket open.
        for line in _lines(told):
            say(line)
            if not line.startswith(PROGRESS):
                last = [*last[1 - TAIL :], line]
    # A build that failed ends with an error instead of an image.
    if last and last[-1].startswith(ERROR):
        said = " | ".join(last).replace(ERROR, "")
        raise SandboxUnavailable(
            f"The image {choice.image} can't be built on {choice.base}: {said.rstrip('.')}. Where "
            "that base can't be had, name another one as base_image below [sandbox], or "
            "another runtime."
        )


ERROR = "error: "
PROGRESS = ("Step ", "--->", " --->", "Removing intermediate container ")
"""How lines begin that don't tell why a build failed."""


def _lines(told: Iterator[Mapping[str, Any]]) -> Iterator[str]:
    for piece in told:
        if "error" in piece:
            yield f"{ERROR}{piece['error'].strip()}"
            deque(told, maxlen=0)  # Read to its end, the connection can be used again.
            return
        yield from (line.rstrip() for line in piece.get("stream", "").splitlines() if line.strip())
