"""The shape of what `pynchy status --json` and `/status` print: every key, its type, and what it
says. Documents are held to it by tests, and docs/status.md is made from it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Schema = dict[str, Any]


def _of(kind: str, text: str = "", **more: Any) -> Schema:
    """A value of a JSON type; with `?` at its end also null."""
    types: Any = [kind[:-1], "null"] if kind.endswith("?") else kind
    return {"type": types, "description": text, **more}


def _record(text: str = "", **fields: Schema) -> Schema:
    """An object with these keys, each of them always there."""
    keys = list(fields)
    more = {"properties": fields, "required": keys, "additionalProperties": False}
    return _of("object", text, **more)


def _map(key: str, text: str, value: Schema) -> Schema:
    """An object with a value for each of something."""
    return _of("object", text, additionalProperties=value, key=key)


def _list(text: str, item: Schema, most: int | None = None) -> Schema:
    return _of("array", text, items=item, **({} if most is None else {"maxItems": most}))


def _waiting(text: str) -> Schema:
    return _record(
        text,
        pending=_of("integer"),
        oldest_asked_at=_of("string?"),
        oldest_seconds=_of("integer?"),
    )


def _counts(text: str) -> Schema:
    return _record(
        text,
        total=_of("integer"),
        active=_of("integer"),
        paused=_of("integer"),
        failing=_of("integer", "their last firing failed"),
    )


def _timed(text: str, **more: Schema) -> Schema:
    one = _record(
        id=_of("string"),
        name=_of("string?"),
        schedule_type=_of("string", "`cron`, `interval` or `once`"),
        schedule_value=_of("string"),
        timezone=_of("string"),
        status=_of("string", "`active` or `paused`"),
        next_run=_of("string?", "when it is due"),
        last_run=_of("string?", "when it last fired"),
        failing=_of("boolean", "its last firing failed"),
        last_result=_of("string?", "what came of its last firing"),
        **more,
    )
    return _list(f"{text}: the failing, then those due next, 20 at most", one, 20)


SCHEMA = _record(
    service=_record(
        status=_of(
            "string", "`healthy`, `degraded` or `down`", enum=["healthy", "degraded", "down"]
        ),
        started_at=_of("string?", "since when the oldest of its processes runs"),
        uptime_seconds=_of("integer"),
    ),
    problem={
        "type": ["object", "null"],
        "description": "why the database can't be read; all else is as where nothing is",
        "properties": {"code": _of("string"), "message": _of("string")},
        "required": ["code", "message"],
        "additionalProperties": False,
    },
    troubles=_list(
        "what a person should see to, the gravest first",
        _record(
            level=_of("string", "`wrong` degrades, `warning` doesn't", enum=["wrong", "warning"]),
            about=_of("string", "such as `stage:route`"),
            message=_of("string"),
            command=_of("string", "what shows more, or helps"),
        ),
    ),
    deploy=_record(
        "the checkout that pynchy runs from, as the check `git` last found it",
        head_sha=_of("string?"),
        head_commit=_of("string?"),
        dirty=_of("boolean?"),
        unpushed_commits=_of("integer?"),
        last_deploy_at=_of("string?"),
        last_deploy_sha=_of("string?"),
        checked_at=_of("string?"),
        age_seconds=_of("integer?"),
    ),
    supervisor=_record(
        "`pynchy up`",
        running=_of("boolean", "somebody holds its lock"),
        pid=_of("integer?"),
        since=_of("string?"),
        unit=_of("string?", "the unit that started it"),
    ),
    stages=_map(
        "stage",
        "the stages that should run, and those that do or died",
        _record(
            running=_of("boolean"),
            pid=_of("integer?"),
            since=_of("string?"),
            state=_of(
                "string",
                "`running`, `failing`, `disconnected`; or `stopped`, `failed`, `died`",
                enum=["running", "failing", "disconnected", "stopped", "failed", "died"],
            ),
            report=_of("string?", "what it says that it does"),
            error=_of("string?"),
            error_at=_of("string?"),
            restarts=_of("integer", "its processes that died or failed in a day"),
            processes=_of("integer", "that are at work"),
            version=_of("string?"),
        ),
    ),
    backlog=_map(
        "stage",
        "what is due now and not done",
        _record(
            count=_of("integer", "of messages 10000 at most"),
            oldest_at=_of("string?"),
            oldest_seconds=_of("integer?"),
        ),
    ),
    channels=_map("channel", "", _of("boolean", "it is connected")),
    gateway=_record(
        mode=_of("string?", "`anthropic` or `rehearsal`"),
        connected=_of("boolean", "it runs"),
    ),
    queue=_record(
        active_containers=_of("integer"),
        max_concurrent=_of("integer?"),
        groups_waiting=_of("integer"),
        per_group=_map(
            "group",
            "those at work, those that wait, then others, 20 at most",
            _record(
                active=_of("boolean"),
                is_task=_of("boolean"),
                pending_messages=_of("integer", "10000 at most"),
                pending_tasks=_of("integer"),
            ),
        ),
    ),
    repos=_map("repository", "", _of("object")),
    messages=_record(
        total_inbound=_of("integer"),
        total_outbound=_of("integer"),
        last_received_at=_of("string?"),
        last_sent_at=_of("string?"),
        pending_deliveries=_of("integer", "on their way"),
        unknown_deliveries=_of("integer", "that may have got there, or not"),
        held_deliveries=_of("integer", "of which a person is to decide that"),
        dead_deliveries=_of("integer", "that won't get there"),
    ),
    requests=_record(
        "what agents asked of the host",
        total=_of("integer"),
        refused=_of("integer"),
        failed=_of("integer"),
        unreadable=_of("integer"),
        waiting=_of("integer", "for a person"),
        errors=_list(
            "the last that failed",
            _record(
                id=_of("integer"),
                group=_of("string"),
                type=_of("string"),
                error=_of("string?"),
                at=_of("string?"),
            ),
            5,
        ),
    ),
    approvals=_waiting("what waits for a yes or no"),
    questions=_waiting("what agents ask people"),
    holds=_list(
        "what people have held, that of all groups first, 20 at most",
        _record(
            group=_of("string?", "null is all groups"),
            outbound=_of("boolean", "replies wait, too"),
            reason=_of("string?"),
            held_by=_of("string"),
            held_at=_of("string"),
        ),
        20,
    ),
    hold_count=_of("integer"),
    tasks=_timed("tasks", group=_of("string")),
    task_counts=_counts("all tasks that are not over"),
    host_jobs=_timed("host jobs", enabled=_of("boolean")),
    host_job_counts=_counts("all host jobs that are not over"),
    groups=_record(
        total=_of("integer"), active_sessions=_of("integer", "conversations with a model")
    ),
    failures=_record(
        "what stages couldn't handle",
        set_aside=_of("integer"),
        retrying=_of("integer"),
        rows=_list(
            "those set aside first, 20 at most",
            _record(
                stage=_of("string"),
                subject=_of("string"),
                state=_of("string", "`set_aside` or `retrying`"),
                attempts=_of("integer"),
                error=_of("string"),
                last_at=_of("string"),
                retry_at=_of("string?"),
            ),
            20,
        ),
        given_up=_of("integer", "runs that failed for good"),
        runs=_list(
            "the newest of these",
            _record(
                id=_of("integer"),
                group=_of("string"),
                attempts=_of("integer"),
                error=_of("string?"),
                finished_at=_of("string?"),
            ),
            5,
        ),
        runs_again=_list(
            "runs of which an attempt failed, and that aren't over, the newest first",
            _record(
                id=_of("integer"),
                group=_of("string"),
                attempts=_of("integer"),
                error=_of("string?"),
                retry_at=_of("string?"),
            ),
            5,
        ),
    ),
    sandbox=_record(
        runtime=_of("string?"),
        missing=_list("protections that can't be had here", _of("string")),
        warning=_of("string?"),
    ),
    disk=_record(
        "of the home",
        path=_of("string"),
        free=_of("integer?", "bytes"),
        total=_of("integer?", "bytes"),
        min_free=_of("integer", "bytes that must be free for agents to start"),
        low=_of("boolean"),
    ),
    database=_record(
        path=_of("string"),
        schema=_of("integer?"),
        size=_of("integer", "bytes of the file"),
        wal_size=_of("integer", "bytes of its WAL"),
        stale=_of("boolean", "the WAL couldn't be read: what was said last may be missing"),
        integrity=_record(
            "as the check `integrity` last found it",
            state=_of("string?"),
            at=_of("string?"),
            age_seconds=_of("integer?"),
        ),
    ),
    findings=_map(
        "check",
        "the last result of each check; none is made for `status`",
        _record(
            state=_of("string", "`ok`, `warning` or `failed`", enum=["ok", "warning", "failed"]),
            message=_of("string?"),
            at=_of("string"),
            age_seconds=_of("integer?"),
            result=_of("object", "what else the check noted"),
        ),
    ),
    configuration=_record(
        state=_of("string?", "`ok` or `failed`; null where nobody looked"),
        message=_of("string?"),
        at=_of("string?"),
    ),
    versions=_record(pynchy=_of("string"), python=_of("string"), sqlite=_of("string")),
)


def rows(schema: Schema = SCHEMA, path: str = "") -> Iterator[tuple[str, str, str]]:
    """Each key as (path, type, what it says), those of an object below it."""
    if path:
        types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        yield path, " or ".join(types), schema["description"]
    below = dict(schema.get("properties", {}))
    if isinstance(schema.get("additionalProperties"), dict):
        below[f"<{schema['key']}>"] = schema["additionalProperties"]
    for name, one in below.items():
        yield from rows(one, f"{path}.{name}" if path else name)
    if schema.get("items", {}).get("properties"):
        for name, one in schema["items"]["properties"].items():
            yield from rows(one, f"{path}[].{name}")
