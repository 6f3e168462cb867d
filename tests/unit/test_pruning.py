"""What is only a trace goes when it is old; what something still needs stays, however old it is."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from shutil import copytree

import msgspec
import pytest

from pynchy_cli import clock
from pynchy_cli.config.home import prepare
from pynchy_cli.config.paths import Home
from pynchy_cli.config.settings import Retention
from pynchy_cli.keeping.prune import Pruning
from pynchy_cli.store import counters, findings, pruning, space
from pynchy_cli.store.connection import Store
from pynchy_cli.store.migrate import migrate
from tests.kept import NOW, ROWS, ask, change, silent

DAY = 86_400.0
RULES = Retention(events="10d", logs="20d", runs="30d", processes="40d")


def ago(days: float) -> str:
    return clock.after(NOW, -days * DAY)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a group, made once."""
    home = Home(tmp_path_factory.mktemp("model") / "home")
    prepare(home)
    migrate(home.database)
    change(home, *ROWS)
    return home.root


@pytest.fixture
def home(model: Path, tmp_path: Path) -> Home:
    return Home(copytree(model, tmp_path / "home"))


@pytest.fixture
def store(home: Home) -> Iterator[Store]:
    with Store.open(home.database) as store:
        yield store


def pruned(home: Home, store: Store, *, dry_run: bool = False, rules: Retention = RULES) -> Pruning:
    work = Pruning(home, store, rules, NOW, dry_run=dry_run)
    work.rows(silent)
    return work


def left(home: Home, table: str, column: str = "id") -> list[object]:
    return [row[0] for row in ask(home, f"SELECT {column} FROM {table} ORDER BY id")]


def run(id: int, state: str, days: float, **more: object) -> str:
    facts = {
        "id": id,
        "group_folder": "team",
        "lane": "chat",
        "kind": "chat",
        "state": state,
        "created_at": ago(days),
        "finished_at": ago(days),
        **more,
    }
    return _insert("runs", facts)


def request(id: int, state: str, days: float, **more: object) -> str:
    is_over = state not in ("accepted", "waiting", "started")
    facts = {
        "id": id,
        "group_folder": "team",
        "session": "gone",
        "request_id": str(id),
        "lane": "chat",
        "role": "agent",
        "type": "t",
        "payload": "{}",
        "digest": "",
        "state": state,
        "created_at": ago(days),
        "finished_at": ago(days) if is_over else None,
        "answer": "{}" if is_over else None,
        "delivered": int(is_over),
        **more,
    }
    return _insert("requests", facts)


def _insert(table: str, facts: dict[str, object]) -> str:
    values = ", ".join("NULL" if one is None else f"'{one}'" for one in facts.values())
    return f"INSERT INTO {table}({', '.join(facts)}) VALUES ({values})"


def answered(seq: int) -> str:
    return f"UPDATE registered_groups SET answered_seq = {seq}"


def test_old_steps_go_page_by_page(home: Home, store: Store) -> None:
    number = 2 * pruning.PAGE + 7
    for days, count in ((11, number), (9, 5)):
        change(
            home,
            f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})"
            f" INSERT INTO events(event_type, timestamp, payload) SELECT 'x', '{ago(days)}', 'y'"
            " FROM n",
        )
    changes: list[int] = []
    store.db.set_trace_callback(
        lambda sql: changes.append(sql.count(",") + 1) if sql.startswith("DELETE") else None
    )
    assert pruned(home, store).told.rows["events"] == number
    assert len(changes) == 3, "one transaction for each page"
    assert max(changes) <= pruning.PAGE
    assert ask(home, "SELECT count(*), min(timestamp) FROM events") == [(5, ago(9))]


def test_a_dry_run_counts_the_same_and_removes_nothing(home: Home, store: Store) -> None:
    change(home, *(run(id, "done", 31, last_seq=id) for id in range(1, 4)), answered(9))
    change(home, *(request(id, "done", 31) for id in range(1, 3)))
    before = ask(home, "SELECT value FROM counters WHERE name = 'commits'")
    told = pruned(home, store, dry_run=True).told
    # The last run of a thread tells how far it was answered.
    assert (told.rows["runs"], told.rows["requests"]) == (2, 2)
    assert left(home, "runs") == [1, 2, 3]
    assert ask(home, "SELECT value FROM counters WHERE name = 'commits'") == before
    assert pruned(home, store).told.rows == told.rows
    assert left(home, "runs") == [3]


