"""A fault for every check of the doctor: how it is planted, and what is to be seen of it."""

from __future__ import annotations

import json
import os
import resource
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pynchy_cli import clock, locks
from pynchy_cli.config.load import section_hashes
from pynchy_cli.store import failures, findings, holds, processes
from pynchy_cli.store.bell import Bell
from pynchy_cli.store.connection import Store
from tests.doctor_world import World, write

LONG_AGO = "2020-01-01T00:00:00.000Z"


@dataclass(frozen=True)
class Plant:
    """A fault, the state it is found in, a word of what is seen, and what else it harms."""

    id: str
    state: Literal["warning", "failed"]
    word: str
    plant: Callable[[World], object]
    also: tuple[str, ...] = ()


def given(name: str, value: object) -> Callable[[World], object]:
    return lambda world: world.given.update({name: value})


def environ(name: str, value: str) -> Callable[[World], object]:
    return lambda world: world.environ.update({name: value})


def config(text: str) -> Callable[[World], object]:
    return lambda world: world.configure(text)


def system(path: str, text: str) -> Callable[[World], object]:
    return lambda world: write(world.system / path, text)


def sql(*statements: str) -> Callable[[World], object]:
    return lambda world: world.run(*statements)


def chmod(path: str, mode: int) -> Callable[[World], object]:
    return lambda world: (world.home.root / path).chmod(mode)


def other_package(world: World) -> None:
    write(world.code.parent / "requirements.lock", "typer==0.0.1 \\\n    --hash=sha256:00\n")


NEEDY = """
from pynchy_cli.agent.cores import Core
from pynchy_cli.plugins import hookimpl

class Plugin:
    @hookimpl
    def pynchy_core(self, name):
        return Core(name, packages=("no-such-package",))

plugin = Plugin()
"""


def package(folder: Path, name: str, code: str) -> None:
    """A package with a plugin in a folder of packages."""
    write(folder / f"{name}.py", code)
    about = folder / f"{name}-1.0.dist-info"
    write(about / "METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    write(about / "entry_points.txt", f"[pynchy.plugins]\n{name} = {name}:plugin\n")


def needy_core(world: World) -> None:
    folder = world.root / "packages"
    package(folder, "needy", NEEDY)
    sys.path.append(str(folder))
    world.ending.callback(sys.path.remove, str(folder))
    world.environ["PYNCHY_AGENT__CORE"] = "needy"


def dirty_checkout(world: World) -> None:
    git = ["git", "-C", str(world.code.parent), "-c", "user.name=a", "-c", "user.email=a@b"]
    write(world.code / "one.py", "1")
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "One thing"]):
        subprocess.run([*git, *words], check=True, env={"PATH": os.environ["PATH"]})
    write(world.code / "one.py", "2")


def damage(world: World) -> None:
    with Store.open(world.home.database) as store:
        store.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        name = "SELECT rootpage FROM sqlite_master WHERE name = 'events'"
        page = store.db.execute(name).fetchone()[0] - 1
    with world.home.database.open("r+b") as file:
        file.seek(page * 4096)
        file.write(b"\xa5" * 4096)


def long_wal(world: World) -> None:
    wal = world.home.data / "messages.db-wal"
    db = sqlite3.connect(world.home.database)
    world.ending.callback(db.close)
    db.execute("SELECT count(*) FROM runs").fetchall()  # as long as it is open, the WAL stays
    os.truncate(wal, 65 * 1024**2)


def lock_it(world: World) -> None:
    world.given["patience"] = 0.4
    db = sqlite3.connect(world.home.database, isolation_level=None)
    world.ending.callback(db.close)
    db.execute("BEGIN IMMEDIATE")


def link_group(world: World) -> None:
    world.home.group("main").rmdir()
    world.home.group("main").symlink_to(world.root)


def few_files(world: World) -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    world.ending.callback(resource.setrlimit, resource.RLIMIT_NOFILE, before)
    resource.setrlimit(resource.RLIMIT_NOFILE, (512, before[1]))


def no_engine(world: World) -> None:
    # The runtime itself looks into the environment of its process.
    world.ending.callback(os.environ.update, dict(os.environ))
    world.ending.callback(os.environ.pop, "DOCKER_HOST")
    os.environ["DOCKER_HOST"] = world.environ["DOCKER_HOST"]
    world.configure('[sandbox]\nruntime = "docker"\n')


def _engine(path: str) -> tuple[int, str] | None:
    """What any engine answers."""
    if path.endswith("/info"):
        return 200, '{"ServerVersion": "20.10", "ContainersRunning": 0, "Name": "here"}'
    if path.endswith("/version"):
        return 200, '{"ApiVersion": "1.41", "Components": [{"Name": "Engine"}]}'
    return None


