"""Where each value comes from: a line, a variable or the default; and all that is wrong at once."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from pynchy_cli.config import origins, rights
from pynchy_cli.config.load import problems, read
from pynchy_cli.config.paths import Home
from pynchy_cli.config.values import as_toml

TOML = """\
[agent]
name = "bob"
model = "a"

[defaults]
skills = ["lamps"]
[profiles.p]
model = "b"
[groups.garden]
profile = "p"
skills = ["beans"]
[channels.slack.main]
owner = "U1"
"""


@pytest.fixture
def home(tmp_path: Path) -> Home:
    found = Home(tmp_path)
    found.config.write_text(TOML)
    found.env.write_text("# secrets\nANTHROPIC_API_KEY=hunter22\nPYNCHY_QUEUE__MAX_RETRIES=1\n")
    found.env.chmod(0o600)
    return found


def told(document: dict[str, Any], key: str, section: str = "") -> tuple[Any, str]:
    return document[key]["value"], origins.in_words(document[key], section)


def test_each_setting_says_where_it_comes_from(home: Home) -> None:
    document = origins.of_all(*read(home, {"PYNCHY_AGENT__MODEL": "c"}))
    assert told(document["agent"], "name", "agent") == ("bob", "config.toml line 2")
    assert told(document["agent"], "model", "agent") == ("c", "environment PYNCHY_AGENT__MODEL")
    assert told(document["agent"], "core", "agent") == ("claude", "default")
    assert told(document["queue"], "max_retries", "queue") == (1, ".env line 3")
    assert told(document["secrets"], "anthropic_api_key", "secrets") == ("(set)", ".env line 2")
    assert (
        told(document["groups"]["garden"], "profile", "groups.garden")[1] == "config.toml line 10"
    )
    slack = document["channels"]["slack"]["main"]
    assert told(slack, "owner", "channels.slack.main") == ("U1", "config.toml line 13")
    assert document["agent"]["name"]["origins"] == [
        {"from": "config.toml", "line": 2, "variable": None, "section": "agent"}
    ]
    assert "hunter22" not in str(document)


def test_of_a_group_the_tier_is_told_that_says_it(home: Home) -> None:
    settings, found = read(home, {"PYNCHY_PROFILES__P__CPUS": "3"})
    rules = origins.of_group(settings, found, "garden")["groups.garden"]
    section = "groups.garden"
    assert told(rules, "profile", section) == ("p", "config.toml line 10")
    assert told(rules, "model", section) == ("b", "[profiles.p] config.toml line 8")
    assert told(rules, "cpus", section) == (
        3.0,
        "[profiles.p] environment PYNCHY_PROFILES__P__CPUS",
    )
    assert told(rules, "skills", section) == (
        ("lamps", "beans"),
        "[defaults] config.toml line 6, config.toml line 11",
    )
    assert told(rules, "directives", section) == (("base", "idle"), "[defaults] default")
    assert told(rules, "memory", section)[1] == "[sandbox] default"
    assert told(rules, "follow_up", section) == ("steer", "default")


def test_a_group_without_a_section_has_what_the_defaults_say(home: Home) -> None:
    settings, found = read(home, {})
    rules = origins.of_group(settings, found, "other")["groups.other"]
    assert told(rules, "model", "groups.other") == ("a", "[agent] config.toml line 3")


def test_all_that_is_wrong_is_said_at_once(home: Home) -> None:
    home.config.write_text(
        "[agnet]\n[queue]\nmax_retrys = 1\nmax_concurrent = 0\n[groups.a]\nmodle = 'x'\n"
        "[profiles]\nx = 1\n[channels]\nsalck.main = {}\n[defaults]\ngate = ['sned_message']\n"
    )
    home.env.write_text("ANTHROPIC_API_KEY='x\nwhat is this\nANTROPIC_API_KEY=1\n")
    found = problems(home, {"PYNCHY_AGENT__NMAE": "b", "PYNCHY_QUEUE__BASE_RETRY": "soon"})
    for line, said in (
        (1, "there is no section [agnet]. Did you mean [agent]?"),
        (3, "no setting max_retrys. Did you mean max_retries?"),
        (4, "can't be 0"),
        (6, "no setting modle. Did you mean model?"),
        (8, "profiles.x must be a section"),
        (10, "no section [channels.salck]"),
        (12, "can't name 'sned_message'"),
    ):
        assert [
            one for one in found if one.startswith(f"{home.config}, line {line}") and said in one
        ]
    for said in (
        ".env, line 1: the quotes",
        ".env, line 2: not of",
        "Did you mean ANTHROPIC_API_KEY?",
    ):
        assert [one for one in found if said in one], said
    assert "PYNCHY_AGENT__NMAE is no setting" in found[-2]
    assert "PYNCHY_QUEUE__BASE_RETRY can't be 'soon'" in found[-1]
    assert len(found) == 12


def test_what_doesnt_fit_together_is_said_where_all_else_is_well(home: Home) -> None:
    home.config.write_text("[groups.a]\nprofile = 'q'\n")
    assert problems(home, {}) == [
        "[groups.a]: there is no profile q. Write a section [profiles.q]."
    ]
    home.config.write_text("[groups.a]\nprofile = 'q'\n[queue]\nmax_concurrent = 0\n")
    assert [one.partition(" can't")[0] for one in problems(home, {})] == [
        f"{home.config}, line 4: [queue] max_concurrent"
    ]
    home.config.write_text("")
    assert problems(home, {}) == []


def test_a_table_is_written_as_toml_and_can_be_read(home: Home) -> None:
    value = {"a": [{"b": 'x"y\\', "c": (1, 2.5, 3.0)}, {"d": True}], "e": None}
    assert tomllib.loads(f"x = {as_toml(value)}") == {
        "x": {"a": [{"b": 'x"y\\', "c": [1, 2.5, 3]}, {"d": True}]}
    }


def test_it_is_told_what_others_may_do_with_the_files(home: Home) -> None:
    home.config.chmod(0o644)
    assert rights.notes(home, read(home, {}).origins) == []
    home.env.chmod(0o666)
    home.config.write_text("\n[secrets]\ngh_token = 'x'\n")
    assert rights.notes(home, read(home, {}).origins) == [
        f"{home.env} can be read by others. `chmod 600 {home.env}` keeps it to yourself.",
        f"{home.config}, line 3: [secrets] gh_token is a secret, and others can read it. "
        "It belongs into .env.",
        f"{home.env} can be changed by others. `chmod go-w {home.env}` ends that.",
    ]
