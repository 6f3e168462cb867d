"""Decides whether a folder of the host may be seen by a group's agent: pure rules over what was
asked, what the allowlist says, and what was found at the path. What no rule allows is refused."""

from __future__ import annotations

import fnmatch
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pynchy_cli.security.allowlist import Allowlist, Root
from pynchy_cli.security.sources import Source, Unusable, belongings, expand, opened

INSIDE = "/workspace/extra"
"""The folder that holds all extra mounts inside."""
LONGEST = 1000
"""Bytes of a path inside."""
BLOCKED = (
    *(".ssh", ".gnupg", ".gpg", ".aws", ".azure", ".gcloud", ".kube", ".docker"),
    *("credentials", ".env", ".netrc", ".npmrc", ".pypirc"),
    *("id_rsa", "id_ed25519", "private_key", ".secret"),
)
"""Names that are never mounted, nor seen below what is; a list's own patterns come on top."""
SYSTEM = tuple(map(Path, ("/proc", "/sys", "/dev", "/run", "/etc", "/var/run", "/private/etc")))
"""Folders of the system of which nothing is ever mounted."""
OURS = ("data", "groups", "directives", "config.toml", ".env")
"""What a home holds that is pynchy's."""
NOT_CLEAN = frozenset(':,\\"')
"""What engines read as more than a letter of a path."""


@dataclass(frozen=True)
class Asked:
    """A mount that somebody wants. Without `container_path` it is called as on the host."""

    host_path: str
    container_path: str | None = None
    readonly: bool = True
    is_admin: bool = False


@dataclass(frozen=True)
class Places:
    """Where the person's home and pynchy's lie."""

    person: Path
    home: Path


@dataclass(frozen=True)
class Verdict:
    """Whether, how and where it may be mounted; `reason` is a sentence in either case.
    `target` is the path inside and `source` what was found; both only where it is allowed."""

    allowed: bool
    reason: str
    readonly: bool = True
    target: str | None = None
    source: Source | None = None


class _Refused(Exception):
    """The reason."""


def ask(asked: Asked, allowlist: Allowlist, places: Places) -> Verdict:
    """The verdict on a mount, by what is at its path now."""
    try:
        if allowlist.problem is not None:
            raise _Refused(allowlist.problem)
        path = expand(asked.host_path, places.person)
        _require_unblocked(asked.host_path, path.parts, patterns(allowlist))
        with opened(path) as (_, source):
            return decide(asked, allowlist, places, source, real_roots(allowlist, places))
    except Unusable as error:
        return Verdict(False, f"The path {asked.host_path!r} {error}.")
    except _Refused as error:
        return Verdict(False, str(error))


def decide(
    asked: Asked,
    allowlist: Allowlist,
    places: Places,
    source: Source,
    roots: Iterable[tuple[Path, Root]],
) -> Verdict:
    """The verdict on something found; `roots` are the allowed ones, by their real paths."""
    try:
        target = inside(asked, source)
        _require_foreign(source, allowlist, places)
        _require_kind(source)
        _require_unblocked(asked.host_path, source.real.parts, patterns(allowlist))
        root, rule = _root_of(source, roots)
    except _Refused as error:
        return Verdict(False, str(error))
    reason = f"{source.real} lies below the allowed {root}."
    if asked.readonly:
        return Verdict(True, reason, True, target, source)
    if not rule.allow_read_write:
        why = "that allows no writing"
    elif not asked.is_admin and allowlist.rules.non_admin_read_only:
        why = "and only admin groups may write"
    else:
        return Verdict(True, reason, False, target, source)
    return Verdict(True, f"{reason[:-1]}, {why}: read-only.", True, target, source)


def patterns(allowlist: Allowlist) -> tuple[str, ...]:
    """All names that are blocked."""
    return (*BLOCKED, *allowlist.rules.blocked_patterns)


def blocking(name: str, blocked: Iterable[str]) -> str | None:
    """The pattern that a file's name is blocked by: the same name, in any case, or what a
    pattern with `*` matches."""
    folded = _folded(name)
    for pattern in blocked:
        wanted = _folded(pattern)
        if folded == wanted or ("*" in wanted and fnmatch.fnmatchcase(folded, wanted)):
            return pattern
    return None


