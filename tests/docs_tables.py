"""What a row of each table is, and who writes and reads it: the part of docs/tables.md that
the schema can't tell."""

from __future__ import annotations

from typing import NamedTuple


class Table(NamedTuple):
    """What a table is for, in a few words each."""

    row: str
    writers: str
    readers: str


TABLES = {
    "_sqlite_migrations": Table("a change of the schema that was made", "db migrate", "db migrate"),
    "counters": Table("a total, with the time of its last change", "everyone", "status, db check"),
    "chats": Table("a chat that we have seen", "listen, send, chat, groups, route", "everyone"),
    "registered_groups": Table(
        "a group, its two cursors (routed through, answered through), and when it was `served`",
        "init, groups, route, run-agent",
        "route, run-agent, status",
    ),
    "group_chats": Table(
        "a further chat that a group also lives in; its replies go to all, and what was said there "
        "up to `since_seq` is none of the group's",
        "groups",
        "listen, route, run-agent, status",
    ),
    "messages": Table(
        "something said in a chat, never changed; `seq` is its place",
        "listen, send, chat, run-agent, route, ipc-watch",
        "route, run-agent, tail, chat, runs, sessions, status",
    ),
    "runs": Table(
        "a unit of agent work for one group in one lane: the messages that it is given "
        "(`first_seq` to `last_seq`, `told_seq` of them at its beginning, `answered_seq` answered "
        "by its `replies`), what it is `asked` to do, and a `note` for its next attempt",
        "route, run-agent, stop, runs, retry",
        "run-agent, stop, runs, send, chat, listen, status",
    ),
    "sessions": Table(
        "one lane's conversation with the model, and its live sandbox",
        "run-agent, route, sessions",
        "run-agent, gateway, sessions, status",
    ),
    "outbound_ledger": Table(
        "a reply, open (still growing) or final",
        "run-agent, route, runs, sessions",
        "send, chat, listen, runs",
    ),
    "outbound_deliveries": Table(
        "one reply in one chat: pending, sending, sent, unknown (nobody knows whether it got "
        "there), dead, or dropped by a person",
        "run-agent, route, ipc-watch, listen, outbox",
        "listen, outbox, status",
    ),
    "outbound_parts": Table(
        "one message of the network's by which a reply is shown in a chat",
        "listen",
        "listen, outbox",
    ),
    "channel_cursors": Table("how far a chat's history was taken in", "listen", "listen"),
    "channel_inbox": Table(
        "something that came by a network and waits for what was said before it", "listen", "listen"
    ),
    "message_files": Table(
        "a file that came with a message: to be fetched, in the group's folder of files, or failed",
        "listen",
        "listen, run-agent",
    ),
    "events": Table("a step of an agent: a tool call, a thought, its end", "run-agent", "runs"),
    "holds": Table(
        "a group, or with an empty name all of them, of which nothing is begun, and with "
        "`outbound` nothing goes out, until it is released",
        "hold, release, route, serve, groups",
        "run-agent, listen, status",
    ),
    "findings": Table(
        "the last result of a check, with its time",
        "db check, doctor, config, backup, prune",
        "status, serve",
    ),
    "failures": Table(
        "something that a stage could not handle: retrying or set aside",
        "every stage, retry",
        "every stage, status",
    ),
    "processes": Table(
        "a stage that started, with the settings in force", "every stage", "status, every stage"
    ),
    "scheduled_tasks": Table(
        "a prompt that a group's agent is given when it is due",
        "tasks, ipc-watch, schedule",
        "schedule, status, tasks, ipc-watch, check",
    ),
    "task_run_logs": Table(
        "a due time of a task, unique, and what came of it: a run, or why there is none",
        "schedule, tasks",
        "schedule, status, tasks",
    ),
    "host_jobs": Table(
        "a command that the host runs when it is due",
        "jobs, ipc-watch, schedule",
        "schedule, status, jobs, ipc-watch",
    ),
    "host_job_logs": Table(
        "a due time of a host job, unique, with its exit code and the end of its output",
        "schedule, jobs",
        "schedule, status, jobs",
    ),
    "requests": Table(
        "what an agent asks of the host: unique by `session` and `request_id`; `payload` as we "
        "have read it, `answer` the envelope that the agent is given",
        "ipc-watch, route, approvals",
        "ipc-watch, route, approvals, status",
    ),
    "approvals": Table(
        "a request that waits for a person's yes or no, with what is shown of it, where it was "
        "asked (`chats`) and who may decide (`approvers`)",
        "ipc-watch, route, approvals",
        "ipc-watch, route, approvals, status",
    ),
    "questions": Table(
        "what an agent asks the people of a chat, with the answers that there are",
        "ipc-watch, route",
        "ipc-watch, route, approvals, status",
    ),
    "audit": Table(
        "a decision, whoever or whatever rule made it; each row's `hash` is made of the row and of "
        "the hash before it, and rows are only ever added",
        "ipc-watch, route, approvals, audit prune",
        "audit",
    ),
    "todos": Table("something that a group wants done", "ipc-watch, route", "ipc-watch"),
    "ids_given": Table(
        "a short id by which something was asked of people, and when: none is given again for "
        "thirty days, whatever became of its group",
        "ipc-watch",
        "ipc-watch",
    ),
    "outbound_files": Table(
        "a file that goes with a reply, in order: its bytes are `data/files/<sha256>`, which is "
        "there before the row and never changed, so that any channel may read it as it delivers",
        "ipc-watch",
        "tail, chat, sessions, ipc-watch",
    ),
}
