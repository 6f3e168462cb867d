"""Locks that can be asked, against real processes."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from pynchy_cli import locks

HOLD = """
import sys
from pathlib import Path
from pynchy_cli import locks
lock = locks.take(Path(sys.argv[1]), shared=sys.argv[2] == "shared")
print("held" if lock else "refused", flush=True)
sys.stdin.read()
"""


def holder(path: Path, kind: str = "alone") -> subprocess.Popen[str]:
    """A process that tries to take the lock, says how that went, and holds it."""
    return subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path), kind],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def said(process: subprocess.Popen[str]) -> str:
    """The process's first line."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A lock in a folder that isn't there yet."""
    return tmp_path / "run" / "route.lock"


def test_one_holds_it_and_all_can_ask(path: Path) -> None:
    assert not locks.is_held(path)
    lock = locks.take(path)
    assert lock is not None
    assert locks.is_held(path)
    assert locks.take(path) is None
    with holder(path) as other:
        assert said(other) == "refused"
        assert other.communicate()[0] == ""
    lock.release()
    lock.release()
    assert not locks.is_held(path)


def test_it_dies_with_its_process(path: Path) -> None:
    with holder(path) as other:
        assert said(other) == "held"
        assert locks.is_held(path)
        assert locks.take(path) is None
        other.kill()
    assert not locks.is_held(path)
    lock = locks.take(path)
    assert lock is not None
    lock.release()


def test_shared_ones_live_until_the_last_copy_goes(path: Path) -> None:
    first, second = locks.take(path, shared=True), locks.take(path, shared=True)
    assert first is not None
    assert second is not None
    assert locks.take(path) is None
    child = subprocess.Popen(["sleep", "600"], pass_fds=[first.fd])
    first.release()
    second.release()
    assert locks.is_held(path), "the child has a copy of the descriptor"
    child.kill()
    child.wait()
    assert not locks.is_held(path)


def test_a_child_without_the_descriptor_keeps_nothing(path: Path) -> None:
    lock = locks.take(path)
    assert lock is not None
    child = subprocess.Popen(["sleep", "600"])
    lock.release()
    assert not locks.is_held(path)
    child.kill()
    child.wait()


def test_a_lock_that_is_removed_is_never_seen_free_nor_taken_twice(path: Path) -> None:
    """Takers that remove their file when they leave: never two at once."""
    inside: list[int] = []
    most = 0

    def work() -> None:
        nonlocal most
        taken = 0
        while taken < 50:
            lock = locks.take(path)
            if lock is None:
                continue
            taken += 1
            inside.append(1)
            most = max(most, len(inside))
            inside.pop()
            lock.release(remove=True)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1
    assert not path.exists()


def test_a_second_name_for_the_file_is_the_same_lock(path: Path) -> None:
    lock = locks.take(path)
    assert lock is not None
    twin = path.with_name("twin.lock")
    os.link(path, twin)
    assert locks.is_held(twin)
    lock.release(remove=True)
    assert not locks.is_held(twin)
