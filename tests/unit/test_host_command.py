"""A command of the host: real processes, what they print, and that nothing of them is left."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from pynchy_cli import host_command
from pynchy_cli.errors import CommandUnstartable
from pynchy_cli.host_command import Ended

PATIENCE = 60.0
KEPT = 1024


def ran(command: str, cwd: Path, limit: float = PATIENCE, **more: Any) -> Ended:
    """What comes of a command."""
    facts = {"environment": {}, "kept": KEPT, **more}
    return asyncio.run(host_command.run(command, cwd=cwd, limit=limit, **facts))


def lives(pid: int) -> bool:
    """Whether a process does anything any more."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


def ends(pid: int) -> bool:
    """Whether a process ends within a while."""
    until = time.monotonic() + PATIENCE
    while lives(pid) and time.monotonic() < until:
        time.sleep(0.02)
    return not lives(pid)


async def appears(path: Path) -> None:
    while not path.exists() or not path.read_text():  # noqa: ASYNC110
        await asyncio.sleep(0.01)


def test_its_end_is_told_as_a_shell_tells_it(tmp_path: Path) -> None:
    assert ran("pwd; echo no >&2; cat; exit 3", tmp_path) == Ended("ended", 3, f"{tmp_path}\nno\n")
    assert ran("kill -9 $$", tmp_path).code == 137
    assert ran("no-such-command-at-all", tmp_path).code == 127


def test_its_environment_is_harmless_and_what_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "hush-hush")
    monkeypatch.setenv("LANG", "C.UTF-8")
    said = ran("env", tmp_path, environment={"PYNCHY_JOB": "job:1"}).output
    assert "hush-hush" not in said
    assert {"PYNCHY_JOB=job:1", "LANG=C.UTF-8"} <= set(said.splitlines())


def test_its_signals_are_as_a_shell_expects_them(tmp_path: Path) -> None:
    """Python ignores SIGPIPE: a child that did, too, would write on and on."""
    said = ran("grep -E 'SigIgn|SigBlk' /proc/self/status", tmp_path).output
    masks = {
        name: int(value, 16) for name, value in (line.split(":") for line in said.split("\n")[:2])
    }
    assert masks["SigBlk"] == 0
    assert not masks["SigIgn"] >> (signal.SIGPIPE - 1) & 1


