"""`pynchy rights`: the table of who may ask for what, and what holds for one group."""

from __future__ import annotations

import json
from pathlib import Path

from pynchy_cli.ipc import authorise
from tests.conftest import Pynchy
from tests.pending import on_terminal
from tests.planted import PAYING, plant_plugin


def test_the_whole_table_needs_no_home(pynchy: Pynchy, tmp_path: Path) -> None:
    rows = [json.loads(line) for line in pynchy("rights").stdout.splitlines()]
    assert {row.pop("type"): tuple(row.items()) for row in rows} == {
        kind: tuple(zip(("admin", "group", "child"), rules, strict=True))
        for kind, rules in authorise.RIGHTS.items()
    }
    assert not (tmp_path / "home").exists()


def test_a_table_with_its_legend_on_a_terminal(home: Path, environment: dict[str, str]) -> None:
    code, lines = on_terminal(home, environment, "rights")
    assert code == 0
    assert lines[:3] == [
        "REQUEST                ADMIN  GROUP  CHILD",
        "send_message           allow  own    deny",
        "schedule_task          allow  own    deny",
    ]
    assert len(lines) == 1 + len(authorise.RIGHTS) + 5
    assert lines[-5:] == [
        "",
        "allow  for any group's chats and tasks",
        "own    for the group's own",
        "gate   likewise, when a person has approved it",
        "deny   never",
    ]
    assert on_terminal(home, environment, "rights", "main")[1][0].split() == [
        *("REQUEST", "ADMIN", "CHILD")
    ]


def test_what_holds_for_a_group(pynchy: Pynchy, home: Path) -> None:
    pynchy("groups", "add", "work")
    (home / "config.toml").write_text(
        '[defaults]\ngate = ["handoff"]\n'
        '[groups.work]\ngate = ["send_message", "service:mail", "deploy_changes"]\n'
        '[groups.main]\ngate = ["service"]\n'
    )
    work, main = (held(pynchy, name) for name in ("work", "main"))
    assert list(work) == [*authorise.RIGHTS, "service:mail"]
    assert (
        work
        | {
            "send_message": ("gate", "deny"),
            "handoff": ("gate", "deny"),
            "service": ("own", "own"),
            "service:mail": ("deny", "deny"),
            "deploy_changes": ("deny", "deny"),
            "list_todos": ("own", "own"),
            "register_group": ("deny", "deny"),
        }
        == work
    )
    assert (
        main
        | {
            "send_message": ("allow", "deny"),
            "handoff": ("gate", "deny"),
            "service": ("gate", "gate"),
            "register_group": ("gate", "deny"),
        }
        == main
    )


def test_a_group_s_tools_are_listed_with_their_rules(
    pynchy: Pynchy, home: Path, tmp_path: Path
) -> None:
    plant_plugin(tmp_path / "site", "handy", PAYING)
    pynchy("groups", "add", "work")
    pynchy("groups", "add", "careful")
    (home / "config.toml").write_text(
        '[defaults]\ntools = ["handy"]\n[groups.careful]\ngate = ["service:look"]\n'
    )
    path = {"PYTHONPATH": str(tmp_path / "site")}
    tools = {
        name: {kind: rule for kind, rule in held(pynchy, name, path).items() if ":" in kind}
        for name in ("main", "work", "careful")
    }
    look, pay = ("own", "own"), ("gate", "gate")
    assert tools == {
        "main": {"service:look": look, "service:pay": pay, "service:wipe": ("own", "deny")},
        "work": {"service:look": look, "service:pay": pay},
        "careful": {"service:look": ("gate", "gate"), "service:pay": pay},
    }


def held(
    pynchy: Pynchy, group: str, env: dict[str, str] | None = None
) -> dict[str, tuple[str, ...]]:
    """What holds for a group: the rules for its agent and for a child, of each kind."""
    lines = pynchy("rights", group, "--json", env=env).stdout.splitlines()
    rows = [json.loads(line) for line in lines]
    return {row.pop("type"): tuple(row.values()) for row in rows}


def test_a_group_that_there_isnt_is_a_sentence(pynchy: Pynchy, home: Path) -> None:
    done = pynchy("rights", "mian", "--json", code=1)
    told = json.loads(done.stdout)["error"]
    assert told["code"] == "group_unknown"
    assert "main" in told["message"]


def test_without_a_home_a_group_s_rights_are_not_known(pynchy: Pynchy) -> None:
    assert "`pynchy init`" in pynchy("rights", "main", code=100).stderr
