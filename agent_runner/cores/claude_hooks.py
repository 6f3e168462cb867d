"""What is asked before a tool runs, and done before a conversation is compacted. A gate that
fails has refused; an archive that fails has not."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from claude_agent_sdk import HookContext, HookJSONOutput, HookMatcher
from claude_agent_sdk.types import HookEvent, HookInput

from agent_runner import archive

Gate = Callable[[str, dict[str, Any]], Awaitable[str | None]]
"""Asked with a tool's name and arguments; gives why it may not run, or None."""

GATE_PATIENCE = 600.0
"""Seconds for all gates of one call; who takes longer has refused."""

ABSENT = frozenset({"AskUserQuestion", "EnterPlanMode", "ExitPlanMode"})
"""Tools that wait for a person at a terminal."""


async def somebody_is_there(tool: str, arguments: dict[str, Any]) -> str | None:
    """Refuses what only a person at a terminal could answer."""
    if tool in ABSENT:
        return f"{tool} needs a person at a terminal, and there is none. Ask in your answer."
    return None


def hooks(gates: Sequence[Gate], group: Path) -> dict[HookEvent, list[HookMatcher]]:
    """The hooks of a client whose agent works in the folder `group`."""

    async def before_tool(
        given: HookInput, tool_id: str | None, context: HookContext
    ) -> HookJSONOutput:
        name, arguments = str(given.get("tool_name")), given.get("tool_input")
        for gate in gates:
            reason = await gate(name, arguments if isinstance(arguments, dict) else {})
            if reason is not None:
                return _refused(reason)
        return {}

    async def before_compaction(
        given: HookInput, tool_id: str | None, context: HookContext
    ) -> HookJSONOutput:
        keep(Path(str(given.get("transcript_path"))), group)
        return {}

    return {
        "PreToolUse": [HookMatcher(hooks=[before_tool], timeout=GATE_PATIENCE, on_failure="block")],
        "PreCompact": [HookMatcher(hooks=[before_compaction])],
    }


def keep(transcript: Path, group: Path) -> None:
    """Archive the transcript; where that fails, say so and go on."""
    try:
        archive.keep(transcript, group, datetime.now(UTC))
    except OSError as error:
        print(f"agent_runner: the conversation was not archived: {error}", file=sys.stderr)


def _refused(reason: str) -> HookJSONOutput:
    return {
        "hookSpecificOutput": {
            "hookEventName": "PreToolUse",
            "permissionDecision": "deny",
            "permissionDecisionReason": reason,
        }
    }