def engine_without_image(world: World) -> None:
    def answer(path: str) -> tuple[int, str]:
        return _engine(path) or (404, '{"message": "no such image"}')

    world.environ["DOCKER_HOST"] = world.answering(answer, world.sockets() / "docker.sock")


def left_container(world: World) -> None:
    """An engine that has a container of this home, until that is removed."""
    labels = {"pynchy.home": world.home.id, "pynchy.session": "s99-1"}
    there = [{"Id": "c0ffee", "Names": ["/pynchy-main"], "Labels": labels, "State": "running"}]

    def answer(path: str) -> tuple[int, str]:
        if "/containers/json" in path:
            return 200, json.dumps(there)
        if "/containers/c0ffee" in path:
            there.clear()
            return 204, ""
        return _engine(path) or (200, '{"Config": {}, "Id": "sha256:1"}')

    world.environ["DOCKER_HOST"] = world.answering(answer, world.sockets() / "docker.sock")


def left_folder(world: World) -> None:
    write(world.home.session("main", "s99-1") / "output" / "log", "the end")


def old_lock(world: World) -> None:
    lock = write(world.home.locks / "owner-99.lock", "")
    os.utime(lock, (0, 0))


def deaf_socket(world: World) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        ear.bind(str(world.sockets() / "up-route"))
    world.route.release()


def long_paths(world: World) -> None:
    folder = world.root / ("x" * 100)
    folder.mkdir()
    world.environ["XDG_RUNTIME_DIR"] = str(folder)


def bad_allowlist(world: World) -> None:
    write(world.root / "person/.config/pynchy/mount-allowlist.toml", "allowed = [")


def refused_mount(world: World) -> None:
    path = world.root / "notes"
    path.mkdir()
    write(world.root / "person/.config/pynchy/mount-allowlist.toml", "allowed_roots = []")
    mount = f'{{host_path = "{path}", container_path = "notes"}}'
    world.configure(f"[groups.main]\nmounts = [{mount}]\n")


def refused_key(world: World) -> None:
    world.environ["PYNCHY_GATEWAY__UPSTREAM"] = world.answering(lambda path: (401, "{}"))
    world.environ["PYNCHY_GATEWAY__MODE"] = "auto"
    world.environ["ANTHROPIC_API_KEY"] = "sk-ant-planted-0123456789"


def wrong_tokens(world: World) -> None:
    world.environ |= {"SLACK_BOT_TOKEN": "xoxp-12345678", "SLACK_APP_TOKEN": "xoxb-12345678"}
    world.configure('[channels.slack.main]\nowner = "U012ABCDEF"\n')


def unit(world: World, facts: str) -> None:
    world.sockets()
    told = f"Id=pynchy.service\nLoadState=loaded\nResult=success\n{facts}"
    answer = write(world.root / "unit.txt", told)
    world.program("systemctl", f'test "$1" = --user && cat {answer}')


def unit_of_nothing(world: World) -> None:
    path = write(world.root / "pynchy.service", "[Service]\nExecStart=/nowhere/pynchy up\n")
    unit(world, f"ActiveState=active\nUnitFileState=enabled\nFragmentPath={path}")


def lingerless(world: World) -> None:
    unit(world, "ActiveState=active\nUnitFileState=enabled")
    world.program("loginctl", "echo Linger=no")


def set_aside(world: World) -> None:
    for _ in range(3):
        with world.changing() as db:
            failures.note(db, "route", "message:17", "it can't be", clock.now())


def hold(world: World) -> None:
    with world.changing() as db:
        holds.add(db, None, outbound=True, reason="holidays", by="owner", now=clock.now())


def earlier_configuration(world: World) -> None:
    read = section_hashes(world.facts().settings)
    # What doesn't concern a stage doesn't matter to it.
    world.run(f"UPDATE processes SET hashes = '{json.dumps(read | {'serve': 'other'})}'")
    (found,) = world.look("stages.config")
    assert found.state == "ok"
    world.run(f"UPDATE processes SET hashes = '{json.dumps(read | {'agent': 'other'})}'")


def stopped(world: World) -> None:
    write(world.system / f"proc/{os.getpid()}/stat", f"{os.getpid()} (python (x)) T 1 1")


def deaths(world: World) -> None:
    now = clock.now()
    row = f"('route', 1, '', '0', '', '{{}}', '{now}', '{now}', 1)"
    columns = "stage, pid, lock, version, config_hash, settings, started_at, ended_at, died"
    world.run(f"INSERT INTO processes({columns}) VALUES {', '.join([row] * 5)}")


