"""The documents that are made from the code: commands from `--help`, tables from the migrated
schema, configuration from the settings. `python -m tests.docs` writes them into docs/,
`--check` ends with 1 where they differ."""

from __future__ import annotations

import sqlite3
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec

from pynchy_cli.cli import VERBS
from pynchy_cli.commands.app import overview
from pynchy_cli.commands.verbs import load_verb
from pynchy_cli.config import sections
from pynchy_cli.config.given import PLAIN_SECRETS
from pynchy_cli.config.settings import GroupRules, Settings
from pynchy_cli.config.template import explanations
from pynchy_cli.config.values import wanted
from pynchy_cli.install import units
from pynchy_cli.install.parts import Flavour
from pynchy_cli.store.migrate import migrate
from tests import status_document
from tests.docs_doctor import doctor
from tests.docs_events import EVENTS, OTHERS
from tests.docs_tables import TABLES
from tests.logged import everywhere

DOCS = Path(__file__).parent.parent / "docs"
SYSTEMD = DOCS.parent / "systemd"
MADE = "<!-- Made by `make fix` from the code; change that. -->\n"
WIDTH = 88

COMMANDS = """\
Standard output is data, standard error is talk. On a terminal a reading command prints a
table; in a pipe, or with `--json`, one JSON document or one JSON object a line. With `--json`
a failure is JSON too: `{"ok": false, "error": {"code": …, "message": …}}`.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 refused, 100 broken (starting again won't help),
111 try again. `pynchy status`: 0 healthy, 1 degraded, 4 down.

"""
SCHEMA = """\
Times are UTC, ISO-8601 with milliseconds and `Z`; order is by integer sequence, never by time.
All tables are STRICT. `pynchy db shell` opens the file, `pynchy db check` looks it over.

"""
LOGS = """\
Every stage writes one line for each event to standard error: text on a terminal, one JSON object
elsewhere ([log] format). `pynchy logs` shows what `pynchy up` keeps in `data/logs/`, or systemd's
journal where units are installed, in which errors have the priority err. Each line has `timestamp`
(UTC), `level`, `stage`, `logger` (which part of it) and `event`, then what belongs to the event:
`error` and `why` say what was wrong, `run`, `group`, `chat`, `reply` name rows that `pynchy why`
tells more of. Secrets of the configuration are masked wherever they stand in a line, also in parts
of addresses and of JSON, and so is what looks like a key.

debug only helps to find a fault, info is what happened as it should, warning what a person should
know of though work goes on, error what failed. `…` stands for what is put in.

"""
SENTENCES = """\
Some parts log sentences, or what libraries say, whose words are not listed:

"""
CONFIGURATION = """\
Nothing needs to be configured. What is set is looked for in four places, and the later wins:
the defaults, `config.toml` in the home, `.env` in the home (for secrets), the environment.
`pynchy config check` tells whether all is well, `pynchy config show` what is in force. An
unknown name is refused, with the nearest known one.

The home is `--home DIR`, else `PYNCHY_HOME`, else `~/pynchy`.
"""
STATUS = """\
`pynchy status` says how everything is, on a terminal as a table: first what is wrong, each with the
command that shows more, then the stages, then a line for each other thing. In a pipe, or with
`--json`, it is one JSON object; `/status` over HTTP is the same. It ends with

- 0 `healthy`: all that should run does, and nothing is wrong,
- 1 `degraded`: something is `wrong` (a stage doesn't run, fails or has lost its connection; the
  configuration is invalid; a check failed; something was set aside; a reply never got to its chat,
  or may have; the disk is nearly full),
- 4 `down`: nothing runs, or the database can't be read; `problem` says why.

Warnings (holds, what failed for good, tasks that fail, what waits for a person) degrade nothing.

It reads the database, the locks of processes, the disk's size, and nothing else: no configuration,
no network, no model. It makes no check: what `findings`, `deploy` and `integrity` tell was noted
when somebody looked, and says when. It writes nothing, and leaves no file behind. It works when
nothing runs, and where nothing can be written; where the database's WAL can't be read then,
`database.stale` says that what was said last may be missing.

`--watch` goes on: a table that is redrawn after each commit, and when a process dies; in a pipe one
line of JSON for each change. Ctrl-C ends it. Nothing is polled.

Lists are short. The whole is told by `pynchy tasks list`, `pynchy jobs list`, `pynchy groups list`,
`pynchy runs list`, `pynchy outbox list` and `pynchy approvals list`.

Every key is always there. Times are UTC, such as `2026-01-31T08:00:00.000Z`.

"""
NAMED = {
    "people.NAME": """\
A list of people for `allowed_users` of groups and for `approvers`, by its name. Lists may name
others. In the environment: `PYNCHY_PEOPLE__<NAME>__MEMBERS`.
""",
    "channels.slack.NAME": """\
A workspace that is called `main` is the channel `slack`, one called `work` is `slack.work`. The
tokens belong into `.env`: `PYNCHY_CHANNELS__SLACK__WORK__BOT_TOKEN` and `…__APP_TOKEN`; where
there is one workspace, or one called `main`, also `SLACK_BOT_TOKEN` and `SLACK_APP_TOKEN`, and with
both of them set no section is needed. `pynchy auth slack` checks them.
""",
    "channels.whatsapp.NAME": """\
A home has one WhatsApp account, `[channels.whatsapp.main]`, which is the channel `whatsapp`. Once
`pynchy auth whatsapp` has paired it no section is needed. In the environment:
`PYNCHY_CHANNELS__WHATSAPP__MAIN__OWNER` and so on.
""",
    "profiles.NAME": """\
What is said below `[defaults]`, for the groups that name this profile; it names none itself.
In the environment: `PYNCHY_PROFILES__<NAME>__IDLE_TIMEOUT` and so on, with `_` for `-`.
""",
    "groups.NAME": """\
What is said below `[defaults]`, for the group of this folder. Lists (`directives`, `skills`,
`mounts`) are joined: the defaults', the profile's, the group's, each entry once. Of everything
else the most specific that is set holds: the group's, its profile's, the defaults', and else
what stands below `[sandbox]` and `[agent]`. A section for a group that there isn't does nothing.

In the environment: `PYNCHY_GROUPS__<NAME>__MODEL` and so on, with `_` for `-`.

**Directives** are texts that agents are always told: `directives/<name>.md` in the home, else the
one of that name that comes with pynchy (`base`, `idle`, and `admin` for the admin group). They are
joined in the order of the tiers. `pynchy directives show GROUP` prints what an agent is told.

**Skills** are folders with a `SKILL.md` that an agent may load: `skills/<name>/` in the home, else
those that come with pynchy. Between two lines of `---` at its top stand `name`, `description` and
`tier` (`community` where it says none). Every group has those of the tier `core`; `skills` adds
tiers, names, or `*`. They are copied anew for each sandbox and can't be written there; links and
whatever is no plain file are left out. `pynchy skills list GROUP` shows which a group has.

**Git.** Agents commit as `git_name` and `git_email` of `[agent]`, else as git on the host does.
`GH_TOKEN` is in the environment of the admin group's agents (`GH_TOKEN` in `.env` or around
pynchy, else what `gh auth token` says on the host), and of a group with a `gh_token` of its own,
which can be set here alone and belongs into `.env`, as `PYNCHY_GROUPS__<NAME>__GH_TOKEN`. Sandboxes
have no network but the way to the model: the token is there for `git` and `gh` where a way to
GitHub is opened to a group, and until then does nothing. Whoever may speak to such an agent can
have it say its token; give a group one that can do no more than it should.
""",
    "tasks.NAME": """\
A prompt that a group's agent is given when it is due. Its id is the section's name: letters,
digits, `_` and `-`, and not of the form that tasks get which are made by command (`task-x7k2m9`).
`group`, `prompt` and one of `cron`, `every` and `at` are needed.

`schedule` takes tasks over when it starts. One whose group isn't there yet waits, which `status`
tells, and is taken over as soon as the group is. Of one that has changed, only a changed schedule
changes when it is due next. One that left the file is cancelled; its log stays for a while, and
written again it goes on with the next due time. Tasks of people and agents are never touched.
They may pause one of the file, which stays paused until they resume it.

In the environment: `PYNCHY_TASKS__<NAME>__CRON` and so on, with `_` for `-`.
""",
    "jobs.NAME": """\
A command that the host itself runs when it is due, as whoever runs pynchy. Its id is the section's
name. `command` and one of `cron`, `every` and `at` are needed. All else is as with tasks.

In the environment: `PYNCHY_JOBS__<NAME>__COMMAND` and so on, with `_` for `-`.
""",
}


