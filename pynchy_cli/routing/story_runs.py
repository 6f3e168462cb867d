"""The part of a story that is of runs: when each was queued, taken up and ended, where, what its
agent did and asked, and for what it waits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from pynchy_cli.routing import story_replies
from pynchy_cli.routing.story_steps import Ending, Step, quoted
from pynchy_cli.store.story import Facts, Wish, Work

WORKER = "run-agent"
CALLS = 10
"""Calls of tools that are told of one by one."""


def steps(facts: Facts, work: Work) -> Iterator[Step]:
    """What became of one run."""
    row = work.row
    run = {"run": row["id"]}
    yield Step(row["created_at"], "queued", _queued(row), run)
    for one in work.begun:
        yield Step(one["at"], "begun", _begun(facts, row, one), run | _without_at(one))
    if row["started_at"] is not None and not work.begun:
        words = (
            f"Run {row['id']} was taken up{_by(facts, row['owner'])}, attempt {row['attempts']}."
        )
        yield Step(row["started_at"], "started", words, run)
    yield from _trace(work, run)
    for wish in work.wishes:
        yield from _wish(wish, run)
    for reply in work.replies:
        yield from story_replies.steps(reply)
    if row["finished_at"] is not None:
        facts_of_end = run | {"state": row["state"], "error": row["error"]}
        yield Step(row["finished_at"], "ended", _ended(row), facts_of_end)


def _queued(row: dict[str, Any]) -> str:
    run = f"Run {row['id']} of {row['group']} was queued"
    if row["kind"] == "chat":
        many = row["first_seq"] != row["last_seq"]
        what = (
            f"messages {row['first_seq']} to {row['last_seq']}"
            if many
            else (f"message {row['last_seq']}")
        )
        lane = "" if row["lane"] == "chat" else f", in {row['lane']}"
        return f"{run} for {what}{lane}."
    if row["task"] is not None:
        return f"{run} by the task {row['task']}: {quoted(row['prompt'] or '')}"
    if row["parent"] is not None:
        return f"{run} by the agent of run {row['parent']}: {quoted(row['prompt'] or '')}"
    return f"{run} from a shell: {quoted(row['prompt'] or '')}"


def _by(facts: Facts, owner: int | None) -> str:
    process = facts.owners.get(owner or 0)
    if process is None:
        return ""
    ended = ", which has ended since" if process["ended_at"] else ""
    return f" by {process['stage']} (process {process['id']}, pid {process['pid']}{ended})"


def _begun(facts: Facts, row: dict[str, Any], one: dict[str, Any]) -> str:
    where = f" in the sandbox {one['sandbox']}" if one.get("sandbox") else ""
    return (
        f"Run {row['id']} was at work, attempt {one.get('attempt')}{where}"
        f"{_by(facts, one.get('owner'))}."
    )


def _without_at(one: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in one.items() if name != "at"}


def _trace(work: Work, run: dict[str, Any]) -> Iterator[Step]:
    """What its agent did: the first calls of tools one by one, and how many there were in all."""
    for at, name, given in work.calls[:CALLS]:
        words = f"It called {name}: {quoted(str(given))}"
        yield Step(at, "tool_use", words, run | {"tool": name, "input": given})
    if (more := work.counts.get("tool_use", 0) - CALLS) > 0:
        tools = Counter(name for _, name, _ in work.calls[CALLS:])
        named = ", ".join(f"{name} {count}×" for name, count in tools.most_common())
        at = work.calls[CALLS][0] if len(work.calls) > CALLS else work.row["created_at"]
        words = f"And {more} calls more ({named}): `pynchy runs show {work.row['id']} --log`."
        yield Step(at, "tool_use", words, run | {"calls": more})


def _wish(wish: Wish, run: dict[str, Any]) -> Iterator[Step]:
    row, more = wish.row, run | {"request": wish.row["id"], "type": wish.row["type"]}
    yield Step(row["created_at"], "request", f"It asked the host for {row['type']}.", more)
    for asked, what in ((wish.approval, "A yes"), (wish.question, "An answer")):
        if asked is None:
            continue
        facts = more | {"id": asked["id"], "state": asked["state"]}
        words = f"{what} was asked of people, as {asked['id']}, until {asked['expires_at']}."
        yield Step(asked["asked_at"], "asked", words, facts)
        if asked["decided_at"] is not None:
            who = asked.get("decided_by") or asked.get("answered_by")
            by = f" by {who}" if who else ""
            words = f"{asked['id']} was {asked['state']}{by}."
            yield Step(asked["decided_at"], "decided", words, facts)
    if row["child_run"] is not None:
        words = f"It handed something on, as run {row['child_run']}."
        yield Step(row["created_at"], "handed_on", words, more | {"child": row["child_run"]})
    if row["finished_at"] is not None:
        words = f"Of {row['type']} came: {row['state']}."
        yield Step(row["finished_at"], "request_over", words, more | {"state": row["state"]})


def _ended(row: dict[str, Any]) -> str:
    run, next = f"Run {row['id']}", row["superseded_by"]
    why = f": {row['error'].rstrip('.')}" if row["error"] else ""
    match row["state"]:
        case "superseded" if row["attempts"] == 0 and row["takeovers"] == 0:
            return f"What {run} was for was told to run {next} at work, in the same turn."
        case "superseded":
            return f"{run} was joined with run {next}, which waited in its lane{why}."
        case "failed":
            again = f" It was tried again as run {next}." if next is not None else ""
            return f"{run} was given up after {row['attempts']} attempts{why}.{again}"
        case "cancelled":
            return f"{run} was cancelled{why}."
    return f"{run} was done."


def ending(facts: Facts) -> Ending:
    """Where the runs stand: at the first that is not over, or else at the last."""
    alive = [one for one in facts.works if one.row["state"] in ("queued", "running")]
    work = alive[0] if alive else facts.works[-1]
    row = work.row
    number = row["id"]
    match row["state"]:
        case "queued":
            return _waits(facts, work)
        case "running":
            return _at_work(facts, work)
        case "failed":
            text = f"Run {number} was given up; nothing more comes of it by itself."
            where = f"pynchy tasks run {row['task']}" if row["task"] else None
            command = f"pynchy runs retry {number}" if row["kind"] == "chat" else where
            return Ending("failed", text, command)
        case "superseded":
            command = f"pynchy why run:{row['superseded_by']}"
            return Ending("superseded", f"Run {row['superseded_by']} goes on with it.", command)
        case "cancelled":
            return Ending("cancelled", f"Run {number} was cancelled, and is not asked again.")
    replies = [one for each in facts.works for one in each.replies]
    if not replies:
        whom = {"shell": "the shell that asked", "child": f"the agent of run {row['parent']}"}
        if row["kind"] in whom:
            return Ending(
                "done", f"Nothing more: it is done, and {whom[row['kind']]} was answered."
            )
        return Ending("done", "Nothing more: it is done, and its agent had nothing to say.")
    return story_replies.ending(replies, facts)


def _waits(facts: Facts, work: Work) -> Ending:
    """Why a queued run isn't taken up."""
    row = work.row
    number, group = row["id"], row["group"]
    tried = f" Its last attempt failed: {row['error'].rstrip('.')}." if row["error"] else ""
    for hold in facts.holds:
        if hold.group_folder in (None, group):
            why = f": {hold.reason}" if hold.reason else ""
            name = hold.group_folder or "--all"
            text = f"Run {number} is held by {hold.held_by} since {hold.held_at}{why}.{tried}"
            return Ending("held", text, f"pynchy release {name}")
    if WORKER not in facts.alive:
        text = f"Run {number} waits for {WORKER}, which isn't running.{tried}"
        return Ending("stage_away", text, "pynchy up")
    if row["not_before"] is not None and row["not_before"] > facts.now:
        text = f"Run {number} is tried again at {row['not_before']}.{tried}"
        return Ending("backed_off", text, f"pynchy runs cancel {number}")
    if work.busy is not None:
        text = f"Run {number} waits until run {work.busy} has ended, which has its lane.{tried}"
        return Ending("behind", text, f"pynchy why run:{work.busy}")
    if work.awaits_file is not None and work.awaits_file > facts.now:
        text = f"Run {number} waits for a file that came with it, until {work.awaits_file} at most."
        return Ending("awaits_file", text)
    text = f"Run {number} is taken up when there is a place: {facts.at_work} at work.{tried}"
    return Ending("waiting", text, "pynchy status")


def _at_work(facts: Facts, work: Work) -> Ending:
    """What a run at work is doing, or waits for."""
    row = work.row
    number = row["id"]
    for wish in work.wishes:
        if wish.approval is not None and wish.approval["state"] == "pending":
            id = wish.approval["id"]
            text = f"Run {number} waits for a yes to {wish.row['type']}:"
            return Ending("waits_for_approval", text, f"pynchy approvals show {id}")
        if wish.question is not None and wish.question["state"] == "pending":
            text = f"Run {number} waits for an answer to {wish.question['id']}, in its chat:"
            return Ending("waits_for_person", text, f"pynchy approvals show {wish.question['id']}")
    owner = facts.owners.get(row["owner"] or 0)
    if (owner is None or owner["ended_at"]) and WORKER not in facts.alive:
        text = f"Run {number} was at work when its process ended; the next {WORKER} takes it over."
        return Ending("stage_away", text, "pynchy up")
    asked = " It was asked to stop." if row["asked"] else ""
    text = f"Run {number} is at work since {row['started_at']}.{asked}"
    return Ending("at_work", text, f"pynchy runs show {number} --log")
