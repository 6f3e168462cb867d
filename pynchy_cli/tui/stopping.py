"""A turn that somebody asked to stop: waiting until it has, and saying how it went. Whether its
worker can hear is asked of the locks; a run that nobody hears for is not waited for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pynchy_cli import locks
from pynchy_cli.config.paths import Home
from pynchy_cli.model import Run
from pynchy_cli.store import history, processes, runs, steering
from pynchy_cli.store.connection import Store
from pynchy_cli.tui.follow import follow

WORKER = "run-agent"
How = Literal["stopped", "ended", "queued", "taken_over", "not_yet", "no_worker"]


@dataclass(frozen=True)
class Stopping:
    """How far the end of a run is, and in words."""

    run: Run
    how: How
    words: str

    @property
    def is_done(self) -> bool:
        """Whether the run has ended, by our asking or by itself."""
        return self.how in ("stopped", "ended")


def wait(home: Home, store: Store, run_id: int, seconds: float) -> Stopping:
    """Wait at most so long for the end of a run that was asked to stop."""
    import asyncio  # a tenth of the time of `pynchy runs list`, which doesn't come here

    def is_over() -> bool:
        run = runs.get(store.db, run_id)
        return run.state != "running" or not _is_heard(home, store, run)

    asyncio.run(follow(home, store, is_over, timeout=seconds))
    return _told(home, store, runs.get(store.db, run_id), seconds)


def _is_heard(home: Home, store: Store, run: Run) -> bool:
    """Whether the run's worker lives, or another one that takes it over."""
    if run.owner is not None and locks.is_held(processes.owner_lock(home.locks, run.owner)):
        return True
    return any(one.stage == WORKER for one in processes.alive(store.db, home.locks))


def _told(home: Home, store: Store, run: Run, seconds: float) -> Stopping:
    name = f"run {run.id} of {run.group_folder}"
    if run.state == "cancelled":
        words = f"Stopped {name}. What it had said stays, and the conversation goes on."
        lane = (run.group_folder, run.lane)
        others = steering.at_work(store.db, *lane), steering.waiting(store.db, *lane)
        if later := next((one for one in others if one is not None and one.is_watched), None):
            words += f" What was said since is answered by run {later.id}."
        return Stopping(run, "stopped", words)
    if run.state == "queued":
        words = f"Not stopped: {name} waits again; `pynchy runs cancel {run.id}` ends it."
        return Stopping(run, "queued", words)
    if run.state == "superseded":
        taken = history.successor(store.db, run.id)
        return Stopping(run, "taken_over", f"Run {taken} has taken over {name}; stop that one.")
    if run.state != "running":
        words = f"Before it could be stopped, {name} ended by itself: {run.state}."
        return Stopping(run, "ended", words)
    if not _is_heard(home, store, run):
        words = f"run-agent isn't running; {name} is stopped as soon as it starts."
        return Stopping(run, "no_worker", words)
    words = f"After {seconds:g} s, {name} hasn't ended yet. It was asked to."
    return Stopping(run, "not_yet", words)
