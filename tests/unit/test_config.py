"""What the configuration takes, which source wins, and what it says of everything else."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from pynchy_cli.config.load import config_hash, load, secrets, shown
from pynchy_cli.config.paths import Home
from pynchy_cli.config.settings import Settings
from pynchy_cli.errors import ConfigInvalid

Refused = Callable[..., str]
KEY = "sk-ant-api03-abcdefgh"


@pytest.fixture
def place(tmp_path: Path) -> Home:
    """A home that is an empty folder."""
    return Home(tmp_path)


@pytest.fixture
def refused(place: Home) -> Refused:
    """What is said of a configuration that can't be used."""

    def ask(
        toml: str | bytes = "", env: str = "", variables: Mapping[str, str] | None = None
    ) -> str:
        place.config.write_bytes(toml if isinstance(toml, bytes) else toml.encode())
        place.env.write_text(env)
        with pytest.raises(ConfigInvalid) as caught:
            load(place, variables or {})
        return str(caught.value)

    return ask


def test_no_file_at_all_gives_the_defaults(place: Home) -> None:
    assert load(place, {}) == Settings()


def test_empty_sections_and_single_overrides_keep_the_other_defaults(place: Home) -> None:
    place.config.write_text("[agent]\n[sandbox]\n[queue]\nmax_retries = 2\n[log]\n")
    settings = load(place, {"PYNCHY_QUEUE__MAX_CONCURRENT": "3"})
    assert (settings.queue.max_concurrent, settings.queue.max_retries) == (3, 2)
    assert settings.queue.base_retry == Settings().queue.base_retry
    assert settings.agent == Settings().agent


def test_the_environment_wins_over_dotenv_over_the_file(place: Home) -> None:
    place.config.write_text("[agent]\nname = 'a'\nmodel = 'a'\ncore = 'a'\n")
    place.env.write_text("PYNCHY_AGENT__NAME=b\nPYNCHY_AGENT__MODEL=b\n")
    agent = load(place, {"PYNCHY_AGENT__NAME": "c"}).agent
    assert (agent.core, agent.model, agent.name) == ("a", "b", "c")


def test_variables_become_the_type_of_their_setting(place: Home) -> None:
    settings = load(
        place,
        {
            "PYNCHY_QUEUE__BASE_RETRY": "0.5",
            "PYNCHY_SANDBOX__MAX_WARM": " 0 ",
            "PYNCHY_AGENT__TRIGGER_ALIASES": "bob, jim,",
            "PYNCHY_SUPERVISE__STAGES": '["route", "run-agent"]',
            "PYNCHY_GATEWAY__MODE": "rehearsal",
            "PYNCHY_AGENT__MODEL": "",
        },
    )
    assert settings.queue.base_retry == 0.5
    assert settings.sandbox.max_warm == 0
    assert settings.agent.trigger_aliases == ("bob", "jim")
    assert settings.supervise.stages == ("route", "run-agent")
    assert settings.gateway.mode == "rehearsal"
    assert settings.agent.model == ""


def test_an_empty_list_can_be_given_by_a_variable(place: Home) -> None:
    place.config.write_text("[agent]\ntrigger_aliases = ['bob']\n")
    assert load(place, {"PYNCHY_AGENT__TRIGGER_ALIASES": ""}).agent.trigger_aliases == ()


def test_variables_of_others_are_let_be(place: Home) -> None:
    place.env.write_text("SLACK__TOKEN=x\nPATH=/bin\n")
    assert load(place, {"PYNCHY_HOME": "/x", "FOO__BAR": "1", "PYNCHY": "1"}) == Settings()


@pytest.mark.parametrize(
    ("slip", "meant"),
    [
        ("ANTHROPIC_API_KE", "ANTHROPIC_API_KEY"),
        ("ANTHROPIC_KEY", "ANTHROPIC_API_KEY"),
        ("CLAUDE_OAUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN"),
        ("PYNCHY_AGENT_CORE", "PYNCHY_AGENT__CORE"),
    ],
)
def test_a_slip_in_a_variable_is_not_passed_over(place: Home, slip: str, meant: str) -> None:
    place.env.write_text(f"\n{slip}=x\n")
    with pytest.raises(ConfigInvalid, match=rf"line 2: {slip} is no setting.*mean {meant}\?"):
        load(place, {})


