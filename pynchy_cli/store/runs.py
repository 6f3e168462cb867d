"""Agent work: queued, claimed, finished, given back. Unique indexes decide every race: one
running run and one queued chat run for each lane. Whoever writes a run must still own it."""

from __future__ import annotations

from pynchy_cli.errors import RunUnknown, UsageWrong
from pynchy_cli.model import CHAT_LANE, TASK_LANE, Message, Run
from pynchy_cli.store import holds, timetable
from pynchy_cli.store.connection import Connection, Row

FREE_TAKEOVERS = 3
"""So often a run goes back after its worker's death without costing an attempt."""

COLUMNS = (
    "id, group_folder, lane, kind, state, attempts, takeovers, first_seq, last_seq, chat_jid,"
    " prompt, owner, not_before, error, created_at, started_at, finished_at, told_seq,"
    " answered_seq, replies, asked, note, parent, depth, shares, apart, task, quiet, thread"
)
_BOOLEANS = (COLUMNS.split(", ").index("apart"), COLUMNS.split(", ").index("quiet"))

# A run began, or was queued, before its time was set: if that lies ahead, the clock was set back
# since, and the run would wait for as long.
_DUE = "(not_before IS NULL OR not_before <= :now OR coalesce(started_at, created_at) > :now)"


# A run whose agent waits for another one gives its place to that one; where several wait for the
# same, the first of them does. One that waits for a person gives it to anybody: hours may pass, in
# which nobody else would be answered.
_YIELDS = """(EXISTS (
    SELECT 1 FROM requests AS wish JOIN sessions AS its ON its.group_folder = wish.group_folder
      AND its.lane = wish.lane AND its.folder = wish.session
    WHERE wish.group_folder = busy.group_folder AND wish.lane = busy.lane
      AND wish.run_id = busy.id AND wish.state = 'waiting' AND wish.child_run IS NULL)
  OR EXISTS (
    SELECT 1 FROM requests AS wish JOIN runs AS child ON child.id = wish.child_run
    WHERE wish.group_folder = busy.group_folder AND wish.lane = busy.lane
      AND wish.run_id = busy.id AND wish.state = 'waiting'
      AND child.state IN ('queued', 'running')
      AND NOT EXISTS (
        SELECT 1 FROM requests AS other JOIN runs AS first ON first.id = other.run_id
        WHERE other.child_run = child.id AND other.state = 'waiting'
          AND other.run_id < busy.id AND first.state = 'running')))"""


# A clock has started a task's run, and all that its agent hands on.
_CLOCKED = """EXISTS (
  WITH RECURSIVE line(kind, parent) AS (
    SELECT {0}.kind, {0}.parent
    UNION ALL SELECT its.kind, its.parent FROM line JOIN runs AS its ON its.id = line.parent)
  SELECT 1 FROM line WHERE kind = 'task')"""


# A file that comes with a message is waited for, for a while.
_AWAITS_FILES = """EXISTS (
    SELECT 1 FROM message_files AS file JOIN messages AS its ON its.seq = file.seq
    WHERE file.state = 'waiting' AND file.wait_until > :now AND its.received_at <= :now
      AND waiting.kind = 'chat' AND its.seq BETWEEN waiting.first_seq AND waiting.last_seq
      AND its.thread = waiting.thread AND its.verdict = 'allowed' AND its.chat_jid IN (
        SELECT jid FROM registered_groups WHERE folder = waiting.group_folder
        UNION SELECT jid FROM group_chats WHERE group_folder = waiting.group_folder))"""


def as_run(row: Row) -> Run:
    """A row of `COLUMNS` as a run."""
    values = list(row)
    for at in _BOOLEANS:
        values[at] = bool(values[at])
    return Run(*values)


