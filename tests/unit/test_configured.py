"""Tasks and host jobs of the configuration come into the file, change, leave and come back; what
others made stays as it is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pynchy_cli import clock
from pynchy_cli.config.settings import JobRules, Scheduler, Settings, TaskRules
from pynchy_cli.model import HostJob, Task
from pynchy_cli.scheduling.configured import Configured
from pynchy_cli.store import groups, jobs, tasks, timetable
from pynchy_cli.store.timetable import JOBS, TASKS
from tests.clocks import START, Clocks, clocks, task

HOURLY = TaskRules(group="team", prompt="Look.", cron="0 * * * *", timezone="UTC")
BACKUP = JobRules(command="true", every="30m")
NINE = "2026-01-31T09:00:00.000Z"
ZONE = Scheduler(timezone="Europe/Berlin")


class Place(Clocks):
    """The stage's file, and configurations of it one after the other."""

    def configure(self, now: str = START, /, **sections: Any) -> int:
        """Start with these sections; how much was written."""
        settings = Settings(scheduler=ZONE, **sections)
        self.stage.context.settings = settings
        self.configured = Configured(self.stage.context)
        return self.configured.drain(now)

    def only(self) -> Task:
        """The one task of the configuration."""
        (one,) = tasks.of_source(self.store.db, "config")
        return one

    def job(self) -> HostJob:
        """The one host job of the configuration."""
        (one,) = jobs.of_source(self.store.db, "config")
        return one
