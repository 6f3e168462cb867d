"""What an agent is told by a task's firing: that a clock has started it, which task it is and when
it was due, and how it may end."""

from __future__ import annotations

from pynchy_cli import clock
from pynchy_cli.model import Firing, Task
from pynchy_cli.scheduling.telling import local

HEAD = "[SCHEDULED TASK]"
LATE = 60.0
"""Seconds after which a firing is told to be late."""
END = """\
What you answer at the end is posted to the chat. If there is nothing that people should be told, \
call the tool finished_work where you have it, or put your answer between <internal> and \
</internal>: then nothing is posted."""


def prompt(task: Task, firing: Firing) -> str:
    """The whole prompt of a firing's run."""
    return "\n".join([HEAD, *_facts(task, firing), END, "", "The task:", task.prompt])


def _facts(task: Task, firing: Firing) -> list[str]:
    name = f"{task.id} ({task.name})" if task.name else task.id
    schedule = f"{task.schedule_type} {task.schedule_value}, time zone {task.timezone}"
    due = local(firing.due_at, task.timezone)
    if firing.by_hand:
        return [
            "Somebody has started this run of a scheduled task by hand; it is not a message, and "
            "nobody waits in the chat for an answer.",
            f"Task: {name}; {schedule}",
            f"Started: {due}",
        ]
    facts = [
        "A clock has started this run, not a message: nobody waits in the chat for an answer.",
        f"Task: {name}; {schedule}",
        f"Due: {due}",
    ]
    if clock.seconds_between(firing.due_at, firing.run_at) > LATE:
        facts.append(f"Started late: {local(firing.run_at, task.timezone)}")
    if firing.missed_since is not None:
        since = local(firing.missed_since, task.timezone)
        facts.append(f"Those due before, since {since}, were missed; this run stands for them all.")
    return facts
