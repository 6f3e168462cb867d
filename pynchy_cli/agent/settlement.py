"""Ends of runs that could not be written down when they came: they wait, in order, until the
database can be written again."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from pynchy_cli.agent.turn import RunLost
from pynchy_cli.errors import DatabaseBusy, DatabaseFull, DatabaseReplaced
from pynchy_cli.loop import Context


class Settlement:
    """Settles one worker's runs. A step writes how a run ended, or raises and wrote nothing."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self._unsettled: list[Callable[[], None]] = []

    def settle(self, step: Callable[[], None]) -> None:
        """Settle a run now, or as soon as the database can be written again."""
        try:
            step()
        except (RunLost, DatabaseReplaced):
            return
        except (DatabaseBusy, DatabaseFull) as error:
            self.context.log.error("a run can't be settled yet", error=str(error))
            self._unsettled.append(step)

    def rest(self) -> int:
        """Settle what couldn't be before; how many. Raises DatabaseBusy, DatabaseFull."""
        count = len(self._unsettled)
        while self._unsettled:
            with contextlib.suppress(RunLost, DatabaseReplaced):
                self._unsettled[0]()
            del self._unsettled[0]
        return count
