"""The demo, as a stranger sees it: both messages answered, the second with what was written into
the group's folder just before, and nothing left running."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

CHECKOUT = Path(__file__).parent.parent.parent


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The packages in a folder of their own, because the demo's home lies beside them."""
    root = tmp_path / "checkout"
    for package in ("pynchy_cli", "agent_runner", "directives"):
        shutil.copytree(CHECKOUT / package, root / package)
    return root


@pytest.fixture
def command(copy: Path, environment: dict[str, str]) -> Iterator[dict[str, str]]:
    """The environment for the demo; afterwards nothing of it may be running."""
    environ = {**environment, "PYTHONPATH": str(copy)}
    environ.pop("PYNCHY_AGENT__CORE")
    yield environ
    wait_until_gone(copy)


def running(copy: Path) -> list[list[str]]:
    found = []
    for process in psutil.process_iter():
        try:
            line = process.cmdline()
            about = [*line, process.environ().get("PYNCHY_HOME", "")]
            if str(copy) in " ".join(about) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(line)
        except psutil.Error:
            continue
    return found


def wait_until_gone(copy: Path) -> None:
    until = time.monotonic() + 30
    while (left := running(copy)) and time.monotonic() < until:
        time.sleep(0.1)
    assert not left


def demo(copy: Path, environ: dict[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "pynchy_cli.demo"],
        cwd=copy,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def read_until(process: subprocess.Popen[str], part: str) -> str:
    assert process.stdout is not None
    seen = ""
    for line in process.stdout:
        seen += line
        if part in line:
            return seen
    raise AssertionError(f"{part!r} never came:\n{seen}")


def check(told: str) -> None:
    """Both answers are there, the second with the word of the day."""
    word = re.search(r"the word of the day is ([0-9a-f]{8})\.\)", told)
    assert word, told
    before, _, after = told.partition(word[0])
    assert "rehearsal" in before
    assert "You said: Hello!" in before
    assert f"The word of the day is {word[1]}." in after
    for who in ("send ", "route ", "run-agent ", "sandbox "):
        assert f"\n  {who}" in told
    assert "is healthy" in after
    assert "nothing is left running" in after


def test_it_answers_two_messages_and_leaves_nothing(copy: Path, command: dict[str, str]) -> None:
    if shutil.which("bwrap") is None and "CI" not in os.environ:
        pytest.skip("bubblewrap is not installed")
    process = demo(copy, command)
    told, _ = process.communicate(timeout=100)
    assert process.returncode == 0, told
    check(told)
    assert "sandbox    bubblewrap" in told
    story = told.partition("── pynchy status")[0].splitlines()
    assert [line for line in story if len(line) > 80] == []


def test_without_bubblewrap_it_warns_and_uses_no_key(
    copy: Path, command: dict[str, str], tmp_path: Path
) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    for folder in os.environ["PATH"].split(":"):
        for program in Path(folder).glob("*") if folder else []:
            link = programs / program.name
            if program.name != "bwrap" and not os.path.lexists(link):
                link.symlink_to(program)
    environ = {**command, "PATH": str(programs), "ANTHROPIC_API_KEY": "sk-ant-not-to-be-used"}
    process = demo(copy, environ)
    told, _ = process.communicate(timeout=100)
    assert process.returncode == 0, told
    check(told)
    assert "WITHOUT A SANDBOX" in told
    assert "sandbox    unsafe" in told


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_stopped_in_the_middle_it_leaves_nothing(
    copy: Path, command: dict[str, str], number: signal.Signals
) -> None:
    process = demo(copy, command)
    read_until(process, "pynchy send main")
    until = time.monotonic() + 30
    while not [line for line in running(copy) if "send" in line] and time.monotonic() < until:
        time.sleep(0.01)
    process.send_signal(number)
    process.communicate(timeout=60)
    assert process.returncode in (130, 143, -signal.SIGKILL)
    wait_until_gone(copy)