def inside(asked: Asked, source: Source) -> str:
    """The clean path inside. Raises _Refused."""
    path = source.real.name if asked.container_path is None else asked.container_path
    try:
        length = len(path.encode())
    except UnicodeEncodeError:
        raise _Refused("The container path has letters in it that no path has.") from None
    if path.startswith("/"):
        raise _Refused(f"The container path {path!r} must be relative.")
    for part in path.split("/"):
        if not unicodedata.normalize("NFKC", part).strip("./"):
            raise _Refused(f"The container path {path!r} has an empty part, or one of dots.")
        if not part.isprintable() or part != part.strip() or NOT_CLEAN & set(part):
            raise _Refused(f"The container path {path!r} holds what no clean path does.")
        if len(part.encode()) > 255 or "/" in unicodedata.normalize("NFKC", part):
            raise _Refused("The container path has a part that is no name of a file.")
    if length > LONGEST:
        raise _Refused(f"The container path is longer than {LONGEST} bytes.")
    return f"{INSIDE}/{path}"


def never(allowlist: Allowlist, places: Places) -> frozenset[tuple[int, int]]:
    """What tells pynchy's own folders and files, and the allowlist, by whatever name."""
    home = _real(places.home)
    ours = [home / name for name in OURS]
    return belongings(*ours, home / "data/claude", home / "data/ipc", allowlist.path)


def collision(target: str, taken: Iterable[str]) -> str | None:
    """The path inside that this one would lie in, above of, or at."""
    for other in taken:
        if f"{target}/".startswith(f"{other}/") or f"{other}/".startswith(f"{target}/"):
            return other
    return None


def real_roots(allowlist: Allowlist, places: Places) -> list[tuple[Path, Root]]:
    """The allowed roots that are there, by their real paths."""
    found = []
    for root in allowlist.rules.allowed_roots:
        try:
            with opened(expand(root.path, places.person)) as (_, source):
                found.append((source.real, root))
        except Unusable:
            continue
    return found


def _require_kind(source: Source) -> None:
    if source.kind == "socket":
        raise _Refused(f"{source.real} is a socket: who reaches it, reaches what serves it.")
    if source.kind not in ("folder", "file"):
        raise _Refused(f"{source.real} is neither a folder nor a plain file.")


def _require_foreign(source: Source, allowlist: Allowlist, places: Places) -> None:
    """Refuse what is the system's, the person's whole home, or any installation's."""
    real = source.real
    for system in SYSTEM:
        if real.is_relative_to(system) or system.is_relative_to(real):
            raise _Refused(f"{real} is, or holds, {system}, of which nothing is ever mounted.")
    if _real(places.person).is_relative_to(real):
        raise _Refused(f"{real} is, or holds, your whole home; name a folder in it.")
    if _real(allowlist.path).is_relative_to(real):
        raise _Refused(f"{real} is, or holds, the allowlist itself.")
    home = _real(places.home)
    if home.is_relative_to(real) or any(real.is_relative_to(home / name) for name in OURS):
        raise _Refused(f"{real} is, or holds, a part of pynchy's own home.")
    if source.home is not None and source.home != home:
        raise _Refused(f"{real} is a part of {source.home}, which is a pynchy's home.")
    if source.identity in never(allowlist, places):
        raise _Refused(f"{real} is a part of pynchy's own home, or the allowlist, by another name.")


def _require_unblocked(given: str, parts: Iterable[str], blocked: tuple[str, ...]) -> None:
    for part in (*given.split("/"), *parts):
        if (pattern := blocking(part, blocked)) is not None:
            raise _Refused(f"The path has {part!r} in it, and {pattern!r} is blocked.")


def _root_of(source: Source, roots: Iterable[tuple[Path, Root]]) -> tuple[Path, Root]:
    """The innermost allowed root; of two that are the same, the stricter."""
    holding = [(path, root) for path, root in roots if source.real.is_relative_to(path)]
    if not holding:
        raise _Refused(f"{source.real} lies below no allowed root.")
    return max(holding, key=lambda one: (len(one[0].parts), not one[1].allow_read_write))


def _real(path: Path) -> Path:
    return path.resolve()


def _folded(name: str) -> str:
    return unicodedata.normalize("NFKC", name).casefold()
