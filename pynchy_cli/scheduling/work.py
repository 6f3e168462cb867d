"""The commands that firings run on the host: host jobs, and the conditions of tasks. Each is a
child process of this one, and a row says that it was begun before it is."""

from __future__ import annotations

from pynchy_cli.context import Context


class Work:
    """The host's commands of one process."""

    def __init__(self, context: Context) -> None:
        self.context = context

    def drain(self) -> int:
        """Settle what the dead have begun, and start what waits; how much was done."""
        return 0

    def is_busy(self) -> bool:
        """Whether commands are at work."""
        return False

    async def stop(self) -> None:
        """End the commands at work, and note it."""
