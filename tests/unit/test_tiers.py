"""What holds for a group: the most specific tier that says something, and all lists together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from pynchy_cli.config.load import load, secrets, shown
from pynchy_cli.config.paths import Home
from pynchy_cli.config.settings import Agent, GroupRules, MountRule, Sandbox, Settings
from pynchy_cli.config.tiers import LISTS, Rules, for_group
from pynchy_cli.errors import ConfigInvalid

TIERS = ("below", "defaults", "profile", "group")
VALUES: dict[str, tuple[Any, Any, Any, Any]] = {
    "follow_up": ("steer", "queue", "interrupt", "steer"),
    "idle_timeout": (1.0, 2.0, 3.0, 0.0),
    "run_timeout": (1.0, 2.0, 3.0, 4.0),
    "activity_timeout": (1.0, 2.0, 3.0, 4.0),
    "model": ("a", "b", "c", ""),
    "core": ("a", "b", "c", "d"),
    "memory": (1, 2, 3, 4),
    "cpus": (1.0, 2.0, 3.0, 4.0),
    "max_processes": (1, 2, 3, 4),
    "folder_limit": (1, 2, 3, 4),
    "session_per_thread": (False, True, False, True),
    "show_strangers": (False, True, False, True),
}
"""What each tier says, the weakest first; what stands below follow_up is its own default."""
PHOTOS = MountRule(host_path="/photos", container_path="photos")
MUSIC = MountRule(host_path="/music", container_path="music", readonly=False)
JOINED: dict[str, tuple[Any, Any, Any, Any]] = {
    "directives": (("a", "b"), ("b", "c"), ("a", "d"), ("a", "b", "c", "d")),
    "skills": (("a",), ("*", "a"), ("b",), ("a", "*", "b")),
    "mounts": ((PHOTOS,), (PHOTOS, MUSIC), (MUSIC,), (PHOTOS, MUSIC)),
    "gate": (("a",), ("a", "service:b"), ("a",), ("a", "service:b")),
    "tools": (("clock",), (), ("post", "clock"), ("clock", "post")),
}
"""What each tier says, and all of it together."""


def settings(field: str, values: tuple[Any, ...], through: int) -> Settings:
    """Settings in which the weakest tiers say their value, as many as `through` says."""
    low = {field: values[0]}
    rules = [{field: one} if at < through else {} for at, one in enumerate(values[1:], start=1)]
    return Settings(
        sandbox=Sandbox(**low) if field in Sandbox.__struct_fields__ else Sandbox(),
        agent=Agent(**low) if field in Agent.__struct_fields__ else Agent(),
        defaults=GroupRules(**rules[0]),
        profiles={"p": GroupRules(**rules[1]), "other": GroupRules(**{field: values[1]})},
        groups={"g": GroupRules(profile="p", **rules[2]), "h": GroupRules(**{field: values[3]})},
    )


def test_every_rule_is_tried_here() -> None:
    tried = {*VALUES, *JOINED, "profile", "gh_token"}
    assert tried == set(GroupRules.__struct_fields__) == set(Rules.__struct_fields__)
    assert set(JOINED) == set(LISTS)


@pytest.mark.parametrize("field", VALUES)
@pytest.mark.parametrize("through", range(1, 5))
def test_the_most_specific_tier_that_says_something_counts(field: str, through: int) -> None:
    values = VALUES[field]
    found = getattr(for_group(settings(field, values, through), "g"), field)
    assert found == values[through - 1], TIERS[through - 1]


@pytest.mark.parametrize("field", JOINED)
def test_lists_are_joined_in_order_each_entry_once(field: str) -> None:
    defaults, profile, group, joined = JOINED[field]
    made = Settings(
        defaults=GroupRules(**{field: defaults}),
        profiles={"p": GroupRules(**{field: profile})},
        groups={"g": GroupRules(profile="p", **{field: group})},
    )
    assert getattr(for_group(made, "g"), field) == joined
    assert getattr(for_group(made, "unheard-of"), field) == defaults


def test_nothing_is_left_open_for_a_group_of_which_nothing_is_said() -> None:
    found = msgspec.structs.asdict(for_group(Settings(), "g"))
    assert [name for name, value in found.items() if value is None] == ["profile"]
    assert found["directives"] == ("base", "idle")
    assert found["idle_timeout"] == Settings().sandbox.idle_timeout


def test_a_profile_of_the_defaults_holds_where_a_group_names_none() -> None:
    profiles = {"a": GroupRules(model="a"), "b": GroupRules(model="b")}
    groups = {"g": GroupRules(profile="b")}
    made = Settings(defaults=GroupRules(profile="a"), profiles=profiles, groups=groups)
    assert [for_group(made, name).model for name in ("g", "h")] == ["b", "a"]


def test_a_token_is_the_groups_own_and_no_tiers() -> None:
    token = GroupRules(gh_token="t")
    made = Settings(defaults=token, profiles={"p": token}, groups={"g": GroupRules(profile="p")})
    assert for_group(made, "g").gh_token == ""
    assert for_group(Settings(groups={"g": token}), "g").gh_token == "t"


def test_an_unknown_profile_is_said_with_the_nearest() -> None:
    made = Settings(
        profiles={"research": GroupRules()}, groups={"g": GroupRules(profile="reserch")}
    )
    with pytest.raises(ConfigInvalid, match=r"\[groups.g\].*reserch.*Did you mean research\?"):
        for_group(made, "g")
    for_group(made, "h")


TOML = """
[defaults]
follow_up = "queue"
[profiles.deep-work]
model = "m"
[groups.family]
profile = "deep-work"
idle_timeout = 0
[[groups.family.mounts]]
host_path = "/photos"
container_path = "photos"
[groups.my-team]
"""


@pytest.fixture
def place(tmp_path: Path) -> Home:
    made = Home(tmp_path)
    made.config.write_text(TOML)
    return made


def test_all_tiers_are_read_from_the_file(place: Home) -> None:
    found = for_group(load(place, {}), "family")
    assert (found.profile, found.model, found.follow_up) == ("deep-work", "m", "queue")
    assert (found.idle_timeout, found.mounts) == (0, (PHOTOS,))
    assert found.directives == ("base", "idle")


def test_all_tiers_can_be_set_by_variables(place: Home) -> None:
    place.env.write_text("PYNCHY_GROUPS__MY_TEAM__GH_TOKEN=token-of-the-team\n")
    made = load(
        place,
        {
            "PYNCHY_DEFAULTS__IDLE_TIMEOUT": "7",
            "PYNCHY_DEFAULTS__SKILLS": "*",
            "PYNCHY_PROFILES__DEEP_WORK__CPUS": "0.5",
            "PYNCHY_GROUPS__FAMILY__MEMORY": "1000",
            "PYNCHY_GROUPS__BOOK_CLUB__FOLLOW_UP": "interrupt",
        },
    )
    family, team, club = (for_group(made, name) for name in ("family", "my-team", "book-club"))
    assert (family.idle_timeout, family.cpus, family.memory) == (0, 0.5, 1000)
    assert (team.idle_timeout, team.skills, team.gh_token) == (7, ("*",), "token-of-the-team")
    assert (club.follow_up, club.gh_token) == ("interrupt", "")


def test_a_token_is_never_shown(place: Home) -> None:
    made = load(place, {"PYNCHY_GROUPS__FAMILY__GH_TOKEN": "token-of-the-family"})
    assert "token-of-the-family" not in str(shown(made))
    assert shown(made)["groups"]["family"]["gh_token"] == "(set)"
    assert shown(made)["groups"]["my-team"]["gh_token"] == ""
    assert secrets(made) == ("token-of-the-family",)


@pytest.mark.parametrize(
    ("toml", "words"),
    [
        ("[groups.g]\nmodle = 'm'\n", ("line 2", "[groups.g]", "Did you mean model?")),
        ("[profiles.p]\nprofile = 'q'\n", ("line 2", "[profiles.p]", "has no setting profile")),
        ("[defaults]\ngh_token = 't'\n", ("line 2", "gh_token", "[secrets]")),
        ("[profiles.p]\ngh_token = 't'\n", ("line 2", "gh_token")),
        ("[groups.g]\nmax_warm = 1\n", ("line 2", "belongs below [sandbox]")),
        ("[sandbox]\nskills = ['*']\n", ("line 2", "belongs below [defaults]")),
        ("[group.g]\n", ("line 1", "[group]", "[groups.NAME]")),
        ("[groups]\ng = 1\n", ("line 2", "must be a section")),
        ("groups = 1\n", ("line 1", "[groups.NAME]")),
        ("[groups.g]\nprofile = 'p'\n[profiles.pp]\n", ("[groups.g]", "Did you mean pp?")),
        ("[defaults]\nprofile = 'p'\n", ("[defaults]", "[profiles.p]")),
        ("[groups.g]\nfollow_up = 'stear'\n", ("'stear'", "Did you mean steer?")),
        ("[groups.g]\nidle_timeout = -1\n", ("line 2", "-1", "at least 0")),
        ("[groups.g]\ncpus = 0\n", ("0", "a number")),
        ("[groups.g]\ndirectives = ['../x']\n", ("'../x'", "letters, digits")),
        ("[groups.g]\nskills = ['../x']\n", ("letters, digits", "*")),
        (
            "[[groups.g.mounts]]\nhost_paht = '/x'\n",
            ("line 1", "a list of tables", "host_path", "Did you mean host_path?"),
        ),
        ("[defaults]\nmounts = [{host_path = ''}]\n", ("line 2", "not empty")),
    ],
)
def test_what_is_wrong_with_a_tier_is_said(place: Home, toml: str, words: tuple[str, ...]) -> None:
    place.config.write_text(toml)
    with pytest.raises(ConfigInvalid) as caught:
        load(place, {})
    said = str(caught.value)
    assert [word for word in words if word not in said] == [], said


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("PYNCHY_GROUPS__FAMILY__MODLE", "PYNCHY_GROUPS__FAMILY__MODEL?"),
        ("PYNCHY_DEFAULTS__GH_TOKEN", "is no setting"),
        ("PYNCHY_GROUPS__MODEL", "is no setting"),
        ("PYNCHY_GROUPS____MODEL", "is no setting"),
        ("PYNCHY_PROFILES__P__PROFILE", "is no setting"),
    ],
)
def test_a_variable_that_sets_no_tier_is_refused(place: Home, name: str, words: str) -> None:
    with pytest.raises(ConfigInvalid, match=name) as caught:
        load(place, {name: "x"})
    assert words in str(caught.value)


@pytest.mark.parametrize("value", ["two words of-a-token", "ctrl\x07token"])
def test_no_error_repeats_a_token(place: Home, value: str) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        load(place, {"PYNCHY_GROUPS__FAMILY__GH_TOKEN": value})
    assert "token" not in str(caught.value).replace("GH_TOKEN", "")