def queue_chat(
    db: Connection,
    group_folder: str,
    first_seq: int,
    last_seq: int,
    chat_jid: str,
    now: str,
    *,
    thread: str = "",
    lane: str = CHAT_LANE,
) -> int:
    """Queue a run for messages of a group's chats outside of threads, or of one thread; the one
    that waits already takes them."""
    row = db.execute(
        """
        INSERT INTO runs(group_folder, lane, kind, state, first_seq, last_seq, chat_jid, created_at,
          thread)
        VALUES (:group, :lane, 'chat', 'queued', :first, :last, :jid, :now, :thread)
        ON CONFLICT(group_folder, lane, thread)
          WHERE state = 'queued' AND kind = 'chat' AND apart = 0
          DO UPDATE SET
          first_seq = min(first_seq, excluded.first_seq),
          last_seq = max(last_seq, excluded.last_seq),
          chat_jid = excluded.chat_jid
        RETURNING id
        """,
        {
            "group": group_folder,
            "lane": lane,
            "first": first_seq,
            "last": last_seq,
            "jid": chat_jid,
            "now": now,
            "thread": thread,
        },
    ).fetchone()
    return int(row[0])


def queue_apart(
    db: Connection,
    group_folder: str,
    first_seq: int,
    last_seq: int,
    chat_jid: str,
    now: str,
    *,
    thread: str = "",
    lane: str = CHAT_LANE,
) -> int:
    """Queue a run for messages after which others were answered; it is joined with no other,
    so that nothing in between is answered twice."""
    row = db.execute(
        "INSERT INTO runs(group_folder, lane, kind, state, first_seq, last_seq, chat_jid,"
        " created_at, apart, thread) VALUES (?, ?, 'chat', 'queued', ?, ?, ?, ?, 1, ?)"
        " RETURNING id",
        (group_folder, lane, first_seq, last_seq, chat_jid, now, thread),
    ).fetchone()
    return int(row[0])


def queue_task(
    db: Connection,
    group_folder: str,
    lane: str,
    task: str,
    prompt: str,
    chat_jid: str,
    now: str,
) -> int:
    """Queue the run of a task's firing; its number."""
    row = db.execute(
        "INSERT INTO runs(group_folder, lane, kind, state, task, prompt, chat_jid, created_at)"
        " VALUES (?, ?, 'task', 'queued', ?, ?, ?, ?) RETURNING id",
        (group_folder, lane, task, prompt, chat_jid, now),
    ).fetchone()
    return int(row[0])


def start_now(
    db: Connection, group_folder: str, lane: str, kind: str, prompt: str, owner: int, now: str
) -> Run | None:
    """A run that its maker drives itself, at once; None where the lane is at work."""
    row = db.execute(
        f"""
        INSERT INTO runs(group_folder, lane, kind, state, attempts, prompt, owner, created_at,
          started_at)
        VALUES (?, ?, ?, 'running', 1, ?, ?, ?, ?)
        ON CONFLICT DO NOTHING RETURNING {COLUMNS}
        """,
        (group_folder, lane, kind, prompt, owner, now, now),
    ).fetchone()
    return as_run(row) if row else None


