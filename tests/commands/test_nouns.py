"""The same verbs and options on every noun: the whole tree of commands is walked."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pynchy_cli.cli import VERBS
from pynchy_cli.commands.app import run
from pynchy_cli.commands.verbs import load_verb
from pynchy_cli.store import events, outbound, sessions
from tests.people import People

OF_NO_GROUP = {"groups", "jobs"}
"""Nouns whose things are of no group, or are groups."""
INNER = {"group_folder", "chat_jid", "run_id", "ledger_id", "is_from_me", "message_type"}
"""What columns are called; in JSON it is group, chat, run and so on."""
TIMES = {"timestamp", "next_run", "last_run"}
OLD = (
    "runs list --number 1",
    "tasks list --group main",
    "mounts list --group main",
    "tail --lines 1",
)
"""What was typed before."""
WIDE = ("tasks", "jobs")
"""They are plans: what is due next stands first."""


def tree() -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command that can be called, with the words that call it."""

    def below(path: tuple[str, ...], command: Any) -> Iterator[tuple[tuple[str, ...], Any]]:
        found = getattr(command, "commands", {})
        if not found or getattr(command, "invoke_without_command", False):
            yield path, command
        for name, one in found.items():
            yield from below((*path, name), one)

    for verb in VERBS:
        yield from below((verb,), load_verb(verb))


COMMANDS = dict(tree())
LISTS = [path for path in COMMANDS if path[-1] == "list"]
SHOWS = [path for path in COMMANDS if path[-1] == "show" and path[0] != "config"]


def options(path: tuple[str, ...]) -> set[str]:
    return {name for one in COMMANDS[path].params for name in one.opts if name.startswith("-")}


def arguments(path: tuple[str, ...]) -> list[tuple[str, bool]]:
    found = (one for one in COMMANDS[path].params if one.param_type_name == "argument")
    return [(one.metavar, one.required) for one in found]


def test_there_are_nouns() -> None:
    nouns = {path[0] for path in LISTS}
    wanted = "runs messages sessions tasks jobs groups approvals outbox skills"
    assert nouns >= set(wanted.split())
    assert {path[0] for path in SHOWS} >= set(wanted.split())


@pytest.mark.parametrize("path", LISTS, ids=" ".join)
def test_every_list_takes_a_limit_a_group_and_prints_json(path: tuple[str, ...]) -> None:
    assert options(path) >= {"-n", "--limit", "--json"}
    wanted = [] if path[0] in OF_NO_GROUP else [("GROUP", False)]
    assert arguments(path) == wanted


@pytest.mark.parametrize("path", SHOWS, ids=" ".join)
def test_every_show_takes_what_is_shown_and_prints_json(path: tuple[str, ...]) -> None:
    assert "--json" in options(path)
    assert [is_required for _, is_required in arguments(path)] == [True]


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_command_has_an_example_and_a_proper_end(
    path: tuple[str, ...], capfd: pytest.CaptureFixture[str]
) -> None:
    assert "Example: " in COMMANDS[path].help
    assert run([*path, "--help"]) == 0
    assert capfd.readouterr().out.startswith("Usage: pynchy ")
    assert run([*path, "--no-such-option"]) == 2
    said = capfd.readouterr()
    assert (said.out, "--no-such-option" in said.err) == ("", True)


@pytest.fixture
def full(environment: dict[str, str], tmp_path: Path) -> Path:
    """A home in which there is something of every noun, in two groups."""
    people = People.moved_in(environment, tmp_path / "home")
    people.group("main", "owner", is_admin=True)
    people.group("team", "owner")
    for chat in ("local:main", "local:team"):
        people.say(("owner", "@pynchy hello"), chat=chat)
    people.route()
    people.say(("owner", "again"), chat="local:team")
    people.gated("k4m2", "local:team")
    people.gated("p7q3", "local:main", folder="main")
    home = people.home.root
    for number, group in enumerate(("main", "team")):
        every = ["--every", "1h", "--group", group, "--prompt", f"x{number}"]
        assert run(["--home", str(home), "tasks", "add", *every]) == 0
    assert run(["--home", str(home), "jobs", "add", "--every", "1h", "--", "true"]) == 0
    with people.store() as store, store.atomic() as db:
        db.execute(
            "INSERT INTO chats(jid, channel, first_seen_at) VALUES ('slack:C1', 'slack', '')"
        )
        for number, group in enumerate(("main", "team")):
            now = f"2026-01-31T08:00:0{number}.000Z"
            facts = {"content": "x", "source": "host", "now": now, "group_folder": group}
            outbound.say(db, key=f"x{number}", chat_jid="slack:C1", **facts)
            events.add(db, "notice", {}, now, group_folder=group, run_id=1)
            sessions.begin(
                *(db, group, "chat"),
                folder=group,
                owner=1,
                sandbox="x",
                runtime="unsafe",
                now=now,
            )
    return home


