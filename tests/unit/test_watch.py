"""The watcher and the doorbell, with real files; one test counts an idle process's wakes."""

import asyncio
import os
import resource
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from pynchy_cli import locks, watch
from pynchy_cli.config.paths import Home
from pynchy_cli.store.bell import Bell
from pynchy_cli.store.connection import Store
from pynchy_cli.store.counters import bump
from pynchy_cli.store.migrate import migrate
from pynchy_cli.watch import Doorbell, Watcher, watch_locks

LIMIT = 30.0
NOW = "2026-01-31T08:00:00.000Z"


async def heard(event: asyncio.Event) -> None:
    """Wait until called, then forget it."""
    async with asyncio.timeout(LIMIT):
        await event.wait()
    event.clear()


async def settled(event: asyncio.Event) -> None:
    """Wait until no more calls come."""
    while True:
        event.clear()
        await asyncio.sleep(0.3)
        if not event.is_set():
            return


@pytest.fixture(params=["inotify", "elsewhere"])
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Either way of watching; the one for elsewhere works here too."""
    if request.param == "elsewhere":
        monkeypatch.setattr(watch.sys, "platform", "darwin")
    return str(request.param)


def test_a_file_and_a_folder(tmp_path: Path, kind: str) -> None:
    file, folder = tmp_path / "file", tmp_path / "folder"
    file.touch()
    folder.mkdir()

    async def scene() -> None:
        of_file, of_folder, of_name = asyncio.Event(), asyncio.Event(), asyncio.Event()
        with closing(Watcher()) as watcher:
            watcher.add(file, of_file.set)
            watcher.add(folder, of_folder.set)
            watcher.add(folder, of_name.set, name="wanted")
            await settled(of_file)
            file.write_text("x")
            await heard(of_file)
            await settled(of_folder)
            (folder / "other").write_text("x")
            await heard(of_folder)
            await settled(of_folder)
            assert not of_name.is_set()
            (folder / "draft").write_text("x")
            (folder / "draft").rename(folder / "wanted")
            await heard(of_name)
            await settled(of_folder)
            watcher.remove(folder)
            watcher.remove(folder)
            (folder / "late").write_text("x")
            await settled(of_file)
            assert not of_folder.is_set()

    asyncio.run(scene())


def test_a_missing_path_is_an_error(tmp_path: Path, kind: str) -> None:
    async def scene() -> None:
        with closing(Watcher()) as watcher, pytest.raises(OSError, match="nothing"):
            watcher.add(tmp_path / "nothing", print)

    asyncio.run(scene())


def test_a_folder_that_goes_is_told_and_can_come_again(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()

    async def scene() -> None:
        called = asyncio.Event()
        with closing(Watcher()) as watcher:
            watcher.add(folder, called.set)
            folder.rmdir()
            await heard(called)
            await settled(called)
            folder.mkdir()
            watcher.add(folder, called.set)
            (folder / "file").touch()
            await heard(called)

    asyncio.run(scene())


def test_a_lost_count_calls_everybody(tmp_path: Path) -> None:
    async def scene() -> None:
        called: list[str] = []
        with closing(Watcher()) as watcher:
            watcher.add(tmp_path, lambda: called.append("folder"))
            watcher.add(tmp_path, lambda: called.append("name"), name="one")
            watcher._seen(None, None, False)
        assert called == ["folder", "name"]

    asyncio.run(scene())


def test_whoever_makes_events_without_end_delays_nobody_else(tmp_path: Path) -> None:
    loud, quiet = tmp_path / "loud", tmp_path / "quiet"
    loud.mkdir()
    quiet.mkdir()

    async def scene() -> None:
        before: list[None] = []
        other = asyncio.Event()
        with closing(Watcher()) as watcher:
            watcher.add(loud, lambda: None if other.is_set() else before.append(None))
            watcher.add(quiet, other.set)
            for number in range(watch.FLOOD * 5):
                (loud / str(number)).touch()
            (quiet / "file").touch()
            await heard(other)
        assert len(before) <= watch.FLOOD + 1

    asyncio.run(scene())


@contextmanager
def rung(home: Home) -> Iterator[tuple[asyncio.Event, Doorbell, Store]]:
    """A doorbell on a new database; the event is set when it wakes somebody."""
    woken = asyncio.Event()
    with Store.open(home.database) as store, closing(Watcher()) as watcher:
        bell = Doorbell(watcher, home, store.version, woken.set)
        with closing(bell):
            yield woken, bell, store


@pytest.fixture
def file_home(tmp_path: Path) -> Home:
    """A home with a database and nothing else."""
    home = Home(tmp_path)
    migrate(home.database)
    return home


def test_every_commit_rings(file_home: Home) -> None:
    async def scene() -> None:
        with Store.open(file_home.database) as other, rung(file_home) as (woken, bell, store):
            for number in range(1, 30):
                bell.look()
                with other.atomic() as db:
                    bump(db, "test", NOW)
                await heard(woken)
                row = store.db.execute("SELECT value FROM counters WHERE name = 'test'").fetchone()
                assert row[0] == number

    asyncio.run(scene())


def test_a_bell_that_was_deleted_rings_again(file_home: Home) -> None:
    async def scene() -> None:
        with rung(file_home) as (woken, _, _):
            file_home.bell.unlink()
            await settled(woken)
            with closing(Bell(file_home.bell)) as bell:
                for number in range(3):
                    bell.ring(number)
                    await heard(woken)

    asyncio.run(scene())


def test_a_writer_who_does_not_ring_is_noticed(file_home: Home) -> None:
    async def scene() -> None:
        with rung(file_home) as (woken, bell, _):
            for _ in range(5):
                bell.look()
                with closing(sqlite3.connect(file_home.database)) as foreign:
                    foreign.execute("UPDATE counters SET value = value + 1")
                    await settled(woken)  # the WAL is written, and nothing is committed yet
                    foreign.commit()
                    await heard(woken)

    asyncio.run(scene())


def test_own_commits_are_no_news_to_the_recheck(
    file_home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene() -> None:
        with rung(file_home) as (woken, bell, store):
            bell.look()
            store.db.execute("UPDATE counters SET value = value + 1 WHERE name = 'commits'")
            await asyncio.sleep(2 * sum(watch.RECHECKS))
            assert not woken.is_set()

    asyncio.run(scene())


def test_a_lock_is_seen_to_go(tmp_path: Path) -> None:
    path = tmp_path / "owner-1.lock"

    async def scene() -> None:
        called = asyncio.Event()
        with closing(Watcher()) as watcher:
            watch_locks(watcher, tmp_path, called.set)
            held = locks.take(path)
            assert held is not None
            holder = await asyncio.create_subprocess_exec("sleep", "600", pass_fds=[held.fd])
            held.release()
            assert locks.is_held(path)
            await settled(called)
            holder.kill()
            await heard(called)
            async with asyncio.timeout(LIMIT):
                while locks.is_held(path):
                    await heard(called)
            assert not locks.is_held(path)
            await holder.wait()
            await settled(called)
            for _ in range(3):
                assert not locks.is_held(path)
            await asyncio.sleep(0.3)
            assert not called.is_set(), "asking a lock must not look like letting it go"

    asyncio.run(scene())


def test_waiting_costs_nothing(file_home: Home) -> None:
    """Context switches that a waiting process makes of its own will, over two seconds."""

    async def scene() -> int:
        with rung(file_home) as (woken, _, _):
            await settled(woken)
            before = resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw
            await asyncio.sleep(2)
            return resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw - before

    child = os.fork()
    if child == 0:
        os._exit(min(asyncio.run(scene()), 200))
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) <= 10