def claim(
    db: Connection, owner: int, max_concurrent: int, now: str, *, is_for_own: bool = False
) -> Run | None:
    """Take a queued run of the group that was served longest ago, if the limit allows one more.

    What a run at work waits for goes before all else, in the place that this one gives it; within
    a group, what people say goes before what clocks want. Where there are several places, tasks
    and all that their agents hand on leave one to people. A lane whose sandbox is warm belongs to
    that sandbox's owner. With `is_for_own` only children of runs that are ours are taken. What is
    held is never taken.
    """
    row = db.execute(
        f"""
        UPDATE runs SET state = 'running', owner = :owner, started_at = :now,
          attempts = attempts + 1, not_before = NULL, asked = NULL, told_seq = last_seq
        WHERE id = (
          SELECT waiting.id FROM runs AS waiting
          JOIN registered_groups AS its ON its.folder = waiting.group_folder
          WHERE waiting.state = 'queued' AND {_DUE}
            AND (NOT :own OR waiting.parent IN (
              SELECT id FROM runs WHERE state = 'running' AND owner = :owner))
            AND (SELECT count(*) FROM runs AS busy WHERE state = 'running' AND NOT {_YIELDS})
              < :limit
            AND (:limit = 1 OR NOT {_CLOCKED.format("waiting")} OR (
              SELECT count(*) FROM runs AS busy WHERE state = 'running' AND NOT {_YIELDS}
                AND {_CLOCKED.format("busy")}) < :limit - 1)
            AND NOT EXISTS (
              SELECT 1 FROM runs AS busy WHERE busy.state = 'running'
                AND busy.group_folder = waiting.group_folder AND busy.lane = waiting.lane)
            AND NOT {_AWAITS_FILES}
            AND NOT {holds.RUNS.format(group="waiting.group_folder")}
            AND NOT EXISTS (
              SELECT 1 FROM sessions AS warm WHERE warm.group_folder = waiting.group_folder
                AND warm.lane = waiting.lane AND warm.owner IS NOT NULL AND warm.owner <> :owner)
          ORDER BY waiting.kind = 'child' AND EXISTS (
              SELECT 1 FROM requests WHERE child_run = waiting.id AND state = 'waiting') DESC,
            its.served, waiting.kind = 'task', waiting.id LIMIT 1)
        RETURNING {COLUMNS}
        """,
        {"owner": owner, "limit": max_concurrent, "now": now, "own": is_for_own},
    ).fetchone()
    if row is None:
        return None
    run = as_run(row)
    db.execute(
        "UPDATE registered_groups SET served = (SELECT max(served) + 1 FROM registered_groups)"
        " WHERE folder = ?",
        (run.group_folder,),
    )
    return run


def yielding(db: Connection, owner: int) -> int:
    """How many of the owner's runs have given their places to others that they wait for."""
    row = db.execute(
        f"SELECT count(*) FROM runs AS busy WHERE state = 'running' AND owner = ? AND {_YIELDS}",
        (owner,),
    ).fetchone()
    return int(row[0])


def is_any_due(db: Connection, now: str) -> bool:
    """Whether a queued run might be claimed now; asked without the write lock."""
    row = db.execute(
        f"SELECT 1 FROM runs WHERE state = 'queued' AND {_DUE}"
        f" AND NOT {holds.RUNS.format(group='runs.group_folder')} LIMIT 1",
        {"now": now},
    ).fetchone()
    return row is not None


def mine(db: Connection, run: Run) -> Run | None:
    """The run as it is now, if it is still at work under the owner that claimed it."""
    row = db.execute(
        f"SELECT {COLUMNS} FROM runs"
        " WHERE id = ? AND state = 'running' AND owner = ? AND attempts = ?",
        (run.id, run.owner, run.attempts),
    ).fetchone()
    return as_run(row) if row else None


def finish(
    db: Connection,
    run: Run,
    state: str,
    now: str,
    error: str | None = None,
    result: str | None = None,
) -> None:
    """End a run that is ours: done, failed or cancelled. `result` is for who waits for it."""
    ended = db.execute(
        "UPDATE runs SET state = ?, finished_at = ?, error = ?, result = ?, owner = NULL"
        " WHERE id = ? AND state = 'running' AND owner = ?",
        (state, now, error, result, run.id, run.owner),
    )
    if state == "failed" and run.task is not None and ended.rowcount:
        timetable.task_failed(db, run.task, run.id)


