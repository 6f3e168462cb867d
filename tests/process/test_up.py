"""`pynchy up` and the supervisor behind it, with real processes and real signals."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from pynchy_cli.supervise.again import start_again
from tests.supervised import FOLDER, LIMIT, READY, STEADY, Up, gone

Pynchy = Callable[..., subprocess.CompletedProcess[str]]


def test_it_starts_in_order_and_stops_in_reverse(up: Callable[..., Up], home: Path) -> None:
    one = up()
    one.until("is ready", 2)
    children = one.children()
    assert len(children) == 2
    assert one.stop(signal.SIGINT, signal.SIGINT) == 0, "twice at once is once"
    gone(children)
    order = re.findall(r"^up +\| (\S+ (?:is ready|stopped))", one.said(), re.M)
    assert sorted(order[:2]) == ["gateway is ready", "route is ready"]
    assert order[2:] == ["route stopped", "gateway stopped"]
    assert re.search(r"^route +\| .*started", one.said(), re.M)
    assert "\033" not in one.said()
    assert not list((home / "data" / "run").glob("owner-*"))


def test_the_folder_for_sockets_is_ours_alone_whatever_the_umask(
    start: Callable[..., Up], home: Path
) -> None:
    """Else the gateway refuses it, and nobody is answered."""
    with tempfile.TemporaryDirectory(prefix="gw") as run:
        before = os.umask(0)
        try:
            at = ["--home", str(home)]
            one = start(["-m", "pynchy_cli", *at, "up", "--only", "route"], XDG_RUNTIME_DIR=run)
        finally:
            os.umask(before)
        one.until("route is ready")
        made = [Path(run, "pynchy"), *Path(run, "pynchy").iterdir()]
        assert [path.stat().st_mode & 0o777 for path in made] == [0o700] * 2
        assert one.stop(signal.SIGTERM) == 0


def test_a_killed_stage_comes_back(up: Callable[..., Up]) -> None:
    one = up()
    (pid,) = one.until(r"route is ready \(process (\d+)\)")
    os.kill(int(pid), signal.SIGKILL)
    one.until("route was killed by signal 9; starting again")
    pids = one.until(r"route is ready \(process (\d+)\)", 2)
    assert pids[1] != pid
    assert len(one.children()) == 2
    assert one.stop(signal.SIGTERM) == 0


def test_no_stage_outlives_a_killed_supervisor(up: Callable[..., Up]) -> None:
    one = up()
    one.until("route is ready")
    children = one.children()
    assert one.stop(signal.SIGKILL) == -signal.SIGKILL
    gone(children)
    again = up()
    again.until("route is ready")
    assert again.stop(signal.SIGTERM) == 0


def test_a_second_one_on_the_same_home_is_refused(up: Callable[..., Up], home: Path) -> None:
    one = up()
    one.until("route is ready")
    other = up()
    assert other.process.wait(LIMIT) == 1
    assert (
        f"pynchy up: It runs already in {home} (process {one.process.pid}, since 2" in other.said()
    )
    facts = json.loads((home / "data" / "run" / "up.lock").read_text())
    assert facts["pid"] == one.process.pid
    assert facts["unit"] is None
    assert len(one.children()) == 2
    assert one.stop(signal.SIGTERM) == 0


def test_json_lines(up: Callable[..., Up]) -> None:
    one = up("--json")
    one.until("route is ready")
    assert one.stop(signal.SIGTERM) == 0
    lines = [json.loads(line) for line in one.said().splitlines()]
    assert {line["stage"] for line in lines} == {"up", "gateway", "route"}
    assert any(line["stage"] == "route" and line["event"] == "started" for line in lines)


def test_what_can_not_be_is_said(home: Path, tmp_path: Path, pynchy: Pynchy) -> None:
    assert "Did you mean route?" in pynchy("up", "--only", "rout", code=2).stderr
    assert "There are: gateway" in pynchy("up", "--only", "", code=2).stderr
    nowhere = pynchy("--home", str(tmp_path / "nowhere"), "up", code=100)
    assert "pynchy init" in nowhere.stderr
    (home / "config.toml").write_text("[supervise]\nstages = ['route', 'nothing']\n")
    assert "[supervise] stages: There is no stage 'nothing'" in pynchy("up", code=100).stderr


def test_broken_ones_are_left_and_when_none_is_left_it_ends(supervise: Callable[..., Up]) -> None:
    one = supervise(broken="raise SystemExit(100)", wrong="raise SystemExit(2)")
    assert one.process.wait(LIMIT) == 100
    assert "broken ended with code 100; it is not started again" in one.said()
    assert one.said().count("ended with") == 2


def test_what_had_ended_for_good_is_started_again_when_somebody_asks(
    supervise: Callable[..., Up], tmp_path: Path
) -> None:
    mended, over = tmp_path / "mended", tmp_path / "over"
    broken = f"import os, time\nif not os.path.exists({str(mended)!r}): raise SystemExit(100)\n"
    broken += f"{READY}time.sleep(600)"
    steady = f"import os, time\n{READY}while not os.path.exists({str(over)!r}): time.sleep(0.05)\n"
    steady += f"os.remove({str(over)!r})\nraise SystemExit(100)"
    one = supervise(broken=broken, steady=steady)
    one.until("broken ended with code 100; it is not started again")
    one.until("steady is ready")
    assert start_again([tmp_path, FOLDER], "broken"), "heard, though it isn't mended yet"
    one.until("broken ended with code 100", 2)
    mended.touch()
    assert start_again([FOLDER], "broken")
    one.until("broken is ready")
    assert start_again([FOLDER], "broken"), "which changes nothing"
    assert not start_again([FOLDER], "unknown")
    over.touch()
    one.until("steady ended with code 100")
    assert start_again([FOLDER], "steady"), "it supervises the one that came back"
    one.until("steady is ready", 2)
    children = one.children()
    assert len(children) == 2
    assert one.stop(signal.SIGTERM) == 0
    gone(children)
    assert one.said().count("broken is started again, as somebody asked") == 2
    assert not start_again([FOLDER], "broken")


def test_one_that_keeps_failing_is_started_ever_more_slowly(supervise: Callable[..., Up]) -> None:
    one = supervise({"ready": 0.1}, failing="print('here', flush=True); raise SystemExit(1)")
    assert one.until(r"starting again in (\S+) s", 2) == ["1", "2"]
    assert one.stop(signal.SIGTERM) == 0
    assert one.said().count("failing | here") == 7
    assert "failing isn't ready after" in one.said()


def test_nothing_in_the_group_survives(supervise: Callable[..., Up]) -> None:
    """A process that ignores TERM, and one that it started and left."""
    stubborn = (
        "import signal, subprocess, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        f"{READY}time.sleep(600)"
    )
    one = supervise({"grace": 0.5}, stubborn=stubborn)
    one.until("stubborn is ready")
    children = one.children()
    assert len(children) == 2
    assert one.stop(signal.SIGTERM) == 0
    gone(children)
    assert "stubborn does not stop; it is killed" in one.said()


def test_what_a_dead_one_left_is_ended_before_the_next_start(supervise: Callable[..., Up]) -> None:
    leaver = (
        "import subprocess, sys\n"
        "left = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        f"print('left', left.pid, flush=True)\n{READY}raise SystemExit(1)"
    )
    one = supervise(leaver=leaver)
    first, *_ = one.until(r"left (\d+)", 2)
    if psutil.pid_exists(int(first)):
        gone([psutil.Process(int(first))])
    assert one.stop(signal.SIGTERM) == 0


def test_a_second_request_reaches_the_one_that_is_stopping(supervise: Callable[..., Up]) -> None:
    slow = (
        "import signal, sys, time\n"
        "asked = []\n"
        "def on_term(*_):\n"
        "    asked.append(1)\n"
        "    print('asked', len(asked), flush=True)\n"
        "    if len(asked) == 2: sys.exit(0)\n"
        f"signal.signal(signal.SIGTERM, on_term)\n{READY}"
        "while True: time.sleep(600)"
    )
    one = supervise(slow=slow)
    one.until("slow is ready")
    one.process.send_signal(signal.SIGINT)
    one.until("asked 1")
    time.sleep(0.5)
    assert one.stop(signal.SIGINT) == 0
    assert "asked 2" in one.said()


def test_a_hung_one_is_killed_and_started_again(supervise: Callable[..., Up]) -> None:
    one = supervise({"hung": 1.0}, hung=f"{READY}n.alive(); import time; time.sleep(600)")
    one.until("hung gives no sign of life; it is ended")
    one.until("hung was killed by signal 15; starting again")
    one.until("hung is ready", 2)
    assert one.stop(signal.SIGTERM) == 0
    assert "does not stop" not in one.said()


def test_a_hung_one_that_does_not_stop_either_is_killed(supervise: Callable[..., Up]) -> None:
    """One that never got ready, one that was stopped by somebody, and one that heeds nothing."""
    deaf = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    limits = {"hung": 1.0, "slow": 1.5, "hung_grace": 0.3, "grace": 0.3}
    alive = f"{READY}import time\nwhile True: n.send('WATCHDOG=1'); time.sleep(0.2)"
    one = supervise(limits, deaf=deaf + STEADY, slow="import time; time.sleep(600)", alive=alive)
    one.until("deaf does not stop; it is killed")
    one.until("deaf was killed by signal 9; starting again")
    one.until("slow gives no sign of life; it is ended")
    one.until("deaf is ready", 2)
    os.kill(one.pid("alive"), signal.SIGSTOP)
    one.until("alive was killed by signal 9")
    one.until("alive is ready", 2)
    assert one.stop(signal.SIGTERM) == 0
    assert one.said().count("alive gives no sign of life") == 1, "as long as it gave some"


def test_one_that_stops_by_itself_and_hangs_in_that_is_killed(
    supervise: Callable[..., Up],
) -> None:
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    one = supervise({"grace": 0.3}, stuck=f"{deaf}{READY}n.stopping(); time.sleep(600)")
    one.until("stuck does not stop; it is killed")
    one.until("stuck is ready", 2)
    assert one.stop(signal.SIGTERM) == 0


def test_any_output_is_printed_line_by_line(supervise: Callable[..., Up]) -> None:
    code = (
        "import sys; w = sys.stdout.buffer.write\n"
        r"w(b'one\ntwo \xff \x1b[31m\n'); w(b'x' * 200000); w(b'\nlast')"
        f"\nsys.stdout.flush()\n{READY}raise SystemExit(100)"
    )
    one = supervise(loud=code)
    assert one.process.wait(LIMIT) == 100
    lines = [line for line in one.said().splitlines() if line.startswith("loud")]
    assert lines[0].endswith("| one")
    assert "\\x1b[31m" in lines[1]
    assert lines[-1].endswith("| last")
    assert sum(line.count("x") for line in lines[2:]) == 200000
    assert max(len(line) for line in lines) < 140000


def test_it_tells_its_own_supervisor_how_it_is(
    supervise: Callable[..., Up], tmp_path: Path
) -> None:
    """Ready once all are; what they say; that it lives; that it stops."""
    may = tmp_path / "may"
    slow = f"import os, time\nwhile not os.path.exists({str(may)!r}): time.sleep(0.05)\n{STEADY}"
    busy = f"{READY}n.status('busy with it'); import time; time.sleep(600)"
    heard: list[str] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        FOLDER.mkdir(exist_ok=True)
        ear.bind(str(FOLDER / "ours"))
        ear.settimeout(LIMIT)

        def until(word: str) -> None:
            while not any(word in one for one in heard):
                heard.append(ear.recv(8192).decode())

        more = {"NOTIFY_SOCKET": ear.getsockname(), "WATCHDOG_USEC": "300000"}
        one = supervise(more=more, slow=slow, busy=busy)
        until("1 of 2 run; busy: busy with it")
        assert "READY=1" not in heard
        may.touch()
        until("READY=1")
        until("2 of 2 run; busy: busy with it")
        os.kill(one.pid("slow"), signal.SIGKILL)
        until("slow: was killed by signal 9; starting again")
        heard.clear()
        for _ in range(3):
            heard[:] = [word for word in heard if word != "WATCHDOG=1"]
            until("WATCHDOG=1")
        assert one.stop(signal.SIGTERM) == 0
        until("STOPPING=1")


def test_a_terminal_shows_names_in_colours_and_its_end_ends_all(
    home: Path, environment: dict[str, str]
) -> None:
    command = [sys.executable, "-m", "pynchy_cli", "--home", str(home), "up", "--only", "route"]
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(sys.executable, command, environment)
    said = b""
    while not (b"is ready" in said and b"groups loaded" in said):
        said += os.read(terminal, 4096)
    assert re.search(rb"\x1b\[36mup    \|\x1b\[0m route is ready", said)
    assert re.search(rb"\x1b\[33mroute \|\x1b\[0m 2\S+Z info    groups loaded groupCount=1", said)
    children = psutil.Process(pid).children()
    assert len(children) == 1
    os.close(terminal)
    patience = threading.Timer(LIMIT, os.kill, (pid, signal.SIGKILL))
    patience.start()
    _, status = os.waitpid(pid, 0)
    patience.cancel()
    assert os.waitstatus_to_exitcode(status) == 0
    gone(children)


def test_signals_that_mean_something_else(supervise: Callable[..., Up]) -> None:
    one = supervise(
        steady=f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n{STEADY}"
    )
    one.until("steady is ready")
    children = one.children()
    one.process.send_signal(signal.SIGUSR1)
    one.until("nothing is made of SIGUSR1")
    assert one.stop(signal.SIGQUIT) == 0, "at once, however long the grace"
    gone(children)


def test_what_was_said_is_kept(up: Callable[..., Up], home: Path) -> None:
    one = up()
    one.until("is ready", 2)
    one.until("groups loaded")
    assert one.stop(signal.SIGTERM) == 0
    kept = (home / "data" / "logs" / "pynchy.ndjson").read_text().splitlines()
    lines = [json.loads(line) for line in kept]
    assert {line["stage"] for line in lines} == {"up", "gateway", "route"}
    assert all({"timestamp", "event", "level"} <= line.keys() for line in lines)
    assert lines[-1]["event"] == "gateway stopped"


def test_some_are_left_out(up: Callable[..., Up], home: Path, pynchy: Pynchy) -> None:
    one = up("--except", "gateway,listen")
    one.until("route is ready")
    assert one.stop(signal.SIGTERM) == 0
    assert "gateway" not in one.said()
    assert "Did you mean route?" in pynchy("up", "--except", "rout", code=2).stderr
    nothing = pynchy("up", "--only", "route", "--except", "route", code=2)
    assert "No stage is left to run." in nothing.stderr
