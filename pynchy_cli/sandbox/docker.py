"""Sandboxes as containers of Docker, or of Podman through the same interface. They belong to the
engine, not to us: they outlive their worker, and their labels tell whose they are. Nothing of
another installation is ever touched."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable, Container, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pynchy_cli.config.settings import Settings
from pynchy_cli.errors import SandboxUnavailable
from pynchy_cli.plugins import hookimpl
from pynchy_cli.sandbox import distance, engine, files, image, ownership, recipe
from pynchy_cli.sandbox.base import Mount, Place, Runtime, Spec
from pynchy_cli.sandbox.container import SETTLED, ContainerPlace
from pynchy_cli.sandbox.engine import INSTALL, Address, Engine, EngineAway, Refused, watch

NEVER_STARTED = "created"


class Docker:
    """Makes sandboxes with a container engine."""

    name = "docker"
    is_isolated = True
    outlives_worker = True

    def __init__(self, settings: Settings, address: Address | None) -> None:
        self._choice = image.Choice(settings.sandbox.image, settings.sandbox.base_image)
        self._address = address
        self._engine: Engine | None = None
        self._image: Mapping[str, Any] | None = None
        self._files: files.Files | None = None

    def problem(self) -> str | None:
        """Why it can't be used here: no engine, one that is elsewhere, or no image and nothing to
        build it on."""
        try:
            if self._address is not None and (why := distance.elsewhere(self._address)):
                return why
            connected = self._connected()
            return distance.desktop(connected) or image.problem(connected, self._choice)
        except SandboxUnavailable as error:
            return str(error)

    def missing(self) -> list[str]:
        """Protections that can't be had here."""
        found = []
        facts = self._connected().facts
        options = " ".join(facts.get("SecurityOptions") or [])
        if distance.is_virtual(self._connected()):
            found.append(
                "a sure way to the model (the engine is in a virtual machine, into which "
                "sockets of this machine may not lead)"
            )
        if "seccomp" not in options:
            found.append("a filter of system calls (the engine has no seccomp)")
        if not facts.get("MemoryLimit"):
            found.append("a limit on memory (the engine's control groups lack it)")
        if not facts.get("PidsLimit"):
            found.append("a limit on processes (the engine's control groups lack it)")
        if not facts.get("CpuCfsQuota"):
            found.append("a limit on processors (the engine's control groups lack it)")
        if os.geteuid() != 0:
            found.append("a host uid for each group (needs root)")
        return found

    def prepare(
        self, data: Path, say: Callable[[str], None], packages: tuple[str, ...] = ()
    ) -> None:
        """Make the image, where it is missing or of other sources. Raises SandboxUnavailable."""
        connected = self._connected()
        self._files = files.Files(data / self.name)
        self._choice = replace(self._choice, packages=packages)
        self._image = image.ensure(connected, self._choice, data / self.name, say)

    def inside(self, path: str, spec_mounts: tuple[Mount, ...]) -> str:
        """The same: the agent sees the paths of the specification."""
        return path

    async def start(self, spec: Spec) -> Place:
        """Start a sandbox. Raises SandboxUnavailable."""
        if self._image is None or self._files is None:
            raise SandboxUnavailable("The runtime docker has not been prepared.")
        connected = self._connected()
        self._guard(spec.mounts)
        ownership.check(spec.mounts)
        if os.geteuid() == 0:
            await asyncio.to_thread(ownership.hand_over, spec.mounts, spec.uid)
        body = recipe.container(spec, self._host(spec, self._image, self._files))
        making = asyncio.ensure_future(connected.call(_make, connected.api, spec, body))
        try:
            id, name = await asyncio.shield(making)
        except asyncio.CancelledError:
            with contextlib.suppress(SandboxUnavailable):
                id, _ = await making
                await connected.call(_remove, connected.api, id)
            raise
        except EngineAway:
            loop = asyncio.get_running_loop()
            watch(f"clear {spec.name}", lambda: _clear(connected, spec.labels, loop.is_closed))
            raise
        return ContainerPlace(connected, id, name, spec.log)

    async def alive(self, labels: Mapping[str, str]) -> bool:
        """Whether the engine still runs it. Raises SandboxUnavailable."""
        found = await self._of_session(labels)
        return any(one["State"] not in SETTLED for one in found)

    async def adopt(self, labels: Mapping[str, str], log: Path) -> Place | None:
        """The session's container. Raises SandboxUnavailable."""
        connected = self._connected()
        for one in await self._of_session(labels):
            if one["State"] == NEVER_STARTED:
                await connected.call(_remove, connected.api, one["Id"])
                continue
            return ContainerPlace(connected, one["Id"], _name(one), log)
        return None

    async def sweep(self, home_id: str, known: Container[str]) -> list[str]:
        """Remove this home's containers that no session knows. Raises SandboxUnavailable."""
        connected, removed = self._connected(), []
        for id, name in await self.strangers(home_id, known):
            await connected.call(_remove, connected.api, id)
            removed.append(name)
        return removed

    async def strangers(self, home_id: str, known: Container[str]) -> list[tuple[str, str]]:
        """Ids and names of this home's containers that no session knows. What is known is asked
        after they were listed. Raises SandboxUnavailable."""
        connected = self._connected()
        found = await connected.call(_list, connected.api, {"home": home_id})
        return [
            (one["Id"], _name(one))
            for one in found
            if one["Labels"].get(f"{recipe.PREFIX}session") not in known
        ]

    async def _of_session(self, labels: Mapping[str, str]) -> list[dict[str, Any]]:
        connected = self._connected()
        wanted = {name: labels[name] for name in ("home", "session")}
        return await connected.call(_list, connected.api, wanted)

    def _connected(self) -> Engine:
        if self._engine is None:
            if self._address is None:
                raise SandboxUnavailable(f"No container engine was found. {INSTALL}")
            if (problem := self._address.problem()) is not None:
                raise SandboxUnavailable(problem)
            self._engine = engine.connect(self._address)
        return self._engine

    def _guard(self, mounts: tuple[Mount, ...]) -> None:
        """Nobody who can speak to the engine is in a sandbox."""
        if self._address is None or self._address.socket is None:
            return
        socket = self._address.socket.resolve()
        for mount in mounts:
            if socket.is_relative_to(mount.source.resolve()):
                raise SandboxUnavailable(
                    f"{mount.source} holds the socket of the container engine, which no sandbox "
                    "may see."
                )

    def _host(self, spec: Spec, found: Mapping[str, Any], own: files.Files) -> recipe.Host:
        connected = self._connected()
        uid = spec.uid if os.geteuid() == 0 else os.geteuid()
        user, userns = f"{uid}:{uid if os.geteuid() == 0 else os.getegid()}", ""
        if connected.is_rootless:
            # Its root is the user who runs it; Podman can also keep that user's own number.
            user, userns = (user, "keep-id") if connected.is_podman else ("0:0", "")
        passwd, group = own.names(user)
        return recipe.Host(
            image=found["Id"],
            image_environment=image.environment(found),
            user=user,
            passwd=passwd,
            group=group,
            empty_file=own.empty_file,
            empty_folder=own.empty_folder,
            processors=float(connected.facts.get("NCPU") or os.cpu_count() or 1),
            userns=userns,
            is_podman=connected.is_podman,
        )


