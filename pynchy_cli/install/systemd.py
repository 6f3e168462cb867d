"""Puts units where systemd looks for them, and takes away what it put there. It touches no file
that doesn't bear its mark, and can be repeated."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from pynchy_cli.errors import SystemdUnavailable
from pynchy_cli.install.parts import MARK, Flavour
from pynchy_cli.install.units import CONFIG_PATH, ONE, TARGET, unit_of

SYSTEM = Path("/etc/systemd/system")
WANTS = f"{TARGET}.wants"


class Manager:
    """The systemd of the system or of a user, by its `systemctl`."""

    def __init__(self, flavour: Flavour, environ: Mapping[str, str], person: Path) -> None:
        self.flavour = flavour
        self.folder = SYSTEM if flavour == "system" else _of_user(environ, person)
        self.words = ["systemctl", *(["--user"] if flavour == "user" else [])]
        self._environ = dict(environ)

    def call(self, *arguments: str) -> None:
        """Have it do something. Raises SystemdUnavailable."""
        command = [*self.words, *arguments]
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
                env=self._environ,
            )
        except OSError as error:
            raise SystemdUnavailable(f"systemctl can't be run: {error.strerror}.") from error
        if done.returncode:
            said = " ".join((done.stderr or done.stdout).split())
            raise SystemdUnavailable(f"`{' '.join(command)}` failed: {said}")

    def can_isolate(self) -> bool:
        """Whether its units may have namespaces: a user's need the kernel's leave. Where it can't
        be asked, they may."""
        program = shutil.which("systemd-run", path=self._environ.get("PATH"))
        if self.flavour == "system" or program is None or not self._answers():
            return True
        words = ["--user", "--wait", "--collect", "--quiet", "-p", "PrivateUsers=yes", "true"]
        done = subprocess.run(
            [program, *words], capture_output=True, env=self._environ, check=False, timeout=60
        )
        return done.returncode == 0

    def is_each_stage(self) -> bool:
        """Whether each stage is a unit there."""
        return (self.folder / TARGET).exists()

    def enabled(self) -> list[str]:
        """The stages' units that are started with the target."""
        try:
            return sorted(path.name for path in (self.folder / WANTS).iterdir())
        except OSError:
            return []

    def _answers(self) -> bool:
        try:
            self.call("show", "--property=Version")
        except SystemdUnavailable:
            return False
        return True


def first_units(services: Sequence[str], *, each_stage: bool) -> list[str]:
    """What is to be started with the machine, or with its user's first login."""
    if not each_stage:
        return [ONE, CONFIG_PATH]
    return [TARGET, *(unit_of(name) for name in services)]


def install(manager: Manager, files: Mapping[str, str], units: Sequence[str]) -> list[str]:
    """Write the files that differ, take ours away that are no longer wanted, have the units
    started with the machine; what was done, in lines. Raises SystemdUnavailable and OSError."""
    told = []
    unwanted = [unit for unit in manager.enabled() if unit not in units]
    old = [name for name in present(manager.folder) if name not in files]
    unwanted += [name for name in old if "/" not in name and "@" not in name]
    if unwanted:
        manager.call("disable", "--now", *unwanted)
        told.append(f"Stopped, and no longer started: {', '.join(unwanted)}.")
    _remove(manager.folder, old)
    written = [name for name, text in files.items() if _write(manager.folder / name, text)]
    what = ", ".join(written) if written else "nothing, all is there already"
    told.append(f"Written in {manager.folder}: {what}.")
    manager.call("daemon-reload")
    manager.call("enable", *units)
    told.append(f"Started from now on with {_when(manager)}: {', '.join(units)}.")
    return told


def uninstall(manager: Manager) -> list[str]:
    """Stop all units of ours and take them away; what was done, in lines."""
    found = present(manager.folder)
    if not found:
        return [f"Nothing of pynchy is in {manager.folder}."]
    single = [name for name in found if "/" not in name and "@" not in name]
    manager.call("disable", "--now", *single, *manager.enabled())
    _remove(manager.folder, found)
    manager.call("daemon-reload")
    return [f"Stopped, and removed from {manager.folder}: {', '.join(found)}."]


def present(folder: Path) -> list[str]:
    """Our files there, by their paths below it: those that bear our mark."""
    found = [*folder.glob("pynchy*"), *folder.glob("pynchy*.d/stage.conf")]
    return sorted(str(path.relative_to(folder)) for path in found if _is_ours(path))


def _is_ours(path: Path) -> bool:
    try:
        return path.is_file() and path.read_text().startswith(MARK)
    except (OSError, ValueError):
        return False


def _write(path: Path, text: str) -> bool:
    """Whether it wasn't so already. A unit of somebody else's of that name is not touched."""
    if path.exists():
        if not _is_ours(path):
            raise SystemdUnavailable(f"{path} was made by somebody else. Move it away first.")
        if path.read_text() == text:
            return False
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.new")
    draft.write_text(text)
    draft.replace(path)
    return True


def _remove(folder: Path, names: Sequence[str]) -> None:
    for name in names:
        (folder / name).unlink(missing_ok=True)
        if "/" in name and not any((folder / name).parent.iterdir()):
            (folder / name).parent.rmdir()


def _when(manager: Manager) -> str:
    return "the machine" if manager.flavour == "system" else "your first login"


def _of_user(environ: Mapping[str, str], person: Path) -> Path:
    named = environ.get("XDG_CONFIG_HOME", "")
    base = Path(named) if Path(named).is_absolute() else person / ".config"
    return base / "systemd/user"
