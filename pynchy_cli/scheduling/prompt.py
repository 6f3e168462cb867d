"""What an agent is told by a task's firing: that a clock has started it, which task it is and when
it was due, and how it may end."""

from __future__ import annotations

from pynchy_cli.model import Firing, Task


def prompt(task: Task, firing: Firing) -> str:
    """The whole prompt of a firing's run."""
    raise NotImplementedError
