"""The part of a story that is of tasks and host jobs: when each was due, what came of it, and when
it is due next."""

from __future__ import annotations

from collections.abc import Iterator

from pynchy_cli.model import HostJob
from pynchy_cli.routing import story_runs
from pynchy_cli.routing.story_steps import Ending, Step, quoted
from pynchy_cli.store.jobs import Outcome as JobOutcome
from pynchy_cli.store.story import Facts

STAGE = "schedule"


def steps(facts: Facts) -> Iterator[Step]:
    """How it was made, and its last firings."""
    one = facts.timed
    assert one is not None, "a task or a job"
    noun, what = ("host job", one.command) if isinstance(one, HostJob) else ("task", one.prompt)
    words = f"The {noun} {one.id} was made by {one.created_by or one.source}: {quoted(what)}"
    schedule = {"schedule_type": one.schedule_type, "schedule_value": one.schedule_value}
    yield Step(one.created_at, "made", words, {"id": one.id, **schedule})
    for outcome in facts.firings:
        firing = outcome.firing
        is_job = isinstance(outcome, JobOutcome)
        result = firing.status if is_job else outcome.state or firing.status
        why = f": {firing.reason}" if firing.reason else ""
        code = f" with exit code {outcome.exit_code}" if is_job and outcome.exit_code else ""
        run = f", run {outcome.run_id}" if not is_job and outcome.run_id is not None else ""
        hand = ", by hand" if firing.by_hand else ""
        words = f"It fired for {firing.due_at}{hand}{run}: {result}{code}{why}."
        yield Step(firing.run_at, "fired", words, {"due_at": firing.due_at, "result": result})
    if one.ended_at is not None:
        yield Step(one.ended_at, "ended", f"It was {one.status}.", {"status": one.status})
    if facts.failure is not None:
        words = f"{STAGE} failed with it, {facts.failure.attempts} times: {facts.failure.error}"
        yield Step(facts.failure.last_at, "failed", words, {"state": facts.failure.state})


def ending(facts: Facts) -> Ending:
    """When it is due next, or why it isn't; a run of it that isn't over tells more."""
    one = facts.timed
    assert one is not None, "a task or a job"
    noun = "jobs" if isinstance(one, HostJob) else "tasks"
    if any(work.row["state"] in ("queued", "running") for work in facts.works):
        return story_runs.ending(facts)
    if facts.failure is not None and facts.failure.state == "set_aside":
        text = f"It was set aside after {facts.failure.attempts} failures."
        return Ending("set_aside", text, f"pynchy retry {facts.failure.subject}")
    if one.status == "paused":
        by = f" by {one.paused_by}" if one.paused_by else ""
        return Ending("paused", f"It is paused{by}, and waits.", f"pynchy {noun} resume {one.id}")
    if one.status in ("completed", "cancelled") or one.next_run is None:
        return Ending(one.status, f"It is {one.status}: nothing more is due.")
    if STAGE not in facts.alive:
        text = f"It is due at {one.next_run}, but {STAGE} isn't running."
        return Ending("stage_away", text, "pynchy up")
    return Ending("due", f"It is due next at {one.next_run}.", f"pynchy {noun} run {one.id}")
