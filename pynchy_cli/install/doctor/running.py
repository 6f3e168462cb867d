"""What runs, and what it has told: stages, errors that nobody has read, holds, backups."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from pynchy_cli import __version__, clock
from pynchy_cli.config.concerns import concerns
from pynchy_cli.config.load import section_hashes
from pynchy_cli.config.stages import wanted
from pynchy_cli.install.doctor.facts import Facts
from pynchy_cli.install.doctor.finding import Seen, failed, ok, warning
from pynchy_cli.recurrence import seconds_of
from pynchy_cli.store import findings, holds, lookup

STUCK = 900.0
"""Seconds after which what waits should have been taken up."""
OFTEN = 5
"""Ends without a word in a day, of one stage, that are no accident."""
DAY = 86_400.0
OUR_OWN = ("doctor", "git", "engine")
"""Results that we note ourselves."""


def stages(facts: Facts) -> Iterator[Seen]:
    """All stages of the configuration run."""
    alive = {one.stage for one in facts.running()}
    if not alive:
        yield warning("Nothing runs.", "`pynchy up` starts all stages.")
        return
    told = facts.status()["stages"]
    seen = []
    for name in wanted(facts.settings):
        if name not in alive:
            error = (told.get(name) or {}).get("error")
            said = f"{name} doesn't run{': ' + error if error else ''}."
            seen.append(failed(said.replace("..", "."), "Mend that, then start `pynchy up` again."))
    yield from seen or [ok(f"{', '.join(sorted(alive))} run.")]


def stopped(facts: Facts) -> Iterator[Seen]:
    """No stage that runs is held up by a signal."""
    found = [one for one in facts.running() if _state(facts, one.pid) in ("T", "t", "Z")]
    yield from [
        failed(
            f"{one.stage} (process {one.pid}) was stopped by a signal, and does nothing.",
            f"`kill -CONT {one.pid}`, or end the debugger that holds it.",
            command=f"ps -o pid,stat,args -p {one.pid}",
        )
        for one in found
    ] or [ok("No stage is held up by a signal.")]


def _state(facts: Facts, pid: int) -> str:
    """The letter that the kernel has for what a process does; empty where it doesn't tell."""
    return (facts.proc(f"proc/{pid}/stat") or "").rpartition(")")[2].strip()[:1]


def versions(facts: Facts) -> Iterator[Seen]:
    """What runs is of the version that is installed."""
    alive = facts.running()
    old = sorted({f"{one.stage} ({one.version})" for one in alive if one.version != __version__})
    if old:
        said = f"Of another version than {__version__}: {', '.join(old)}."
        yield warning(said, "Start `pynchy up`, or its unit, again.")
    else:
        yield ok(f"All that runs is {__version__}.")


def configured(facts: Facts) -> Iterator[Seen]:
    """What runs has read the configuration as it is now."""
    now = section_hashes(facts.settings)
    old = []
    for one in facts.running():
        before = json.loads(one.hashes or "{}")
        if before and concerns(one.stage, before, now):
            old.append(one.stage)
    if old:
        yield warning(
            f"They have read another configuration than is here now: {', '.join(old)}.",
            "`pynchy up` takes changes up by itself; else start them again. Is something set in"
            " this shell alone (`env | grep PYNCHY`)?",
        )
    else:
        yield ok("All that runs has read the configuration as it is.")


def deaths(facts: Facts) -> Iterator[Seen]:
    """No stage ends again and again."""
    with facts.reading() as db:
        died = lookup.died(db, clock.after(facts.now, -DAY))
    often = {stage: count for stage, count in died.items() if count >= OFTEN}
    yield from [
        failed(
            f"{stage} was killed {count} times in a day.",
            "`pynchy logs` tells its last words; `dmesg | grep -i oom` whether memory ran out.",
        )
        for stage, count in often.items()
    ] or [ok(f"Stages that were killed in a day: {sum(died.values())}.")]


def errors(facts: Facts) -> Iterator[Seen]:
    """No error waits for somebody to read it."""
    told = facts.status()
    seen = [*_of_stages(told["stages"]), *_of_failures(told["failures"]), *_of_replies(told)]
    with facts.reading() as db:
        for one in findings.all(db):
            if one.state == "failed" and one.name not in OUR_OWN:
                said = one.result.get("message") or f"The check `{one.name}` failed"
                todo = "`pynchy status` shows it, until it goes well again."
                seen.append(failed(f"{one.name}, {one.at}: {said}", todo))
    yield from seen or [ok("No error waits to be read.")]


