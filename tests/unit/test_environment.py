"""What an agent's environment holds of the person who runs this, and of whom the host is asked."""

from __future__ import annotations

import asyncio
import dataclasses
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from pynchy_cli.agent.environment import Environment, ask_host
from pynchy_cli.config.settings import Agent, GroupRules, Secrets, Settings
from pynchy_cli.model import Group

PLAIN = Group("club", "Club", "local:club", False, "mention", None, ("owner",), 2, 0, 0, "")
ADMIN = dataclasses.replace(PLAIN, folder="main", number=1, is_admin=True)
HOST = {
    ("git", "config", "user.name"): "Ana",
    ("git", "config", "user.email"): "ana@example.org",
    ("gh", "auth", "token"): "of-the-host",
}


class Host:
    """What the host would say, and what it was asked, in which thread."""

    def __init__(self, answers: Mapping[tuple[str, ...], str] = HOST) -> None:
        self.answers = answers
        self.asked: list[tuple[str, ...]] = []
        self.threads: set[int] = set()

    def __call__(self, command: Sequence[str], environ: Mapping[str, str]) -> str:
        self.asked.append(tuple(command))
        self.threads.add(threading.get_ident())
        return self.answers.get(tuple(command), "")


def found(settings: Settings, host: Host, *groups: Group) -> list[dict[str, str]]:
    async def ask() -> list[dict[str, str]]:
        environment = Environment(settings, {}, host)
        return [await environment.for_group(group) for group in groups]

    return asyncio.run(ask())


def test_the_host_lends_its_identity_and_to_the_admin_group_its_token() -> None:
    admin, plain = found(Settings(), Host(), ADMIN, PLAIN)
    assert plain == {
        "GIT_AUTHOR_NAME": "Ana",
        "GIT_AUTHOR_EMAIL": "ana@example.org",
        "GIT_COMMITTER_NAME": "Ana",
        "GIT_COMMITTER_EMAIL": "ana@example.org",
    }
    assert admin == {**plain, "GH_TOKEN": "of-the-host"}


def test_what_is_configured_goes_before_and_the_host_is_not_asked() -> None:
    host = Host()
    settings = Settings(
        agent=Agent(git_name="Bob", git_email="bob@example.org"),
        secrets=Secrets(gh_token="configured"),
        groups={"club": GroupRules(gh_token="of-the-club")},
    )
    admin, plain = found(settings, host, ADMIN, PLAIN)
    assert (admin["GIT_AUTHOR_NAME"], admin["GIT_COMMITTER_EMAIL"]) == ("Bob", "bob@example.org")
    assert (admin["GH_TOKEN"], plain["GH_TOKEN"]) == ("configured", "of-the-club")
    assert host.asked == []


def test_the_admin_groups_own_token_goes_before_the_installations() -> None:
    settings = Settings(
        secrets=Secrets(gh_token="configured"), groups={"main": GroupRules(gh_token="own")}
    )
    assert found(settings, Host(), ADMIN)[0]["GH_TOKEN"] == "own"


def test_a_host_that_knows_nothing_leaves_an_identity_and_no_token() -> None:
    (admin,) = found(Settings(), Host({}), ADMIN)
    assert admin["GIT_AUTHOR_NAME"] == "pynchy"
    assert admin["GIT_AUTHOR_EMAIL"] == "pynchy@localhost"
    assert "GH_TOKEN" not in admin


def test_the_host_is_asked_once_and_never_on_the_loop() -> None:
    host = Host()
    found(Settings(), host, ADMIN, ADMIN, PLAIN)
    assert sorted(host.asked) == sorted(HOST)
    assert threading.get_ident() not in host.threads


def script(folder: Path, name: str, body: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{body}\n")
    (folder / name).chmod(0o755)


def test_a_program_of_the_host_is_asked_without_our_secrets(tmp_path: Path) -> None:
    script(tmp_path / "bin", "gh", 'echo "$1-$2-$HOME-$ANTHROPIC_API_KEY-$GH_TOKEN"')
    environ = {"PATH": f"{tmp_path}/bin", "HOME": "/h", "ANTHROPIC_API_KEY": "k", "GH_TOKEN": "t"}
    assert ask_host(("gh", "auth", "token"), environ) == "auth-token-/h--"


def test_a_program_that_fails_is_missing_or_babbles_says_nothing(tmp_path: Path) -> None:
    environ = {"PATH": f"{tmp_path}/bin"}
    assert ask_host(("gh", "auth", "token"), environ) == ""
    script(tmp_path / "bin", "gh", "echo a; exit 1")
    assert ask_host(("gh", "auth", "token"), environ) == ""
    script(tmp_path / "bin", "gh", "echo a; echo b")
    assert ask_host(("gh", "auth", "token"), environ) == ""
    script(tmp_path / "bin", "gh", "echo a")
    assert ask_host(("gh", "auth", "token"), environ) == "a"
