"""The supervisor and what it supervises are killed at any moment: nothing is left over, and the
next one gets everything to run again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil

from pynchy_cli.notify import Notifier
from pynchy_cli.supervise.ear import ear_of
from tests.supervised import FOLDER, LIMIT, READY, STEADY, Up, gone

DEAF = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n{STEADY}"


def is_over(pid: int) -> bool:
    """Whether it has ended, though maybe nobody has asked how."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_what_ignores_the_end_of_its_supervisor_is_ended_by_the_next_one(
    supervise: Callable[..., Up], tmp_path: Path
) -> None:
    """It and all of its group: but nothing of another home, and nothing that has no such mark."""
    nap = "[sys.executable, '-c', 'import time; time.sleep(600)']"
    child = f"import subprocess, sys; subprocess.Popen({nap})\n"
    limits = {"grace": 0.5}
    first = supervise(limits, home=tmp_path, route=f"{child}{DEAF}", gone=DEAF)
    other = supervise(limits, home=tmp_path / "other", schedule=STEADY)
    old, former = first.pid("route"), first.pid("gone")
    spared = other.pid("schedule")
    left = first.children()
    assert {old, former} < {one.pid for one in left}
    assert first.stop(signal.SIGKILL) == -signal.SIGKILL
    second = supervise(limits, home=tmp_path, route=STEADY)
    second.until(rf"route of an earlier start still runs \(process {old}\); it is ended")
    second.until("gone of an earlier start still runs; it is ended")
    new = second.pid("route")
    order = second.said()
    assert order.index(f"process {old} did not stop; it was killed") < order.index("route is ready")
    assert is_over(old), "it was waited for, for only one can hold the lock"
    gone([one for one in left if one.pid != new])
    assert psutil.pid_exists(spared)
    assert second.stop(signal.SIGTERM) == 0
    assert other.stop(signal.SIGTERM) == 0


def test_agents_may_end_while_the_next_one_takes_over(
    supervise: Callable[..., Up], tmp_path: Path
) -> None:
    first = supervise(home=tmp_path, **{"run-agent": DEAF})
    old = psutil.Process(first.pid("run-agent"))
    first.children()
    first.stop(signal.SIGKILL)
    second = supervise({"grace": 30}, home=tmp_path, **{"run-agent": STEADY})
    second.until("run-agent is ready")
    assert old.is_running(), "it has its time"
    assert second.stop(signal.SIGTERM) == 0
    gone([old])


def test_a_supervisor_that_stops_does_not_wait_for_what_was_left(
    supervise: Callable[..., Up], tmp_path: Path
) -> None:
    first = supervise(home=tmp_path, route=DEAF)
    old = psutil.Process(first.pid("route"))
    first.children()
    first.stop(signal.SIGKILL)
    second = supervise({"grace": 600}, home=tmp_path, route=STEADY)
    second.until("it is ended")
    assert second.stop(signal.SIGTERM) == 0
    gone([old])
    assert "route is ready" not in second.said()


def test_a_stage_that_was_stopped_ends_with_its_supervisor(up: Callable[..., Up]) -> None:
    first = up("--only", "route,gateway")
    first.until("is ready", 2)
    children = first.children()
    os.kill(first.pid("route"), signal.SIGSTOP)
    first.stop(signal.SIGKILL)
    gone(children)
    second = up("--only", "route")
    second.until("route is ready")
    assert "earlier start" not in second.said()
    assert second.stop(signal.SIGTERM) == 0


def test_each_child_comes_back_at_once_and_alone(up: Callable[..., Up]) -> None:
    one = up("--only", "gateway,route,schedule")
    before = {name: one.pid(name) for name in ("gateway", "route", "schedule")}
    for name, pid in before.items():
        os.kill(pid, signal.SIGKILL)
        one.until(rf"{name} was killed by signal 9; starting again$")
        assert one.pid(name, 2) != pid
    assert len(one.children()) == 3
    assert one.stop(signal.SIGTERM) == 0


def test_killed_while_the_configuration_is_being_followed(
    supervise: Callable[..., Up], tmp_path: Path
) -> None:
    """The supervisor, while a stage ends for the sake of a change; then a stage that does so."""
    slow = (
        "import signal, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: (print('asked', flush=True), time.sleep(600)))\n"
        f"{STEADY}"
    )
    found = {"ok": True, "services": ["route"], "concerned": ["route"], "grace": 30, "accepted": ""}
    ask = f"print({json.dumps(found)!r})"
    for victim in ("supervisor", "stage"):
        one = supervise(home=tmp_path, ask=ask, route=slow)
        pid = one.pid("route")
        (tmp_path / "config.toml").write_text(f"# {victim}")
        one.until("route starts again")
        one.until("asked")
        if victim == "supervisor":
            one.children()
            one.stop(signal.SIGKILL)
            os.kill(pid, signal.SIGKILL)  # it is deaf by now
        else:
            os.kill(pid, signal.SIGKILL)
            assert one.pid("route", 2) != pid
            for child in one.children():
                child.kill()  # it would take its time
            one.stop(signal.SIGQUIT)


def test_what_an_earlier_one_says_is_not_taken_for_the_words_of_the_new_one(
    supervise: Callable[..., Up],
) -> None:
    one = supervise({"ready": 0.2}, silent="import time; time.sleep(600)", steady=STEADY)
    one.until("steady is ready")
    ear = ear_of(FOLDER, "silent")
    Notifier({"NOTIFY_SOCKET": str(ear)}).ready()
    speak = f"{READY}n.send('START=1')"
    environ = {**os.environ, "NOTIFY_SOCKET": str(ear)}
    subprocess.run([sys.executable, "-c", speak], env=environ, check=True, timeout=LIMIT)
    one.until("silent isn't ready after")
    assert one.stop(signal.SIGTERM) == 0
    assert "silent is ready" not in one.said()