def unpruned(world: World) -> None:
    with world.changing() as db:
        findings.note(db, "prune", "ok", {}, LONG_AGO)


TASK = (
    "INSERT INTO scheduled_tasks(id, group_folder, prompt, schedule_type, schedule_value, next_run,"
    " created_at) VALUES ('task-one', 'main', 'x', 'once', 'x', {due}, '" + LONG_AGO + "')"
)
JOB = (
    "INSERT INTO host_jobs(id, command, schedule_type, schedule_value, timezone, status,"
    " created_at, last_run, failing, last_log) VALUES ('job-one', 'false', 'cron', '@daily', 'UTC',"
    f" 'paused', '{LONG_AGO}', '{LONG_AGO}', 1, 1)"
)
JOB_LOG = (
    "INSERT INTO host_job_logs(id, job_id, due_at, run_at, status, exit_code)"
    f" VALUES (1, 'job-one', '{LONG_AGO}', '{LONG_AGO}', 'failed', 7)"
)
RUN = (
    "INSERT INTO runs(group_folder, lane, kind, state, owner, created_at)"
    " VALUES ('main', 'chat', 'chat', '{state}', 77, '" + LONG_AGO + "')"
)
PROCESS = (
    "INSERT INTO processes(stage, pid, lock, version, config_hash, settings, started_at)"
    f" VALUES ('schedule', 1, 'owner-98.lock', '0', '', '{{}}', '{LONG_AGO}')"
)
REMOTE = "26 25 0:40 / {root} rw - nfs4 server:/export rw"


def on_nfs(world: World) -> None:
    line = REMOTE.format(root=world.root.resolve())
    path = world.system / "proc/self/mountinfo"
    path.write_text(f"{path.read_text()}\n{line}\n")


def serve_without_port(world: World) -> None:
    """`serve` runs, and another program has its port."""
    world.environ.update(PYNCHY_SERVE__PORT="8484")
    world.stage("serve")
    lock = locks.take(world.home.locks / "serve.lock")
    assert lock is not None
    world.ending.callback(lock.release)
    with world.changing() as db:
        id = db.execute("SELECT max(id) FROM processes").fetchone()[0]
        why = "127.0.0.1:8484 can't be listened at: Address already in use."
        processes.fail(db, id, why, clock.now())


