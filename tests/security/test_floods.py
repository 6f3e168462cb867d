"""An agent that makes more than the host can take in, in its own folders: it must cost the host
some time and never all of it, and nothing that was left may keep the host from cleaning up."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import textwrap
from contextlib import closing
from pathlib import Path

import pytest

from agent_runner import protocol
from pynchy_cli import clock
from pynchy_cli.agent.folder import BadLog, OutputLog, SessionFolder
from pynchy_cli.ipc.desk import Desk
from pynchy_cli.ipc.intake import BATCH
from pynchy_cli.ipc.pace import BURST
from pynchy_cli.store import todos
from pynchy_cli.watch import Watcher
from tests.asking import Asking, asking

FLOOD = textwrap.dedent("""
    import os, sys, time
    files = [os.open(f"{sys.argv[1]}/{n}", os.O_CREAT | os.O_WRONLY) for n in "ab"]
    until = time.monotonic() + 20
    while time.monotonic() < until:
        for file in files:  # Two in turn, because the kernel joins equal events.
            os.ftruncate(file, 0)
""")


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there is no inotify")
def test_events_without_end_leave_time_for_others(tmp_path: Path) -> None:
    async def scene() -> None:
        called = asyncio.Event()
        with closing(Watcher()) as watcher:
            watcher.add(tmp_path, called.set)
            command = [sys.executable, "-c", FLOOD, str(tmp_path)]
            with subprocess.Popen(command) as flood:  # noqa: ASYNC220
                await called.wait()
                for _ in range(20):
                    await asyncio.sleep(0.001)
                is_at_work = flood.poll() is None
                flood.kill()
            assert is_at_work, "nothing else went on before it had ended"
            called.clear()
            (tmp_path / "later").touch()
            async with asyncio.timeout(30):
                await called.wait()

    asyncio.run(scene())


def test_folders_nested_without_end_can_be_removed(tmp_path: Path) -> None:
    """Deeper than Python calls itself, and than a path may be long; some not to be entered."""
    place = SessionFolder(tmp_path / "session")
    place.make()
    at = os.open(place.output, os.O_RDONLY)
    for level in range(3000):
        os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=at))
        os.mkdir("deep", dir_fd=at)
        inner = os.open("deep", os.O_RDONLY, dir_fd=at)
        if level % 1000 == 999:
            os.fchmod(at, 0)
        os.close(at)
        at = inner
    os.close(at)
    place.remove()
    assert not place.path.exists()


def test_who_asks_for_much_by_few_words_waits_for_more(tmp_path: Path) -> None:
    """Each list is more than a megabyte; nobody reads them."""
    with asking(tmp_path) as ask:

        async def scene() -> None:
            desk = Desk(ask.context)
            team, club = requests_of(ask, "team"), requests_of(ask, "club")
            with ask.store.atomic() as db:
                for _ in range(todos.SHOWN):
                    todos.add(db, "team", "\N{ANT}" * 2000, clock.now())
            desk.intake.pace.took("team", 0, BURST - 1)
            for number in range(BATCH + 1):
                (team / f"{number:08}-r{number}.json").write_text('{"type": "list_todos"}')
            (club / "00000001-a.json").write_text('{"type": "list_todos"}')
            while desk.drain():
                pass
            assert len(list((team.parent / "responses").iterdir())) == BATCH
            assert (club.parent / "responses/a.json").exists()
            pause = desk.deadline()
            assert pause is not None
            assert pause > 1
            await desk.stop()

        ask.runner.run(scene())


def requests_of(ask: Asking, group: str) -> Path:
    """The folder of requests of a sandbox of a new group."""
    ask.group(group)
    place = SessionFolder(ask.home.session(group, f"{group}-session"))
    place.make()
    return place.path / "requests"


@pytest.mark.parametrize("kind", ["link", "fifo", "socket", "folder", "hard link"])
@pytest.mark.parametrize("place", ["log", "output"])
def test_a_log_that_is_none_is_not_read(tmp_path: Path, kind: str, place: str) -> None:
    """Before it was ever opened. Nobody writes to the pipe: whoever waits for that hangs."""
    (tmp_path / "ours").mkdir()
    (tmp_path / "ours/log").write_bytes(protocol.write_record(protocol.Text(turn="1", text="x")))
    folder = tmp_path / "output"
    at = folder / "log" if place == "log" else folder
    at.parent.mkdir(exist_ok=True)
    if kind == "link":
        at.symlink_to(tmp_path / ("ours/log" if place == "log" else "ours"))
    elif kind == "fifo":
        os.mkfifo(at)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(at))
    elif place == "log" and kind == "folder":
        at.mkdir()
    else:
        at.hardlink_to(tmp_path / "ours/log")
    with closing(OutputLog(folder, 0)) as log, pytest.raises(BadLog):
        log.read()


def test_what_links_lead_to_is_not_removed(tmp_path: Path) -> None:
    place = SessionFolder(tmp_path / "session")
    place.make()
    (tmp_path / "ours").mkdir()
    (tmp_path / "ours" / "letter").write_text("keep")
    (place.output / "folder").symlink_to(tmp_path / "ours")
    (place.output / "file").symlink_to(tmp_path / "ours" / "letter")
    os.mkfifo(place.output / "pipe")
    place.remove()
    assert not place.path.exists()
    assert (tmp_path / "ours" / "letter").read_text() == "keep"


def test_a_session_folder_that_is_a_link_is_left(tmp_path: Path) -> None:
    (tmp_path / "ours").mkdir()
    (tmp_path / "ours" / "letter").write_text("keep")
    (tmp_path / "session").symlink_to(tmp_path / "ours")
    SessionFolder(tmp_path / "session").remove()
    assert (tmp_path / "ours" / "letter").read_text() == "keep"
