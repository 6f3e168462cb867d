"""The files that `pynchy init` writes for people: config.toml with every setting commented
out and explained, made from the settings' own source so that the two can't differ, and .env."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator
from typing import Any, get_args

from pynchy_cli.config import sections
from pynchy_cli.config import settings as source
from pynchy_cli.config.settings import Settings
from pynchy_cli.config.values import as_toml, wanted

HEAD = """\
# Pynchy's configuration. Everything here is optional: what is commented out shows the default.
# A variable of the environment wins over this file: PYNCHY_QUEUE__MAX_CONCURRENT=3 is
# max_concurrent below [queue]. `pynchy config check` tells whether all is well.
"""

GROUPS = """
# The same of single groups, by their folder's name, and of profiles that groups may have.
# Lists add to each other; of everything else the most specific that is set holds.
# [profiles.research]
#   skills = ["*"]
#   idle_timeout = 3600
# [groups.family]
#   profile = "research"
#   directives = ["family"]
#   mounts = [{ host_path = "~/photos", container_path = "photos" }]
"""

TIMED = """
# Tasks (prompts that a group's agent is given) and host jobs (commands of this machine, run with
# your rights), each when it is due. `schedule` takes them over when it starts; those that leave
# this file end. `pynchy tasks list` and `pynchy jobs list` show them, with others.
# [tasks.standup]
#   group = "main"
#   cron = "0 18 * * 1-5"
#   prompt = "Remind us to write down what we did today."
# [jobs.backup]
#   command = "restic backup ~/pynchy"
#   every = "12h"
# What can be said of both, of a task, and of a job:
"""

ENV = """\
# Secrets, one NAME=value a line; keep this file to yourself. The environment wins over it.
# With neither of these, a scripted model stands in (the gateway's rehearsal mode).
# ANTHROPIC_API_KEY=
# CLAUDE_CODE_OAUTH_TOKEN=
# For Slack; `pynchy auth slack` tells where they come from, and checks them.
# SLACK_BOT_TOKEN=
# SLACK_APP_TOKEN=
# For git on GitHub: the admin group's token, and that of the group `family`.
# GH_TOKEN=
# PYNCHY_GROUPS__FAMILY__GH_TOKEN=
"""


def config_toml() -> str:
    """A config.toml that changes nothing, and explains every setting."""
    notes = explanations()
    parts = [HEAD]
    for section, kind in sections.plain().items():
        if section == "secrets":
            continue  # they belong into .env
        parts.append(f"\n# {notes[kind.__name__, '']}\n[{section}]\n")
        standard = getattr(Settings(), section)
        for name, field in sections.settings(section).items():
            note = notes[kind.__name__, name]
            parts.append(f"# {note}{_kind(field.type, note)}\n")
            parts.append(f"# {name}{_toml_or_not(getattr(standard, name))}\n")
    return "".join([*parts, GROUPS, TIMED, *_settings_of_timed(notes)])


def _settings_of_timed(notes: dict[tuple[str, str], str]) -> Iterator[str]:
    """A line or more for each setting of tasks and host jobs."""
    shared = sections.settings("tasks.NAME").keys() & sections.settings("jobs.NAME").keys()
    for section in ("tasks.NAME", "jobs.NAME"):
        kind = sections.FAMILIES[section.partition(".")[0]]
        for name in sections.settings(section):
            if name in shared and section == "jobs.NAME":
                continue
            text = f"{name}: {notes[kind.__name__, name]}"
            yield textwrap.fill(text, 100, initial_indent="#   ", subsequent_indent="#     ") + "\n"


def explanations() -> dict[tuple[str, str], str]:
    """What each section (key empty) and each setting is for: (class, key) -> one line."""
    found = {}
    for kind in ast.parse(inspect.getsource(source)).body:
        if not isinstance(kind, ast.ClassDef):
            continue
        found[kind.name, ""] = _line(ast.get_docstring(kind) or "")
        for base in (one.id for one in kind.bases if isinstance(one, ast.Name)):
            inherited = {key: note for (of, key), note in found.items() if of == base and key}
            found |= {(kind.name, key): note for key, note in inherited.items()}
        for field, after in zip(kind.body, kind.body[1:], strict=False):
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
                found[kind.name, field.target.id] = _line(_text(after))
    return found


def _text(node: ast.stmt) -> str:
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return str(node.value.value)
    return ""


def _line(text: str) -> str:
    return " ".join(text.split())


def _kind(kind: Any, note: str) -> str:
    """What a setting takes, where its explanation doesn't say so."""
    choices = [str(one) for one in get_args(kind) if isinstance(one, str)]
    if all(one in note for one in choices):
        return ""
    return f" One of {wanted(kind)}."


def _toml_or_not(value: Any) -> str:
    """What follows the name of a setting that has this value."""
    return ": not set." if value is None else f" = {as_toml(value)}"
