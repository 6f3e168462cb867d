"""Sandboxes on macOS by Apple's `container` command, each a small virtual machine of its own. We
speak to it by its documented command line alone. The command stays with us as a process, whose
standard input is the agent's leash; a container that it left behind is found by its labels."""

from __future__ import annotations

import asyncio
import functools
import json
import re
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Container, Mapping
from pathlib import Path
from typing import Any

from pynchy_cli.config.settings import Settings
from pynchy_cli.errors import SandboxUnavailable
from pynchy_cli.plugins import hookimpl
from pynchy_cli.sandbox import apple_command as command
from pynchy_cli.sandbox import context, image, ownership, process, recipe
from pynchy_cli.sandbox.base import DiesWithWorker, Mount, Place, Runtime, Spec

PROGRAM = "container"
CALL = 60.0
"""Seconds that one call may take."""
BUILD = 1800.0
"""Seconds that the building of the image may take."""
OLDEST = (1, 1, 0)
"""The first version that relays a socket of the Mac into a container, with a mode that lets its
user connect, and that can do without a network."""
INSTALL = "Install Apple's `container` command, and start it with `container system start`."


class Apple(DiesWithWorker):
    """Makes sandboxes with Apple's `container`."""

    name = "apple"
    is_isolated = True

    def __init__(self, settings: Settings) -> None:
        self._image = settings.sandbox.image
        self._base = settings.sandbox.base_image
        self._made = self._image
        self._packages: tuple[str, ...] = ()
        self._program = shutil.which(PROGRAM)

    def problem(self) -> str | None:
        """Why it can't be used here; the command's own service is asked."""
        if self._program is None:
            return f"There is no `{PROGRAM}` in PATH. {INSTALL}"
        try:
            said = self._run("--version").strip()
            if _version(said) < OLDEST:
                wanted = ".".join(map(str, OLDEST))
                return f"`{PROGRAM}` is too old ({said}); agents need {wanted} or newer. {INSTALL}"
            self._run("system", "status")
        except SandboxUnavailable as error:
            return f"{error} {INSTALL}"
        return None

    def missing(self) -> list[str]:
        """Protections that can't be had here."""
        return [
            "a filter of system calls (the virtual machine's own kernel is all that it reaches)",
            "a host uid for each group (macOS has none to give)",
        ]

    def prepare(
        self, data: Path, say: Callable[[str], None], packages: tuple[str, ...] = ()
    ) -> None:
        """Make the image, where it is missing or of other sources. Raises SandboxUnavailable."""
        self._packages = packages
        lock = image.alone(data / self.name)
        try:
            self._make_image(say)
        finally:
            lock.release()

    def _make_image(self, say: Callable[[str], None]) -> None:
        if self._image != Settings().sandbox.image and self._has(self._image):
            return  # It is somebody's own.
        self._made = tag = f"{self._image.partition(':')[0]}:{self._sources()}"
        if self._has(tag):
            return
        say(f"Building the image {self._image} on {self._base}; this takes a few minutes.")
        with tempfile.TemporaryDirectory(prefix="pynchy-image-") as folder:
            _unpack(Path(folder), self._packages)
            tags = ("--tag", self._image, "--tag", tag)
            base = ("--build-arg", f"BASE_IMAGE={self._base}")
            self._run("build", *tags, *base, "--progress", "plain", folder, patience=BUILD)

    def inside(self, path: str, spec_mounts: tuple[Mount, ...]) -> str:
        """The same: the agent sees the paths of the specification."""
        return path

    async def start(self, spec: Spec) -> Place:
        """Start a sandbox. Raises SandboxUnavailable."""
        ownership.check(spec.mounts)
        if hidden := [path for path in spec.masks if not path.endswith("/")]:
            raise SandboxUnavailable(
                f"The runtime apple can't hide a single file ({hidden[0]}). Move it out of what "
                "is mounted, or mount a folder beside it."
            )
        name = await self._call(self._free_name, spec)
        return await process.start(
            name,
            [str(self._program), *command.arguments(spec, name, self._made)],
            environment={**command.own_environment(), **command.environment(spec)},
            folder="/",
            keep=(spec.lease,),
            log=spec.log,
            tidy=functools.partial(self._tidy, name),
        )

    async def alive(self, labels: Mapping[str, str]) -> bool:
        """Whether it still runs, though whoever held it is gone. Raises SandboxUnavailable."""
        found = await self._call(self._list, {name: labels[name] for name in ("home", "session")})
        return any(_is_running(one) for one in found)

    async def sweep(self, home_id: str, known: Container[str]) -> list[str]:
        """Remove this home's containers that no session knows. Raises SandboxUnavailable."""
        removed = []
        for one in await self._call(self._list, {"home": home_id}):
            if _labels(one).get(f"{recipe.PREFIX}session") not in known:
                await self._tidy(_id(one))
                removed.append(_id(one))
        return removed

    async def _call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(None, function, *arguments)

    async def _tidy(self, name: str) -> None:
        """Remove it, running or not; that there is none any more is well."""
        try:
            await self._call(self._run, "delete", "--force", name)
        except SandboxUnavailable:
            if name in {_id(one) for one in await self._call(self._list, {})}:
                raise

    def _free_name(self, spec: Spec) -> str:
        """A name that nobody has; a dead one of our own makes room."""
        taken = {_id(one): one for one in self._list({})}
        home = spec.labels.get("home")
        for name in recipe.names(spec):
            if (one := taken.get(name)) is None:
                return name
            if _labels(one).get(f"{recipe.PREFIX}home") == home and not _is_running(one):
                self._run("delete", name)
                return name
        raise SandboxUnavailable(f"No name is free for the sandbox {spec.name}.")

    def _list(self, wanted: Mapping[str, str]) -> list[dict[str, Any]]:
        try:
            found = json.loads(self._run("list", "--all", "--format", "json") or "[]")
        except ValueError as error:
            raise SandboxUnavailable(f"`container list` printed no JSON ({error}).") from error
        ours = recipe.labels(wanted).items()
        return [one for one in found if ours <= _labels(one).items()]

    def _has(self, image: str) -> bool:
        try:
            self._run("image", "inspect", image)
        except SandboxUnavailable:
            return False
        return True

    def _sources(self) -> str:
        return context.fingerprint(self._base, carries_packages=False, more=self._packages)

    def _run(self, *arguments: str, patience: float = CALL) -> str:
        """What the command printed. Blocks; raises SandboxUnavailable."""
        try:
            done = subprocess.run(
                [str(self._program), *arguments],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=patience,
                check=False,
                env=command.own_environment(),
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise SandboxUnavailable(f"`container {arguments[0]}` failed: {error}.") from error
        if done.returncode != 0:
            said = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
            raise SandboxUnavailable(f"`container {arguments[0]}` failed: {said.rstrip('.')}.")
        return done.stdout


def _version(said: str) -> tuple[int, ...]:
    """The first version number in there; (0,) where there is none."""
    found = re.search(r"\d+(\.\d+)+", said)
    return tuple(map(int, found[0].split("."))) if found else (0,)


def _unpack(folder: Path, more: tuple[str, ...]) -> None:
    """The build context as a folder."""
    with tempfile.TemporaryFile() as file:
        context.write(file, carries_packages=False, more=more)
        file.seek(0)
        with tarfile.open(fileobj=file) as tar:
            tar.extractall(folder, filter="data")


def _configuration(one: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = one.get("configuration") or {}
    return found


def _id(one: Mapping[str, Any]) -> str:
    return str(_configuration(one).get("id") or one.get("id"))


def _labels(one: Mapping[str, Any]) -> Mapping[str, str]:
    found: Mapping[str, str] = _configuration(one).get("labels") or {}
    return found


def _is_running(one: Mapping[str, Any]) -> bool:
    """Whether it lives. Its status was a word in earlier versions, and has a `state` in later."""
    status = one.get("status")
    word = status.get("state") if isinstance(status, dict) else status
    return word in ("running", "stopping", "paused")


class Plugin:
    """How the runtime comes in."""

    @hookimpl
    def pynchy_runtime(self, name: str, settings: Settings) -> Runtime | None:
        """Offer the runtime under its name."""
        return Apple(settings) if name == Apple.name else None


plugin = Plugin()
