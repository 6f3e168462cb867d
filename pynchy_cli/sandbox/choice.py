"""Which runtime is used: the one that the settings name, or the best that works here. It must
never fall back from an isolated one to one that isn't."""

from __future__ import annotations

import sys
from collections.abc import Collection
from typing import TYPE_CHECKING, cast

from pynchy_cli import plugins
from pynchy_cli.errors import SandboxUnavailable

if TYPE_CHECKING:
    from pynchy_cli.config.settings import Settings
    from pynchy_cli.sandbox.base import Runtime

AUTO = "auto"
BEST_FIRST = {"darwin": ("apple", "docker")}
ELSEWHERE = ("docker", "bubblewrap")
"""What is tried for `auto`, by platform. A runtime that isn't there costs next to nothing."""


def choose(settings: Settings, at_work: Collection[str] = ()) -> Runtime:
    """The runtime to use; `at_work` are those that have sandboxes of this home. Raises
    SandboxUnavailable, PluginUnknown or PluginBroken."""
    named = settings.sandbox.runtime
    problems = []
    for name in BEST_FIRST.get(sys.platform, ELSEWHERE) if named == AUTO else (named,):
        runtime = cast("Runtime", plugins.runtime(name, settings))
        problem = runtime.problem()
        if problem is None:
            return runtime
        if named == AUTO and runtime.outlives_worker and name in at_work:
            # Another runtime would take them for gone, and do their work beside them.
            raise SandboxUnavailable(
                f"Agents may still be at work in sandboxes of {name}: {problem} To go on without "
                "them, name another runtime below [sandbox]."
            )
        problems.append(problem)
    advice = (
        ' To go on without any isolation, and without a real key, set runtime = "unsafe" '
        "below [sandbox]."
    )
    raise SandboxUnavailable(" ".join(problems) + (advice if named == AUTO else ""))