def test_too_few_underscores_are_noticed_in_the_environment_too(place: Home) -> None:
    with pytest.raises(ConfigInvalid, match="Did you mean PYNCHY_QUEUE__MAX_RETRIES"):
        load(place, {"PYNCHY_QUEUE_MAX_RETRIES": "1"})
    load(place, {"ANTHROPIC_KEY": "somebody else's"})


@pytest.mark.parametrize(
    ("toml", "words"),
    [
        ("[queu]\n", ("line 1", "[queu]", "Did you mean [queue]?")),
        ("\n[queue]\nmax_conc = 3\n", ("line 3", "[queue]", "max_conc", "max_concurrent?")),
        ("[agent]\nmax_concurrent = 3\n", ("line 2", "max_concurrent", "[queue]")),
        ("max_concurrent = 3\n", ("line 1", "max_concurrent", "[queue]")),
        ("queue.max_concurent = 3\n", ("line 1", "max_concurrent?")),
        ("agent = 3\n", ("line 1", "[agent]")),
        ("[[agent]]\nname = 'x'\n", ("line 1", "[agent]")),
        ("[agent]\nzzz = 1\n", ("zzz", "name, trigger_aliases, core, model")),
        ("[zzz]\n", ("[zzz]", "agent, sandbox")),
    ],
)
def test_an_unknown_name_is_said_with_its_place_and_the_nearest(
    refused: Refused, place: Home, toml: str, words: tuple[str, ...]
) -> None:
    said = refused(toml)
    assert str(place.config) in said
    assert [word for word in words if word not in said] == []


@pytest.mark.parametrize(
    ("toml", "words"),
    [
        ("[queue]\nmax_concurrent = 0\n", ("line 2", "max_concurrent", "0", "at least 1")),
        ("[queue]\nmax_concurrent = '3'\n", ("'3'", "a whole number")),
        ("[queue]\nmax_concurrent = 1.5\n", ("1.5", "a whole number")),
        ("[queue]\nmax_concurrent = true\n", ("true", "a whole number")),
        ("[queue]\nmax_concurrent = 9223372036854775808\n", ("9223372036854775808",)),
        ("[queue]\nbase_retry = inf\n", ("inf", "a number")),
        ("[queue]\nbase_retry = nan\n", ("nan", "a number")),
        ("[agent]\nname = 'a b'\n", ("'a b'", "letters, digits")),
        ("[approvals]\napprovers = []\n", ("a list of at least one, each of it text that is",)),
        ("[defaults]\ngate = ['service:']\n", ("text such as send_message or service:NAME",)),
        ('[agent]\nname = "a\\n"\n', ("name", "letters, digits")),
        ("[agent]\nname = { a = 1 }\n", ("a table", "text")),
        ("[agent]\ntrigger_aliases = 'bob'\n", ("'bob'", "a list")),
        ('[agent]\nmodel = "a\\u0000"\n', ("model", "text")),
        ("[gateway]\nmode = 'antropic'\n", ("'antropic'", "auto, anthropic or", "mean anthropic?")),
        ("[gateway]\nupstream = 'x'\n", ("'x'", "https://")),
        ("[gateway]\nupstream = 'http://a:b@c'\n", ("'http://(secret)@c'", "without a login")),
        ("[defaults]\ngate = ['handoff', 'send_mesage']\n", ("'send_mesage'", "send_message?")),
        ("[profiles.a]\ngate = ['schedule']\n", ("line 2", "'schedule'", "schedule_task?")),
        ("[groups.a]\ngate = ['services:x']\n", ("'services:x'",)),
        ("[groups.a]\ngate = ['zzz']\n", ("'zzz'", "`pynchy rights`")),
    ],
)
def test_a_value_that_cant_be_is_said_with_what_can(
    refused: Refused, toml: str, words: tuple[str, ...]
) -> None:
    said = refused(toml)
    assert [word for word in words if word not in said] == []


