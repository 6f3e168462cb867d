"""What an agent is told about where it is: ours, or the installation's own instead of it."""

from __future__ import annotations

from pathlib import Path

from pynchy_cli.agent.directives import SEPARATOR, system_prompt
from pynchy_cli.config.paths import Home
from pynchy_cli.model import Group

DIRECTIVES = Path(__file__).parent.parent.parent / "directives"


def group(*, is_admin: bool) -> Group:
    return Group(
        folder="garden",
        name="The garden",
        jid="local:garden",
        is_admin=is_admin,
        trigger_mode="always",
        trigger_pattern=None,
        allowed_users=("*",),
        number=1,
        routed_seq=0,
        answered_seq=0,
        added_at="2026-01-01T00:00:00.000Z",
    )


def shipped(name: str) -> str:
    return (DIRECTIVES / f"{name}.md").read_text(encoding="utf-8").strip()


def test_every_group_is_told_where_it_is_and_who_it_is(tmp_path: Path) -> None:
    last = "You are called robin. This group is called The garden."
    told = system_prompt(Home(tmp_path), group(is_admin=False), "robin")
    assert told == SEPARATOR.join([shipped("base"), last])
    told = system_prompt(Home(tmp_path), group(is_admin=True), "robin")
    assert told == SEPARATOR.join([shipped("base"), shipped("admin"), last])


def test_the_installation_s_own_words_take_the_place_of_ours(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.directives.mkdir()
    (home.directives / "base.md").write_text("Speak of beans only.\n", encoding="utf-8")
    told = system_prompt(home, group(is_admin=True), "robin")
    assert told.startswith(f"Speak of beans only.{SEPARATOR}{shipped('admin')}")
