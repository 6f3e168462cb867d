"""The files that `pynchy init` writes for people: a small config.toml, made from the settings' own
source so that the two can't differ, and .env; and a config.toml with every setting there is."""

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
# Pynchy's configuration. Everything here is optional: a line that begins with # and no blank is
# a setting with its default, or an example; take the # away and change it. A variable of the
# environment wins over this file: PYNCHY_QUEUE__MAX_CONCURRENT=3 is max_concurrent below [queue].
# `pynchy config check` tells whether all is well, `pynchy config show --origin` what is in force
# and where it comes from.
"""

MORE = """\
# These are the settings that people change most. `pynchy config template` prints all of them;
# docs/configuration.md explains them, too.
"""

CHOSEN = {
    "agent": ("name", "model"),
    "sandbox": ("runtime", "idle_timeout", "memory"),
    "queue": ("max_concurrent",),
    "approvals": ("expiry",),
    "scheduler": ("timezone",),
    "serve": ("port",),
    "backup": ("folder", "every"),
    "log": ("level",),
}
"""What stands in the file that a new home gets."""

GROUPS = """
# The same of single groups, by their folder's name, and of profiles that groups may have.
# Lists add to each other; of everything else the most specific that is set holds.
#[profiles.research]
#skills = ["*"]
#idle_timeout = 3600
#[groups.family]
#profile = "research"
#directives = ["family"]
#mounts = [{ host_path = "~/photos", container_path = "photos" }]
"""

TIMED = """
# Tasks (prompts that a group's agent is given) and host jobs (commands of this machine, run with
# your rights), each when it is due. `schedule` takes them over when it starts; those that leave
# this file end. `pynchy tasks list` and `pynchy jobs list` show them, with others.
#[tasks.standup]
#group = "main"
#cron = "0 18 * * 1-5"
#prompt = "Remind us to write down what we did today."
#[jobs.backup]
#command = "restic backup ~/pynchy"
#every = "12h"
"""

TIMED_SETTINGS = "# What can be said of both, of a task, and of a job:\n"

OF_GROUPS = """
# What holds for all groups ([defaults]), for single ones, and for profiles that several have.
#[groups.family]
#model = "haiku"
#mounts = [{ host_path = "~/photos", container_path = "photos" }]
"""

ENV = """\
# Secrets, one NAME=value a line; keep this file to yourself. The environment wins over it.
# With neither of these, a scripted model stands in (the gateway's rehearsal mode).
#ANTHROPIC_API_KEY=
#CLAUDE_CODE_OAUTH_TOKEN=
# For Slack; `pynchy auth slack` tells where they come from, and checks them.
#SLACK_BOT_TOKEN=
#SLACK_APP_TOKEN=
# For git on GitHub: the admin group's token, and that of the group `family`.
#GH_TOKEN=
#PYNCHY_GROUPS__FAMILY__GH_TOKEN=
"""


def small(name: str | None = None) -> str:
    """The config.toml of a new home: what people change most, at its defaults, and an assistant
    of that name."""
    notes = explanations()
    parts = [HEAD, MORE]
    for section, chosen in CHOSEN.items():
        kind = sections.plain()[section]
        parts.append(f"\n# {notes[kind.__name__, '']}\n[{section}]\n")
        parts += [_setting(section, key, notes[kind.__name__, key]) for key in chosen]
    text = "".join([*parts, OF_GROUPS, TIMED])
    if name is None:
        return text
    return text.replace(f'#name = "{Settings().agent.name}"', f"name = {as_toml(name)}")


def env(variable: str | None = None, value: str = "") -> str:
    """The .env of a new home, with one secret filled in if there is one."""
    return ENV if variable is None else ENV.replace(f"#{variable}=", f"{variable}={value}")


def config_toml() -> str:
    """A config.toml that changes nothing, and explains every setting."""
    notes = explanations()
    parts = [HEAD]
    for section, kind in sections.plain().items():
        if section == "secrets":
            continue  # they belong into .env
        parts.append(f"\n# {notes[kind.__name__, '']}\n[{section}]\n")
        names = sections.settings(section)
        parts += [_setting(section, name, notes[kind.__name__, name]) for name in names]
    return "".join([*parts, GROUPS, TIMED, TIMED_SETTINGS, *_settings_of_timed(notes)])


def _setting(section: str, name: str, note: str) -> str:
    """A setting at its default, below its explanation."""
    kind = sections.types(section)[name]
    value = getattr(getattr(Settings(), section), name)
    line = f"# {name}: not set." if value is None else f"#{name} = {as_toml(value)}"
    return f"# {note}{_kind(kind, note)}\n{line}\n"


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