def test_runs_that_something_goes_back_to_stay(home: Home, store: Store) -> None:
    over = {"last_seq": 1}
    change(
        home,
        answered(5),
        run(1, "done", 31, **over),
        run(2, "failed", 31, **over),
        run(3, "failed", 31, superseded_by=4),
        run(4, "done", 31, **over),
        run(5, "done", 31, **over),  # its reply is on its way
        run(6, "done", 31, **over),  # its reply is dead, and may be sent again
        run(7, "done", 31, **over),  # its reply was sent
        run(8, "done", 31, **over),  # its reply is still open
        run(9, "done", 31, **over),  # a request of it waits
        run(10, "done", 31, **over, parent=11),
        run(11, "running", 31, lane="shell", finished_at=None),
        run(12, "queued", 31, finished_at=None),
        run(13, "done", 31, kind="task", task="task-a"),  # what its task has come to
        run(14, "done", 31, kind="task", task="task-a"),
        run(15, "cancelled", 31, last_seq=9),  # its place isn't answered yet
        run(16, "done", 31, thread="t1", **over),  # how far the thread was answered
        run(17, "superseded", 31, superseded_by=18),
        run(18, "done", 29, last_seq=2),
        run(19, "done", 29, last_seq=10),
        run(20, "done", 31, kind="child"),  # what a request that failed has waited for
        run(21, "done", 31, **over),
        run(22, "failed", 31, kind="child", parent=21),
        run(23, "done", 29, last_seq=4),
        request(1, "waiting", 31, run_id=9),
        request(2, "failed", 31, child_run=20),
        "INSERT INTO scheduled_tasks(id, group_folder, prompt, schedule_type, schedule_value,"
        f" created_at, last_log) VALUES ('task-a', 'team', 'p', 'once', 'x', '{ago(31)}', 1)",
        "INSERT INTO task_run_logs(id, task_id, due_at, run_at, status, run_id)"
        f" VALUES (1, 'task-a', '1', '{ago(31)}', 'fired', 13)",
    )
    for id, state in ((5, "pending"), (6, "dead"), (7, "sent"), (8, "pending")):
        change(
            home,
            "INSERT INTO outbound_ledger(id, key, chat_jid, run_id, content, source, created_at,"
            f" is_final) VALUES ({id}, 'run:{id}:0', 'local:team', {id}, 'x', 'agent', '{NOW}',"
            f" {int(id != 8)})",
            "INSERT INTO outbound_deliveries(ledger_id, chat_jid, channel, state)"
            f" VALUES ({id}, 'local:team', 'local', '{state}')",
        )
    pruned(home, store)
    gone = set(range(1, 24)) - set(left(home, "runs"))
    assert gone == {1, 7, 10, 14, 17}
    # One round later nothing more goes: what goes back to nothing that went is all there is.
    assert pruned(home, store).told.rows["runs"] == 0


def test_requests_that_are_not_settled_stay(home: Home, store: Store) -> None:
    change(
        home,
        request(1, "done", 31),
        request(2, "refused", 31),
        request(3, "failed", 31),
        request(4, "unknown", 31),
        request(5, "waiting", 31),
        request(6, "accepted", 31),
        request(7, "started", 31),
        request(8, "done", 31, delivered=0),
        request(9, "done", 31, session="host"),
        request(10, "done", 31, session="alive"),
        request(11, "done", 29),
        request(12, "done", 31),
        request(13, "done", 31, run_id=50),
        request(14, "done", 31, child_run=50),
        request(15, "done", 31),
        request(16, "done", 31),
        run(50, "running", 31, finished_at=None),
        "INSERT INTO sessions(group_folder, lane, folder) VALUES ('team', 'chat', 'alive')",
        *(
            "INSERT INTO approvals(id, request, group_folder, chats, summary, digest, approvers,"
            f" state, asked_at, expires_at) VALUES ('{id}', {id}, 'team', '[]', '', '', '[]',"
            f" '{state}', '{NOW}', '{NOW}')"
            for id, state in ((12, "approved"), (15, "pending"))
        ),
        "INSERT INTO questions(id, request, group_folder, chat_jid, questions, asked_at,"
        f" expires_at) VALUES ('16', 16, 'team', 'local:team', '[]', '{NOW}', '{NOW}')",
    )
    pruned(home, store)
    assert left(home, "requests") == [3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 14, 15, 16]
    assert left(home, "approvals") == ["15"]


