"""The file of a linked device: looked at, kept private, held by one, and put in its place whole."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
from pathlib import Path

import pytest

from pynchy_cli.channels.whatsapp import device
from pynchy_cli.channels.whatsapp.book import phone_of
from pynchy_cli.channels.whatsapp.device import Device
from pynchy_cli.errors import AlreadyRunning, ChannelBroken

TABLE = "CREATE TABLE whatsmeow_device (jid TEXT PRIMARY KEY, lid TEXT, push_name TEXT NOT NULL)"
ROW = ("4915550001:12@s.whatsapp.net", "99988@lid", "Alice")
ALICE = Device(*ROW)


def written(path: Path, *rows: tuple[str, str | None, str], table: str = TABLE) -> Path:
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        db.execute(table)
        for row in rows:
            db.execute("INSERT INTO whatsmeow_device(jid, lid, push_name) VALUES (?, ?, ?)", row)
    return path


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


@pytest.fixture
def database(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    return tmp_path / "data" / "neonize.db"


def test_a_file_that_links_nothing(database: Path) -> None:
    assert device.paired(database) is None
    assert not database.exists(), "a look makes nothing"
    database.touch()
    assert device.paired(database) is None
    with contextlib.closing(sqlite3.connect(database)) as db, db:
        db.execute("CREATE TABLE whatsmeow_version (version INTEGER)")
    assert device.paired(database) is None
    written(database)
    assert device.paired(database) is None, "logged out: the library deletes the row"


def test_the_device_that_is_linked(database: Path) -> None:
    found = device.paired(written(database, ROW))
    assert found == ALICE
    assert found.number == "4915550001"
    assert found.in_words() == "+4915550001 (Alice)"
    other = Device("4915550001.0:3@s.whatsapp.net")
    assert (other.in_words(), other.number_of_device) == ("+4915550001", 3)
    assert Device("4915550001@s.whatsapp.net").number_of_device == 0


def test_a_file_of_an_earlier_version_of_the_library(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        db.execute("CREATE TABLE whatsmeow_device (jid TEXT, push_name TEXT)")
        db.execute("INSERT INTO whatsmeow_device VALUES (?, ?)", (ROW[0], "Alice"))
    assert device.paired(path) == Device(ROW[0], "", "Alice")


def test_a_file_that_is_something_else(database: Path) -> None:
    database.write_bytes(b"no database, " * 100)
    with pytest.raises(ChannelBroken, match=r"neonize\.db can't be read: .*auth whatsapp"):
        device.paired(database)


def test_what_a_killed_process_left_half_written_is_taken_back(database: Path) -> None:
    written(database, ROW)
    killed = database.with_name("killed.db")
    with contextlib.closing(sqlite3.connect(database)) as db:
        db.execute("PRAGMA cache_size = 1")
        db.execute("BEGIN IMMEDIATE")
        db.execute("DELETE FROM whatsmeow_device")
        db.execute("CREATE TABLE large (text)")
        db.executemany("INSERT INTO large VALUES (?)", [("x" * 3000,)] * 50)
        for end in ("", "-journal"):  # as they are on the disk at this moment
            shutil.copy(f"{database}{end}", f"{killed}{end}")
    journal = killed.with_name("killed.db-journal")
    before = journal.read_bytes()
    with contextlib.suppress(ChannelBroken):
        device.paired(killed, in_use=True)
    phone_of(killed, "88001")
    assert journal.read_bytes() == before, "the library may be writing just now"
    assert before
    assert device.paired(killed) == ALICE
    assert not journal.exists()


def test_a_look_waits_for_nobody_who_only_reads_or_is_about_to_write(database: Path) -> None:
    written(database, ROW)
    with contextlib.closing(sqlite3.connect(database)) as db:
        db.execute("BEGIN IMMEDIATE")
        db.execute("UPDATE whatsmeow_device SET push_name = 'Bob'")
        assert device.paired(database) == ALICE


def test_the_file_is_its_owners_alone_and_what_lies_beside_it_too(database: Path) -> None:
    before = os.umask(0)
    try:
        device.prepare(database)
        assert mode(database) == 0o600
        database.chmod(0o644)
        device.prepare(database)
        assert mode(database) == 0o600
        with contextlib.closing(sqlite3.connect(database)) as db:
            db.execute("CREATE TABLE one (text)")
            db.execute("INSERT INTO one VALUES ('x')")
            assert mode(database.with_name("neonize.db-journal")) == 0o600
    finally:
        os.umask(before)


@pytest.mark.parametrize("name", ["a?b", "a#b", "100%25"])
def test_a_folder_that_the_library_would_not_find(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    with pytest.raises(ChannelBroken, match="Choose another home"):
        device.prepare(tmp_path / name / "neonize.db")
    assert list((tmp_path / name).iterdir()) == []


def test_one_process_holds_it(database: Path) -> None:
    with device.hold(database):
        assert device.is_held(database)
        with pytest.raises(AlreadyRunning, match="Stop that one first"), device.hold(database):
            pass
    assert not device.is_held(database)
    with device.hold(database):
        pass


def test_what_was_linked_takes_its_place_though_it_is_still_open(database: Path) -> None:
    fresh = written(database.with_name("fresh.db"), ROW)
    written(database)
    database.with_name("neonize.db-journal").write_bytes(b"of the file that goes")
    device.prepare(database.with_name("neonize.db.new"))  # left by one that was killed
    with contextlib.closing(sqlite3.connect(fresh)) as still:
        still.execute("SELECT * FROM whatsmeow_device").fetchone()
        device.settle(fresh, database)
    # Before anybody opens it: the old journal would be taken for its own.
    assert [path.name for path in database.parent.iterdir()] == ["neonize.db"]
    assert device.paired(database) == ALICE
    assert mode(database) == 0o600


def test_what_can_t_be_written_is_told(tmp_path: Path) -> None:
    rubbish = tmp_path / "fresh.db"
    rubbish.write_text("rubbish " * 100)
    with pytest.raises(ChannelBroken, match=r"neonize\.db can't be written: file is not a data"):
        device.settle(rubbish, tmp_path / "neonize.db")
    (tmp_path / "run").write_text("in the way")
    with (
        pytest.raises(ChannelBroken, match=r"whatsapp\.lock can't be written: "),
        device.hold(tmp_path / "neonize.db"),
    ):
        pass
