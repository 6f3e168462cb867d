"""F51: host jobs and conditions as the stage runs them: real processes that fail, hang, print
without end and leave children; a stage that is stopped or killed; a file that can't be written."""

from __future__ import annotations

import re
import resource
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from pynchy_cli import clock
from pynchy_cli.scheduling.work import UNKNOWN
from pynchy_cli.store import groups, jobs, tasks, timetable
from pynchy_cli.store.timetable import TASKS
from tests.by_hand import LIMIT, wait_for
from tests.host_jobs import Host, gone, lives

SLEEPERS = """
sleep 1000 & echo $! >> pids
setsid sh -c 'echo $$ >> pids; exec sleep 1000' &
env -i sh -c 'echo $$ >> pids; exec sleep 1000' &
(setsid sh -c 'trap "" TERM; echo $$ >> pids; while :; do sleep 1; done' &) &
trap '' TERM
echo $$ >> pids
while :; do sleep 1; done
"""
"""A command that won't end, and has children of every kind."""
LIVES = "until [ -e go ]; do sleep 0.05; done"


@pytest.fixture
def host(home: Path, environment: dict[str, str]) -> Iterator[Host]:
    made = Host(home, environment)
    try:
        yield made
    finally:
        made.close()


def test_it_is_noted_how_jobs_end(host: Host) -> None:
    host.job("good", "echo hello; exit 0")
    host.job("bad", "echo no >&2; exit 3")
    host.job("killed", "kill -9 $$")
    host.job("nowhere", "true", cwd="/no/such/folder")
    host.start(once=True)
    rows = "SELECT job_id, status, exit_code, output, reason, owner FROM host_job_logs ORDER BY id"
    *started, nowhere = host.rows(rows)
    assert started == [
        ("good", "done", 0, "hello\n", None, None),
        ("bad", "failed", 3, "no\n", None, None),
        ("killed", "failed", 137, "", None, None),
    ]
    assert nowhere[:4] == ("nowhere", "failed", None, None)
    assert "No such file or directory" in nowhere[4]
    assert host.rows("SELECT count(*) FROM host_job_logs WHERE finished_at >= run_at") == [4]


def test_the_log_tells_of_jobs(host: Host) -> None:
    host.job("good", "true")
    host.job("bad", "exit 3")
    host.start(once=True)
    assert len(re.findall(r'"event": ?"job started"', host.said)) == 2
    ends = [line for line in host.said.splitlines() if "job ended" in line]
    assert any('"bad"' in one and re.search(r'"code": ?3\b', one) for one in ends)
    assert all("seconds" in one for one in ends)


def test_jobs_run_where_they_should_with_nothing_secret(host: Host, tmp_path: Path) -> None:
    (host.home.root / "below").mkdir()
    for name, cwd in {"plain": None, "below": "below", "far": str(tmp_path)}.items():
        host.job(name, "pwd; env", cwd=cwd)
    host.start(once=True, ANTHROPIC_API_KEY="hush-hush")
    root = host.home.root
    for name, place in {"plain": root, "below": root / "below", "far": tmp_path}.items():
        said = (host.ended(name).output or "").splitlines()
        assert said[0] == str(place)
        assert f"PYNCHY_HOME={root}" in said
        assert not [line for line in said if "hush-hush" in line]


def test_what_takes_too_long_is_ended_with_what_ignores_that(host: Host) -> None:
    command = "sh -c 'trap \"\" TERM; echo $$ >> pids; while :; do sleep 1; done' & echo on; wait"
    host.job("long", command, limit=1.0)
    host.job("polite", "trap 'echo tidy; exit 0' TERM; while :; do sleep 0.1; done", limit=2.0)
    host.start(once=True)
    long, polite = host.ended("long"), host.ended("polite")
    assert (long.firing.status, long.output) == ("timeout", "on\n")
    assert long.firing.reason == "took longer than 1 s"
    assert (polite.firing.status, polite.exit_code) == ("timeout", 0)
    assert gone(host.written("pids"))


