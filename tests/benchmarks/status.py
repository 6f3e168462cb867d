"""What the past costs `pynchy status`: its time on a file with a million messages against that on
an empty one, and of both against a Python that only opens the database; its memory; and how long
the other reading commands take to start against a command that does nothing."""

from __future__ import annotations

import sqlite3
import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path

from tests.benchmarks.place import Place, place
from tests.benchmarks.starting import EMPTY, OPENING

MESSAGES, TASKS, GROUPS, RUNS = 1_000_000, 10_000, 1_000, 200_000
ROUNDS = 15
READING = (
    *("groups list", "runs list", "sessions list", "tasks list", "jobs list", "tail"),
    *("approvals list", "outbox list", "mounts list", "skills list main", "audit list"),
)
AT = "2026-01-31T08:00:00.000Z"
NUMBERS = (
    "WITH RECURSIVE numbers(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM numbers WHERE i < {}) "
)
PAST = (
    (
        GROUPS,
        "INSERT INTO chats(jid, channel, first_seen_at) SELECT 'slack:C' || i, 'slack', :at",
    ),
    (
        GROUPS,
        "INSERT INTO registered_groups(folder, name, jid, number, routed_seq, answered_seq,"
        " added_at) SELECT 'group' || i, 'Group ' || i, 'slack:C' || i, i + 10,"
        f" {MESSAGES - GROUPS} + i - (i % 50 = 0) * 3000, {MESSAGES // 2}, :at",
    ),
    (
        MESSAGES,
        "INSERT INTO messages(id, chat_jid, sender, sender_name, content, timestamp, received_at)"
        f" SELECT 'm' || i, 'slack:C' || ((i - 1) % {GROUPS} + 1), 'owner', 'You',"
        " 'What is said here is of no great length, and yet of some.', :at, :at",
    ),
    (
        GROUPS,
        "INSERT INTO sessions(group_folder, lane, session_id)"
        " SELECT 'group' || i, 'chat', 's' || i",
    ),
    (
        RUNS,
        "INSERT INTO runs(id, group_folder, lane, kind, state, task, created_at)"
        f" SELECT i + 1000, 'group' || ((i - 1) % {GROUPS} + 1), iif(i % 4, 'chat', 'task:x'),"
        " iif(i % 4, 'chat', 'task'), iif(i % 40, 'done', 'failed'),"
        f" iif(i % 4, NULL, 'task' || (i % {TASKS})), :at",
    ),
    (
        TASKS,
        "INSERT INTO scheduled_tasks(id, group_folder, prompt, schedule_type, schedule_value,"
        " next_run, created_at, last_run, last_log, failing)"
        f" SELECT 'task' || i, 'group' || (i % {GROUPS} + 1), 'Look.', 'interval', '3600',"
        " strftime('%Y-%m-%dT%H:%M:%fZ', '2036-01-01', '+' || i || ' seconds'), :at, :at, i,"
        " i % 100 = 0",
    ),
    (
        TASKS,
        "INSERT INTO task_run_logs(id, task_id, due_at, run_at, status, run_id)"
        " SELECT i, 'task' || i, :at, :at, 'fired', i * 4 + 1000",
    ),
)


def figures() -> Iterator[str]:
    """The lines to print."""
    pynchy = str(Path(sys.executable).with_name("pynchy"))
    with place() as empty, place() as full:
        fill(full.home / "data/messages.db")
        opened = [sys.executable, "-c", OPENING, str(empty.home / "data/messages.db")]
        status = [pynchy, "status", "--json"]
        took = measured(
            {"opened": (opened, empty), "empty": (status, empty), "full": (status, full)}
        )
        yield (
            f"status --json of {MESSAGES} messages, {TASKS} tasks and {GROUPS} groups"
            f" {took['full'].milliseconds:.0f} ms, of none {took['empty'].milliseconds:.0f} ms:"
            f" ratio {took['full'].milliseconds / took['empty'].milliseconds:.2f} (goal 1.5)"
        )
        yield (
            f"a Python that opens the database {took['opened'].milliseconds:.0f} ms: ratio of the"
            f" empty one {took['empty'].milliseconds / took['opened'].milliseconds:.2f} (goal 2)"
        )
        yield f"status --json: {took['full'].megabytes:.0f} MB at most (goal 40)"
        yield from reading(pynchy, empty)


def reading(pynchy: str, made: Place) -> Iterator[str]:
    """The other reading commands, each against an empty Typer command."""
    commands = {"": ([sys.executable, "-c", EMPTY], made)}
    commands |= {words: ([pynchy, *words.split()], made) for words in READING}
    took = measured(commands)
    nothing = took.pop("")
    for words, one in took.items():
        yield (
            f"{words} {one.milliseconds:.0f} ms, an empty Typer command"
            f" {nothing.milliseconds:.0f} ms: ratio {one.milliseconds / nothing.milliseconds:.2f}"
            f" (goal 1.5), {one.megabytes:.0f} MB (goal 40)"
        )


def fill(path: Path) -> None:
    """Give a database a long past; in twenty groups something waits."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA synchronous=OFF")
        db.execute("PRAGMA cache_size=-200000")
        db.execute("BEGIN")
        for count, statement in PAST:
            db.execute(f"{NUMBERS.format(count)}{statement} FROM numbers", {"at": AT})
        db.execute("UPDATE counters SET value = ? WHERE name = 'messages_inbound'", (MESSAGES,))
        db.execute("COMMIT")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")


class Cost:
    """What a command cost: the median of its processor time, and its largest memory."""

    def __init__(self, each: Sequence[tuple[float, int]]) -> None:
        self.milliseconds = statistics.median(one for one, _ in each) * 1000
        self.megabytes = max(one for _, one in each) / 1024


def measured(commands: Mapping[str, tuple[list[str], Place]]) -> dict[str, Cost]:
    """What each command costs, by turns, so that what else the machine does hits all of them.
    Processor time: it waits for nothing, and others wouldn't count."""
    found: dict[str, list[tuple[float, int]]] = {name: [] for name in commands}
    for _ in range(ROUNDS):
        for name, (command, made) in commands.items():
            found[name].append(cost(command, made.environ))
    return {name: Cost(each) for name, each in found.items()}


LAUNCH = """
import os, sys
quiet = [(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
         (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0), (os.POSIX_SPAWN_DUP2, 1, 2)]
pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=quiet)
used = os.wait4(pid, 0)[2]
print(used.ru_utime + used.ru_stime, used.ru_maxrss)
"""
"""A small Python that starts a command: what its parent weighs would count as the command's."""


def cost(command: list[str], environ: Mapping[str, str]) -> tuple[float, int]:
    """Seconds of processor time, and KiB of memory at most."""
    launch = [sys.executable, "-SEc", LAUNCH, *command]
    done = subprocess.run(launch, env=environ, check=True, capture_output=True, text=True)
    seconds, memory = done.stdout.split()
    return float(seconds), int(memory)
