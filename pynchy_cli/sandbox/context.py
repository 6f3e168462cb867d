"""The build context of the agents' image, as a tar archive: the Dockerfile, agent_runner, what
agents need of this host's packages, and for pip what they need by name. It holds nothing else."""

from __future__ import annotations

import hashlib
import io
import sys
import tarfile
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import IO

from pynchy_cli.sandbox import packages, site

DOCKERFILE = "Dockerfile"
FORMAT = "1"
"""Raised when what an image holds changes by this module alone."""


def fingerprint(base: str, *, carries_packages: bool, more: tuple[str, ...] = ()) -> str:
    """Changes with any source of the image: agent_runner, the Dockerfile, the packages' versions,
    the base's name, and Python where the host's packages are carried. `more` are the packages
    that cores need besides."""
    digest = hashlib.sha256()
    for part in (FORMAT, base, sys.version if carries_packages else "", *more, *constraints(more)):
        digest.update(part.encode() + b"\0")
    for source in site.sources():
        name = source.relative_to(site.runner()).as_posix()
        digest.update(name.encode() + b"\0" + source.read_bytes())
    return digest.hexdigest()[:16]


def may_fit(python: str | None) -> bool:
    """Whether this host's packages may run on the base's Python, whose version is `python` where
    it is known. Whether they do is tried while building."""
    own = f"{sys.version_info[0]}.{sys.version_info[1]}"
    return sys.platform == "linux" and (python is None or f"{python}.".startswith(f"{own}."))


def requirements(more: tuple[str, ...] = ()) -> list[str]:
    """What pip is to install for agent_runner."""
    return [*packages.ROOTS, *more]


def constraints(more: tuple[str, ...] = ()) -> list[str]:
    """The versions that are installed here, for pip to take the same."""
    roots = tuple(name for name in (*packages.ROOTS, *more) if _is_installed(name))
    return sorted(f"{one.name}=={one.version}" for one in packages.closure(roots))


def _is_installed(name: str) -> bool:
    try:
        distribution(name)
    except PackageNotFoundError:
        return False
    return True


def write(file: IO[bytes], *, carries_packages: bool, more: tuple[str, ...] = ()) -> None:
    """Write the archive. Raises SandboxUnavailable and OSError."""
    with tarfile.open(fileobj=file, mode="w") as tar:
        _add_text(tar, DOCKERFILE, (site.runner() / DOCKERFILE).read_text(encoding="utf-8"))
        _add_text(tar, "requirements.txt", "".join(f"{line}\n" for line in requirements(more)))
        _add_text(tar, "constraints.txt", "".join(f"{line}\n" for line in constraints(more)))
        tar.addfile(_folder("packages"))
        if carries_packages:
            for one in packages.closure((*packages.ROOTS, *more)):
                for path, inside in packages.files(one):
                    _add(tar, path, f"packages/{inside.as_posix()}")
        for source in site.sources():
            _add(tar, source, f"agent_runner/{source.relative_to(site.runner()).as_posix()}")


def _add(tar: tarfile.TarFile, path: Path, name: str) -> None:
    """A file that every uid may read, with its time, which bytecode is checked against."""
    facts = path.stat()
    entry = tarfile.TarInfo(name)
    entry.size = facts.st_size
    entry.mtime = int(facts.st_mtime)
    entry.mode = 0o755 if facts.st_mode & 0o100 else 0o644
    with path.open("rb") as data:
        tar.addfile(entry, data)


def _add_text(tar: tarfile.TarFile, name: str, text: str) -> None:
    data = text.encode()
    entry = tarfile.TarInfo(name)
    entry.size = len(data)
    tar.addfile(entry, io.BytesIO(data))


def _folder(name: str) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type = tarfile.DIRTYPE
    entry.mode = 0o755
    return entry