def test_a_wrong_value_is_refused_even_where_a_variable_overrides_it(refused: Refused) -> None:
    said = refused("[queue]\nmax_concurrent = 0\n", "", {"PYNCHY_QUEUE__MAX_CONCURRENT": "2"})
    assert "config.toml, line 2" in said


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("PYNCHY_QUEU__MAX_CONCURRENT", "3", ("PYNCHY_QUEUE__MAX_CONCURRENT?",)),
        ("PYNCHY_QUEUE__MAX", "3", ("PYNCHY_QUEUE__MAX_",)),
        ("PYNCHY_A__B__C", "3", ("PYNCHY_A__B__C is no setting",)),
        ("PYNCHY_QUEUE__MAX_CONCURRENT", "many", ("'many'", "a whole number")),
        ("PYNCHY_QUEUE__MAX_CONCURRENT", "", ("''", "a whole number")),
        ("PYNCHY_SUPERVISE__STAGES", "[1]", ("a list",)),
        ("PYNCHY_SUPERVISE__STAGES", "[oh", ("a list",)),
        ("PYNCHY_DEFAULTS__GATE", "handof", ("'handof'", "handoff?")),
    ],
)
def test_a_variable_that_cant_be_is_named(
    refused: Refused, name: str, value: str, words: tuple[str, ...]
) -> None:
    by_environment = refused("", "", {name: value})
    by_file = refused("", f"# secrets\n{name}='{value}'\n")
    for said in (by_environment, by_file):
        assert [word for word in (name, *words) if word not in said] == []
    assert "The environment" in by_environment
    assert ".env, line 2" in by_file


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"[agent]\nname = \n", ("not valid TOML", "line 2")),
        (b"[agent]\r\nname = 'x'\r\n[agent]\r\n", ("not valid TOML", "line 3")),
        (b"[agent]\nname = '\xff'\n", ("line 2", "UTF-8")),
        (b"a = " + b"[" * 5000, ("nested too deeply",)),
        (b"a = " + b"9" * 5000, ("not valid TOML",)),
        (b"#" * (1024 * 1024 + 1), ("larger than",)),
    ],
)
def test_a_broken_file_is_said_in_a_sentence(
    refused: Refused, data: bytes, words: tuple[str, ...]
) -> None:
    said = refused(data)
    assert [word for word in ("config.toml", *words) if word not in said] == []


def test_windows_line_ends_and_a_byte_order_mark_are_no_fault(place: Home) -> None:
    place.config.write_bytes(b"\xef\xbb\xbf[agent]\r\nname = 'bob'\r\n")
    place.env.write_bytes(b"\xef\xbb\xbfANTHROPIC_API_KEY=k1\r\nPYNCHY_AGENT__MODEL=m\r\n")
    settings = load(place, {})
    assert (settings.agent.name, settings.agent.model) == ("bob", "m")
    assert settings.secrets.anthropic_api_key == "k1"


@pytest.mark.parametrize("which", ["config", "env"])
def test_a_folder_in_place_of_a_file_is_said(place: Home, which: str) -> None:
    path: Path = getattr(place, which)
    path.mkdir()
    with pytest.raises(ConfigInvalid, match="is a folder"):
        load(place, {})


@pytest.mark.parametrize("which", ["config", "env"])
def test_a_pipe_in_place_of_a_file_is_not_waited_for(place: Home, which: str) -> None:
    os.mkfifo(getattr(place, which))
    with pytest.raises(ConfigInvalid, match="not a plain file"):
        load(place, {})


@pytest.mark.skipif(os.getuid() == 0, reason="root may read everything")
def test_a_file_that_cant_be_read_is_said(place: Home) -> None:
    place.config.write_text("")
    place.config.chmod(0)
    with pytest.raises(ConfigInvalid, match="can't be read: Permission denied"):
        load(place, {})


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("ANTHROPIC_API_KEY=abc", "abc"),
        ("export ANTHROPIC_API_KEY = abc  # mine", "abc"),
        ("ANTHROPIC_API_KEY=a#bc", "a#bc"),
        ('ANTHROPIC_API_KEY="a#b\\"c" # mine', 'a#b"c'),
        ("ANTHROPIC_API_KEY='a\"b'", 'a"b'),
        ("ANTHROPIC_API_KEY=  # nothing", ""),
        ("#ANTHROPIC_API_KEY=abc", ""),
        ("ANTHROPIC_API_KEY=one\nANTHROPIC_API_KEY=two", "two"),
    ],
)
def test_dotenv_is_read_as_people_write_it(place: Home, line: str, value: str) -> None:
    place.env.write_text(f"{line}\n")
    assert load(place, {}).secrets.anthropic_api_key == value


