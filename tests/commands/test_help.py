"""The command line as a whole: help, completion, the home's option, and errors as sentences."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from pynchy_cli import __version__
from pynchy_cli.cli import VERBS
from pynchy_cli.commands.verbs import load_verb

Pynchy = Callable[..., subprocess.CompletedProcess[str]]
HEAVY = {"typer", "pydantic", "rich", "sqlite_utils", "sqlite3", "msgspec", "asyncio", "aiohttp"}
HEAVY |= {"neonize", "google", "slack_sdk"}
WRITTEN = [name for name in VERBS if find_spec(f"pynchy_cli.commands.{VERBS[name].module}")]


def commands(path: tuple[str, ...], command: object) -> Iterator[tuple[tuple[str, ...], object]]:
    """A command and all below it, each with the words that call it."""
    yield path, command
    for name, below in getattr(command, "commands", {}).items():
        yield from commands((*path, name), below)


def test_help_shows_every_verb_in_order_with_its_line(pynchy: Pynchy) -> None:
    said = pynchy("--help").stdout
    lines = [f"  {name:<10} {verb.help}\n" for name, verb in VERBS.items()]
    assert all(line in said for line in lines)
    assert [said.index(line) for line in lines] == sorted(said.index(line) for line in lines)
    assert "Example: pynchy" in said
    assert max(map(len, said.splitlines())) <= 80
    assert pynchy("-h").stdout == said
    assert pynchy(code=2).stderr == said


def test_help_loads_nothing_heavy(environment: dict[str, str]) -> None:
    code = (
        "import sys; from pynchy_cli.commands.app import run; run(['--help']);"
        "print(sorted(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True
    )
    assert done.stdout
    assert HEAVY & set(re.findall(r"'(\w+)'", done.stderr)) == set()


@pytest.mark.parametrize("verb", WRITTEN)
def test_every_command_tells_what_it_is_for_with_an_example(verb: str) -> None:
    for path, command in commands(("pynchy", verb), load_verb(verb)):
        text = getattr(command, "help", None) or ""
        first, _, rest = text.partition("\n")
        assert first.strip().endswith("."), path
        examples = re.findall(r"Example: (.*)", rest)
        assert examples, f"{path} shows no example"
        assert " ".join(path) in examples[0].replace("--home ~/assistant ", ""), path


@pytest.mark.parametrize("verb", WRITTEN)
def test_usage_names_each_argument_once_and_in_capitals(verb: str) -> None:
    for path, command in commands((verb,), load_verb(verb)):
        context = command.make_context(" ".join(path), [], resilient_parsing=True)  # type: ignore[attr-defined]
        usage = command.get_usage(context)  # type: ignore[attr-defined]
        words = usage.removeprefix(f"Usage: {' '.join(path)} ").replace("COMMAND [ARGS]...", "")
        assert re.fullmatch(r"[][{}A-Z|. -]+", words), usage
        assert "[[" not in words, usage
        assert "...]" not in words, usage


def test_a_wrong_call_is_answered_in_one_line_of_sentences(pynchy: Pynchy) -> None:
    for arguments, words in (
        (
            "check",
            "Missing argument 'KIND'. Choose from: trigger, transcript, mount, request, cron,"
            " chunk.",
        ),
        (
            "check x",
            "Invalid value for 'KIND': 'x' is not one of 'trigger', 'transcript', 'mount', ",
        ),
        ("tail --what", "No such option: --what. `pynchy tail --help` tells more."),
    ):
        usage, said = pynchy(*arguments.split(), code=2).stderr.splitlines()
        assert usage.startswith("Usage: pynchy ")
        assert said.startswith(f"pynchy: {words}")


def test_a_verb_shows_its_own_help(pynchy: Pynchy) -> None:
    for arguments in (("groups", "add", "--help"), ("--home", "/x", "groups", "add", "-h")):
        said = pynchy(*arguments).stdout
        assert said.startswith("Usage: pynchy groups add [OPTIONS]")
        assert "Example: pynchy groups add slack:C0123 --folder dev" in said
    assert "Commands:\n  add " in pynchy("groups", "--help").stdout


def test_help_is_given_even_where_the_home_is_broken(tmp_path: Path, pynchy: Pynchy) -> None:
    (tmp_path / "home").write_text("a file")
    pynchy("groups", "list", "--help")
    assert "is not a folder" in pynchy("groups", "list", code=100).stderr


def test_the_version_is_told(pynchy: Pynchy) -> None:
    assert pynchy("--version").stdout == f"pynchy {__version__}\n"


def test_home_stands_before_or_after_the_verb(tmp_path: Path, pynchy: Pynchy) -> None:
    other = str(tmp_path / "other")
    pynchy("--home", other, "init", "--yes")
    wanted = json.loads(pynchy("config", "check", "--home", other).stdout)["home"]
    assert wanted == other
    for arguments in (
        ("groups", "list", "--home", other),
        ("groups", f"--home={other}", "list"),
        (f"--home={other}", "groups", "list"),
    ):
        assert '"folder": "main"' in pynchy(*arguments).stdout
    assert "--home needs a folder" in pynchy("groups", "list", "--home", code=2).stderr
    assert "--home needs a folder" in pynchy("--home=", "groups", "list", code=2).stderr


def test_after_two_dashes_home_is_only_a_word(home: Path, pynchy: Pynchy) -> None:
    assert "no group '--home'" in pynchy("groups", "show", "--", "--home", code=1).stderr


def test_a_verb_that_isnt_one_is_told_with_the_nearest(pynchy: Pynchy) -> None:
    said = pynchy("grops", "list", code=2).stderr
    assert "No such command 'grops'. Did you mean 'groups'?" in said
    assert "No such option" in pynchy("--nothing", "groups", code=2).stderr


def complete(words: str, at: int, environment: dict[str, str]) -> list[str]:
    asked = {"_PYNCHY_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(at)}
    done = subprocess.run(
        [sys.executable, "-m", "pynchy_cli"],
        capture_output=True,
        text=True,
        env={**environment, **asked},
        check=True,
    )
    return done.stdout.split()


def test_a_shell_completes_verbs_and_options(environment: dict[str, str]) -> None:
    assert complete("pynchy ", 1, environment) == list(VERBS)
    assert complete("pynchy r", 1, environment) == [
        *("route", "run-agent", "runs", "rights", "retry", "restore")
    ]
    verbs = ["add", "link", "unlink", "allow", "deny", "chats", "sync", "list", "show", "remove"]
    assert complete("pynchy groups ", 2, environment) == verbs
    assert complete("pynchy groups add --d", 3, environment) == ["--display-name"]
    assert "--home" in complete("pynchy --", 1, environment)


def test_a_shell_is_told_how_to_complete(environment: dict[str, str]) -> None:
    # The shell is told by what it is: the process that called.
    done = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m pynchy_cli --show-completion; true"],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert "_PYNCHY_COMPLETE=complete_bash" in done.stdout


def test_a_reader_that_has_enough_is_no_failure(home: Path, environment: dict[str, str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "pynchy_cli", "--home", str(home), "groups", "list"],
        stdin=subprocess.DEVNULL,
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ("run-agent main", 2),
        ("send main -", 2),
        ("check trigger", 2),
        ("listen stdin", 0),
        ("chat main", 0),
    ],
)
def test_nobody_needs_a_standard_input(
    home: Path, environment: dict[str, str], arguments: str, code: int
) -> None:
    """Closed, its number would go to the next file that is opened."""
    done = subprocess.run(
        ["sh", "-c", 'exec "$0" -m pynchy_cli "$@" <&-', sys.executable, *arguments.split()],
        capture_output=True,
        text=True,
        env={**environment, "PYNCHY_HOME": str(home)},
        timeout=60,
    )
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.count("\n") <= 1