def _of_stages(stages: dict[str, dict[str, object]]) -> Iterator[Seen]:
    for name, stage in stages.items():
        if stage["running"] and stage["error"]:
            yield failed(f"{name}: {stage['error']}", "`pynchy logs` tells more.")


def _of_failures(told: dict[str, object]) -> Iterator[Seen]:
    if count := told["set_aside"]:
        rows = told["rows"]
        assert isinstance(rows, list)
        first = next(one for one in rows if one["state"] == "set_aside")
        said = f"{count} set aside, such as {first['subject']}: {first['error']}"
        yield failed(said, "Mend that, then `pynchy retry SUBJECT`, or `pynchy retry --all`.")
    if count := told["given_up"]:
        runs = told["runs"]
        assert isinstance(runs, list)
        said = f"{count} runs given up, such as run:{runs[0]['id']}: {runs[0]['error']}"
        yield warning(
            said, "`pynchy retry run:ID` asks once more; `pynchy runs show ID` tells all."
        )


def _of_replies(told: dict[str, dict[str, int]]) -> Iterator[Seen]:
    messages = told["messages"]
    todo = "`pynchy outbox list`, then `retry` or `drop`."
    if count := messages["dead_deliveries"]:
        yield failed(f"{count} replies never got to their chats.", todo)
    if count := messages["held_deliveries"]:
        said = f"Of {count} replies nobody knows whether they got there."
        yield failed(said, todo)


def held(facts: Facts) -> Iterator[Seen]:
    """Nothing is held."""
    with facts.reading() as db:
        standing = holds.all(db)
    yield from [
        warning(
            f"{one.group_folder or 'All groups'} held since {one.held_at} by {one.held_by}"
            f"{': ' + one.reason if one.reason else ''}.",
            f"`pynchy release {one.group_folder or '--all'}`.",
        )
        for one in standing
    ] or [ok("Nothing is held.")]


def stuck(facts: Facts) -> Iterator[Seen]:
    """What waits is taken up."""
    with facts.reading() as db:
        late = lookup.waiting(db, clock.after(facts.now, -STUCK))
    alive = Counter(one.stage for one in facts.running())
    yield from [
        failed(
            f"{count} wait for {stage} for more than {STUCK / 60:g} minutes"
            f"{'' if alive[stage] else ', which does not run'}.",
            "`pynchy status` tells what it does." if alive[stage] else "`pynchy up`.",
        )
        for stage, count in late.items()
    ] or [ok("Nothing waits for long.")]


def backup(facts: Facts) -> Iterator[Seen]:
    """There is a backup, and it is young."""
    rules = facts.settings.backup
    if not rules.folder:
        yield ok("None is configured; what this disk holds is lost with it. See [backup] folder.")
        return
    folder = Path(rules.folder).expanduser()
    if not folder.is_dir():
        yield failed(
            f"There is no folder {folder} for backups.", f"`mkdir -p {folder}`, or mount it."
        )
        return
    with facts.reading() as db:
        last = findings.get(db, "backup")
    if last is None:
        todo = "`pynchy backup FILE` makes one; `pynchy up` does by itself."
        yield warning(f"None was made yet into {folder}.", todo)
        return
    age = clock.seconds_between(last.at, facts.now)
    if last.state == "failed":
        yield failed(f"The last one failed: {last.result.get('message', last.at)}", "Mend that.")
    elif age > 2 * seconds_of(rules.every):
        said = f"The last one is {age / 3600:.0f} h old, and one is to be made every {rules.every}."
        yield failed(said, "`pynchy up` must run with the stage `backup`; see `pynchy status`.")
    else:
        yield ok(f"The last one is of {last.at}.")


def pruning(facts: Facts) -> Iterator[Seen]:
    """What is only a trace is removed in time, so that the file doesn't grow for ever."""
    with facts.reading() as db:
        last = findings.get(db, "prune")
    age = clock.seconds_between(last.at, facts.now) if last is not None else 0.0
    if last is not None and age > 3 * DAY:
        said = f"Nothing was removed for {age / DAY:.0f} days."
        yield warning(said, "`pynchy up` does it with the stage `schedule`; or `pynchy prune`.")
    else:
        yield ok(
            f"Last at {last.at}." if last is not None else "Old traces were never removed yet."
        )