def _list(api: Any, wanted: Mapping[str, str]) -> list[dict[str, Any]]:
    filters = [f"{name}={value}" for name, value in recipe.labels(wanted).items()]
    found: list[dict[str, Any]] = api.containers(all=True, filters={"label": filters})
    return found


def _name(listed: Mapping[str, Any]) -> str:
    return str((listed.get("Names") or [listed["Id"]])[0]).lstrip("/")


def _make(api: Any, spec: Spec, body: dict[str, Any]) -> tuple[str, str]:
    """Create and start it; its id and its name. What the engine can't start is removed."""
    from docker import errors

    id, name = _create(api, spec, body)
    try:
        api.start(id)
    except errors.APIError:
        with contextlib.suppress(errors.DockerException, OSError):
            api.remove_container(id, v=True, force=True)
        raise
    return id, name


def _create(api: Any, spec: Spec, body: dict[str, Any]) -> tuple[str, str]:
    """Create it under the first name that is free, or that a dead one of our own has."""
    from docker import errors

    for name in recipe.names(spec):
        try:
            return api.create_container_from_config(body, name)["Id"], name
        except errors.APIError as error:
            # Podman calls it a fault of its own.
            if error.status_code != 409 and "is already in use" not in str(error.explanation):
                raise
        if _cleared(api, name, spec.labels):
            return api.create_container_from_config(body, name)["Id"], name
    raise Refused(f"No name is free for the sandbox {spec.name}.", 409)


def _cleared(api: Any, name: str, labels: Mapping[str, str]) -> bool:
    """Whether the name is free now, because who had it was our own and dead."""
    from docker import errors

    try:
        facts = api.inspect_container(name)
    except errors.NotFound:
        return True
    home = (facts["Config"].get("Labels") or {}).get(f"{recipe.PREFIX}home")
    if home is None or home != labels.get("home") or facts["State"]["Status"] not in SETTLED:
        return False
    _remove(api, facts["Id"])
    return True


def _clear(connected: Engine, labels: Mapping[str, str], given_up: Callable[[], bool]) -> None:
    """Remove what was made for a session before the engine went, once it is back."""
    wanted = {name: labels[name] for name in ("home", "session")}

    def step() -> None:
        for one in _list(connected.api, wanted):
            _remove(connected.api, one["Id"])

    with contextlib.suppress(Refused):
        connected.patiently(step, given_up=given_up)


def _remove(api: Any, id: str) -> None:
    """Remove it, running or not. That it is gone, or about to go, is well."""
    from docker import errors

    try:
        api.remove_container(id, v=True, force=True)
    except errors.APIError as error:
        if error.status_code not in (404, 409):
            raise


class Plugin:
    """How the runtime comes in."""

    @hookimpl
    def pynchy_runtime(self, name: str, settings: Settings) -> Runtime | None:
        """Offer the runtime under its name."""
        return Docker(settings, engine.find(os.environ)) if name == Docker.name else None


plugin = Plugin()