PLANTS = (
    Plant("python.version", "failed", "3.10.4", given("python", (3, 10, 4))),
    Plant("python.sqlite", "failed", "3.36.0", given("sqlite", (3, 36, 0))),
    Plant("packages.locked", "warning", "instead of 0.0.1", other_package),
    Plant("packages.agent", "failed", "no-such-package", needy_core),
    Plant("temp.folder", "failed", "/nowhere", environ("TMPDIR", "/nowhere")),
    Plant("git.state", "warning", "pynchy_cli/one.py", dirty_checkout),
    Plant("gh.login", "warning", "logged in", lambda world: world.program("gh", "exit 1")),
    Plant("home.there", "failed", "claude", lambda w: (w.home.data / "claude").rmdir()),
    Plant("home.rights", "failed", "0777", chmod("groups", 0o777)),
    Plant("home.disk", "failed", "must be", environ("PYNCHY_SANDBOX__MIN_FREE", "9" * 15)),
    Plant("home.file-system", "failed", "nfs4", on_nfs),
    Plant("env.rights", "failed", "0644", chmod(".env", 0o644)),
    Plant("data.rights", "failed", "0755", chmod("data", 0o755)),
    Plant("config.valid", "failed", "Did you mean name?", config("[agent]\nnmae = 'x'\n")),
    Plant("config.names", "failed", "nowhere", environ("PYNCHY_AGENT__CORE", "nowhere")),
    Plant("config.notes", "warning", "absent", config("[defaults]\ndirectives = ['absent']\n")),
    Plant("config.keys", "warning", "line 6", config("[agent]\nmodel = 'sk-ant-0123456789'\n")),
    Plant("database.schema", "failed", "is 7", sql("PRAGMA user_version=7")),
    Plant("database.integrity", "failed", "damaged", damage),
    Plant(
        "database.references",
        *("failed", "sessions", sql("INSERT INTO sessions(group_folder, lane) VALUES ('no', 'a')")),
    ),
    Plant(
        *("database.lost-commits", "failed", "are missing"),
        lambda world: Bell(world.home.bell).ring(1_000_000),
    ),
    Plant("database.wal", "warning", "65 MiB", long_wal),
    Plant("database.locked", "failed", "nothing can be stored", lock_it),
    Plant(
        *("audit.chain", "failed", "Row 1"),
        sql("DROP TRIGGER audit_is_never_changed", "UPDATE audit SET decision = 'denied'"),
    ),
    Plant("groups.admin", "failed", "no group", sql("DELETE FROM registered_groups")),
    Plant("groups.folders", "failed", "no folder", link_group),
    Plant("clock.skew", "failed", "set back", given("now", LONG_AGO)),
    Plant(
        *("clock.synchronised", "warning", "Nothing sets"),
        lambda world: world.program("timedatectl", "echo NTP=no; echo NTPSynchronized=no"),
    ),
    Plant("clock.zone", "warning", "Mars/Olympus", environ("TZ", "Mars/Olympus")),
    Plant("schedule.missed", "failed", "task-one", sql(TASK.format(due=f"'{LONG_AGO}'"))),
    Plant("schedule.failing", "warning", "exit code 7", sql(JOB, JOB_LOG)),
    Plant(
        *("kernel.inotify", "failed", "max_user_instances is 4"),
        system("proc/sys/fs/inotify/max_user_instances", "4"),
    ),
    Plant("kernel.files", "warning", "512 files", few_files),
    Plant("kernel.memory", "warning", "1 MiB", system("proc/meminfo", "MemAvailable: 1024 kB")),
    Plant("sandbox.runtime", "failed", "/nowhere", no_engine, also=("sandbox.engine",)),
    Plant("sandbox.engine", "failed", "/nowhere", no_engine),
    Plant("sandbox.image", "warning", "isn't there", engine_without_image),
    Plant(
        *("sandbox.user-namespaces", "warning", "user.max_user_namespaces is 0"),
        system("proc/sys/user/max_user_namespaces", "0"),
    ),
    Plant(
        *("sandbox.cgroups", "warning", "memory", given("uid", 4321)),
        also=("home.rights",),  # which isn't that user's
    ),
    Plant("sandboxes.orphaned", "warning", "s99-1", left_folder),
    Plant("sandboxes.containers", "warning", "pynchy-main", left_container),
    Plant("locks.stale", "warning", "owner-99.lock", old_lock),
    Plant(
        *("sockets.stale", "warning", "up-route", deaf_socket),
        also=("stages.running", "stages.processes"),
    ),
    Plant("sockets.path-length", "failed", "107", long_paths),
    Plant("sockets.folder", "failed", "no folder of ours", lambda w: w.sockets().chmod(0o777)),
    Plant("mounts.allowlist", "failed", "can't be understood", bad_allowlist),
    Plant("mounts.allowed", "warning", "notes", refused_mount),
    Plant("model.key", "failed", "401", refused_key),
    Plant("slack.state", "failed", "begins with", wrong_tokens),
    Plant("whatsapp.state", "failed", "linked", config("[channels.whatsapp.main]\n")),
    Plant("channels.connected", "failed", "slack", lambda w: w.stage("listen@slack", False)),
    Plant(
        *("ports.free", "failed", "Another program"),
        lambda world: world.environ.update(PYNCHY_SERVE__PORT=str(world.listening())),
    ),
    Plant("units.installed", "failed", "/nowhere/pynchy", unit_of_nothing),
    Plant(
        *("units.enabled", "warning", "disabled"),
        lambda world: unit(world, "ActiveState=active\nUnitFileState=disabled"),
    ),
    Plant("units.linger", "warning", "logs out", lingerless),
    Plant(
        *("units.failed", "failed", "exit code 100"),
        lambda world: unit(world, "ActiveState=failed\nUnitFileState=enabled\nExecMainStatus=100"),
    ),
    Plant(
        *("stages.running", "failed", "schedule doesn't run"),
        environ("PYNCHY_SUPERVISE__STAGES", '["route", "schedule"]'),
    ),
    Plant("stages.stopped", "failed", "route", stopped),
    Plant("stages.version", "warning", "0.0.9", sql("UPDATE processes SET version = '0.0.9'")),
    Plant("stages.config", "warning", "route", earlier_configuration),
    Plant("stages.deaths", "failed", "5 times", deaths),
    Plant("stages.processes", "warning", "schedule", sql(PROCESS)),
    Plant("runs.abandoned", "warning", "Run 1", sql(RUN.format(state="running"))),
    Plant("queue.stuck", "failed", "run-agent", sql(RUN.format(state="queued"))),
    Plant("errors.unread", "failed", "message:17", set_aside),
    Plant("holds.standing", "warning", "holidays", hold),
    Plant("backup.age", "failed", "/nowhere", config('[backup]\nfolder = "/nowhere"\n')),
    Plant("retention.age", "warning", "days", unpruned),
)