def peak(process: subprocess.Popen[bytes]) -> int:
    """The most memory that a process ever had, in bytes."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    found = re.search(r"VmHWM:\s*(\d+) kB", status)
    assert found
    return int(found[1]) * 1024


def test_much_output_costs_no_memory_and_delays_nobody(host: Host) -> None:
    host.job("first", "true")
    stage = host.start()
    host.ended("first")
    before = peak(stage)
    host.job("endless", "yes")
    host.job("much", "echo begin; head -c 100000000 /dev/zero | tr '\\0' x; echo end")
    host.job("small", "echo small")
    assert host.ended("small").output == "small\n"
    output = host.ended("much").output or ""
    assert output.startswith("begin\nx")
    assert output.endswith("xend\n")
    assert len(output) < 17_000
    assert peak(stage) - before < 16 * 1024 * 1024
    host.stop()
    assert host.ended("endless").firing.status == "stopped"
    assert len(host.ended("endless").output or "") < 17_000


def test_a_slow_job_delays_nothing_else(host: Host) -> None:
    host.job("slow", LIVES)
    host.start()
    for number in range(5):
        host.job(f"quick{number}", f"echo {number}")
    assert [host.ended(f"quick{number}").output for number in range(5)] == [
        f"{number}\n" for number in range(5)
    ]
    assert host.rows("SELECT status FROM host_job_logs WHERE job_id = 'slow'") == ["running"]
    pid = host.rows("SELECT pid FROM host_job_logs WHERE job_id = 'slow'")[0]
    assert lives(pid)
    (host.home.root / "go").touch()
    assert host.ended("slow").firing.status == "done"


def test_only_so_many_run_at_once(host: Host) -> None:
    for number in range(5):
        host.job(f"job{number}", f"echo x >> begun; {LIVES}")
    host.check("task-a", f"echo x >> begun; {LIVES}")
    host.start(PYNCHY_SCHEDULER__MAX_JOBS="3")
    host.written("begun", 3)
    host.job("late", "true")
    wait_for(lambda: len(host.rows("SELECT id FROM host_job_logs WHERE pid > 0")) == 2, "notes")
    states = "SELECT status, count(*) FROM host_job_logs GROUP BY 1 ORDER BY 1"
    assert host.rows(states) == [("running", 2), ("waiting", 4)]
    assert len(host.written("begun")) == 3
    (host.home.root / "go").touch()
    assert host.ended("late").firing.status == "done"
    wait_for(lambda: host.rows(states) == [("done", 6)], "the others")
    assert host.checked("task-a") == ("fired", None)


def test_whoever_stops_the_stage_ends_its_jobs(host: Host) -> None:
    host.job(
        "polite", "trap 'echo tidy; exit 0' TERM; echo x >> begun; while :; do sleep 0.1; done"
    )
    host.job("child", "sleep 1000 & echo $! >> pids; echo x >> begun; wait")
    host.job("stubborn", f"trap '' TERM; echo $$ >> pids; echo x >> begun; {LIVES}")
    host.start()
    host.written("begun", 3)
    host.stop()
    for name in ("polite", "child", "stubborn"):
        ended = host.ended(name)
        assert (ended.firing.status, ended.owner) == ("stopped", None)
        assert ended.firing.reason == "the schedule was stopped"
    assert (host.ended("polite").output or "").endswith("tidy\n")
    assert host.ended("stubborn").exit_code == 137
    assert not [pid for pid in host.written("pids", 2) if lives(int(pid))]
    host.start(once=True)
    assert len(host.written("begun")) == 3


def test_who_asks_twice_waits_for_no_job(host: Host) -> None:
    trap = "trap 'echo asked >> asked' TERM"
    host.job("stubborn", f"{trap}; echo $$ >> pids; while :; do sleep 0.05; done")
    stage = host.start()
    host.written("pids")
    stage.send_signal(signal.SIGTERM)
    host.written("asked")
    stage.send_signal(signal.SIGINT)
    assert stage.wait(LIMIT) == 0
    ended = host.ended("stubborn")
    assert (ended.firing.status, ended.exit_code) == ("stopped", None)
    assert not [pid for pid in host.written("pids") if lives(int(pid))]


def test_what_a_killed_stage_leaves_is_ended_and_unknown(host: Host) -> None:
    host.job("begun", SLEEPERS)
    host.start()
    pids = host.written("pids", 5)
    wait_for(lambda: host.rows("SELECT 1 FROM host_job_logs WHERE pid > 0"), "its note")
    host.kill()
    assert all(lives(int(pid)) for pid in pids)
    host.job("next", "echo next")
    host.start()
    assert host.ended("next").firing.status == "done"
    ended = host.ended("begun")
    assert (ended.firing.status, ended.firing.reason) == ("unknown", UNKNOWN)
    assert ended.exit_code is None
    assert gone(pids)
    with host.store.atomic() as db:
        db.execute("UPDATE host_jobs SET command = 'echo again' WHERE id = 'begun'")
    host.fire("begun")
    assert host.ended("begun").output == "again\n"
    host.stop()


def test_jobs_of_another_home_are_left_alone(
    host: Host, tmp_path: Path, environment: dict[str, str]
) -> None:
    """A copy of this home, whose rows have the same numbers."""
    host.job("begun", f"echo $$ >> pids; {LIVES}")
    host.start()
    (pid,) = host.written("pids")
    wait_for(lambda: host.rows("SELECT 1 FROM host_job_logs WHERE pid > 0"), "its note")
    other = tmp_path / "other"
    (other / "data").mkdir(parents=True)
    with host.store.atomic() as db:
        db.execute("UPDATE host_job_logs SET started_at = ?", (clock.after(clock.now(), -3600),))
    target = other / "data/messages.db"
    host.store.db.execute("VACUUM INTO ?", (str(target),))
    copy = Host(other, environment)
    try:
        copy.start(once=True)
        assert copy.ended("begun").firing.status == "unknown"
    finally:
        copy.close()
    assert lives(int(pid))
    (host.home.root / "go").touch()
    assert host.ended("begun").firing.status == "done"


def test_a_job_that_is_cancelled_goes_on_to_its_end(host: Host) -> None:
    for name in ("cancelled", "removed"):
        host.job(name, f"echo x >> begun; {LIVES}; echo over >> over")
    host.start()
    host.written("begun", 2)
    with host.store.atomic() as db:
        db.execute("UPDATE host_jobs SET status = 'cancelled' WHERE id = 'cancelled'")
        db.execute("DELETE FROM host_jobs WHERE id = 'removed'")
    (host.home.root / "go").touch()
    assert host.ended("cancelled").firing.status == "done"
    host.written("over", 2)
    host.stop()
    assert "Traceback" not in host.said
    assert host.rows("SELECT count(*) FROM failures") == [0]


def test_an_end_is_noted_as_soon_as_the_disk_has_room(host: Host) -> None:
    """F09: files can't grow beyond the end of the database's, as on a full disk."""
    host.job("slow", f"echo x >> begun; {LIVES}; echo over")
    stage = host.start()
    host.written("begun")
    wait_for(lambda: host.rows("SELECT 1 FROM host_job_logs WHERE pid > 0"), "its note")
    wal = host.home.database.with_name(f"{host.home.database.name}-wal")
    full = 16 * 1024
    assert wal.stat().st_size > full
    one = psutil.Process(stage.pid)
    one.rlimit(resource.RLIMIT_FSIZE, (full, resource.RLIM_INFINITY))
    (host.home.root / "go").touch()
    wait_for(lambda: "can't be used" in host.said, "a word on it")
    assert host.rows("SELECT status FROM host_job_logs") == ["running"]
    one.rlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    ended = host.ended("slow")
    assert (ended.firing.status, ended.output) == ("done", "over\n")
    assert len(host.written("begun")) == 1
    host.stop()
    assert "Traceback" not in host.said


@pytest.mark.parametrize("once", [False, True], ids=["lasting", "once"])
def test_an_end_is_noted_as_soon_as_the_file_is_free(host: Host, once: bool) -> None:
    """F08: also by a stage that ends by itself."""
    host.job("slow", f"echo x >> begun; {LIVES}; echo over")
    host.check("task-a", f"echo x >> begun; {LIVES}")
    with ThreadPoolExecutor() as threads:
        stage = threads.submit(host.start, once=once)
        host.written("begun", 2)
        wait_for(lambda: host.rows("SELECT 1 FROM host_job_logs WHERE pid > 0"), "its note")
        with host.store.atomic():
            (host.home.root / "go").touch()
            wait_for(lambda: "drain failed" in host.said, "the end of the stage's patience")
        stage.result()
    assert host.ended("slow").output == "over\n"
    assert host.checked("task-a") == ("fired", None)
    if not once:
        host.stop()
    assert len(host.written("begun")) == 2
    assert host.rows("SELECT count(*) FROM runs") == [1]


def test_a_stop_waits_a_while_for_a_file_that_is_locked(host: Host) -> None:
    host.job("slow", f"echo x >> begun; {LIVES}")
    stage = host.start()
    host.written("begun")
    wait_for(lambda: host.rows("SELECT 1 FROM host_job_logs WHERE pid > 0"), "its note")
    child = host.rows("SELECT pid FROM host_job_logs")[0]
    with host.store.atomic():
        stage.send_signal(signal.SIGTERM)
        wait_for(lambda: not lives(child), "its end")
        wait_for(lambda: "can't be noted yet" in host.said, "a word on it")
    assert stage.wait(LIMIT) == 0
    assert host.ended("slow").firing.status == "stopped"


def test_a_condition_decides_whether_there_is_a_run(host: Host) -> None:
    host.check("holds", "exit 0")
    host.check("fails", "echo first; echo no new mail; echo; exit 3")
    host.check("silent", "exit 1")
    host.check("slow", "sleep 1000", limit=0.5)
    host.check("broken", "echo \0")
    host.start(once=True)
    assert host.checked("holds") == ("fired", None)
    assert host.checked("fails") == (
        "skipped",
        "the condition ended with exit code 3: no new mail",
    )
    assert host.checked("silent") == ("skipped", "the condition ended with exit code 1")
    assert host.checked("slow") == ("skipped", "the condition took longer than 0.5 s")
    assert host.checked("broken")[0] == "skipped"
    assert "null byte" in str(host.checked("broken")[1])
    assert host.rows("SELECT task, kind, lane, state FROM runs") == [
        ("holds", "task", "task:holds", "queued")
    ]
    assert host.rows(
        "SELECT log.task_id FROM task_run_logs AS log JOIN runs ON run_id = runs.id"
    ) == ["holds"]
    assert host.rows("SELECT prompt FROM runs")[0].endswith("Look at the weather.")


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_a_check_that_was_interrupted_is_made_again(host: Host, how: str) -> None:
    host.check("task-a", f"echo $$ >> pids; {LIVES}")
    host.start()
    host.written("pids")
    getattr(host, how)()
    assert host.rows("SELECT status FROM task_run_logs") == ["checking"]
    host.start()
    first, _ = host.written("pids", 2)
    assert gone([first])
    (host.home.root / "go").touch()
    assert host.checked("task-a") == ("fired", None)
    host.stop()
    host.start(once=True)
    assert host.rows("SELECT count(*) FROM runs") == [1]
    assert len(host.written("pids")) == 2


def test_what_is_no_more_wanted_when_its_condition_holds_comes_to_nothing(host: Host) -> None:
    for name in ("cancelled", "paused", "removed"):
        host.check(name, f"echo x >> begun; {LIVES}")
    with host.store.atomic() as db:
        groups.add(
            db,
            folder="club",
            name="Club",
            jid="local:club",
            is_admin=False,
            trigger_mode="mention",
            trigger_pattern=None,
            allowed_users=("owner",),
            now=clock.now(),
        )
    host.check("groupless", f"echo x >> begun; {LIVES}", group_folder="club")
    host.start()
    host.written("begun", 4)
    with host.store.atomic() as db:
        timetable.cancel(db, TASKS, tasks.get(db, "cancelled"), clock.now())
        timetable.pause(db, TASKS, tasks.get(db, "paused"), "person")
        db.execute("DELETE FROM scheduled_tasks WHERE id = 'removed'")
        groups.remove(db, "club")
    (host.home.root / "go").touch()
    assert host.checked("cancelled") == ("skipped", "it was cancelled before it was begun")
    assert host.checked("paused") == ("skipped", "it was paused before it was begun")
    host.stop()
    assert host.rows("SELECT count(*) FROM runs") == [0]
    assert host.rows("SELECT count(*) FROM failures") == [0]
    assert "Traceback" not in host.said


def test_what_waits_and_is_no_more_wanted_is_not_begun(host: Host) -> None:
    for name in ("cancelled", "paused", "by-hand", "completed"):
        host.job(name, "true")
    host.check("task-a", "true")
    with host.store.atomic() as db:
        db.execute("UPDATE host_jobs SET status = id WHERE id <> 'by-hand'")
        db.execute("UPDATE host_jobs SET status = 'paused' WHERE id = 'by-hand'")
        db.execute("UPDATE host_job_logs SET by_hand = 1 WHERE job_id = 'by-hand'")
        timetable.cancel(db, TASKS, tasks.get(db, "task-a"), clock.now())
    host.start(once=True)
    assert host.rows("SELECT job_id, status FROM host_job_logs ORDER BY id") == [
        ("cancelled", "skipped"),
        ("paused", "skipped"),
        ("by-hand", "done"),
        ("completed", "done"),
    ]
    assert jobs.outcomes(host.store.db, "paused", 1)[0].firing.reason is not None
    assert host.checked("task-a")[0] == "skipped"


def test_the_admin_group_hears_of_a_job_that_fails_and_of_one_that_was_interrupted(
    host: Host,
) -> None:
    host.job("good", "true")
    host.job("bad", "echo no; exit 3")
    host.start(once=True)
    said = "SELECT chat_jid, content FROM outbound_ledger ORDER BY id"
    ((chat, text),) = host.rows(said)
    assert chat == "local:main"
    assert text.startswith("⚠️ The host job bad failed with exit code 3: no.")
    host.job("long", LIVES)
    stage = host.start()
    wait_for(lambda: host.rows("SELECT pid FROM host_job_logs")[-1], "its beginning")
    stage.kill()
    stage.wait(LIMIT)
    host.start(once=True)
    assert "interrupted: whether it was done is not known" in host.rows(said)[-1][1]
