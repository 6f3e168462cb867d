"""`pynchy doctor`: each check finds the fault that it is for and nothing else, `--fix` mends what
is safe to mend and touches nothing that runs, and all of it works where everything is broken."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from pynchy_cli import clock, locks
from pynchy_cli.commands.app import Context
from pynchy_cli.errors import UsageWrong
from pynchy_cli.install.doctor import registry
from pynchy_cli.install.doctor.examination import examine, mend, note
from pynchy_cli.install.doctor.facts import Facts
from pynchy_cli.install.doctor.finding import Check, Finding, Seen, ok
from pynchy_cli.store import findings
from tests.conftest import Pynchy
from tests.doctor_plants import (
    LONG_AGO,
    PLANTS,
    Plant,
    left_folder,
    old_lock,
    package,
    serve_without_port,
    unit,
)
from tests.doctor_world import World, build, write

SLOW = ("git", "gh", "packages", "units", "sandbox.runtime", "clock.synchronised")
"""Checks that start programs: they are made where they are meant, and in one test of all."""
TROUBLE = ("warning", "failed")


@pytest.fixture(scope="module")
def well(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("doctor") / "home"
    build(root)
    return root


@pytest.fixture
def world(well: Path, tmp_path: Path) -> Iterator[World]:
    made = World(well, tmp_path)
    with made.ending:
        yield made


def quick(plant: Plant) -> list[str]:
    return [one.id for one in registry.CHECKS if one.id == plant.id or not one.id.startswith(SLOW)]


def check_of(id: str) -> Check:
    return next(one for one in registry.CHECKS if one.id == id)


def mended(world: World, id: str) -> list[Finding]:
    facts = world.facts()
    ((check, found),) = examine([check_of(id)], facts)
    assert all(one.state in TROUBLE for one in found), found
    return mend(check, found, facts)


def test_there_is_a_fault_for_every_check() -> None:
    assert [one.id for one in PLANTS] == [one.id for one in registry.CHECKS]


def test_where_all_is_well_nothing_is_found(world: World) -> None:
    found = world.look()
    limited = ("sandbox.runtime", "sandbox.cgroups")  # as good as this machine's kernel
    odd = [one for one in found if one.state != "ok" and one.id not in limited]
    assert odd == []
    assert {one.id for one in found} == {one.id for one in registry.CHECKS}


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.id)
def test_a_planted_fault_is_found_and_no_other(plant: Plant, world: World) -> None:
    known = {one.id for one in world.look("sandbox.cgroups") if one.state in TROUBLE}
    known.discard(plant.id)
    plant.plant(world)
    found = world.look(*quick(plant))
    troubles = {one.id for one in found if one.state in TROUBLE}
    assert troubles - known == {plant.id, *plant.also} - known
    seen = [one for one in found if one.id == plant.id and one.state in TROUBLE]
    assert [one.state for one in seen] == [plant.state] * len(seen)
    assert any(plant.word in one.seen for one in seen), seen
    assert all(one.todo and one.command for one in seen)
    assert all(one.fix is None or check_of(plant.id).mends for one in seen)


def test_serve_that_runs_without_its_port_is_found(world: World) -> None:
    serve_without_port(world)
    (one,) = world.look("ports.free")
    assert (one.id, one.state) == ("ports.free", "failed")
    assert "8484 can't be listened at" in one.seen
    assert "ss -ltnp" in (one.todo or "")


@pytest.mark.parametrize(
    "id",
    [
        *("home.there", "home.rights", "env.rights", "data.rights", "locks.stale"),
        *("sockets.stale", "sandboxes.orphaned", "sandboxes.containers"),
    ],
)
def test_what_is_safe_is_mended(id: str, world: World) -> None:
    next(one for one in PLANTS if one.id == id).plant(world)
    (found,) = mended(world, id)
    assert found.state == "ok"
    assert found.fixed
    assert check_of(id).mends


def test_nothing_that_can_be_mended_is_unsaid(world: World) -> None:
    """The page says of each check whether --fix does something about it."""
    assert {one.id for one in registry.CHECKS if one.mends} == {
        *("home.there", "home.rights", "env.rights", "data.rights", "database.schema"),
        *("groups.folders", "sandboxes.orphaned", "sandboxes.containers"),
        *("locks.stale", "sockets.stale"),
    }


def test_an_empty_database_and_a_missing_folder_of_a_group_are_mended(world: World) -> None:
    world.home.group("main").rmdir()
    (found,) = mended(world, "groups.folders")
    assert (found.state, world.home.group("main").is_dir()) == ("ok", True)
    world.route.release(remove=True)
    for path in world.home.data.glob("messages.db*"):
        path.unlink()
    world.home.database.touch()
    (found,) = mended(world, "database.schema")
    assert found.state == "ok"
    assert "m001_pipeline" in str(found.fixed)


def test_nothing_is_migrated_below_what_runs(world: World) -> None:
    for path in world.home.data.glob("messages.db*"):
        path.unlink()
    world.home.database.touch()
    (found,) = mended(world, "database.schema")
    assert found.state == "failed"
    assert "Stop pynchy first" in str(found.fixed)


def test_what_somebody_holds_is_left_alone(world: World) -> None:
    left_folder(world)
    old_lock(world)
    lock = locks.take(world.home.locks / "owner-99.lock")
    assert lock is not None
    os.utime(lock.path, (0, 0))
    with world.ending:
        world.ending.callback(lock.release)
        for id in ("locks.stale", "sandboxes.orphaned"):
            (found,) = world.look(id)
            assert found.state == "ok", found
    assert world.home.session("main", "s99-1").is_dir()


def test_a_fix_asks_again_whether_somebody_is_at_work(world: World) -> None:
    left_folder(world)
    facts = world.facts()
    ((check, found),) = examine([check_of("sandboxes.orphaned")], facts)
    world.stage("run-agent")
    (after,) = mend(check, found, facts)
    assert "runs now" in str(after.fixed)
    assert world.home.session("main", "s99-1").is_dir()


def test_rights_of_what_a_link_leads_to_stay(world: World) -> None:
    elsewhere = write(world.root / "elsewhere", "KEY=x")
    elsewhere.chmod(0o644)
    world.home.env.unlink()
    world.home.env.symlink_to(elsewhere)
    (found,) = mended(world, "env.rights")
    assert "couldn't be mended" in str(found.fixed)
    assert elsewhere.stat().st_mode & 0o777 == 0o644


def test_in_somebody_elses_home_nothing_is_made(world: World) -> None:
    """Root's folders and locks would keep the owner out."""
    (world.home.data / "claude").rmdir()
    world.given["uid"] = os.getuid() + 1
    (found,) = mended(world, "home.there")
    assert "do it as that user" in str(found.fixed)
    facts = world.facts()
    note([found], facts, is_all=True)
    with facts.reading() as db:
        assert findings.get(db, "doctor") is None


