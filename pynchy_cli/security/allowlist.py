"""The list of what may be mounted besides a group's own folders. It lies outside of every home,
belongs to the person, and no sandbox ever sees it. What is missing or wrong allows nothing."""

from __future__ import annotations

import os
import stat
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

FILE = "pynchy/mount-allowlist.toml"
LARGEST = 1 << 20
"""Bytes of an allowlist that are read."""


class Root(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """A folder or file at or below which mounts are allowed."""

    path: str
    allow_read_write: bool = False
    description: str = ""


class Rules(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """What the file says."""

    allowed_roots: tuple[Root, ...] = ()
    blocked_patterns: tuple[str, ...] = ()
    non_admin_read_only: bool = True


@dataclass(frozen=True)
class Allowlist:
    """The list in force; `problem` says in a sentence why it allows nothing, if so."""

    path: Path
    rules: Rules = field(default_factory=Rules)
    problem: str | None = None


def place(environ: Mapping[str, str], person: Path) -> Path:
    """Where the list lies: below XDG_CONFIG_HOME, else below .config in the person's home."""
    named = environ.get("XDG_CONFIG_HOME", "")
    return (Path(named) if Path(named).is_absolute() else person / ".config") / FILE


def read(path: Path) -> Allowlist:
    """The list in that file. It never fails: a list that can't be trusted allows nothing."""
    try:
        return Allowlist(path, _parse(_text(path)))
    except FileNotFoundError:
        why = "does not exist, so nothing may be mounted"
    except _Untrusted as error:
        why = str(error)
    except OSError as error:
        why = f"can't be read ({error.strerror})"
    except ValueError as error:
        why = f"can't be understood ({' '.join(str(error).split())[:300]})"
    except RecursionError:
        why = "can't be understood (it is nested too deeply)"
    return Allowlist(path, problem=f"The allowlist {path} {why}.")


class _Untrusted(Exception):
    """Somebody else could have written the file."""


def _text(path: Path) -> str:
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        facts = os.fstat(fd)
        if not stat.S_ISREG(facts.st_mode):
            raise _Untrusted("is not a plain file")
        if facts.st_uid not in (0, os.geteuid()):
            raise _Untrusted(f"belongs to uid {facts.st_uid}; it must be yours or root's")
        if facts.st_mode & 0o022:
            raise _Untrusted(f"can be written by others: chmod go-w {path}")
        folder = Path(path).resolve().parent.stat()
        if folder.st_mode & 0o002 and not folder.st_mode & stat.S_ISVTX:
            raise _Untrusted("lies in a folder that everybody may write")
        if facts.st_size > LARGEST:
            raise _Untrusted(f"is larger than {LARGEST} bytes")
        return os.read(fd, LARGEST + 1).decode("utf-8")
    finally:
        os.close(fd)


def _parse(text: str) -> Rules:
    rules = msgspec.convert(tomllib.loads(text), Rules, strict=True)
    for root in rules.allowed_roots:
        if not root.path.strip() or "\0" in root.path:
            raise ValueError("an allowed root has no path")
    for pattern in rules.blocked_patterns:
        if not pattern.strip() or "/" in pattern:
            raise ValueError(f"the blocked pattern {pattern!r} is not the name of a file or folder")
    return rules