def give_back(
    db: Connection,
    run: Run,
    *,
    now: str,
    not_before: str | None,
    error: str | None,
    free: bool,
    note: str | None = None,
) -> int:
    """Put a run that is ours back into the queue; the number of the run that now waits.

    With `free` its attempt does not count, `FREE_TAKEOVERS` times at most. A queued run of
    the lane takes it over instead: the range, the attempts and the later time are merged.
    `note` is for the next attempt.
    """
    costless = free and run.takeovers < FREE_TAKEOVERS
    attempts = run.attempts - (1 if costless else 0)
    takeovers = run.takeovers + (1 if free else 0)
    waiting = db.execute(
        """
        UPDATE runs SET first_seq = min(first_seq, :first), last_seq = max(last_seq, :last),
          attempts = max(attempts, :attempts), takeovers = max(takeovers, :takeovers),
          not_before = max(coalesce(not_before, ''), coalesce(:not_before, '')), error = :error,
          note = coalesce(:note, note)
        WHERE group_folder = :group AND lane = :lane AND thread = :thread AND state = 'queued'
          AND kind = 'chat' AND :kind = 'chat' AND apart = 0 AND NOT :apart
        RETURNING id
        """,
        {
            "first": max(run.first_seq, run.answered_seq + 1),
            "last": run.last_seq,
            "attempts": attempts,
            "takeovers": takeovers,
            "not_before": not_before,
            "error": error,
            "note": note or run.note,
            "group": run.group_folder,
            "lane": run.lane,
            "kind": run.kind,
            "apart": run.apart,
            "thread": run.thread,
        },
    ).fetchone()
    if waiting is not None:
        db.execute(
            "UPDATE runs SET state = 'superseded', superseded_by = ?, finished_at = ?,"
            " error = ?, owner = NULL WHERE id = ? AND state = 'running' AND owner = ?",
            (waiting[0], now, error, run.id, run.owner),
        )
        return int(waiting[0])
    db.execute(
        "UPDATE runs SET state = 'queued', owner = NULL, attempts = ?, takeovers = ?,"
        " not_before = ?, error = ?, note = coalesce(?, note), asked = NULL, quiet = 0"
        " WHERE id = ? AND state = 'running' AND owner = ?",
        (attempts, takeovers, not_before, error, note, run.id, run.owner),
    )
    return run.id


def leave(db: Connection, run: Run, through: int, now: str) -> None:
    """What a run that is over was given and has not read is its next one's."""
    if through >= run.last_seq:
        return
    db.execute("UPDATE runs SET last_seq = ? WHERE id = ?", (through, run.id))
    queue_chat(
        db,
        run.group_folder,
        through + 1,
        run.last_seq,
        run.chat_jid or "",
        now,
        thread=run.thread,
        lane=run.lane,
    )


def adopt(db: Connection, dead: int, owner: int) -> list[Run]:
    """Take over what a dead owner had at work; the runs, now ours."""
    rows = db.execute(
        f"UPDATE runs SET owner = ? WHERE owner = ? AND state = 'running' RETURNING {COLUMNS}",
        (owner, dead),
    ).fetchall()
    return [as_run(row) for row in rows]


def is_at_work(db: Connection, run_id: int) -> bool:
    """Whether a run is at work, whoever has it."""
    row = db.execute("SELECT 1 FROM runs WHERE id = ? AND state = 'running'", (run_id,)).fetchone()
    return row is not None


def owners(db: Connection) -> set[int]:
    """Everybody who has a run at work or a sandbox."""
    rows = db.execute(
        "SELECT owner FROM runs WHERE state = 'running' AND owner IS NOT NULL"
        " UNION SELECT owner FROM sessions WHERE owner IS NOT NULL"
    ).fetchall()
    return {int(row[0]) for row in rows}


def hush(db: Connection, run_id: int) -> bool:
    """Its agent has nothing to say: what it still answers is posted nowhere. Only where a task's
    run is at work; whether it is one."""
    row = db.execute(
        "UPDATE runs SET quiet = 1 WHERE id = ? AND kind = 'task' AND state = 'running'"
        " RETURNING id",
        (run_id,),
    ).fetchone()
    return row is not None


def get(db: Connection, run_id: int) -> Run:
    """The run of this number. Raises RunUnknown."""
    row = db.execute(f"SELECT {COLUMNS} FROM runs WHERE id = ?", (run_id,)).fetchone()
    if row is None:
        raise RunUnknown(f"There is no run {run_id}.")
    return as_run(row)


