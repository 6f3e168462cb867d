"""Who reads which sections: the table is what the code does."""

from __future__ import annotations

import msgspec
import pytest

from pynchy_cli.config.concerns import EVERYBODY, USED_BY, concerns
from pynchy_cli.config.load import section_hashes
from pynchy_cli.config.settings import (
    Channels,
    Log,
    Queue,
    Scheduler,
    Settings,
    SlackRules,
    Supervise,
)
from pynchy_cli.config.stages import wanted
from pynchy_cli.stage import STAGES
from pynchy_cli.supervise.services import SERVICES
from tests.reading import modules_below, sections_read

PLUGINS = {
    "listen": ["pynchy_cli.channels"],
    "run-agent": ["pynchy_cli.sandbox", "pynchy_cli.ipc.handlers"],
    "ipc-watch": ["pynchy_cli.ipc.handlers"],
}
"""What no name in a stage's code leads to: packages whose modules are found by a text."""
AROUND = ["pynchy_cli.stage", "pynchy_cli.loop", "pynchy_cli.context", "pynchy_cli.owner"]


@pytest.mark.parametrize("stage", sorted(STAGES.keys() & SERVICES.keys()))
def test_a_stage_reads_what_the_table_says(stage: str) -> None:
    seeds = [f"pynchy_cli.pipeline.{STAGES[stage]}", *AROUND]
    seeds += [one for package in PLUGINS.get(stage, ()) for one in modules_below(package)]
    told = {section for section, who in USED_BY.items() if {EVERYBODY, stage} & set(who)}
    assert sections_read(seeds) == told


def test_every_section_is_in_the_table() -> None:
    assert USED_BY.keys() == set(Settings.__struct_fields__)
    assert {who for used in USED_BY.values() for who in used} <= {*SERVICES, EVERYBODY}


def changed(**sections: object) -> list[str]:
    """Whom it concerns when these sections are no longer what they are by themselves."""
    before = section_hashes(Settings())
    now = section_hashes(msgspec.structs.replace(Settings(), **sections))
    names = [*(name for name in SERVICES if name != "listen"), "listen@slack", "listen@slack.work"]
    return [name for name in names if concerns(name, before, now)]


def test_only_those_are_concerned_who_read_what_has_changed() -> None:
    assert changed() == []
    assert changed(queue=Queue(max_concurrent=1)) == ["run-agent"]
    assert changed(scheduler=Scheduler(max_jobs=1)) == ["run-agent", "ipc-watch", "schedule"]
    assert changed(supervise=Supervise(stages=("route",))) == []
    everybody = [name for name in SERVICES if name != "listen"]
    assert changed(log=Log(level="error")) == [*everybody, "listen@slack", "listen@slack.work"]
    found = changed(channels=Channels(slack={"work": SlackRules(enabled=False)}))
    assert found == ["route", "serve", "listen@slack.work"]
    before = section_hashes(Settings())
    assert concerns("route", before, {**before, "unheard-of": "1"}), "nobody knows who reads it"


def test_which_stages_are_wanted() -> None:
    settings = Settings(
        supervise=Supervise(stages=("listen", "route", "backup")),
        channels=Channels(slack={"main": SlackRules(), "work": SlackRules()}),
    )
    assert wanted(settings) == ["listen@slack", "listen@slack.work", "route"]
    backed = msgspec.structs.replace(
        settings, backup=msgspec.structs.replace(settings.backup, folder="/mnt")
    )
    assert wanted(backed)[-1] == "backup"
    assert wanted(settings, ["backup", "listen@slack", "listen"])[0] == "backup"
    assert wanted(settings, ["listen@slack", "listen"]) == ["listen@slack", "listen@slack.work"]
    assert wanted(settings, left_out=["listen"]) == ["route"]
    assert wanted(settings, left_out=["listen@slack", "route"]) == ["listen@slack.work"]
    assert wanted(Settings(supervise=Supervise(stages=("listen",)))) == []