def test_no_key_is_ever_told(world: World) -> None:
    key = "hunter2-is-my-key-and-looks-like-none"
    world.environ |= {"ANTHROPIC_API_KEY": key, "PYNCHY_GATEWAY__MODE": "rehearsal"}
    check = Check("a.b", "true", lambda facts: [ok(f"It is {facts.environ['ANTHROPIC_API_KEY']}.")])
    ((_, (found,)),) = examine([check], world.facts())
    assert found.seen == "It is (secret)."


def test_a_check_that_hangs_or_fails_holds_up_nobody(world: World) -> None:
    never = threading.Event()
    world.ending.callback(never.set)

    def hangs(facts: Facts) -> list[Seen]:
        never.wait()
        return []

    def fails(facts: Facts) -> list[Seen]:
        raise OSError(5, "Input/output error", "/some/where")

    ((_, (broken,)),) = examine([Check("a.fails", "true", fails)], world.facts())
    assert (broken.state, broken.seen) == ("unknown", "/some/where: Input/output error.")
    ((_, (hung,)),) = examine([Check("a.hangs", "true", hangs)], world.facts(), patience=0.1)
    assert (hung.state, "within 0.1 s" in hung.seen) == ("unknown", True)


def test_a_program_that_hangs_is_left_behind(world: World) -> None:
    world.given["patience"] = 0.2
    world.program("timedatectl", "sleep 1000 & sleep 1000")
    (found,) = world.look("clock.synchronised")
    assert found.state == "ok"


