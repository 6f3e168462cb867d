"""`pynchy config`: what is in force is shown, what is wrong is said, secrets are neither."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from pynchy_cli.config.settings import Settings

Pynchy = Callable[..., subprocess.CompletedProcess[str]]


def test_all_is_well_without_any_file(tmp_path: Path, pynchy: Pynchy) -> None:
    found = json.loads(pynchy("config", "check").stdout)
    assert (found["ok"], found["files"]) == (True, [])
    assert not (tmp_path / "home").exists()


def test_what_init_writes_is_well(home: Path, pynchy: Pynchy) -> None:
    done = pynchy("config", "check", "--json")
    assert json.loads(done.stdout)["files"] == [str(home / "config.toml"), str(home / ".env")]
    assert done.stderr == ""


def test_a_typo_is_said_and_the_code_is_100(home: Path, pynchy: Pynchy) -> None:
    (home / "config.toml").write_text("[queue]\nmax_concurent = 2\n")
    said = f"{home}/config.toml, line 2: [queue] has no setting max_concurent."
    done = pynchy("config", "check", "--json", code=100)
    assert done.stderr.startswith(f"pynchy: {said} Did you mean max_concurrent?")
    assert json.loads(done.stdout)["error"]["code"] == "config_invalid"
    assert said in pynchy("config", "show", code=100).stderr


def test_a_name_of_nothing_that_is_there_is_refused(pynchy: Pynchy) -> None:
    for variable, value, said in (
        ("AGENT__CORE", "clade", "[agent] core: No plugin is called 'clade'."),
        ("AGENT__CORE", "local", "[agent] core: The plugin 'local' offers no core."),
        ("SANDBOX__RUNTIME", "bubble", "[sandbox] runtime: No plugin is called 'bubble'."),
        ("SUPERVISE__STAGES", "rout", "[supervise] stages: There is no stage 'rout'."),
        ("SUPERVISE__STAGES", "", "[supervise] stages: No stage is named."),
    ):
        done = pynchy("config", "check", env={f"PYNCHY_{variable}": value}, code=100)
        assert said in done.stderr


def test_a_variable_that_is_no_setting_is_refused(home: Path, pynchy: Pynchy) -> None:
    done = pynchy("config", "check", env={"PYNCHY_AGENT__NMAE": "bob"}, code=100)
    assert "PYNCHY_AGENT__NMAE is no setting. Did you mean PYNCHY_AGENT__NAME?" in done.stderr


def test_show_gives_what_is_in_force(home: Path, pynchy: Pynchy) -> None:
    (home / "config.toml").write_text("[agent]\nname = 'bob'\n")
    document = json.loads(pynchy("config", "show").stdout)
    assert (document["agent"]["name"], document["agent"]["core"]) == ("bob", "echo")
    assert set(document) == set(Settings.__struct_fields__)


def test_secrets_are_never_shown(home: Path, pynchy: Pynchy) -> None:
    (home / ".env").write_text("ANTHROPIC_API_KEY=hunter22\n")
    (home / ".env").chmod(0o644)
    done = pynchy("config", "show")
    assert json.loads(done.stdout)["secrets"]["anthropic_api_key"] == "(set)"
    checked = pynchy("config", "check")
    assert "can be read by others" in checked.stderr
    for text in (done.stdout, done.stderr, checked.stdout, checked.stderr):
        assert "hunter22" not in text


def test_check_notes_what_is_named_and_isnt_there(home: Path, pynchy: Pynchy) -> None:
    (home / "config.toml").write_text(
        "[defaults]\nskills = ['lamps']\n[groups.mian]\ndirectives = ['hose']\n"
        "[groups.main]\ntools = ['echo']\n"
        "[tasks.a]\ngroup = 'main'\nprompt = 'x'\nevery = '1h'\n"
        "[tasks.b]\ngroup = 'family'\nprompt = 'x'\nevery = '1h'\n"
        "[channels.slack.main]\nowner = 'U1'\n[channels.slack.work]\n"
        "[channels.slack.old]\nenabled = false\n[channels.slack.play]\nowner = '@ann'\n"
    )
    done = pynchy("config", "check")
    notes = json.loads(done.stdout)["notes"]
    assert notes == [
        "[groups.mian] is for a group that isn't there: `pynchy groups list`.",
        "[tasks.b] waits for the group family, which isn't there.",
        "[channels.slack.work] has no owner, so nobody there is you. Set owner, or name people "
        "with `pynchy groups allow`.",
        "[channels.slack.play] owner: '@ann' is nobody's id there; ids look like U012ABCDEF.",
        "There is no skill and no tier of skills called lamps.",
        "The plugin 'echo' offers no tools.",
        f"There is no directive hose; write {home}/directives/hose.md.",
    ]
    assert done.stderr.splitlines() == notes


def test_show_of_a_group_gives_what_holds_for_it(home: Path, pynchy: Pynchy) -> None:
    (home / "config.toml").write_text(
        "[defaults]\nmodel = 'a'\n[profiles.p]\nmodel = 'b'\n[groups.main]\nprofile = 'p'\n"
    )
    env = {"PYNCHY_GROUPS__MAIN__GH_TOKEN": "token-of-main"}
    done = pynchy("config", "show", "--group", "main", env=env)
    rules = json.loads(done.stdout)["groups.main"]
    assert (rules["model"], rules["memory"], rules["gh_token"]) == ("b", 2 * 1024**3, "(set)")
    assert json.loads(pynchy("config", "show", env=env).stdout)["profiles"]["p"]["model"] == "b"
    assert "token-of-main" not in done.stdout + pynchy("config", "show", env=env).stdout


def test_tasks_and_jobs_of_the_file_are_shown_and_taken_over(home: Path, pynchy: Pynchy) -> None:
    (home / "config.toml").write_text(
        "[tasks.look]\ngroup = 'main'\nprompt = 'Look.'\nat = '2001-01-01 09:00'\n"
        "[tasks.wait]\ngroup = 'family'\nprompt = 'Wait.'\nevery = '1h'\n"
        "[jobs.backup]\ncommand = 'true'\ncron = '@yearly'\ntimezone = 'Asia/Kolkata'\n"
    )
    document = json.loads(pynchy("config", "show").stdout)
    assert document["tasks"]["look"]["at"] == "2001-01-01 09:00"
    assert document["jobs"]["backup"]["command"] == "true"
    done = pynchy("schedule", "--once")
    assert "a configured task waits" in done.stderr
    told = json.loads(pynchy("status", code=4).stdout)
    assert [one["id"] for one in (*told["tasks"], *told["host_jobs"])] == ["backup"]
    assert told["host_jobs"][0]["next_run"].endswith("-12-31T18:30:00.000Z")
    pynchy("groups", "add", "family")
    pynchy("schedule", "--once")
    told = json.loads(pynchy("status", code=4).stdout)
    assert [(one["id"], one["group"]) for one in told["tasks"]] == [("wait", "family")]


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ('[supervise]\nstages = ["gateway", "roote"]\n', "[supervise] stages: There is no stage"),
        ('[sandbox]\nruntime = "dokcer"\n', "[sandbox] runtime: No plugin is called 'dokcer'."),
        ('[sandbox]\nruntime = "stdin"\n', "[sandbox] runtime: The plugin 'stdin' offers no"),
        ('[gateway]\nmode = "anthropic"\n', "[gateway] mode is anthropic, but there is no key"),
    ],
)
def test_what_a_setting_names_must_be_there(
    home: Path, pynchy: Pynchy, setting: str, words: str
) -> None:
    (home / "config.toml").write_text(setting)
    assert words in pynchy("config", "check", code=100).stderr
    if "stages" in setting:
        assert words in pynchy("up", code=100).stderr


def test_on_a_terminal_it_is_shown_as_toml(home: Path, environment: dict[str, str]) -> None:
    (home / "config.toml").write_text("[agent]\nname = 'bob'\ntrigger_aliases = ['jim']\n")
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "pynchy_cli", "config", "show", "--home", str(home)]
    subprocess.run(command, stdout=theirs, env=environment, timeout=60, check=True)
    os.close(theirs)
    shown = tomllib.loads(os.read(ours, 65536).decode().replace("\r\n", "\n"))
    os.close(ours)
    assert shown["agent"] == {
        "name": "bob",
        "trigger_aliases": ["jim"],
        "core": "echo",
        "model": "",
        "git_name": "",
        "git_email": "",
    }
    assert shown["supervise"] == {
        "stages": ["gateway", "listen", "route", "run-agent", "ipc-watch", "schedule", "backup"]
    }