def thread_of(db: Connection, run_id: int | None, chat_jid: str) -> str:
    """The thread of a chat in which a run is answered, or the one that handed it on; empty outside
    of one."""
    row = db.execute(
        """
        WITH RECURSIVE line(parent, kind, chat_jid, thread) AS (
          SELECT parent, kind, chat_jid, thread FROM runs WHERE id = ?
          UNION ALL SELECT its.parent, its.kind, its.chat_jid, its.thread
          FROM line JOIN runs AS its ON its.id = line.parent)
        SELECT thread FROM line WHERE kind = 'chat' AND chat_jid = ? LIMIT 1
        """,
        (run_id, chat_jid),
    ).fetchone()
    return str(row[0]) if row else ""


def covering(db: Connection, group_folder: str, message: Message) -> list[Run]:
    """The chat runs whose range holds a message, oldest first."""
    rows = db.execute(
        f"SELECT {COLUMNS} FROM runs WHERE group_folder = ? AND kind = 'chat'"
        " AND first_seq <= ? AND last_seq >= ? AND thread = ? ORDER BY id",
        (group_folder, message.seq, message.seq, message.thread),
    ).fetchall()
    return [as_run(row) for row in rows]


def earlier_in_thread(db: Connection, run: Run) -> tuple[bool, int]:
    """Whether no run of its thread was ended before this one, and the last place in those before;
    0 where there is none."""
    row = db.execute(
        "SELECT coalesce(max(last_seq), 0), coalesce(max(state IN ('done', 'cancelled')), 0)"
        " FROM runs WHERE group_folder = ? AND thread = ? AND kind = 'chat' AND id < ?",
        (run.group_folder, run.thread, run.id),
    ).fetchone()
    return not row[1], int(row[0])


def unfinished(db: Connection, group_folder: str) -> int:
    """How many of a group's runs are queued or at work, but for those of tasks that have a
    conversation of their own."""
    row = db.execute(
        "SELECT count(*) FROM runs WHERE group_folder = ? AND state IN ('queued', 'running')"
        " AND substr(lane, 1, ?) <> ?",
        (group_folder, len(TASK_LANE), TASK_LANE),
    ).fetchone()
    return int(row[0])


def next_due(db: Connection, now: str) -> str | None:
    """When the next backed-off run will be due; None where no run waits for its time. One that
    is due and can't be claimed yet waits for a commit, not for a time."""
    row = db.execute(
        f"SELECT min(at) FROM (SELECT not_before AS at FROM runs"
        f" WHERE state = 'queued' AND NOT {_DUE} UNION ALL"
        " SELECT wait_until FROM message_files WHERE state = 'waiting' AND wait_until > :now)",
        {"now": now},
    ).fetchone()
    return str(row[0]) if row and row[0] else None


def retry(db: Connection, run_id: int, now: str) -> int:
    """Queue once more what a failed run left unanswered; the number of the new run.

    Raises RunUnknown, or UsageWrong where the run didn't fail or was retried already.
    """
    run = get(db, run_id)
    if run.state != "failed":
        raise UsageWrong(f"Run {run_id} is {run.state}; only a failed run can be retried.")
    taken = db.execute("SELECT superseded_by FROM runs WHERE id = ?", (run_id,)).fetchone()[0]
    if taken is not None:
        raise UsageWrong(f"Run {run_id} was retried already, as run {taken}.")
    if run.task is not None:
        raise UsageWrong(
            f"Run {run_id} was started by the task {run.task}; `pynchy tasks run {run.task}` starts"
            " another."
        )
    if run.kind != "chat":
        where = "a shell" if run.is_shell else f"the agent of run {run.parent}"
        raise UsageWrong(f"Run {run_id} came from {where}; it can only be asked again there.")
    first = max(run.first_seq, run.answered_seq + 1)
    new = queue_apart(
        db,
        run.group_folder,
        first,
        run.last_seq,
        run.chat_jid or "",
        now,
        thread=run.thread,
        lane=run.lane,
    )
    db.execute("UPDATE runs SET superseded_by = ? WHERE id = ?", (new, run_id))
    return new
