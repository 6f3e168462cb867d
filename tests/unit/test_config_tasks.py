"""Tasks and host jobs in the configuration: what is taken, and what is said of everything else."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from pynchy_cli.config import sections, template
from pynchy_cli.config.load import config_hash, load, shown
from pynchy_cli.config.paths import Home
from pynchy_cli.config.settings import JobRules, TaskRules
from pynchy_cli.errors import ConfigInvalid

Refused = Callable[..., str]
TASK = "[tasks.look]\ngroup = 'main'\nprompt = 'Look.'\n"
JOB = "[jobs.backup]\ncommand = 'restic backup'\n"


@pytest.fixture
def place(tmp_path: Path) -> Home:
    """A home that is an empty folder."""
    return Home(tmp_path)


@pytest.fixture
def refused(place: Home) -> Refused:
    """What is said of a configuration that can't be used, but for the folder."""

    def ask(toml: str = "", variables: Mapping[str, str] | None = None) -> str:
        place.config.write_text(toml)
        with pytest.raises(ConfigInvalid) as caught:
            load(place, variables or {})
        return str(caught.value).replace(f"{place.config}, ", "")

    return ask


def test_all_of_it_is_read(place: Home) -> None:
    place.config.write_text(
        "[tasks.stand-up]\ngroup = 'main'\ncron = '0 18 * * 1-5'\ntimezone = 'Europe/Berlin'\n"
        "prompt = '''\nWhat did\n\twe do?'''\nchat = 'local:main'\ncontext_mode = 'group'\n"
        "overlap = 'queue'\ncatch_up = 'skip'\ncondition = 'a\nb'\ncondition_timeout = 5\n"
        "enabled = false\nname = 'Stand-up'\n".replace("'a\nb'", "'''a\nb'''")
        + "[jobs.backup]\ncommand = 'restic'\nevery = '12h'\ncwd = '~/x'\ntimeout_seconds = 9\n"
    )
    found = load(place, {})
    assert found.tasks == {
        "stand-up": TaskRules(
            group="main",
            cron="0 18 * * 1-5",
            timezone="Europe/Berlin",
            prompt="What did\n\twe do?",
            chat="local:main",
            context_mode="group",
            overlap="queue",
            catch_up="skip",
            condition="a\nb",
            condition_timeout=5,
            enabled=False,
            name="Stand-up",
        )
    }
    assert found.jobs == {
        "backup": JobRules(command="restic", every="12h", cwd="~/x", timeout_seconds=9)
    }
    document = shown(found)
    assert document["tasks"]["stand-up"]["prompt"] == "What did\n\twe do?"
    assert document["jobs"]["backup"]["command"] == "restic"


def test_variables_name_them_too(place: Home) -> None:
    place.config.write_text("[tasks.stand-up]\ngroup = 'main'\nprompt = 'Hi.'\ncron = '@daily'\n")
    found = load(
        place,
        {
            "PYNCHY_TASKS__STAND_UP__CRON": "@hourly",
            "PYNCHY_JOBS__BACKUP__COMMAND": "true",
            "PYNCHY_JOBS__BACKUP__AT": "2026-12-01 09:00",
            "PYNCHY_JOBS__BACKUP__ENABLED": "no",
        },
    )
    assert (found.tasks["stand-up"].cron, found.tasks["stand-up"].prompt) == ("@hourly", "Hi.")
    assert found.jobs == {"backup": JobRules(command="true", at="2026-12-01 09:00", enabled=False)}


def test_a_variable_may_empty_what_the_file_says(place: Home) -> None:
    place.config.write_text(TASK + "cron = '@daily'\n")
    emptied = {"PYNCHY_TASKS__LOOK__CRON": "", "PYNCHY_TASKS__LOOK__EVERY": "1h"}
    assert (load(place, emptied).tasks["look"].cron, load(place, {}).tasks["look"].every) == (
        "",
        "",
    )


