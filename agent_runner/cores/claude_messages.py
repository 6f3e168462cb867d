"""What the Claude client says, as records: pure, but for remembering that there was text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from claude_agent_sdk import (
    AssistantMessage,
    Message,
    ResultMessage,
    StreamEvent,
    SystemMessage,
    TextBlock,
    ThinkingBlock,
    ToolResultBlock,
    ToolUseBlock,
    UserMessage,
)

from agent_runner.bounds import cut
from agent_runner.cores.claude_errors import failure
from agent_runner.protocol import (
    Notice,
    Record,
    Replied,
    Text,
    Thinking,
    ToolResult,
    ToolUse,
    TurnEnded,
)

LONG = 16 * 1024
"""Characters of a tool's result that are told."""
NOTICES = {
    "api_retry": "api_retry",
    "compact_boundary": "compact",
    "permission_denied": "permission_denied",
}
PRIVATE = frozenset({"type", "subtype", "uuid", "session_id"})


class Translation:
    """The records of one turn."""

    def __init__(self, turn: str) -> None:
        self.turn = turn
        self._has_said = False
        self._last = ""

    def records(self, message: Message) -> Iterator[Record]:
        """What a message is worth telling; often nothing."""
        match message:
            case StreamEvent(parent_tool_use_id=None, event=event):
                yield from self._event(event)
            case AssistantMessage():
                yield from self._assistant(message)
            case UserMessage(content=list() as blocks):
                for block in blocks:
                    if isinstance(block, ToolResultBlock):
                        yield self._result(block)
            case SystemMessage(subtype=subtype, data=data) if subtype in NOTICES:
                kept = {name: value for name, value in data.items() if name not in PRIVATE}
                yield Notice(turn=self.turn, subtype=NOTICES[subtype], data=kept)

    def replied(self, result: ResultMessage, read: int) -> Replied:
        """An answer in the middle of the turn; what is said from now on is the next one."""
        reply = self._reply(result)
        self._has_said, self._last = False, ""
        return Replied(turn=self.turn, reply=reply, read=read, session_id=result.session_id)

    def ended(self, result: ResultMessage, read: int = 0) -> TurnEnded:
        """The turn's end: the answer, or what went wrong."""
        failed = failure(result)
        if failed is not None:
            return TurnEnded(
                turn=self.turn,
                error=failed.words,
                is_permanent=failed.is_permanent,
                session_id=result.session_id,
                read=read,
            )
        reply = self._reply(result)
        return TurnEnded(turn=self.turn, reply=reply, session_id=result.session_id, read=read)

    def _reply(self, result: ResultMessage) -> str:
        return (result.result or "").strip() or self._last

    def _event(self, event: dict[str, Any]) -> Iterator[Record]:
        block, delta = event.get("content_block") or {}, event.get("delta") or {}
        if event.get("type") == "content_block_start" and block.get("type") == "text":
            if self._has_said:
                yield Text(turn=self.turn, text="\n\n")
        elif delta.get("type") == "text_delta" and delta.get("text"):
            self._has_said = True
            yield Text(turn=self.turn, text=delta["text"])

    def _assistant(self, message: AssistantMessage) -> Iterator[Record]:
        for block in message.content:
            match block:
                case TextBlock(text=text) if message.error is None and text.strip():
                    if message.parent_tool_use_id is None:
                        self._last = text.strip()
                case ThinkingBlock(thinking=thinking) if thinking.strip():
                    yield Thinking(turn=self.turn, text=thinking)
                case ToolUseBlock(id=tool_id, name=name, input=given):
                    yield ToolUse(turn=self.turn, tool_id=tool_id, name=name, input=given)

    def _result(self, block: ToolResultBlock) -> ToolResult:
        return ToolResult(
            turn=self.turn,
            tool_id=block.tool_use_id,
            content=cut(_text(block.content), LONG),
            is_error=bool(block.is_error),
        )


def _text(content: str | list[dict[str, Any]] | None) -> str:
    """A tool's result as text; what is no text is named."""
    if not isinstance(content, list):
        return content or ""
    parts = [
        str(part.get("text", "")) if part.get("type") == "text" else f"[{part.get('type')}]"
        for part in content
    ]
    return "\n".join(parts)
