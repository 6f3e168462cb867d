"""`backup`: makes a backup whenever one is due, by a child process. This module only says when."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from pynchy_cli import clock, recurrence
from pynchy_cli.context import Context
from pynchy_cli.errand import Errand
from pynchy_cli.errors import ConfigInvalid
from pynchy_cli.keeping import rotation
from pynchy_cli.loop import Stage

SINGLE = True


def make(context: Context, options: dict[str, Any]) -> Stage:
    """The stage; what its options don't say is configured. Raises ConfigInvalid where no folder
    is."""
    return Backup(context, options)


class Backup:
    """A stage: has a backup made when the last one that lies in the folder is old enough."""

    def __init__(
        self, context: Context, options: dict[str, Any], now: Callable[[], str] = clock.now
    ) -> None:
        rules = context.settings.backup
        folder = options.get("folder") or rules.folder
        if not folder:
            raise ConfigInvalid("[backup] folder isn't set, so no backups are made.")
        self._now = now
        place = rotation.place(context.home, folder)
        every = float(options.get("every") or recurrence.seconds_of(rules.every))
        keep = int(options.get("keep") or rules.keep)
        secrets = ["--secrets"] if options.get("secrets", rules.secrets) else []
        command = ["backup", str(place), "--keep", str(keep), *secrets, "--quiet", "--json"]
        self.errand = Errand(
            context,
            "backup",
            command,
            every,
            counts=lambda result: Path(str(result.get("path", place / "-"))).parent == place,
        )

    def drain(self) -> int:
        """Begin one where it is due."""
        return self.errand.drain(self._now())

    def deadline(self) -> float | None:
        """Seconds until one is due."""
        return self.errand.deadline(self._now())

    def is_busy(self) -> bool:
        """Whether one is being made."""
        return self.errand.is_busy()

    async def stop(self) -> None:
        """Give up the one that is being made."""
        await self.errand.stop()
