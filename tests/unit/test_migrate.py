"""Changes of the schema: all or nothing, once, whoever comes first."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from pynchy_cli.errors import DatabaseForeign, HomeUnusable, SchemaTooNew, SchemaTooOld
from pynchy_cli.store import runs, tasks, timetable
from pynchy_cli.store.bell import Bell
from pynchy_cli.store.connection import SCHEMA, Store, connect
from pynchy_cli.store.migrate import Change, changes, migrate
from pynchy_cli.store.timetable import TASKS

NOW = "2026-01-31T08:00:00.000Z"
FAMILY = [
    f"INSERT INTO chats(jid, channel, first_seen_at) VALUES ('local:a', 'local', '{NOW}')",
    "INSERT INTO registered_groups(folder, name, jid, number, routed_seq, answered_seq, added_at) "
    f"VALUES ('a', 'A', 'local:a', 1, 0, 0, '{NOW}')",
    "INSERT INTO runs(group_folder, lane, kind, state, created_at) "
    f"VALUES ('a', 'chat', 'chat', 'done', '{NOW}')",
    "INSERT INTO sessions(group_folder, lane) VALUES ('a', 'chat')",
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a database will be."""
    return tmp_path / "data" / "messages.db"


def asked(path: Path, sql: str) -> list[Any]:
    """All rows of a query, as tuples."""
    with closing(sqlite3.connect(path)) as db:
        return db.execute(sql).fetchall()


def with_rows(path: Path) -> None:
    """A database with a group that has a run and a session."""
    migrate(path)
    with Store.open(path) as store, store.atomic() as db:
        for sql in FAMILY:
            db.execute(sql)


def rebuild_groups(db: Any) -> None:
    """Rebuild a table that others refer to, as SQLite's manual has it."""
    sql = db.execute("SELECT sql FROM sqlite_master WHERE name = 'registered_groups'").fetchone()
    db.execute(sql[0].replace("registered_groups", "rebuilt", 1))
    db.execute("INSERT INTO rebuilt SELECT * FROM registered_groups")
    db.execute("DROP TABLE registered_groups")
    db.execute("ALTER TABLE rebuilt RENAME TO registered_groups")


def more(*steps: Any) -> list[Change]:
    """The real changes and then these, named after their functions."""
    return [*changes(), *((step.__name__, step) for step in steps)]


def test_it_makes_the_file_and_then_has_nothing_to_do(path: Path) -> None:
    assert migrate(path) == [name for name, _ in changes()]
    assert migrate(path) == []
    assert asked(path, "PRAGMA user_version") == [(SCHEMA,)]
    assert asked(path, "PRAGMA journal_mode") == [("wal",)]
    recorded = asked(path, "SELECT migration_set, name FROM _sqlite_migrations")
    assert recorded == [("pynchy", name) for name, _ in changes()]
    with Store.open(path) as store:
        assert store.bell.last() == asked(path, "SELECT value FROM counters")[0][0]


def test_an_old_database_keeps_its_rows(path: Path) -> None:
    with_rows(path)

    def m_more(db: Any) -> None:
        db.execute("ALTER TABLE runs ADD COLUMN cost INTEGER NOT NULL DEFAULT 7")
        db["kinds"].insert({"name": "chat"}, pk="name")

    assert migrate(path, more(m_more)) == ["m_more"]
    assert asked(path, "SELECT group_folder, cost FROM runs") == [("a", 7)]
    assert asked(path, "SELECT name FROM kinds") == [("chat",)]
    assert asked(path, "PRAGMA user_version") == [(SCHEMA + 1,)]
    assert migrate(path, more(m_more)) == []


def test_a_home_of_the_first_edition_gets_the_indexes_that_it_lacks(path: Path) -> None:
    late = ("outbound_open", "runs_of_messages", "runs_unfinished")

    def indexes() -> list[Any]:
        return asked(path, "SELECT name, tbl_name FROM sqlite_master WHERE type = 'index'")

    migrate(path)
    new = sorted(indexes())
    path.unlink()
    migrate(path, changes()[:1])
    with closing(sqlite3.connect(path)) as db:
        for name in late:
            db.execute(f"DROP INDEX {name}")
    migrate(path)
    assert sorted(indexes()) == new


def test_tasks_from_before_there_were_clocks_are_whole_ones_now(path: Path) -> None:
    migrate(path, changes()[:5])
    with closing(sqlite3.connect(path)) as db, db:
        for sql in FAMILY:
            db.execute(sql)
        db.execute(
            "INSERT INTO scheduled_tasks(id, group_folder, prompt, schedule_type, schedule_value,"
            " next_run, created_at) VALUES ('old', 'a', 'Look.', 'interval', '60', ?, ?)",
            (NOW, NOW),
        )
    assert migrate(path)[0] == "m006_schedule"
    with Store.open(path) as store:
        (task,) = tasks.all(store.db, "a")
        assert (task.id, task.prompt, task.next_run) == ("old", "Look.", NOW)
        assert (task.status, task.timezone, task.source) == ("active", "UTC", "person")
        assert (task.context_mode, task.catch_up, task.overlap) == ("isolated", "once", "skip")
        assert timetable.due(store.db, TASKS, NOW, 9) == ["old"]
        run = runs.get(store.db, 1)
        assert (run.state, run.task, run.quiet) == ("done", None, False)