def documents() -> dict[str, str]:
    """File name in docs/ -> its whole text."""
    return {
        "commands.md": "".join(commands()),
        "tables.md": "".join(tables()),
        "configuration.md": "".join(configuration()),
        "logs.md": "".join(logs()),
        "doctor.md": MADE + "".join(doctor()),
        "status.md": "".join(status()),
    }


def unit_files() -> dict[str, str]:
    """File name in systemd/ -> its whole text: a unit of each flavour, as an example."""
    flavours: tuple[Flavour, ...] = ("system", "user")
    return {
        f"{flavour}/{name}": text
        for flavour in flavours
        for each_stage in (False, True)
        for name, text in units.rendered(units.checked_in(flavour), each_stage=each_stage).items()
    }


def everything() -> dict[Path, str]:
    """All files that are made, and their texts."""
    return {
        **{DOCS / name: text for name, text in documents().items()},
        **{SYSTEMD / name: text for name, text in unit_files().items()},
    }


def status() -> Iterator[str]:
    """What `pynchy status` tells, key by key."""
    yield f"{MADE}# Status\n\n{STATUS}| key | type | what it says |\n|---|---|---|\n"
    for path, kind, text in status_document.rows():
        yield f"| `{path}` | {kind} | {text} |\n"


def commands() -> Iterator[str]:
    """Every command's help, in the order of the pipeline."""
    yield f"{MADE}# Commands\n\n"
    yield COMMANDS
    yield _block(overview())
    panel = ""
    for name, verb in VERBS.items():
        if verb.panel != panel:
            panel = verb.panel
            yield f"\n## {panel}\n"
        yield from _command(load_verb(name), f"pynchy {name}", "###")