def test_firings_go_but_the_last_of_each_and_those_under_way(home: Home, store: Store) -> None:
    change(
        home,
        "INSERT INTO host_jobs(id, command, schedule_type, schedule_value, timezone, created_at,"
        f" last_log) VALUES ('job-a', 'x', 'cron', 'x', 'UTC', '{NOW}', 2)",
        *(
            "INSERT INTO host_job_logs(id, job_id, due_at, run_at, status, output) VALUES"
            f" ({id}, 'job-a', '{id}', '{ago(days)}', '{status}', 'said')"
            for id, days, status in (
                (1, 21, "done"),
                (2, 21, "failed"),
                (3, 21, "running"),
                (4, 21, "waiting"),
                (5, 19, "done"),
            )
        ),
        "INSERT INTO scheduled_tasks(id, group_folder, prompt, schedule_type, schedule_value,"
        f" created_at) VALUES ('task-a', 'team', 'p', 'once', 'x', '{NOW}')",
        *(
            "INSERT INTO task_run_logs(id, task_id, due_at, run_at, status) VALUES"
            f" ({id}, 'task-a', '{id}', '{ago(21)}', '{status}')"
            for id, status in ((1, "fired"), (2, "checking"), (3, "missed"))
        ),
    )
    pruned(home, store)
    assert ask(home, "SELECT id, output FROM host_job_logs ORDER BY id") == [
        (2, None),
        (3, "said"),
        (4, "said"),
        (5, "said"),
    ]
    assert left(home, "task_run_logs") == [2]


def test_a_short_time_forgets_no_firing_that_a_clock_may_meet_again(
    home: Home, store: Store
) -> None:
    change(
        home,
        "INSERT INTO host_jobs(id, command, schedule_type, schedule_value, timezone, created_at)"
        f" VALUES ('job-a', 'x', 'cron', 'x', 'UTC', '{NOW}')",
        "INSERT INTO host_job_logs(id, job_id, due_at, run_at, status, output)"
        f" VALUES (1, 'job-a', '1', '{ago(6)}', 'done', 'said')",
        run(1, "done", 6),
        run(2, "done", 6),
        request(1, "refused", 6),
        answered(9),
    )
    pruned(home, store, rules=Retention(events="1s", logs="1s", runs="1s", processes="1s"))
    assert ask(home, "SELECT id, output FROM host_job_logs") == [(1, None)]
    assert left(home, "runs") == [1, 2]
    assert left(home, "requests") == [1]


def test_of_processes_the_last_of_each_stage_stays(home: Home, store: Store) -> None:
    change(
        home,
        *(
            "INSERT INTO processes(id, stage, pid, lock, version, config_hash, settings,"
            f" started_at, ended_at) VALUES ({id}, '{stage}', 1, '', '', '', '{{}}', '{ago(50)}',"
            f" {ended})"
            for id, stage, ended in (
                (1, "route", f"'{ago(41)}'"),
                (2, "route", f"'{ago(41)}'"),
                (3, "run-agent", f"'{ago(41)}'"),
                (4, "run-agent", "NULL"),
                (5, "run-agent", f"'{ago(39)}'"),
                (6, "run-agent", f"'{ago(41)}'"),
                (7, "run-agent", "NULL"),
                (8, "run-agent", f"'{ago(41)}'"),
                (9, "run-agent", f"'{ago(41)}'"),
                (10, "run-agent", f"'{ago(41)}'"),
            )
        ),
        run(1, "running", 1, owner=8),
        request(1, "started", 1, owner=9),
        "INSERT INTO sessions(group_folder, lane, owner) VALUES ('team', 'chat', 6)",
    )
    pruned(home, store)
    assert left(home, "processes") == [2, 4, 5, 6, 7, 8, 9, 10]


def test_totals_and_what_people_said_stay(home: Home, store: Store) -> None:
    change(
        home,
        "INSERT INTO messages(id, chat_jid, sender, sender_name, content, timestamp, received_at)"
        f" VALUES ('m', 'local:team', 'o', 'o', 'hi', '{ago(999)}', '{ago(999)}')",
        "INSERT INTO outbound_ledger(key, chat_jid, content, source, created_at)"
        f" VALUES ('k', 'local:team', 'x', 'agent', '{ago(999)}')",
        *(run(id, "done", 999, last_seq=id) for id in (1, 2)),
        answered(9),
        request(1, "done", 999),
        "UPDATE counters SET value = 7 WHERE name = 'requests_done'",
    )
    before = counters.read(store.db)
    told = pruned(home, store).told
    assert told.rows["runs"] == told.rows["requests"] == 1
    after = counters.read(store.db)
    assert {k: v for k, v in after.items() if k != "commits"} == {
        k: v for k, v in before.items() if k != "commits"
    }
    assert left(home, "outbound_ledger") == [1]
    assert ask(home, "SELECT content FROM messages") == [("hi",)]


