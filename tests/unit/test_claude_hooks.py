"""Gates are asked in their order and by name; an archive that fails holds nothing up."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from agent_runner.cores.claude_hooks import ABSENT, Gate, hooks, somebody_is_there

LINE = json.dumps({"type": "user", "message": {"content": "keep me"}})


def call(event: Any, given: dict[str, Any], gates: list[Gate], group: Path) -> Any:
    (matcher,) = hooks(gates, group)[event]
    hook: Any = matcher.hooks[0]
    return asyncio.run(hook(given, "toolu_1", {"signal": None}))


def test_the_first_gate_that_refuses_decides(tmp_path: Path) -> None:
    asked = []

    def gate(answer: str | None) -> Gate:
        async def ask(tool: str, arguments: dict[str, Any]) -> str | None:
            asked.append((tool, arguments, answer))
            return answer

        return ask

    given = {"tool_name": "Bash", "tool_input": {"command": "id"}}
    answer = call("PreToolUse", given, [gate(None), gate("no"), gate("never asked")], tmp_path)
    assert asked == [("Bash", {"command": "id"}, None), ("Bash", {"command": "id"}, "no")]
    assert answer["hookSpecificOutput"] == {
        "hookEventName": "PreToolUse",
        "permissionDecision": "deny",
        "permissionDecisionReason": "no",
    }
    assert call("PreToolUse", given, [gate(None)], tmp_path) == {}


def test_a_gate_that_fails_is_left_to_the_client_which_blocks(tmp_path: Path) -> None:
    async def broken(tool: str, arguments: dict[str, Any]) -> str | None:
        raise RuntimeError("broken")

    assert hooks([broken], tmp_path)["PreToolUse"][0].on_failure == "block"
    with pytest.raises(RuntimeError, match="broken"):
        call("PreToolUse", {"tool_name": "Bash", "tool_input": {}}, [broken], tmp_path)


@pytest.mark.parametrize("tool", sorted(ABSENT))
def test_nobody_is_asked_who_is_not_there(tool: str) -> None:
    assert f"{tool} needs a person" in str(asyncio.run(somebody_is_there(tool, {})))
    assert asyncio.run(somebody_is_there("Bash", {})) is None


def test_a_conversation_is_kept_before_it_is_compacted(tmp_path: Path) -> None:
    (tmp_path / "session.jsonl").write_text(LINE)
    given = {"transcript_path": str(tmp_path / "session.jsonl"), "trigger": "auto"}
    assert call("PreCompact", given, [], tmp_path) == {}
    (kept,) = (tmp_path / "conversations").iterdir()
    assert "keep me" in kept.read_text()


@pytest.mark.parametrize("given", [{}, {"transcript_path": "/nowhere/at/all.jsonl"}])
def test_an_archive_that_fails_holds_nothing_up(
    tmp_path: Path, given: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("PreCompact", given, [], tmp_path) == {}
    assert "the conversation was not archived" in capsys.readouterr().err
