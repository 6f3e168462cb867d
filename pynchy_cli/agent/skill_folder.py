"""A sandbox's own copy of its group's skills, made anew at each start and mounted read-only.
Links are never followed, special files never opened, and no skill can be larger than the
bounds; one that can't be copied is left out, and the others work."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pynchy_cli.agent import removal, skills
from pynchy_cli.agent.skills import Skill, Warn
from pynchy_cli.config.paths import Home
from pynchy_cli.errors import SandboxUnavailable

INSIDE = "/home/agent/.claude/skills"
MOST_FILES = 500
"""Files and folders in one skill."""
MOST_BYTES = 16 * 1024**2
DEEPEST = 8
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def make(home: Home, wanted: Sequence[str], target: Path, warn: Warn) -> None:
    """Copy the skills that a group has now into a new folder; may take a while. What is wrong
    with any of them is told to `warn`, in a sentence each."""
    known = skills.available(home, warn)
    for name in skills.unknown(known, wanted):
        warn(f"There is no skill and no tier of skills called {name}.")
    lay_out(skills.chosen(known, wanted), target, warn)


def lay_out(chosen: Iterable[Skill], target: Path, warn: Warn) -> None:
    """Copy these skills into a new folder, each below its name."""
    target.mkdir(mode=0o755)
    target.chmod(0o755)
    for skill in chosen:
        place = target / skill.name
        try:
            _copy(skill.folder, place)
        except OSError as error:
            removal.remove(place)
            reason = str(error) if error.errno is None else error.strerror
            warn(f"A skill is left out: {skill.folder} can't be copied: {reason}.")


def make_way(claude: Path) -> None:
    """See to it that there is a real folder to mount the skills over, whatever the group's
    agents left there. No agent can change that while it has the mount.

    Raises SandboxUnavailable.
    """
    name = Path(INSIDE).name
    try:
        folder = os.open(claude, _FOLDER)
        try:
            with contextlib.suppress(FileNotFoundError):
                facts = os.stat(name, dir_fd=folder, follow_symlinks=False)
                if stat.S_ISDIR(facts.st_mode):
                    return
                os.unlink(name, dir_fd=folder)
            os.mkdir(name, 0o755, dir_fd=folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise SandboxUnavailable(f"{claude / name} can't be made: {error.strerror}.") from error


@dataclass
class _Bounds:
    files: int = MOST_FILES
    bytes: int = MOST_BYTES

    def take(self, files: int = 0, bytes: int = 0) -> None:
        """Raises OSError where there is more than that."""
        self.files -= files
        self.bytes -= bytes
        if self.files < 0:
            raise OSError(f"it has more than {MOST_FILES} files")
        if self.bytes < 0:
            raise OSError(f"it has more than {MOST_BYTES} bytes")


def _copy(source: Path, place: Path) -> None:
    fd = os.open(source, _FOLDER)
    try:
        _copy_folder(fd, place, _Bounds(), DEEPEST)
    finally:
        os.close(fd)


def _copy_folder(folder: int, place: Path, bounds: _Bounds, depth: int) -> None:
    """Copy what is in an open folder: plain files and folders, and nothing else."""
    place.mkdir(mode=0o755)
    place.chmod(0o755)
    if depth < 0:
        raise OSError(f"it is more than {DEEPEST} folders deep")
    for name in sorted(os.listdir(folder)):
        bounds.take(files=1)
        facts = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if stat.S_ISDIR(facts.st_mode):
            inner = os.open(name, _FOLDER, dir_fd=folder)
            try:
                _copy_folder(inner, place / name, bounds, depth - 1)
            finally:
                os.close(inner)
        elif stat.S_ISREG(facts.st_mode):
            _copy_file(os.open(name, _FILE, dir_fd=folder), place / name, bounds)


def _copy_file(source: int, place: Path, bounds: _Bounds) -> None:
    with os.fdopen(source, "rb") as given, place.open("xb") as made:
        facts = os.fstat(source)
        if not stat.S_ISREG(facts.st_mode):
            raise OSError(f"{place.name} is no plain file")
        while piece := given.read(min(1 << 20, bounds.bytes + 1)):
            bounds.take(bytes=len(piece))
            made.write(piece)
    place.chmod(0o755 if facts.st_mode & stat.S_IXUSR else 0o644)