def test_what_is_found_is_read_off_keys(store: Store) -> None:
    for kind in (pruning.EVENTS, pruning.REQUESTS, pruning.RUNS, pruning.PROCESSES):
        plan = store.db.execute(
            f"EXPLAIN QUERY PLAN {kind.query}", {"before": NOW, "after": 0, "page": 1}
        ).fetchall()
        scans = [row[3] for row in plan if row[3].startswith("SCAN")]
        assert scans == [], kind.name


def test_leftovers_on_the_disk_go_when_they_are_old(home: Home, store: Store) -> None:
    now = clock.parse(NOW).timestamp()
    change(home, "INSERT INTO sessions(group_folder, lane, folder) VALUES ('team', 'chat', 'live')")
    change(
        home,
        "INSERT INTO outbound_ledger(id, key, chat_jid, content, source, created_at)"
        f" VALUES (1, 'k', 'local:team', 'x', 'agent', '{NOW}')",
        "INSERT INTO outbound_files VALUES (1, 0, 'photo', 1, 'named')",
    )
    for name, hours in (
        ("data/ipc/team/live/output/log", 50),
        ("data/ipc/team/dead/output/log", 50),
        ("data/ipc/team/new/output/log", 0),
        ("data/files/named", 50),
        ("data/files/unnamed", 50),
        ("data/files/.draft-x", 50),
        ("data/logs/pynchy.ndjson", 24 * 50),
        ("data/logs/pynchy.ndjson.1", 24 * 10),
        ("data/logs/pynchy.ndjson.2", 24 * 50),
    ):
        path = home.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        for one in (path, path.parent.parent):
            os.utime(one, (now - hours * 3600, now - hours * 3600))
    (home.ipc / "team/link").symlink_to(home.groups)
    dry = Pruning(home, store, RULES, NOW, dry_run=True)
    dry.disk(silent, now)
    assert dry.told.folders == 1
    assert (home.ipc / "team/dead").exists()
    work = Pruning(home, store, RULES, NOW)
    work.disk(silent, now)
    assert {one.name for one in (home.ipc / "team").iterdir()} == {"live", "new", "link"}
    assert {one.name for one in home.files.iterdir()} == {"named"}
    assert {one.name for one in (home.data / "logs").iterdir()} == {
        "pynchy.ndjson",
        "pynchy.ndjson.1",
    }
    assert (work.told.folders, work.told.files) == (1, 3)


def filled(home: Home) -> None:
    """Much that is free, in a file that is larger than a step."""
    change(
        home,
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 6000)"
        f" INSERT INTO events(event_type, timestamp, payload) SELECT 'x', '{NOW}',"
        " hex(zeroblob(1500)) FROM n",
    )
    change(home, "DELETE FROM events")


def test_what_is_free_is_given_back_step_by_step(home: Home, store: Store) -> None:
    filled(home)
    assert space.room(store.db).by_steps
    steps: list[str] = []
    store.db.set_trace_callback(lambda sql: steps.append(sql) if "incremental" in sql else None)
    work = Pruning(home, store, RULES, NOW)
    work.room(silent, at_once=False)
    assert len(steps) >= 4
    assert work.told.free == 0
    assert work.told.size < work.told.size_before / 5


def test_a_file_of_old_is_made_anew_where_that_is_quick_or_wanted(home: Home, store: Store) -> None:
    store.db.execute("PRAGMA auto_vacuum=NONE")
    store.db.execute("VACUUM")
    filled(home)
    assert not space.room(store.db).by_steps
    never = msgspec.structs.replace(RULES, free_after=0.0)
    Pruning(home, store, never, NOW).room(silent, at_once=False)
    assert space.room(store.db).free > 0
    Pruning(home, store, RULES, NOW).room(silent, at_once=False)
    assert space.room(store.db).free == 0
    assert space.room(store.db).by_steps


def test_how_the_database_was_found_is_noted(home: Home, store: Store) -> None:
    Pruning(home, store, RULES, NOW).integrity(silent)
    found = findings.get(store.db, "integrity")
    assert found is not None
    assert (found.state, found.at, found.result["findings"]) == ("ok", NOW, [])
    home.bell.write_bytes((1000).to_bytes(8, "little"))
    Pruning(home, store, RULES, NOW).integrity(silent)
    found = findings.get(store.db, "integrity")
    assert found is not None
    assert found.state == "warning"
    assert "are missing" in found.result["message"]
