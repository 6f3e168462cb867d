"""A backup holds all that a home is, as it stood at one moment, and comes back as that."""

from __future__ import annotations

import os
import sqlite3
import stat
import tarfile
import threading
from contextlib import closing
from pathlib import Path
from shutil import copytree

import pytest

from pynchy_cli import locks
from pynchy_cli.config.paths import Home
from pynchy_cli.errors import (
    AlreadyRunning,
    BackupFailed,
    HomeInUse,
    SchemaTooNew,
    UsageWrong,
)
from pynchy_cli.keeping import making, rotation
from pynchy_cli.keeping.contents import LARGEST, entries
from pynchy_cli.store import audit, check
from pynchy_cli.store.connection import SCHEMA, Store, connect
from pynchy_cli.store.migrate import changes, migrate
from tests.kept import NOW, ask, backed_up, brought_back, change, furnished, tree

WELL = 32
"""Messages that are written while the backup goes on, at least."""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home, made once."""
    return furnished(tmp_path_factory.mktemp("model") / "home").root


@pytest.fixture
def home(model: Path, tmp_path: Path) -> Home:
    return Home(copytree(model, tmp_path / "home"))


def names(archive: Path) -> set[str]:
    with tarfile.open(archive) as tar:
        return set(tar.getnames())


def test_all_that_a_home_is_comes_back_as_it_was(home: Home, tmp_path: Path) -> None:
    backed_up(home, tmp_path / "b.tar.gz", secret=True)
    back = Home(tmp_path / "back")
    done = brought_back(back, tmp_path / "b.tar.gz")
    passing = ("data/run", "data/ipc", "data/logs", "data/bell", "data/messages.db", "data/migrate")
    kept = {k: v for k, v in tree(home.root).items() if not k.startswith(passing)}
    there = {k: v for k, v in tree(back.root).items() if not k.startswith(passing)}
    for tells in (kept, there):
        tells.pop("data/neonize.db")
    assert there == kept
    assert ask(back, "SELECT folder FROM registered_groups") == [("team",)]
    assert done.aside is None
    assert check.check(back.database, back.locks) == []


def test_credentials_are_in_it_only_when_asked_for(home: Home, tmp_path: Path) -> None:
    backed_up(home, tmp_path / "without")
    assert not {".env", "data/neonize.db"} & names(tmp_path / "without")
    backed_up(home, tmp_path / "with", secret=True)
    assert {".env", "data/neonize.db"} <= names(tmp_path / "with")
    assert stat.S_IMODE((tmp_path / "without").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "with").stat().st_mode) == 0o600


def test_a_restore_without_credentials_keeps_those_that_are_there(
    home: Home, tmp_path: Path
) -> None:
    backed_up(home, tmp_path / "b")
    brought_back(home, tmp_path / "b", force=True)
    assert home.env.read_text() == "ANTHROPIC_API_KEY=secret-key\n"
    with closing(sqlite3.connect(home.whatsapp)) as db:
        assert db.execute("SELECT jid FROM whatsmeow_device").fetchall() == [("1@s.whatsapp.net",)]


def test_under_load_it_is_the_file_as_it_stood_at_one_moment(home: Home, tmp_path: Path) -> None:
    """Each message is written together with its place in a counter: a copy that is no moment's has
    them apart. The file takes several steps to copy."""
    change(
        home,
        "INSERT INTO counters VALUES ('written', 0, NULL)",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 24)"
        " INSERT INTO events(event_type, timestamp, payload)"
        f" SELECT 'x', '{NOW}', hex(randomblob(300000)) FROM n",
    )
    written, copied, over = threading.Semaphore(0), threading.Event(), threading.Event()
    before = []

    def write() -> None:
        number = 0
        with Store.open(home.database) as store:
            while not over.is_set():
                number += 1
                with store.atomic() as db:
                    db.execute(
                        "INSERT INTO messages(id, chat_jid, sender, sender_name, content,"
                        " timestamp, received_at) VALUES (?, 'local:team', 'o', 'o', ?, ?, ?)",
                        (f"m{number}", "x" * 2000, NOW, NOW),
                    )
                    db.execute("UPDATE counters SET value = ? WHERE name = 'written'", (number,))
                written.release()

    def progress(text: str) -> None:
        if text.startswith("messages.db") and not copied.is_set():
            before.append(ask(home, "SELECT count(*) FROM messages")[0][0])
            for _ in range(WELL):  # they come, though the copy is under way
                assert written.acquire(timeout=30)
        if "files and folders" in text:
            copied.set()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        making.make(
            *(home, tmp_path / "b", NOW), uid_base=1, secret=False, verify=True, progress=progress
        )
    finally:
        over.set()
        writer.join()
    assert len(before) >= 4, "it was copied in one step"
    assert before[-1] >= before[0] + 2 * WELL
    back = Home(tmp_path / "back")
    brought_back(back, tmp_path / "b")
    ((count, last),) = ask(
        back,
        "SELECT count(*), (SELECT value FROM counters WHERE name = 'written') FROM messages",
    )
    assert count == last
    assert count <= before[0]
    assert check.check(back.database, back.locks) == []


def test_no_link_is_followed_and_what_is_no_file_is_left(home: Home, tmp_path: Path) -> None:
    (tmp_path / "outside").write_text("nobody's business")
    group = home.group("team")
    (group / "link").symlink_to(tmp_path / "outside")
    (group / "loop").symlink_to(".")
    os.mkfifo(group / "pipe")
    made = backed_up(home, tmp_path / "b")
    inside = {name for name in names(tmp_path / "b") if name.startswith("groups/team/")}
    assert inside == {"groups/team/empty", "groups/team/notes", "groups/team/notes/plan.md"}
    assert made.contents.links["groups/team/link"] == str(tmp_path / "outside")
    back = Home(tmp_path / "back")
    brought_back(back, tmp_path / "b")
    assert (back.group("team") / "loop").readlink() == Path()
    assert (back.group("team") / "link").is_symlink()


def test_a_folder_that_an_agent_has_replaced_by_a_link_leads_nowhere(
    home: Home, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/key").write_text("nobody's business")
    (home.group("team") / "notes/plan.md").unlink()
    (home.group("team") / "notes").rmdir()
    (home.group("team") / "notes").symlink_to(tmp_path / "elsewhere")
    backed_up(home, tmp_path / "b")
    assert "groups/team/notes/key" not in names(tmp_path / "b")


def test_names_that_are_no_text_come_back(home: Home, tmp_path: Path) -> None:
    odd = os.fsencode(home.group("team")) + b"/\xff\xfe 'x'\n"
    with open(odd, "wb") as file:  # noqa: PTH123 - a path of bytes
        file.write(b"odd")
    backed_up(home, tmp_path / "b")
    back = Home(tmp_path / "back")
    brought_back(back, tmp_path / "b")
    assert os.fsdecode(odd).rpartition("/")[2] in {one.name for one in back.group("team").iterdir()}


def test_what_cannot_be_read_is_told(home: Home, tmp_path: Path) -> None:
    deep = home.group("team")
    for _ in range(205):
        deep = deep / "d"
    deep.mkdir(parents=True)
    made = backed_up(home, tmp_path / "b")
    assert made.contents.left == 1
    assert [*made.contents.left_out.values()] == ["it is too deep"]


def test_no_group_crowds_out_the_others(home: Home, tmp_path: Path) -> None:
    for group in ("a", "z"):
        home.group(group).mkdir()
        (home.group(group) / "small").write_text("x")
    for number in range(2):  # they only look so large
        with (home.group("a") / f"large{number}").open("wb") as file:
            file.truncate(LARGEST + 1 - number)
    found = {entry.path: entry.left_out for entry in entries(home, secrets=False)}
    assert found["groups/a/large0"] == "it is too large"
    assert found["groups/a/large1"] is None
    assert found["groups/a/small"] == "it is too large"
    assert found["groups/z/small"] is None


def test_of_a_damaged_database_no_backup_is_made(home: Home, tmp_path: Path) -> None:
    change(home, f"INSERT INTO events(event_type, timestamp, payload) VALUES ('x', '{NOW}', 'y')")
    with closing(connect(home.database)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        page = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'events'").fetchone()[0]
    with home.database.open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(os.urandom(4096))
    with pytest.raises(BackupFailed, match="is damaged"):
        backed_up(home, tmp_path / "b")
    assert not (tmp_path / "b").exists()
    assert not list(tmp_path.glob(".pynchy*"))


def test_a_database_without_its_wal_is_found_and_replaced(home: Home, tmp_path: Path) -> None:
    with closing(connect(home.database)) as reader:  # so that nobody puts the WAL in its place
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM messages").fetchone()
        change(home, f"INSERT INTO chats VALUES ('local:x', 'local', 'x', '{NOW}', NULL, 0)")
        backed_up(home, tmp_path / "b")
        without = home.database.read_bytes()
    for path in home.data.glob("messages.db*"):
        path.unlink()
    home.database.write_bytes(without)
    (found,) = check.check(home.database, home.locks)
    assert "are missing" in found.message
    brought_back(home, tmp_path / "b", force=True)
    assert check.check(home.database, home.locks) == []
    assert ask(home, "SELECT name FROM chats WHERE jid = 'local:x'") == [("x",)]


def test_nothing_is_overwritten_and_no_two_are_made_at_once(home: Home, tmp_path: Path) -> None:
    (tmp_path / "there").write_text("mine")
    with pytest.raises(UsageWrong, match="is there already"):
        making.place(home, tmp_path / "there", NOW)
    with pytest.raises(UsageWrong, match="no folder"):
        making.place(home, tmp_path / "none/b", NOW)
    with pytest.raises(UsageWrong, match="itself kept"):
        making.place(home, home.group("team"), NOW)
    assert making.place(home, tmp_path, NOW).name == f"pynchy-{home.id}-20260131T080000000Z.tar.gz"
    held = locks.take(home.locks / making.LOCK)
    assert held is not None
    with pytest.raises(AlreadyRunning):
        backed_up(home, tmp_path / "b")
    held.release()


def test_old_ones_go_and_nothing_else(home: Home, tmp_path: Path) -> None:
    mine = [tmp_path / f"pynchy-{home.id}-2026010{day}T080000000Z.tar.gz" for day in range(1, 6)]
    others = [
        tmp_path / "pynchy-00000000-20260101T080000000Z.tar.gz",
        tmp_path / f"pynchy-{home.id}-20260101T080000000Z.tar.gz.copy",
        tmp_path / "photo.jpg",
    ]
    for path in (*mine, *others):
        path.touch()
    assert rotation.remove_old(home, mine[-1], 2) == mine[:3]
    assert set(tmp_path.glob("*[jzy]*")) >= {*mine[3:], *others}
    assert not any(path.exists() for path in mine[:3])


def test_the_newest_stays_even_where_the_clock_was_set_back(home: Home, tmp_path: Path) -> None:
    mine = [tmp_path / f"pynchy-{home.id}-2026010{day}T080000000Z.tar.gz" for day in range(1, 4)]
    for path in mine:
        path.touch()
    assert rotation.remove_old(home, mine[0], 1) == mine[1:]
    assert mine[0].exists()


def test_a_home_in_use_or_with_something_in_it_is_not_restored(home: Home, tmp_path: Path) -> None:
    backed_up(home, tmp_path / "b")
    before = tree(home.root)
    with pytest.raises(HomeInUse, match="isn't empty"):
        brought_back(home, tmp_path / "b")
    held = locks.take(home.locks / "route.lock")
    assert held is not None
    with pytest.raises(HomeInUse, match=r"in use \(route\)"):
        brought_back(home, tmp_path / "b", force=True)
    held.release(remove=True)
    assert tree(home.root) == before


def test_what_stood_there_is_moved_aside_and_not_removed(home: Home, tmp_path: Path) -> None:
    backed_up(home, tmp_path / "b")
    (home.group("team") / "later").write_text("made since")
    (home.root / "litellm_config.yaml").write_text("made since")
    (home.root / "mine.txt").write_text("not pynchy's")
    before = tree(home.root)
    aside = brought_back(home, tmp_path / "b", force=True).aside
    assert aside is not None
    assert (aside / "groups/team/later").read_text() == "made since"
    assert (aside / "litellm_config.yaml").exists()
    assert not (home.root / "litellm_config.yaml").exists()
    assert not (home.group("team") / "later").exists()
    assert (home.root / "mine.txt").read_text() == "not pynchy's"
    gone = {"mine.txt", ".env"}
    assert {k: v for k, v in before.items() if k not in gone}.items() <= tree(aside).items()
    assert not list(home.root.glob(".restore*"))


def test_an_older_schema_is_brought_up_and_a_newer_one_refused(tmp_path: Path) -> None:
    old = Home(tmp_path / "old")
    furnished(old.root)
    for path in old.data.glob("messages.db*"):
        path.unlink()
    migrate(old.database, changes()[:-1])
    backed_up(old, tmp_path / "b")
    back = Home(tmp_path / "back")
    assert brought_back(back, tmp_path / "b").migrated == (changes()[-1][0],)
    assert check.check(back.database, back.locks) == []
    with closing(connect(back.database)) as db:
        db.execute(f"PRAGMA user_version={SCHEMA + 1}")
    with pytest.raises(SchemaTooNew):
        backed_up(back, tmp_path / "newer")


def test_what_may_have_been_done_since_is_not_done_again(home: Home, tmp_path: Path) -> None:
    request = (
        "INSERT INTO requests(group_folder, session, request_id, lane, role, type, payload, digest,"
        f" state, gated, created_at) VALUES ('team', 's', '%s', 'chat', 'a', 't', '{{}}', '', '%s',"
        f" %d, '{NOW}')"
    )
    due = "2026-01-31T07:00:00.000Z"
    change(
        home,
        request % ("approved", "accepted", 1),
        request % ("begun", "started", 0),
        request % ("plain", "accepted", 0),
        request % ("asked", "waiting", 1),
        "INSERT INTO host_jobs(id, command, schedule_type, schedule_value, timezone, created_at,"
        f" next_run, anchor) VALUES ('job-a', 'x', 'interval', '3600', 'UTC', '{NOW}', '{due}',"
        f" '{due}')",
        f"INSERT INTO host_job_logs(job_id, due_at, run_at, status) VALUES ('job-a', '1', '{NOW}',"
        " 'running')",
        "INSERT INTO scheduled_tasks(id, group_folder, prompt, schedule_type, schedule_value,"
        f" next_run, created_at) VALUES ('task-a', 'team', 'p', 'once', '{due}', '{due}', '{NOW}')",
    )
    backed_up(home, tmp_path / "b")
    back = Home(tmp_path / "back")
    done = brought_back(back, tmp_path / "b")
    assert (done.settled.requests, done.settled.jobs, done.settled.due) == (2, 1, 2)
    assert ask(back, "SELECT request_id, state FROM requests ORDER BY id") == [
        ("approved", "unknown"),
        ("begun", "unknown"),
        ("plain", "accepted"),
        ("asked", "waiting"),
    ]
    assert ask(back, "SELECT status FROM host_job_logs ORDER BY id") == [("unknown",), ("missed",)]
    assert ask(back, "SELECT next_run FROM host_jobs") == [("2026-01-31T09:00:00.000Z",)]
    assert ask(back, "SELECT status, next_run FROM scheduled_tasks") == [("completed", None)]
    with Store.open(back.database) as store:
        assert [one.decision for one in audit.entries(store.db)] == ["restored"]
        assert audit.check(store.db).faults == ()


def test_lost_commits_are_known_in_the_backup_too(home: Home, tmp_path: Path) -> None:
    (number,) = ask(home, "SELECT value FROM counters WHERE name = 'commits'")[0]
    assert isinstance(number, int)
    home.bell.write_bytes((number + 3).to_bytes(8, "little"))
    made = backed_up(home, tmp_path / "b")
    assert len(made.warnings) == 1
    assert "3 are missing" in made.warnings[0]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files to others")
def test_started_by_root_each_group_gets_its_own_back(home: Home, tmp_path: Path) -> None:
    os.chown(home.group("team"), 700_001, 700_001)
    os.chown(home.group("team") / "empty", 700_001, 700_001)
    os.chown(home.group("team") / "notes", 4711, 4711)
    os.chown(home.skills / "mine", 700_001, 700_001)
    backed_up(home, tmp_path / "b")
    back = Home(tmp_path / "back")
    brought_back(back, tmp_path / "b")
    assert (back.group("team") / "empty").stat().st_uid == 700_001
    assert back.group("team").stat().st_uid == 700_001
    assert (back.group("team") / "notes").stat().st_uid == 0
    assert (back.skills / "mine").stat().st_uid == 0