def test_tasks_and_jobs_that_failed_before_it_was_noted_are_known_to_fail(path: Path) -> None:
    migrate(path, changes()[:7])
    with closing(sqlite3.connect(path)) as db, db:
        for sql in FAMILY:
            db.execute(sql)
        for id, state in enumerate(("done", "failed"), 2):
            db.execute(
                "INSERT INTO runs(id, group_folder, lane, kind, state, created_at)"
                " VALUES (?, 'a', 'chat', 'task', ?, 'a')",
                (id, state),
            )
            db.execute(
                "INSERT INTO scheduled_tasks(id, group_folder, prompt, schedule_type,"
                " schedule_value, created_at, last_log) VALUES (?, 'a', 'x', 'once', 'x', 'a', ?)",
                (state, id),
            )
            db.execute(
                "INSERT INTO task_run_logs(id, task_id, due_at, run_at, status, run_id)"
                " VALUES (?, ?, 'a', 'a', 'fired', ?)",
                (id, state, id),
            )
            db.execute(
                "INSERT INTO host_jobs(id, command, schedule_type, schedule_value, timezone,"
                " created_at, last_log) VALUES (?, 'x', 'once', 'x', 'UTC', 'a', ?)",
                (state, id),
            )
            db.execute(
                "INSERT INTO host_job_logs(id, job_id, due_at, run_at, status)"
                " VALUES (?, ?, 'a', 'a', ?)",
                (id, state, state),
            )
    migrate(path)
    for table in ("scheduled_tasks", "host_jobs"):
        found = asked(path, f"SELECT id, failing FROM {table} ORDER BY id")
        assert found == [("done", 0), ("failed", 1)]


def test_a_rebuilt_parent_keeps_its_children(path: Path) -> None:
    with_rows(path)
    assert migrate(path, more(rebuild_groups)) == ["rebuild_groups"]
    assert asked(path, "SELECT count(*) FROM runs") == [(1,)]
    assert asked(path, "SELECT count(*) FROM sessions") == [(1,)]
    with closing(connect(path)) as db:
        assert db.execute("PRAGMA foreign_keys").fetchone()[0] == 1
        db.execute("DELETE FROM registered_groups")
        assert db.execute("SELECT count(*) FROM runs").fetchone()[0] == 0


def test_a_change_that_breaks_references_is_refused_whole(path: Path) -> None:
    with_rows(path)

    def m_broken(db: Any) -> None:
        rebuild_groups(db)
        db.execute("DELETE FROM registered_groups")

    with pytest.raises(DatabaseForeign, match="m_broken would break 2 references"):
        migrate(path, more(m_broken))
    assert asked(path, "SELECT count(*) FROM registered_groups") == [(1,)]
    assert asked(path, "PRAGMA user_version") == [(SCHEMA,)]


def test_a_change_that_fails_leaves_nothing_and_those_before_it_stay(path: Path) -> None:
    with_rows(path)

    def m_good(db: Any) -> None:
        db["good"].insert({"n": 1})

    def m_bad(db: Any) -> None:
        db["bad"].insert({"n": 1})
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        migrate(path, more(m_good, m_bad))
    assert asked(path, "PRAGMA user_version") == [(SCHEMA + 1,)]
    names = [row[0] for row in asked(path, "SELECT name FROM _sqlite_migrations")]
    assert names[-1] == "m_good"
    assert asked(path, "SELECT count(*) FROM sqlite_master WHERE name = 'bad'") == [(0,)]
    healed = [*more(m_good), ("m_bad", lambda db: None)]
    assert migrate(path, healed) == ["m_bad"]


def test_a_newer_schema_is_left_alone(path: Path) -> None:
    migrate(path)
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA user_version={SCHEMA + 1}")
    with pytest.raises(SchemaTooNew) as raised:
        migrate(path)
    assert raised.value.exit_code == 100
    with pytest.raises(SchemaTooNew):
        Store.open(path)


def test_an_older_schema_is_said(path: Path) -> None:
    path.parent.mkdir()
    path.touch()
    with pytest.raises(SchemaTooOld, match="pynchy db migrate"):
        Store.open(path)
    migrate(path)
    Store.open(path).close()


def test_a_foreign_database_is_not_touched(path: Path) -> None:
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE theirs(x)")
    with pytest.raises(DatabaseForeign, match="not one of pynchy's"):
        migrate(path)
    assert asked(path, "SELECT name FROM sqlite_master") == [("theirs",)]


def test_a_home_that_is_a_file_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "data").touch()
    with pytest.raises(HomeUnusable, match="can't be made"):
        migrate(tmp_path / "data" / "messages.db")


def test_four_at_once_all_succeed(path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from pynchy_cli.store.migrate import migrate;"
        "from pynchy_cli.store.connection import Store;"
        "print(len(migrate(Path(sys.argv[1])))); Store.open(Path(sys.argv[1])).close()"
    )
    for attempt in range(3):
        there = path.parent / str(attempt) / path.name
        four = [
            subprocess.Popen(
                [sys.executable, "-c", code, str(there)],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for _ in range(4)
        ]
        results = [(*one.communicate(timeout=60), one.returncode) for one in four]
        assert [(err, number) for _, err, number in results] == [("", 0)] * 4
        assert sorted(int(out) for out, _, _ in results) == [0, 0, 0, len(changes())]


def test_the_bell_of_a_change_is_rung(path: Path) -> None:
    with_rows(path)
    before = Bell(path.with_name("bell")).last()

    def m_more(db: Any) -> None:
        db["more"].insert({"n": 1})

    migrate(path, more(m_more))
    assert before is not None
    assert Bell(path.with_name("bell")).last() == before + 1
