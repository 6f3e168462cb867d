"""Puts installed packages into a folder: those that agent_runner needs, with all that they
need in turn. Hard links where the disk allows it, so that it takes no time and no space."""

from __future__ import annotations

import contextlib
import os
import py_compile
import re
import shutil
from collections.abc import Callable, Iterator
from importlib import util
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from pynchy_cli.errors import SandboxUnavailable

ROOTS = ("claude-agent-sdk", "mcp", "msgspec", "asyncinotify")
"""What agent_runner imports."""
MANY = 50
"""Files from which on it is said that they are compiled, and all are flushed at once."""
_REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+)\s*(?:\[([^\]]*)\])?([^;]*)(?:;(.*))?")
_EXTRA = re.compile(r"extra\s*==\s*['\"]([^'\"]+)['\"]")

Say = Callable[[str], None]


def closure(roots: tuple[str, ...] = ROOTS) -> list[Distribution]:
    """The distributions that agent_runner needs and that are installed here, each once.

    Markers other than `extra` aren't evaluated: what is installed is taken. Raises
    SandboxUnavailable where one of the roots is missing.
    """
    found: dict[str, Distribution] = {}
    waiting: list[tuple[str, frozenset[str]]] = [(name, frozenset()) for name in roots]
    done: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        name, extras = waiting.pop()
        if (name, extras) in done:
            continue
        done.add((name, extras))
        try:
            one = found.get(name) or distribution(name)
        except PackageNotFoundError as error:
            if name in roots:
                raise SandboxUnavailable(
                    f"The package {name}, which agents need, is not installed. "
                    "Install pynchy again."
                ) from error
            continue
        found[name] = one
        waiting.extend(_needs(one, extras))
    return list(found.values())


def _needs(one: Distribution, extras: frozenset[str]) -> list[tuple[str, frozenset[str]]]:
    needs = []
    for line in one.requires or []:
        match = _REQUIREMENT.match(line)
        if match is None:
            continue
        name, asked, _, marker = match.groups()
        extra = _EXTRA.search(marker or "")
        if extra is None or extra[1] in extras:
            wanted = frozenset(word.strip() for word in (asked or "").split(",") if word.strip())
            needs.append((re.sub(r"[-_.]+", "-", name).lower(), wanted))
    return needs


def fill(target: Path, say: Say, more: tuple[str, ...] = ()) -> None:
    """Put the closure's files below `target`. Raises SandboxUnavailable and OSError."""
    folder(target)
    copied = False
    for one in closure((*ROOTS, *more)):
        for path, inside in files(one):
            linked = _put(path, target / inside)
            if not linked and not copied:
                say("Copying the agent's packages, because they can't be linked here.")
                copied = True


def files(one: Distribution) -> Iterator[tuple[Path, Path]]:
    """A distribution's files, bytecode too: where each lies, and its path among the packages.

    Raises SandboxUnavailable.
    """
    if one.files is None:
        raise SandboxUnavailable(
            f"The package {one.name} has no list of its files; install it with pip or uv."
        )
    for file in one.files:
        if ".." in file.parts or file.suffix == ".pyc":
            continue
        source = Path(str(one.locate_file(file)))
        for path in (source, _bytecode(source)):
            if path is not None and path.is_file():
                yield path, path.relative_to(str(one.locate_file("")))


def _bytecode(source: Path) -> Path | None:
    return Path(util.cache_from_source(str(source))) if source.suffix == ".py" else None


def folder(path: Path) -> None:
    """Make a folder, and those above it, that every uid may enter, whatever the umask."""
    if not path.is_dir():
        folder(path.parent)
        path.mkdir()
        path.chmod(0o755)


def _put(source: Path, target: Path) -> bool:
    """Link, or else copy; whether it was linked."""
    folder(target.parent)
    facts = source.stat()
    readable = 0o005 if facts.st_mode & 0o100 else 0o004
    if facts.st_mode & readable == readable:
        with contextlib.suppress(OSError):
            os.link(source, target)
            return True
    copy(source, target)
    return False


def copy(source: Path, target: Path) -> None:
    """A copy that every uid may read. It keeps its time, which bytecode is checked against."""
    folder(target.parent)
    shutil.copy2(source, target)
    target.chmod(0o755 if source.stat().st_mode & 0o100 else 0o644)


def compile_missing(root: Path, say: Say) -> None:
    """Compile what has no bytecode yet; imports take twice as long without."""
    missing = [
        path
        for path in root.rglob("*.py")
        if (cached := _bytecode(path)) is not None and not cached.exists()
    ]
    if len(missing) > MANY:
        say(f"Compiling {len(missing)} of the agent's modules, once.")
    for path in missing:
        cached = _bytecode(path)
        folder(path.parent / "__pycache__")
        with contextlib.suppress(py_compile.PyCompileError):  # Templates aren't always Python.
            made = py_compile.compile(str(path), doraise=True)
            Path(made or str(cached)).chmod(0o644)


def flush(root: Path) -> None:
    """Have everything that was written below `root`, and not linked, on the disk."""
    fresh = [path for path in root.rglob("*") if path.is_file() and path.lstat().st_nlink == 1]
    if len(fresh) > MANY:
        os.sync()
        return
    for path in fresh:
        fd = os.open(path, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