def test_it_inherits_no_descriptor(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.set_inheritable(writer, True)
    try:
        said = ran("ls /proc/$$/fd", tmp_path).output.split()
    finally:
        os.close(reader)
        os.close(writer)
    assert set(said) == {"0", "1", "2"}


def test_of_much_output_the_beginning_and_the_end_are_kept(tmp_path: Path) -> None:
    said = ran("echo begin; head -c 20000000 /dev/zero | tr '\\0' x; echo; echo end", tmp_path)
    assert said.output.startswith("begin\nxxxx")
    assert said.output.endswith("xxx\nend\n")
    assert f"{20_000_000 + 11 - KEPT} bytes are left out" in said.output
    assert len(said.output) < KEPT + 100


def test_its_output_gives_a_terminal_no_orders(tmp_path: Path) -> None:
    assert ran(r"printf '\033[2J\000\377'", tmp_path).output == "\\x1b[2J\\x00\ufffd"


def test_when_its_time_is_over_it_may_tidy_up(tmp_path: Path) -> None:
    ended = ran("trap 'echo tidy; exit 7' TERM; while :; do sleep 0.05; done", tmp_path, 2.0)
    assert (ended.how, ended.code) == ("late", 7)
    assert ended.output.endswith("tidy\n")


def test_so_may_what_it_has_started(tmp_path: Path) -> None:
    """Also where it is itself over by then."""
    child = "trap 'sleep 0.5; echo tidy; exit' TERM; while :; do sleep 0.05; done"
    (tmp_path / "child").write_text(child)
    ended = ran("sh child & wait", tmp_path, 2.0)
    assert (ended.how, ended.code) == ("late", 143)
    assert ended.output.endswith("tidy\n")


def test_what_ignores_that_is_killed_with_all_its_children(tmp_path: Path) -> None:
    (tmp_path / "child").write_text("trap '' TERM; echo $$; while :; do sleep 1; done")
    command = "trap '' TERM; sh child & wait; while :; do sleep 1; done"
    ended = ran(command, tmp_path, 2.0, grace=0.3)
    assert (ended.how, ended.code) == ("late", 137)
    assert ends(int(ended.output))


def test_what_it_leaves_behind_is_killed(tmp_path: Path) -> None:
    ended = ran("sleep 1000 & echo $!", tmp_path)
    assert (ended.how, ended.code) == ("ended", 0)
    assert ends(int(ended.output))


def test_nobody_waits_for_what_holds_the_pipe_in_a_session_of_its_own(tmp_path: Path) -> None:
    ended = ran("setsid sleep 1000 & echo $!", tmp_path)
    assert (ended.how, ended.code) == ("ended", 0)
    os.kill(int(ended.output), signal.SIGKILL)


def test_it_can_be_stopped(tmp_path: Path) -> None:
    async def stopped() -> Ended:
        stop = asyncio.Event()
        command = "trap 'echo tidy; exit 0' TERM; echo $$ > pid; while :; do sleep 0.05; done"
        running = asyncio.create_task(
            host_command.run(
                command, cwd=tmp_path, environment={}, limit=PATIENCE, kept=KEPT, stop=stop
            )
        )
        await appears(tmp_path / "pid")
        stop.set()
        return await running

    ended = asyncio.run(stopped())
    assert (ended.how, ended.code) == ("stopped", 0)
    assert ended.output.endswith("tidy\n")


def cancelled(wait: Callable[[], Awaitable[None]], command: str, cwd: Path) -> None:
    """Cancel it once that has happened."""

    async def run() -> None:
        running = asyncio.create_task(
            host_command.run(command, cwd=cwd, environment={}, limit=PATIENCE, kept=KEPT)
        )
        await wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    asyncio.run(run())


def test_cancelled_it_is_killed_at_once(tmp_path: Path) -> None:
    place = tmp_path / "pid"
    cancelled(lambda: appears(place), "trap '' TERM; echo $$ > pid; while :; do :; done", tmp_path)
    assert not lives(int(place.read_text()))


def test_its_number_is_told_at_once(tmp_path: Path) -> None:
    told: list[int] = []
    assert ran("echo $$", tmp_path, started=told.append).output == f"{told[0]}\n"


def test_a_fault_of_who_is_told_leaves_nothing_behind(tmp_path: Path) -> None:
    told: list[int] = []

    def fault(pid: int) -> None:
        told.append(pid)
        raise ValueError("a fault")

    with pytest.raises(ValueError, match="a fault"):
        ran("sleep 1000", tmp_path, started=fault)
    assert not lives(told[0])


@pytest.mark.parametrize(
    ("command", "folder", "why"),
    [
        ("true", "nowhere", "No such file or directory"),
        ("true", "file", "Not a directory"),
        ("echo \0", ".", "null byte"),
        ("echo \udc80\ud800", ".", "surrogates not allowed"),
        ("#" * 10_000_000, ".", "Argument list too long"),
    ],
    ids=["no folder", "a file", "NUL", "surrogate", "long"],
)
def test_what_can_not_be_started_is_said(
    tmp_path: Path, command: str, folder: str, why: str
) -> None:
    (tmp_path / "file").touch()
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    with pytest.raises(CommandUnstartable, match=why):
        ran(command, tmp_path / folder)
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


def test_a_folder_that_is_not_there_is_named_as_people_write_it(tmp_path: Path) -> None:
    with pytest.raises(CommandUnstartable) as raised:
        ran("true", tmp_path / "gone")
    assert str(raised.value) == (
        f"It can't be started: No such file or directory: {tmp_path / 'gone'}."
    )


def test_no_descriptor_is_left(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    ran("echo x", tmp_path)
    ran("sleep 1000", tmp_path, 0.1)
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


def test_many_go_on_at_once_without_a_thread(tmp_path: Path) -> None:
    status = f"/proc/{os.getpid()}/status"

    async def all_of_them() -> list[Ended]:
        commands = [
            host_command.run(
                f"until [ -e go ]; do sleep 0.05; done; grep Threads {status}; exit {n}",
                cwd=tmp_path,
                environment={},
                limit=PATIENCE,
                kept=KEPT,
            )
            for n in range(20)
        ]
        running = asyncio.gather(*commands)
        await asyncio.sleep(0)
        (tmp_path / "go").touch()
        return await running

    before = len(os.listdir("/proc/self/task"))  # noqa: PTH208
    ended = asyncio.run(all_of_them())
    assert [one.code for one in ended] == list(range(20))
    assert {one.output for one in ended} == {f"Threads:\t{before}\n"}


def test_it_works_without_handles_of_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a system that has none."""
    monkeypatch.delattr(os, "pidfd_open")
    assert ran("echo x; exit 3", tmp_path) == Ended("ended", 3, "x\n")
    assert ran("sleep 1000", tmp_path, 0.2) == Ended("late", 143, "")


def test_it_waits_without_work(tmp_path: Path) -> None:
    """Also while the one is over and another keeps the pipe."""
    spent = time.process_time()
    ran("setsid sleep 2 & sleep 0.5", tmp_path)
    assert time.process_time() - spent < 0.5