def test_secrets_come_from_the_names_that_other_programs_use(place: Home) -> None:
    place.env.write_text("ANTHROPIC_API_KEY=file\nCLAUDE_CODE_OAUTH_TOKEN=file\n")
    found = load(place, {"ANTHROPIC_API_KEY": " shell "}).secrets
    assert (found.anthropic_api_key, found.claude_code_oauth_token) == ("shell", "file")
    own = {"ANTHROPIC_API_KEY": "plain", "PYNCHY_SECRETS__ANTHROPIC_API_KEY": "own"}
    assert load(place, own).secrets.anthropic_api_key == "own"
    assert load(place, {"ANTHROPIC_API_KEY": ""}).secrets.anthropic_api_key == "file"


@pytest.mark.parametrize(
    ("toml", "env", "variables"),
    [
        (f"[secrets]\nanthropic_api_key = ['{KEY}']\n", "", {}),
        (f"[secrets]\nanthropic_key = '{KEY}'\n", "", {}),
        (f"[secrets]\n{KEY} = 1\n", "", {}),
        (f"[agent]\nname = '{KEY} '\n", "", {}),
        (f"[agent]\nname = {{ a = '{KEY}' }}\n", "", {}),
        (f"[secrets]\nanthropic_api_key = {KEY}\n", "", {}),
        ("", f"{KEY}\n", {}),
        ("", f"ANTHROPIC_API_KEY='{KEY}\n", {}),
        ("", f"ANTHROPIC_API_KEY={KEY} {KEY}\n", {}),
        ("", "", {"ANTHROPIC_API_KEY": f"{KEY}\nevil: header"}),
        ("", "", {"PYNCHY_SECRETS__ANTHROPIC_API_KEY": f"{KEY}\x7f"}),
        ("", "", {"PYNCHY_QUEUE__MAX_CONCURRENT": KEY}),
        ("", "CLAUDE_CODE_OAUTH_TOKEN=abcdefgh x\n", {}),
        ("[secrets]\nanthropic_api_key = 'abcdefgh x'\n", "", {}),
        ("[channels.slack.main]\nbot_token = ['xoxb-abcdefgh']\n", "", {}),
        ("[channels.slack.main]\napp_token = ['abcdefgh']\n", "", {}),
        ("[channels.slack.main]\n", "", {"SLACK_BOT_TOKEN": "abcdefgh x"}),
        ("", "", {"PYNCHY_CHANNELS__SLACK__MAIN__APP_TOKEN": "abcdefgh\x7f"}),
    ],
)
def test_no_error_repeats_a_secret(
    refused: Refused, toml: str, env: str, variables: dict[str, str]
) -> None:
    assert "abcdefgh" not in refused(toml, env, variables)


def test_shown_masks_secrets_and_nothing_else(place: Home) -> None:
    settings = load(place, {"ANTHROPIC_API_KEY": KEY})
    document = shown(settings)
    assert document["secrets"] == {
        "anthropic_api_key": "(set)",
        "claude_code_oauth_token": "",
        "gh_token": "",
        "api_token": "",
    }
    assert document["queue"]["max_concurrent"] == 5
    assert set(document) == set(Settings.__struct_fields__)
    assert secrets(settings) == (KEY,)


def test_the_hash_changes_with_any_setting(place: Home) -> None:
    variants = ({}, {"PYNCHY_AGENT__NAME": "bob"}, {"ANTHROPIC_API_KEY": "k"})
    hashes = {config_hash(load(place, one)) for one in variants}
    assert len(hashes) == 3
    assert config_hash(load(place, {})) in hashes
