"""The tasks and host jobs of the configuration, as the rows that they should be. When each is due,
and whether it has been, is known by the row that there is."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from pynchy_cli import recurrence
from pynchy_cli.config.settings import JobRules, Settings, TaskRules, TimedRules
from pynchy_cli.config.timed import EARLY, schedule
from pynchy_cli.model import HostJob, Task
from pynchy_cli.store import groups
from pynchy_cli.store.connection import Connection
from pynchy_cli.timing import default_zone

MAKER = "config.toml"
"""Who has made them, as a person is told."""


def tasks(db: Connection, settings: Settings, now: str) -> tuple[list[Task], dict[str, str]]:
    """The tasks whose groups are there; and of each other one, what it waits for."""
    found: list[Task] = []
    waiting: dict[str, str] = {}
    for name, rules in settings.tasks.items():
        chats = groups.chats(db, rules.group)
        if not chats:
            waiting[name] = f"the group {rules.group}"
        elif rules.chat and rules.chat not in chats:
            waiting[name] = f"the chat {rules.chat} of {rules.group}"
        else:
            found.append(_task(name, rules, settings, now))
    return found, waiting


def jobs(settings: Settings, now: str) -> Iterator[HostJob]:
    """The host jobs."""
    return (_job(name, rules, settings, now) for name, rules in settings.jobs.items())


def _task(name: str, rules: TaskRules, settings: Settings, now: str) -> Task:
    return Task(
        **_timed(name, rules, settings, now),
        timeout_seconds=rules.condition_timeout,
        group_folder=rules.group,
        chat_jid=rules.chat or None,
        prompt=rules.prompt,
        context_mode=rules.context_mode,
        overlap=rules.overlap,
        condition=rules.condition if rules.condition.strip() else None,
    )


def _job(name: str, rules: JobRules, settings: Settings, now: str) -> HostJob:
    return HostJob(
        **_timed(name, rules, settings, now),
        timeout_seconds=rules.timeout_seconds,
        command=rules.command,
        cwd=os.path.expanduser(rules.cwd) or None,  # noqa: PTH111 - Path raises for ~nobody
    )


def _timed(name: str, rules: TimedRules, settings: Settings, now: str) -> dict[str, Any]:
    zone = rules.timezone or default_zone(settings, os.environ)
    wanted = recurrence.read(*schedule(rules), zone, EARLY)
    return {
        "id": name,
        "name": rules.name or None,
        "schedule_type": wanted.type,
        "schedule_value": wanted.value,
        "timezone": wanted.timezone,
        "anchor": None,
        "catch_up": rules.catch_up,
        "status": "active" if rules.enabled else "paused",
        "paused_by": None if rules.enabled else "config",
        "source": "config",
        "created_by": MAKER,
        "created_at": now,
        "ended_at": None,
        "next_run": None,
        "last_run": None,
    }