def test_a_time_that_has_passed_makes_nothing_invalid(place: Home) -> None:
    place.config.write_text(TASK + "at = '2001-01-31 08:00'\n" + JOB + "at = '2001-01-31 08:00Z'\n")
    assert load(place, {}).tasks["look"].at == "2001-01-31 08:00"


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        ("[tasks.look]\n", "line 1: [tasks.look]: group is needed."),
        ("[tasks.look]\ngroup = 'm'\nprompt = ' \\n'".replace("'", '"'), "prompt is needed."),
        ("\n[jobs.backup]\n", "line 2: [jobs.backup]: command is needed."),
        (TASK, "line 1: [tasks.look]: one of cron, every and at is needed."),
        (
            TASK + "cron = '@daily'\nevery = '1h'\n",
            "line 1: [tasks.look]: one of cron, every and at is needed, not cron and every.",
        ),
        (
            TASK + "cron = '0 9 * *'\n",
            "line 4: [tasks.look] cron: '0 9 * *' is no cron expression: five fields",
        ),
        (TASK + "cron = '0 0 30 2 *'\n", "line 4: [tasks.look] cron: '0 0 30 2 *' never comes."),
        (JOB + "every = '9s'\n", "line 3: [jobs.backup] every: An interval is 10 seconds at least"),
        (JOB + "at = 'tomorrow'\n", "line 3: [jobs.backup] at: 'tomorrow' is no moment"),
        (
            JOB + "at = '2026-12-01 09:00'\ntimezone = 'Europe/Berln'\n",
            "line 4: [jobs.backup] timezone: There is no time zone 'Europe/Berln'."
            " Do you mean Europe/Berlin?",
        ),
        (
            "[scheduler]\ntimezone = 'Europe/Berln'\n",
            "line 2: [scheduler] timezone: There is no time zone 'Europe/Berln'.",
        ),
        (JOB + "every = 1800\n", "every can't be 1800: it must be text. Put it in quotes."),
        (JOB + "at = 2026-12-01 09:00:00\n", "it must be text. Put it in quotes."),
        (JOB + "every = '1h'\ncwd = 'here'\n", "line 4: [jobs.backup] cwd must be an absolute"),
        (JOB + "every = '1h'\ntimeout_seconds = 0\n", "it must be a number above 0"),
        (TASK + "every = '1h'\noverlap = 'wait'\n", "it must be skip or queue."),
        (JOB + "every = '1h'\ncontext_mode = 'group'\n", "It belongs below [tasks.NAME]."),
        (JOB + "schedule = '@daily'\n", "has no setting schedule. It is called cron."),
        (JOB + "evry = '1h'\n", "Did you mean every?"),
        ("[cron_jobs.a]\ncommand = 'x'\n", "no section [cron_jobs]. It is called [jobs.NAME]."),
        ("[job.a]\ncommand = 'x'\n", "no section [job]. Did you mean [jobs.NAME]?"),
        ("jobs = 1\n", "jobs must be sections: [jobs.NAME]."),
        ('[jobs.a]\ncommand = "a\\u0000b"\n', "command can't be"),
        ('[jobs.a]\nname = "a\\nb"\n', "name can't be"),
    ],
)
def test_what_cant_be_is_said_with_its_place(refused: Refused, toml: str, said: str) -> None:
    assert said in refused(toml)


@pytest.mark.parametrize("name", ["task-abc234", "job-abc234", '"a b"', '"a.b"', "a" * 65, '"ä"'])
def test_a_name_must_be_able_to_stand_in_the_file(refused: Refused, name: str) -> None:
    for kind, more in (("tasks", "group = 'm'\nprompt = 'x'\n"), ("jobs", "command = 'x'\n")):
        assert "name" in refused(f"[{kind}.{name}]\n{more}every = '1h'\n")


def test_names_that_only_look_alike_are_taken(place: Home) -> None:
    named = ("task-abc2345", "task-abc23", "Job-abc234", "a_b-C9")
    place.config.write_text("".join(f"[jobs.{one}]\ncommand='x'\nevery='1h'\n" for one in named))
    assert tuple(load(place, {}).jobs) == named


def test_a_variable_is_named_where_it_is_wrong(refused: Refused) -> None:
    said = refused(TASK, {"PYNCHY_TASKS__LOOK__CRON": "61 * * * *"})
    assert said.startswith("The environment: PYNCHY_TASKS__LOOK__CRON: ")
    said = refused("", {"PYNCHY_TASKS__LOOK__CRONN": "@daily"})
    assert said.endswith("Did you mean PYNCHY_TASKS__LOOK__CRON?")
    said = refused("", {"PYNCHY_JOBS__BACKUP__COMMAND": "a\udcffb"})
    assert "PYNCHY_JOBS__BACKUP__COMMAND can't be" in said


def test_the_hash_knows_them(place: Home) -> None:
    hashes = set()
    for every in ("1h", "2h"):
        place.config.write_text(f"{JOB}every = '{every}'\n")
        hashes.add(config_hash(load(place, {})))
    assert len(hashes) == 2


def test_the_examples_of_the_template_work_once_uncommented(place: Home) -> None:
    place.config.write_text(re.sub(r"^#(?=\S)", "", template.TIMED, flags=re.MULTILINE))
    found = load(place, {})
    assert found.tasks["standup"].group == "main"
    assert found.jobs["backup"].every == "12h"


def test_the_template_tells_every_setting_of_them() -> None:
    text = template.config_toml()
    for section in ("tasks.NAME", "jobs.NAME"):
        for name in sections.settings(section):
            assert len(re.findall(rf"^#   {name}: \S", text, re.MULTILINE)) == 1, name


def test_croniter_is_loaded_only_for_those_who_have_tasks(
    place: Home, environment: dict[str, str]
) -> None:
    code = (
        "import sys; from pathlib import Path; from pynchy_cli.config.load import load\n"
        "from pynchy_cli.config.paths import Home\n"
        "load(Home(Path(sys.argv[1])), {})\n"
        "print({'croniter', 'pynchy_cli.recurrence'} & set(sys.modules))"
    )
    for toml, said in (("", "set()\n"), (TASK + "cron = '@daily'\n", None)):
        place.config.write_text(toml)
        done = subprocess.run(
            [sys.executable, "-c", code, str(place.root)],
            capture_output=True,
            text=True,
            env=environment,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout == said if said else "recurrence" in done.stdout