def test_the_key_is_tried_by_a_call_that_costs_nothing(world: World) -> None:
    asked: list[str] = []

    def answer(path: str) -> tuple[int, str]:
        asked.append(path)
        return 200, "{}"

    world.environ |= {"ANTHROPIC_API_KEY": "sk-ant-planted-0123456789", "no_proxy": "*"}
    world.environ["PYNCHY_GATEWAY__MODE"] = "anthropic"
    world.environ["PYNCHY_GATEWAY__UPSTREAM"] = world.answering(answer)
    (found,) = world.look("model.key")
    assert (found.state, asked) == ("ok", ["/v1/models?limit=1"])
    world.environ["PYNCHY_GATEWAY__UPSTREAM"] = "http://127.0.0.1:9"
    (found,) = world.look("model.key")
    assert (found.state, "can't be reached" in found.seen) == ("failed", True)


def test_what_was_found_is_noted_for_status(world: World) -> None:
    next(one for one in PLANTS if one.id == "git.state").plant(world)
    facts = world.facts()
    checks = [check_of("git.state"), check_of("sandbox.engine")]
    found = [one for _, each in examine(checks, facts) for one in each]
    note(found, facts, is_all=True)
    with facts.reading() as db:
        noted = {one.name: one for one in findings.all(db)}
    assert noted["doctor"].state == "warning"
    assert noted["doctor"].result["ids"] == ["git.state"]
    git = noted["git"].result
    assert git["head_commit"] == "One thing"
    assert (len(git["head_sha"]), git["dirty"], git["unpushed_commits"]) == (40, True, None)
    assert noted["engine"].result["reachable"] is False


def test_a_checkout_in_the_midst_of_something_is_told(world: World) -> None:
    next(one for one in PLANTS if one.id == "git.state").plant(world)
    own = world.code.parent / ".git"
    os.utime(write(own / "index.lock", ""), (0, 0))
    (own / "rebase-merge").mkdir()
    assert [one.state for one in world.look("git.state")] == ["failed", "failed", "warning"]


def test_two_units_that_start_the_same_are_told(world: World) -> None:
    unit(
        world, "UnitFileState=enabled\n\nId=pynchy.target\nLoadState=loaded\nUnitFileState=enabled"
    )
    (found,) = world.look("units.enabled")
    assert "pynchy.service of the user and pynchy.target of the user" in found.seen


def test_a_database_that_another_program_took_out_of_its_mode_is_told(world: World) -> None:
    world.run("PRAGMA journal_mode=DELETE")
    (found,) = world.look("database.wal")
    assert (found.state, "has no WAL" in found.seen) == ("warning", True)


def test_backups_that_fail_or_are_old_are_told(world: World) -> None:
    world.configure(f'[backup]\nfolder = "{world.root}"\n')
    cases: tuple[tuple[findings.State, str, str], ...] = (
        ("ok", clock.now(), "The last one is of"),
        ("failed", clock.now(), "disk full"),
        ("ok", LONG_AGO, "h old"),
    )
    for state, at, word in cases:
        with world.changing() as db:
            findings.note(db, "backup", state, {"message": "disk full"}, at)
        (found,) = world.look("backup.age")
        assert word in found.seen


def test_checks_are_chosen_by_id_and_by_family() -> None:
    assert [one.id for one in registry.chosen(["env", "clock.skew"])] == [
        "env.rights",
        "clock.skew",
    ]
    with pytest.raises(UsageWrong, match=r"Did you mean model\.key"):
        registry.chosen(["model.kye"])


@pytest.fixture
def home(well: Path, tmp_path: Path) -> Path:
    """A home that is well, where nothing runs."""
    shutil.copytree(well, tmp_path / "home")
    return tmp_path / "home"


def on_terminal(*words: str, env: dict[str, str]) -> tuple[int, list[str]]:
    """The exit code of the command on a terminal, and the lines that stand there then."""
    ours, theirs = os.openpty()
    command = [sys.executable, "-m", "pynchy_cli", *words]
    done = subprocess.run(command, stdin=theirs, stdout=theirs, stderr=theirs, env=env, timeout=60)
    os.close(theirs)
    told = b""
    with suppress(OSError):
        while piece := os.read(ours, 4096):
            told += piece
    os.close(ours)
    return done.returncode, told.decode().splitlines()


