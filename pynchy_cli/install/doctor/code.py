"""The checkout that the code runs from, if it is one, and what GitHub's program knows."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from pynchy_cli.install.doctor.facts import Facts
from pynchy_cli.install.doctor.finding import Seen, failed, ok, unknown, warning

SAFE = ("--no-optional-locks", "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null")
"""Nothing that a checkout's own configuration names is started."""
HALF_DONE = {
    "MERGE_HEAD": "a merge",
    "rebase-merge": "a rebase",
    "rebase-apply": "a rebase",
    "CHERRY_PICK_HEAD": "a cherry-pick",
    "BISECT_LOG": "a bisection",
}
OLD = 60.0
"""Seconds after which a lock of git's was left by somebody who died."""


def git(facts: Facts) -> Iterator[Seen]:
    """The checkout is as it was committed, and nothing in it is half done."""
    if not (facts.code.parent / ".git").exists():
        yield ok("The code is installed, and no checkout.")
        return
    head = _git(facts, "rev-parse", "HEAD")
    if head is None:
        said = f"git doesn't tell how {facts.code.parent} is."
        yield unknown(said, f"`git -C {facts.code.parent} status`; is it another user's?")
        return
    changes = (_git(facts, "status", "--porcelain", "--untracked-files=no") or "").splitlines()
    ahead = _git(facts, "rev-list", "--count", "@{upstream}..HEAD")
    told: dict[str, Any] = {
        "head_sha": head,
        "head_commit": _git(facts, "log", "-1", "--format=%s"),
        "dirty": bool(changes),
        "unpushed_commits": int(ahead) if ahead and ahead.isdecimal() else None,
        "path": str(facts.code.parent),
    }
    facts.noted["git"] = told
    yield from list(_troubles(facts, told, changes)) or [ok(f"{head[:12]} {told['head_commit']}")]


def _troubles(facts: Facts, told: dict[str, Any], changes: list[str]) -> Iterator[Seen]:
    folder = facts.code.parent
    inside = _git(facts, "rev-parse", "--absolute-git-dir")
    own = folder / (inside or ".git")
    for name, what in HALF_DONE.items():
        if (own / name).exists():
            todo = f"`git -C {folder} status` tells how to end it."
            yield failed(f"{what} is half done in {folder}.".capitalize(), todo)
    lock = own / "index.lock"
    if lock.exists() and time.time() - lock.stat().st_mtime > OLD:
        todo = f"Where no git is at work there, remove it: `rm {lock}`."
        yield failed(f"{lock} is left of a git that died; nothing can be pulled.", todo)
    if changes:
        first = changes[0].split(maxsplit=1)[-1]
        said = f"{len(changes)} files are changed and not committed, such as {first}."
        yield warning(said, "Commit them, or take them back: what runs is in no history.")
    if told["unpushed_commits"]:
        said = f"{told['unpushed_commits']} commits are not pushed."
        yield warning(said, f"`git -C {folder} push`.")


def _git(facts: Facts, *words: str) -> str | None:
    """What git prints; None where it fails."""
    said = facts.ask("git", *SAFE, "-C", str(facts.code.parent), *words)
    return said.out if said is not None and said.code == 0 else None


def github(facts: Facts) -> Iterator[Seen]:
    """The admin group's agents get a token for GitHub, where `gh` is used."""
    if facts.settings.secrets.gh_token:
        yield ok("GH_TOKEN is set.")
        return
    if facts.program("gh") is None:
        yield ok("`gh` isn't installed, and GH_TOKEN isn't set: agents have no way to GitHub.")
        return
    said = facts.ask("gh", "auth", "token")
    if said is None or said.code != 0 or not said.out:
        todo = "`gh auth login`, or put GH_TOKEN into .env."
        yield warning("`gh` is logged in nowhere, so agents have no token for GitHub.", todo)
    else:
        yield ok("`gh` is logged in.")
