"""Makes checks, all at the same time and none for ever, mends what they find where that is wanted,
and notes what came of it. No secret leaves it."""

from __future__ import annotations

import shlex
import sqlite3
import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import replace
from threading import Thread
from typing import Any

from pynchy_cli.config.load import secrets
from pynchy_cli.errors import PynchyError
from pynchy_cli.install.doctor.facts import Facts
from pynchy_cli.install.doctor.finding import STATES, Check, Finding, Seen, State, unknown
from pynchy_cli.log import masked
from pynchy_cli.store import findings
from pynchy_cli.store.connection import Store, translate

PATIENCE = 45.0
"""Seconds that all checks may take together."""
EXPECTED = (PynchyError, OSError, ValueError, sqlite3.Error, subprocess.SubprocessError)
"""What a check may meet that isn't for it to tell."""


def examine(
    checks: Sequence[Check], facts: Facts, patience: float = PATIENCE
) -> Iterator[tuple[Check, list[Finding]]]:
    """What each check finds, in their order, as soon as it and those before it are made. What
    takes too long is left behind, and told as unknown."""
    until = time.monotonic() + patience
    begun = [(one, _begin(one, facts)) for one in checks]
    for check, looking in begun:
        try:
            seen = looking.result(max(0.0, until - time.monotonic()))
        except TimeoutError:
            facts.left.append(check.id)
            seen = [unknown(f"It couldn't be found out within {patience:g} s.", "Try it alone.")]
        yield check, _findings(check, seen, facts)


def mend(check: Check, found: list[Finding], facts: Facts) -> list[Finding]:
    """What the check finds once what can be mended of it was; the first of that says what was done.
    Where nothing can, the same as before."""
    fixes = [one.fix for one in found if one.fix is not None]
    if not fixes:
        return found
    done = []
    for fix in fixes:
        try:
            _require_ours(facts)
            done.append(fix())
        except EXPECTED as error:
            done.append(f"It couldn't be mended: {_said(error, facts)}")
    first, *rest = _findings(check, _look(check, facts), facts)
    return [replace(first, fixed=_masked(" ".join(done), facts)), *rest]


def _require_ours(facts: Facts) -> None:
    """Raises PynchyError in somebody else's home, who couldn't use what we would make there."""
    owner = facts.home.root.stat().st_uid
    if owner != facts.uid:
        raise PynchyError(f"{facts.home.root} belongs to uid {owner}: do it as that user.")


def counted(found: Sequence[Finding]) -> dict[State, int]:
    """How many findings are of each state."""
    count = Counter(one.state for one in found)
    return {state: count[state] for state in STATES}


def note(found: Sequence[Finding], facts: Facts, *, is_all: bool) -> None:
    """Note what was found in the file, for `status` to tell, as far as it can be written and is
    ours; `is_all` says that every check was made."""
    results: dict[str, tuple[findings.State, dict[str, Any]]] = {
        name: ("ok", told) for name, told in facts.noted.items()
    }
    if is_all:
        results["doctor"] = _summary(found)
    try:
        if not results or facts.home.database.stat().st_uid != facts.uid:
            return
    except OSError:
        return
    with suppress(PynchyError), Store.open(facts.home.database) as store, store.atomic() as db:
        for name, (state, result) in results.items():
            findings.note(db, name, state, result, facts.now)


def _summary(found: Sequence[Finding]) -> tuple[findings.State, dict[str, Any]]:
    by_state = {state: list(dict.fromkeys(one.id for one in found if one.state == state))
                for state in STATES}  # fmt: skip
    counts: dict[str, Any] = {str(state): count for state, count in counted(found).items()}
    result = {**counts, "ids": by_state["failed"] + by_state["warning"]}
    if failing := by_state["failed"]:
        result["message"] = f"Wrong: {', '.join(failing)}. `pynchy doctor` tells what to do."
        return "failed", result
    if odd := by_state["warning"]:
        result["message"] = f"Worth a look: {', '.join(odd)}. `pynchy doctor` tells what to do."
        return "warning", result
    return "ok", result


def _begin(check: Check, facts: Facts) -> Future[list[Seen]]:
    """Begin a check in a thread of its own, which keeps nobody from ending."""
    looking: Future[list[Seen]] = Future()

    def work() -> None:
        try:
            looking.set_result(_look(check, facts))
        except BaseException as error:  # noqa: BLE001 - told to whoever waits for it
            looking.set_exception(error)

    Thread(target=work, name=check.id, daemon=True).start()
    return looking


def _look(check: Check, facts: Facts) -> list[Seen]:
    try:
        return list(check.look(facts))
    except EXPECTED as error:
        return [unknown(_said(error, facts))]


def _said(error: BaseException, facts: Facts) -> str:
    """An error in a sentence."""
    if isinstance(error, sqlite3.Error):
        error = translate(facts.home.database, error)
    if isinstance(error, PynchyError):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename or 'It'}: {error.strerror}."
    return f"{type(error).__name__}: {error}"


def _findings(check: Check, seen: list[Seen], facts: Facts) -> list[Finding]:
    home = facts.home
    places = {
        "home": home.root,
        "data": home.data,
        "database": home.database,
        "sockets": home.sockets(facts.environ),
        "code": facts.code.parent,
    }
    quoted = {name: shlex.quote(str(path)) for name, path in places.items()}
    return [
        Finding(
            check.id,
            one.state,
            _masked(one.seen, facts),
            _masked(one.todo, facts) if one.todo else None,
            one.command or check.command.format_map(quoted),
            one.fix,
        )
        for one in seen
    ]


def _masked(text: str, facts: Facts) -> str:
    known: tuple[str, ...] = ()
    with suppress(PynchyError):
        known = secrets(facts.settings)
    return masked(" ".join(text.split()), known)