def _command(command: Any, path: str, level: str, parent: Any = None) -> Iterator[str]:
    context = command.make_context(
        path.rpartition(" ")[2] if parent else path,
        [],
        parent=parent,
        resilient_parsing=True,
        terminal_width=WIDTH,
        max_content_width=WIDTH,
    )
    yield f"\n{level} {path}\n\n{_block(command.get_help(context))}"
    for name in command.list_commands(context) if hasattr(command, "list_commands") else []:
        yield from _command(
            command.get_command(context, name), f"{path} {name}", level + "#", context
        )


def _block(text: str) -> str:
    lines = "\n".join(line.rstrip() for line in text.rstrip().splitlines())
    return f"```text\n{lines}\n```\n"


def tables() -> Iterator[str]:
    """Every table of a fresh database, with who writes and reads it, its columns and indexes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "messages.db"
        migrate(path)
        with closing(sqlite3.connect(path)) as db:
            yield from _tables(db)


def _tables(db: sqlite3.Connection) -> Iterator[str]:
    number = db.execute("PRAGMA user_version").fetchone()[0]
    yield f"{MADE}# Tables of `data/messages.db`\n\n"
    yield f"Schema {number}. {SCHEMA}"
    names = [
        row[0]
        for row in db.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' "
            "ORDER BY rowid"
        )
    ]
    yield "| table | what a row is | written by | read by |\n|---|---|---|---|\n"
    for name in names:
        about = TABLES[name]
        yield f"| [`{name}`](#{name}) | {about.row} | {about.writers} | {about.readers} |\n"
    for name in names:
        yield f"\n## {name}\n\n"
        yield from _columns(db, name)
        yield from _indexes(db, name)


def _columns(db: sqlite3.Connection, table: str) -> Iterator[str]:
    references = {
        row[3]: f"→ `{row[2]}.{row[4]}`" for row in db.execute(f"PRAGMA foreign_key_list({table})")
    }
    yield "| column | type | |\n|---|---|---|\n"
    for _, name, kind, not_null, default, key in db.execute(f"PRAGMA table_info({table})"):
        notes = ["key"] if key else []
        notes += [references[name]] if name in references else []
        notes += ["may be empty"] if not not_null and not key else []
        notes += [f"default `{default}`"] if default is not None else []
        yield f"| `{name}` | {kind.lower()} | {', '.join(notes)} |\n"


def _indexes(db: sqlite3.Connection, table: str) -> Iterator[str]:
    rows = db.execute(
        "SELECT sql FROM sqlite_master WHERE type = 'index' AND tbl_name = ? AND sql IS NOT NULL "
        "ORDER BY rowid",
        (table,),
    ).fetchall()
    if rows:
        yield "\n```sql\n" + "".join(f"{row[0]};\n" for row in rows) + "```\n"


def configuration() -> Iterator[str]:
    """Every setting, with its default and the variable that sets it."""
    notes = explanations()
    yield f"{MADE}# Configuration\n\n"
    yield CONFIGURATION
    plain = {key: name for name, key in PLAIN_SECRETS.items()}
    for section in sections.names():
        if section.endswith(".NAME"):
            yield f"\n## [{section}]\n\n{NAMED[section]}"
            kind = sections.FAMILIES[section.rpartition(".")[0]]
            if kind is not GroupRules:
                yield "\n"
                yield from _settings(section, kind(), notes)
            continue
        standard = getattr(Settings(), section)
        yield f"\n## [{section}]\n\n{notes[type(standard).__name__, '']}\n\n"
        yield from _settings(section, standard, notes)
        names = list(sections.settings(section))
        variables = ", ".join(f"`{plain[name]}`" for name in names if name in plain)
        yield f"\nIn the environment: `PYNCHY_{section.upper()}__{names[0].upper()}` and so on"
        yield f"; also {variables}.\n" if variables and section == "secrets" else ".\n"


def logs() -> Iterator[str]:
    """Every event that is logged, with its meaning."""
    yield f"{MADE}# Logs\n\n{LOGS}"
    yield "| event | level | what it means |\n|---|---|---|\n"
    levels: dict[str, set[str]] = {}
    for one in everywhere():
        if one.event is not None:
            levels.setdefault(one.event, set()).update(one.level.split("/"))
    for event, found in sorted(levels.items(), key=lambda item: item[0].casefold()):
        yield f"| `{event}` | {', '.join(sorted(found))} | {_cell(EVENTS.get(event, ''))} |\n"
    yield f"\n{SENTENCES}| logged by | |\n|---|---|\n"
    for module, meaning in sorted(OTHERS.items()):
        yield f"| `{module}` | {_cell(meaning)} |\n"


def _settings(section: str, standard: Any, notes: dict[tuple[str, str], str]) -> Iterator[str]:
    yield "| setting | default | takes | |\n|---|---|---|---|\n"
    for name, field in sections.settings(section).items():
        value = getattr(standard, name)
        default = "" if value is None else f"`{msgspec.json.encode(value).decode()}`"
        yield f"| `{name}` | {default} | {_cell(wanted(field.type))} | "
        yield f"{_cell(notes[type(standard).__name__, name])} |\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def main(arguments: list[str]) -> int:
    """Write the documents, or with `--check` name those that differ."""
    code = 0
    for path, text in everything().items():
        stands = path.read_text(encoding="utf-8") if path.exists() else ""
        if stands == text:
            continue
        if "--check" in arguments:
            named = path.relative_to(DOCS.parent)
            print(f"{named} is not what the code says: make fix", file=sys.stderr)
            code = 1
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
