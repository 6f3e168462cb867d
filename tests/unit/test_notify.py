"""What a supervisor hears."""

import os
import socket
from pathlib import Path

import pytest

from pynchy_cli.notify import Notifier


@pytest.fixture
def ear(tmp_path: Path) -> "socket.socket":
    """A supervisor's socket at `tmp_path/ear`."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        ear.bind(str(tmp_path / "ear"))
        ear.settimeout(10)
        yield ear


def test_says_each_word(ear: socket.socket, tmp_path: Path) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "ear"), "WATCHDOG_USEC": "4000000"})
    notifier.ready()
    notifier.status("two\nlines")
    notifier.alive()
    notifier.stopping()
    heard = [ear.recv(1000).decode() for _ in range(4)]
    assert heard == ["READY=1", "STATUS=two lines", "WATCHDOG=1", "STOPPING=1"]
    assert notifier.interval == 2.0


def test_hears_abstract_addresses() -> None:
    name = f"pynchy-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        ear.bind("\0" + name)
        ear.settimeout(10)
        Notifier({"NOTIFY_SOCKET": "@" + name}).ready()
        assert ear.recv(100) == b"READY=1"


def test_no_sign_of_life_where_none_is_wanted(ear: socket.socket, tmp_path: Path) -> None:
    where = {"NOTIFY_SOCKET": str(tmp_path / "ear")}
    for more in ({}, {"WATCHDOG_USEC": "x"}, {"WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1"}):
        Notifier({**where, **more}).alive()
    Notifier(where).ready()
    assert ear.recv(100) == b"READY=1"


@pytest.mark.parametrize("address", ["", "relative", "/nowhere/at/all"])
def test_a_missing_supervisor_is_no_error(address: str) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": address})
    notifier.ready()
    assert notifier.interval is None


def test_a_full_socket_never_waits(ear: socket.socket, tmp_path: Path) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "ear")})
    for _ in range(5000):
        notifier.status("x" * 1000)
