"""What a turn had said when its worker died: read anew from the sandbox's log, as far as that is
stored. The ledger holds what people saw of it, which is less."""

from __future__ import annotations

import asyncio
from pathlib import Path

from agent_runner import protocol
from pynchy_cli.agent.folder import BadLog, OutputLog
from pynchy_cli.agent.turn import GROWN


async def said(output: Path, turn: str, until: int) -> tuple[str, int] | None:
    """The text since the turn's last whole answer, and how much of it stands before its last
    tool; None where the log tells nothing. `until` is the offset up to which it is stored."""
    return await asyncio.to_thread(_said, output, turn, until)


def _said(output: Path, turn: str, until: int) -> tuple[str, int] | None:
    log, text, kept = OutputLog(output, 0), "", 0
    try:
        while (piece := log.read())[0]:
            for record, end in piece[1]:
                if end > until:
                    return text, kept
                if record.turn == turn:
                    text, kept = _after(record, text, kept)
        return text, kept
    except (BadLog, OSError):
        return None
    finally:
        log.close()


def _after(record: protocol.Record, text: str, kept: int) -> tuple[str, int]:
    match record:
        case protocol.Text(text=more):
            return (text + more)[:GROWN], kept
        case protocol.ToolUse():
            return text, len(text)
        case protocol.Replied():
            return "", 0
    return text, kept
