"""Queries that are asked again and again read off an index, however long the past is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pynchy_cli.model import Message
from pynchy_cli.store import (
    asked,
    backlog,
    jobs,
    messages,
    news,
    outbound,
    outbox,
    planned,
    questions,
    queue,
    requests,
    running,
    runs,
    tasks,
    timetable,
    totals,
    undelivered,
)
from pynchy_cli.store.connection import Connection, Store
from pynchy_cli.store.migrate import migrate
from pynchy_cli.store.timetable import JOBS, TASKS

NOW = "2026-01-31T08:00:00.000Z"
ASKED: dict[str, tuple[Callable[[Connection], Any], str]] = {
    "what was said last in a chat": (
        lambda db: news.last_said(db, "local:team", 50),
        "messages_of_chat (chat_jid=?)",
    ),
    "what was said since a place": (
        lambda db: news.said(db, 1, 2, 100),
        "INTEGER PRIMARY KEY (rowid>? AND rowid<?)",
    ),
    "where agents are at work": (lambda db: news.at_work(db), "runs_at_work"),
    "an answer that grows": (
        lambda db: outbound.open_replies(db, "local:team"),
        "outbound_open (chat_jid=?)",
    ),
    "what became of a message": (
        lambda db: runs.covering(
            db, "team", Message("1", "local:team", "owner", "owner", "hi", NOW, seq=7)
        ),
        "runs_of_messages (group_folder=? AND last_seq>?)",
    ),
    "whether a group is at work": (
        lambda db: runs.unfinished(db, "team"),
        "runs_unfinished (group_folder=?)",
    ),
    "where a run's messages begin": (
        lambda db: messages.first_unread(db, "team", 7),
        "runs_of_messages (group_folder=?)",
    ),
    "what status finds of messages that aren't routed": (
        lambda db: queue.unrouted(db),
        "messages_for_agent (chat_jid=? AND seq>?)",
    ),
    "what status counts of messages": (
        lambda db: queue.unrouted_count(db, {"team": 7}),
        "messages_for_agent (chat_jid=? AND seq>? AND seq<?)",
    ),
    "what status counts of runs": (
        lambda db: queue.queue(db, set(), None, {}),
        "runs USING INDEX runs_claim",
    ),
    "what status tells of runs at work": (
        lambda db: queue.queue(db, set(), None, {}),
        "runs USING INDEX runs_at_work",
    ),
    "what status tells of runs that were given up": (
        lambda db: totals.given_up(db),
        "runs USING INDEX runs_given_up",
    ),
    "what status tells of runs that are tried again": (
        lambda db: totals.tried_again(db),
        "runs USING INDEX runs_claim",
    ),
    "what status counts of replies on their way": (
        lambda db: totals.undelivered(db),
        "outbound_deliveries USING INDEX outbound_due",
    ),
    "what status counts of dead replies": (
        lambda db: totals.undelivered(db),
        "outbound_deliveries USING INDEX outbound_dead",
    ),
    "what status tells of failures": (
        lambda db: totals.failures(db),
        "failures USING INDEX failures_by_state",
    ),
    "what status counts of failures": (
        lambda db: totals.failures(db),
        "failures USING COVERING INDEX failures_by_state",
    ),
    "what status tells of channels": (
        lambda db: running.channels(db, [], {}),
        "INDEX chats_of_channel",
    ),
    "how often status says that a stage was restarted": (
        lambda db: running.add_restarts(db, {}, NOW),
        "processes USING INDEX processes_troubled (ended_at>?)",
    ),
    "what status says of a stage that is gone": (
        lambda db: running.add_last_words(db, {"route": {"running": False, "error": None}}),
        "processes USING INDEX processes_of_stage (stage=?)",
    ),
    "what status tells of failed requests": (
        lambda db: asked.asked(db, NOW),
        "requests USING INDEX requests_troubled",
    ),
    "whose requests status counts as backlog": (
        lambda db: backlog.backlog(db, {}, [], NOW),
        "requests USING INDEX requests_to_do",
    ),
    "which tasks status counts as backlog": (
        lambda db: backlog.backlog(db, {}, [], NOW),
        "scheduled_tasks USING INDEX scheduled_tasks_due (next_run<?)",
    ),
    "which runs status counts as backlog": (
        lambda db: backlog.backlog(db, {}, [], NOW),
        "runs USING INDEX runs_claim",
    ),
    "which replies status counts as backlog": (
        lambda db: backlog.backlog(db, {}, [], NOW),
        "outbound_deliveries USING INDEX outbound_due",
    ),
    "how many tasks status counts": (
        lambda db: planned.counts(db, "scheduled_tasks"),
        "scheduled_tasks USING COVERING INDEX scheduled_tasks_by_status (status=?)",
    ),
    "how many failing host jobs status counts": (
        lambda db: planned.counts(db, "host_jobs"),
        "host_jobs USING INDEX host_jobs_failing",
    ),
    "whether somebody was told lately of a chat's dead replies": (
        lambda db: undelivered.notices(db, undelivered.DEAD, "slack:C1", NOW),
        "outbound_ledger USING INDEX sqlite_autoindex_outbound_ledger_1 (key>? AND key<?)",
    ),
    "what is listed of replies on their way": (
        lambda db: undelivered.listed(db),
        "outbound_deliveries USING INDEX outbound_due",
    ),
    "what is listed of dead replies": (
        lambda db: undelivered.given_up(db),
        "outbound_deliveries USING INDEX outbound_dead",
    ),
    "how many replies never got to a chat": (
        lambda db: undelivered.count_in(db, undelivered.DEAD, "slack:C1"),
        "outbound_dead",
    ),
    "what a chat is to be brought": (
        lambda db: list(outbox.undelivered(db, "slack", "slack:C1")),
        "outbound_due (channel=? AND chat_jid=? AND ledger_id>?)",
    ),
    "what status counts of requests": (
        lambda db: asked.asked(db, NOW),
        "requests USING INDEX requests_waiting",
    ),
    "what status counts of approvals": (
        lambda db: asked.asked(db, NOW),
        "approvals USING INDEX approvals_pending",
    ),
    "whether a message answers anything": (
        lambda db: questions.open_in(db, "team", NOW),
        "questions_pending (group_folder=?)",
    ),
    "what has waited too long for an answer": (
        lambda db: questions.expire(db, NOW),
        "questions_expiring (expires_at<?)",
    ),
    "what is to be carried out next": (
        lambda db: requests.next_to_do(db, "team", ["service"], is_outside=True),
        "requests_to_do (group_folder=?)",
    ),
    "whether much is to be carried out": (
        lambda db: requests.are_undone(db, "team", 500),
        "requests_to_do (group_folder=?)",
    ),
    "who waits for a run that is over": (
        lambda db: requests.finished_children(db),
        "r USING INDEX requests_waiting",
    ),
    "how many tasks agents have made": (
        lambda db: tasks.count_of(db, "team", "agent"),
        "COVERING INDEX scheduled_tasks_open (group_folder=? AND source=? AND status=?)",
    ),
    "which tasks are not over": (
        lambda db: tasks.all(db, "team"),
        "scheduled_tasks USING INDEX scheduled_tasks_by_status (status=?)",
    ),
    "what status tells of failing tasks": (
        lambda db: planned.tasks(db),
        "one USING INDEX scheduled_tasks_failing",
    ),
    "what status tells of tasks that are due next": (
        lambda db: planned.tasks(db),
        "one USING INDEX scheduled_tasks_due (next_run>?)",
    ),
    "what status tells of host jobs that are due next": (
        lambda db: planned.host_jobs(db),
        "one USING INDEX host_jobs_due (next_run>?)",
    ),
    "which host jobs are to be started": (
        lambda db: jobs.waiting(db, 32),
        "log USING INDEX host_job_logs_in_turn (status=?)",
    ),
    "which host jobs were begun": (
        lambda db: jobs.begun(db),
        "host_job_logs USING INDEX host_job_logs_in_turn (status=?)",
    ),
    "which tasks are due": (
        lambda db: timetable.due(db, TASKS, NOW, 100),
        "scheduled_tasks USING INDEX scheduled_tasks_due (next_run<?)",
    ),
    "which host jobs are due": (
        lambda db: timetable.due(db, JOBS, NOW, 100),
        "host_jobs USING INDEX host_jobs_due (next_run<?)",
    ),
    "when a task is due next": (
        lambda db: timetable.next_due(db, TASKS),
        "scheduled_tasks USING INDEX scheduled_tasks_due (next_run>?)",
    ),
    "when a host job is due next": (
        lambda db: timetable.next_due(db, JOBS),
        "host_jobs USING INDEX host_jobs_due (next_run>?)",
    ),
    "whether a task is at work": (
        lambda db: tasks.unfinished(db, "look"),
        "runs USING INDEX runs_of_task (task=?)",
    ),
    "whether a task's condition is checked": (
        lambda db: tasks.unfinished(db, "look"),
        "task_run_logs USING INDEX task_run_logs_checking (task_id=?)",
    ),
    "whether a host job is at work": (
        lambda db: jobs.is_unfinished(db, "backup"),
        "host_job_logs USING INDEX host_job_logs_open (job_id=?)",
    ),
    "what of a task has fired": (
        lambda db: timetable.fired_after(db, TASKS, "look", NOW),
        "(task_id=? AND due_at>?)",
    ),
    "what has ended long ago": (
        lambda db: timetable.forget_ended(db, TASKS, NOW),
        "scheduled_tasks_ended (ended_at>? AND ended_at<?)",
    ),
    "what came of a task": (
        lambda db: tasks.outcomes(db, "look", 20),
        "task_run_logs_of_task (task_id=?)",
    ),
    "what came of a host job": (
        lambda db: jobs.outcomes(db, "backup", 20),
        "host_job_logs_of_job (job_id=?)",
    ),
    "how a host job ended before": (
        lambda db: jobs.status_before(db, "backup", 7),
        "host_job_logs_of_job (job_id=? AND id<?)",
    ),
    "what status tells of tasks' firings": (
        lambda db: planned.tasks(db),
        "log USING INTEGER PRIMARY KEY",
    ),
    "what status tells of tasks' runs": (
        lambda db: planned.tasks(db),
        "run USING INTEGER PRIMARY KEY",
    ),
    "which conditions are to be checked": (
        lambda db: tasks.checking(db, 32),
        "log USING INDEX task_run_logs_in_turn (owner=?)",
    ),
    "which conditions are being checked": (
        lambda db: tasks.begun(db),
        "task_run_logs USING INDEX task_run_logs_in_turn (owner>?)",
    ),
    "whether anything can be claimed": (
        lambda db: runs.is_any_due(db, NOW),
        "runs USING INDEX runs_claim",
    ),
}


@pytest.mark.parametrize("name", ASKED)
def test_it_reads_off_its_index(tmp_path: Path, name: str) -> None:
    path = tmp_path / "messages.db"
    migrate(path)
    ask, index = ASKED[name]
    with Store.open(path) as store:
        statements: list[str] = []
        store.db.set_trace_callback(statements.append)
        ask(store.db)
        store.db.set_trace_callback(None)
        plans = [
            str(row[3])
            for statement in statements
            for row in store.db.execute(f"EXPLAIN QUERY PLAN {statement}")
        ]
    assert any(index in plan for plan in plans), plans
