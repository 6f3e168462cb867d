"""Firings of tasks, as the stage that knows the time leaves them to the one that runs agents."""

from __future__ import annotations

from typing import Any

from pynchy_cli import clock
from pynchy_cli.store import runs, tasks
from pynchy_cli.store.connection import Store
from tests.clocks import START, task

ID = "task-aaaaaa"


def fire(store: Store, prompt: str = "look", *, id: str = ID, **more: Any) -> int:
    """Queue the run of a task's firing, and make the task where it isn't there; the run's number.
    `more` is as the task has it."""
    with store.atomic() as db:
        if (found := tasks.find(db, id)) is None:
            found = task(START, "interval", "30m", id=id, **more)
            tasks.add(db, found)
        lane, chat = tasks.lane_of(found), found.chat_jid or f"local:{found.group_folder}"
        return runs.queue_task(db, found.group_folder, lane, id, prompt, chat, clock.now())
