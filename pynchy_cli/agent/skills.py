"""Skills: folders with a SKILL.md that tells an agent how to do something, those that come with
pynchy and the home's own. Which of them a group has is decided anew at each start of a sandbox;
a skill that is broken is left out with a sentence, and never keeps an agent from starting."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from agent_runner import protocol
from pynchy_cli.config.files import read_text
from pynchy_cli.config.paths import Home
from pynchy_cli.errors import ConfigInvalid

FILE = "SKILL.md"
ALL, CORE, COMMUNITY = "*", "core", "community"
"""Every skill; the tier that all groups have; the tier of a skill that names none."""
MOST = 200
"""Skills looked at in one place."""
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
_FRONT = re.compile(r"---[ \t]*\n(.*?)^---[ \t]*(?:\n|\Z)", re.DOTALL | re.MULTILINE)
_FIELD = re.compile(r"([A-Za-z][\w-]*):(?:[ \t]+(.*)|[ \t]*)")
Warn = Callable[[str], object]


@dataclass(frozen=True)
class Skill:
    """One skill, and the folder that holds it."""

    name: str
    description: str
    tier: str
    folder: Path


def shipped() -> Path:
    """The folder of those that come with pynchy."""
    return Path(str(protocol.__file__)).parents[1] / "skills"


def available(home: Home, warn: Warn) -> list[Skill]:
    """All skills by name; the home's own goes before a shipped one of that name."""
    found = {skill.name: skill for skill in _in(shipped(), warn)}
    found |= {skill.name: skill for skill in _in(home.skills, warn)}
    return [found[name] for name in sorted(found)]


def chosen(skills: Sequence[Skill], wanted: Iterable[str]) -> list[Skill]:
    """Those of the tier core, and those whose name or tier is wanted."""
    asked = {CORE, *wanted}
    return [one for one in skills if ALL in asked or asked & {one.name, one.tier}]


def unknown(skills: Sequence[Skill], wanted: Iterable[str]) -> list[str]:
    """What is wanted and is neither a skill nor a tier."""
    known = {ALL, CORE, COMMUNITY}.union(*({one.name, one.tier} for one in skills))
    return [name for name in wanted if name not in known]


def _in(place: Path, warn: Warn) -> list[Skill]:
    """The skills of one place, each name once; what is wrong with the others is told."""
    found: dict[str, Skill] = {}
    try:
        folders = sorted(path for path in place.iterdir() if not path.name.startswith("."))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        warn(f"Skills in {place} can't be read: {error.strerror}.")
        return []
    for folder in folders[:MOST]:
        try:
            skill = _read(folder)
        except ConfigInvalid as error:
            warn(f"A skill is left out: {error}")
            continue
        if skill is None:
            continue
        if (other := found.setdefault(skill.name, skill)) is not skill:
            warn(
                f"A skill is left out: {folder} calls itself {skill.name}, as {other.folder} does."
            )
    if len(folders) > MOST:
        warn(f"In {place} only the first {MOST} folders are looked at.")
    return list(found.values())


def _read(folder: Path) -> Skill | None:
    """The skill in a folder; None of what is no folder. Raises ConfigInvalid."""
    if folder.is_symlink():
        raise ConfigInvalid(f"{folder} is a link; put the folder itself there.")
    if not folder.is_dir():
        return None
    path = folder / FILE
    text = None if path.is_symlink() else read_text(path)
    if text is None:
        raise ConfigInvalid(f"{folder} has no plain file {FILE}.")
    fields = front_matter(text)
    name, tier = fields.get("name", folder.name), fields.get("tier", COMMUNITY)
    for kind, value in (("name", name), ("tier", tier)):
        if not _NAME.fullmatch(value):
            raise ConfigInvalid(
                f"{path}: the {kind} must be small letters, digits and '-', not {value[:60]!r}."
            )
    if not fields.get("description"):
        raise ConfigInvalid(f"{path} has no description between two lines of ---.")
    return Skill(name, fields["description"], tier, folder)


def front_matter(text: str) -> dict[str, str]:
    """The plain fields between the two lines of --- at the top; a longer one may go on in
    indented lines, which are joined by blanks. Of anything more of YAML nothing is understood."""
    match = _FRONT.match(text.replace("\r\n", "\n"))
    fields: dict[str, str] = {}
    name = ""
    for line in match[1].splitlines() if match else ():
        if line[:1] in (" ", "\t") and name:
            fields[name] = f"{fields[name]} {line.strip()}".strip()
        elif (field := _FIELD.fullmatch(line.rstrip())) is not None:
            name = field[1]
            value = (field[2] or "").strip()
            fields[name] = "" if value in (">", "|", ">-", "|-") else value
        else:
            name = ""
    return {name: _unquoted(value) for name, value in fields.items()}


def _unquoted(value: str) -> str:
    if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
        return value[1:-1]
    return value