def test_the_command_tells_and_mends(
    home: Path, pynchy: Pynchy, environment: dict[str, str]
) -> None:
    (home / ".env").chmod(0o644)
    only = ("--only", "env.rights,home")
    code, lines = on_terminal("--home", str(home), "doctor", *only, env=environment)
    assert code == 1
    assert any(line.startswith("FAILED") and "env.rights" in line for line in lines)
    assert any("chmod go-rwx" in line for line in lines)
    assert "mends 1 of them" in lines[-1]
    assert (home / ".env").stat().st_mode & 0o777 == 0o644
    told = json.loads(pynchy("doctor", *only, "--fix", code=0).stdout)
    assert (told["ok"], told["counts"]["failed"]) == (True, 0)
    (done,) = [one for one in told["findings"] if one["fixed"]]
    assert (done["id"], done["state"], done["fixable"]) == ("env.rights", "ok", False)
    assert (home / ".env").stat().st_mode & 0o777 == 0o600


def test_it_works_where_everything_is_broken(tmp_path: Path, pynchy: Pynchy) -> None:
    home = tmp_path / "home"
    (home / "data").mkdir(parents=True)
    (home / "data" / "messages.db").write_bytes(b"rubbish" * 1000)
    (home / "config.toml").write_text("[agent\n")
    (home / ".env").mkdir()
    told = json.loads(pynchy("doctor", code=1).stdout)
    failed = {one["id"] for one in told["findings"] if one["state"] == "failed"}
    assert {"config.valid", "database.schema", "database.integrity", "home.there"} <= failed
    assert {one["id"] for one in told["findings"]} == {one.id for one in registry.CHECKS}


HANGING = """
import time
from concurrent.futures import ThreadPoolExecutor
from pynchy_cli.plugins import hookimpl

class Runtime:
    def problem(self):
        ThreadPoolExecutor().submit(time.sleep, 1000).result()

class Plugin:
    @hookimpl
    def pynchy_runtime(self, name, settings):
        return Runtime()

plugin = Plugin()
"""


def test_the_command_ends_though_something_hangs(
    home: Path, tmp_path: Path, pynchy: Pynchy
) -> None:
    """Python itself would wait for such a thread, as for that which looks up a network's name."""
    package(tmp_path / "packages", "hanging", HANGING)
    more = {"PYTHONPATH": str(tmp_path / "packages"), "PYNCHY_SANDBOX__RUNTIME": "hanging"}
    done = pynchy("doctor", "--only", "sandbox.runtime,env", "--timeout", "1", env=more)
    states = {one["id"]: one["state"] for one in json.loads(done.stdout)["findings"]}
    assert states == {"env.rights": "ok", "sandbox.runtime": "unknown"}


def test_a_home_that_is_no_folder_is_told(tmp_path: Path, environment: dict[str, str]) -> None:
    place = tmp_path / "file"
    place.write_text("")
    facts = Facts(Context(str(place), environment).place, environment, clock.now())
    found = {one.id: one for _, each in examine(registry.chosen(["home"]), facts) for one in each}
    assert "is not a folder" in found["home.rights"].seen
    assert found["home.there"].state == "failed"


def test_a_disk_that_cannot_be_written_is_told(home: Path, environment: dict[str, str]) -> None:
    script = 'mount --bind "$1" "$1" && mount -o remount,ro,bind "$1" && shift && exec "$@"'
    ask = [sys.executable, "-m", "pynchy_cli", "doctor", "--home", str(home)]
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", script, "sh", str(home), *ask, "--only", "home,database"],
        capture_output=True,
        text=True,
        env=environment,
        timeout=60,
    )
    assert done.returncode == 1, done.stderr
    states = {one["id"]: one["state"] for one in json.loads(done.stdout)["findings"]}
    assert (states["home.disk"], states["home.rights"]) == ("failed", "failed")
    assert (states["database.schema"], states["database.integrity"]) == ("ok", "ok")
    assert states["database.locked"] == "unknown"