def rows(home: Path, capfd: pytest.CaptureFixture[str], *words: str) -> list[dict[str, Any]]:
    capfd.readouterr()
    assert run(["--home", str(home), *words, "--json"]) == 0
    out = capfd.readouterr().out
    return [json.loads(out)] if out.startswith("{\n") else [*map(json.loads, out.splitlines())]


def test_rows_are_alike_newest_last_and_of_the_group_that_was_asked_for(
    full: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for path in LISTS:
        if path[0] in ("mounts", "directives", "skills"):
            continue
        found = rows(full, capfd, *path)
        assert len(found) >= 1, path
        assert not INNER & {name for row in found for name in row}, path
        strange = {
            name
            for row in found
            for name, value in row.items()
            if isinstance(value, str) and value[4:5] + value[10:11] == "-T"
            if not name.endswith("_at") and name not in TIMES
        }
        assert strange == set(), path
        assert rows(full, capfd, *path, "-n", "0") == []
        newest = found[:1] if path[0] in WIDE else found[-1:]
        assert rows(full, capfd, *path, "--limit", "1") == newest, path
        if path[0] in OF_NO_GROUP:
            continue
        mine = rows(full, capfd, *path, "team")
        chats = {row.get("chat") for row in mine}
        assert {row.get("group", "team") for row in mine} == {"team"}, path
        assert chats <= {None, "local:team", "slack:C1"}, path
        assert 0 < len(mine) < len(found), path
        if path[0] not in WIDE:
            for name in ("id", "seq", "created_at", "asked_at", "last_used_at"):
                if (name, str) != ("id", type(found[0].get("id"))) and name in found[0]:
                    order = [row[name] for row in found]
                    assert order == sorted(order), (path, name)


def test_each_list_s_ids_are_what_its_show_takes_and_no_others(
    full: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    names = {"groups": "group", "sessions": "group", "messages": "seq", "skills": "name"}
    for path in SHOWS:
        if path[0] == "directives":
            continue
        last = rows(full, capfd, path[0], "list")[-1]
        name = names.get(path[0], "id")
        (shown,) = rows(full, capfd, *path, str(last[name]))
        assert shown[name] == last[name], path
        assert not INNER & shown.keys(), path
    for path in SHOWS:
        assert run(["--home", str(full), *path, "4711", "--json"]) in (1, 2), path
        told = json.loads(capfd.readouterr().out)
        assert told["ok"] is False, path
    for old in OLD:
        assert run(["--home", str(full), *old.split()]) == 0


HEAVY = ("asyncio", "ssl", "aiohttp", "structlog", "sqlite_utils", "croniter", "markdown_it")
HEAVY += ("prompt_toolkit", "docker", "slack_sdk", "neonize", "jsonschema", "mcp", "asyncinotify")
LOOK = """
import sys
from pynchy_cli.commands.app import run
for words in sys.argv[1:]:
    assert run(["--home", HOME, *words.split()]) == 0, words
    print("loaded", words, *sorted(set(HEAVY) & sys.modules.keys()), file=sys.stderr)
"""


def test_who_only_reads_loads_nothing_heavy(full: Path, environment: dict[str, str]) -> None:
    """They start within half as much again as a command that does nothing at all."""
    words = [" ".join(path) for path in LISTS]
    words += ["tail", "tail --trace", "logs", "audit", "why run:1", "messages show 1"]
    code = f"HOME, HEAVY = {str(full)!r}, {HEAVY!r}{LOOK}"
    done = subprocess.run(
        [sys.executable, "-c", code, *words],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = [line for line in done.stderr.splitlines() if line.startswith("loaded ")]
    assert told == [f"loaded {one}" for one in words]
