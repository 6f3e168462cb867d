"""The agent's command: a document on standard input and records on standard output, or a
folder of documents and a log. Whatever happens, a turn that began ends with a record; it
must load no model's library before it knows that it needs one."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from agent_runner import documents, leash
from agent_runner.conversation import converse
from agent_runner.output import Output, OutputLost
from agent_runner.protocol import INPUT, Document

DONE, FAILED, WRONG = 0, 1, 2
SIGNALS = {signal.SIGTERM: 143, signal.SIGINT: 130}


def main(arguments: list[str]) -> int:
    """Runs the agent and gives its exit code: 0, 1 when a turn failed, 2 when what came in
    was no document."""
    options = _options(arguments)
    try:
        output = Output.open(options.output)
    except OSError as error:
        return _say(f"{options.output}: {error.strerror}", WRONG)
    try:
        return asyncio.run(_run(options.ipc, output, has_leash=not options.no_leash))
    except documents.InputUnreadable as error:
        return _say(str(error), WRONG)
    except OutputLost as error:
        return _say(str(error), FAILED)


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="agent_runner",
        description="Answers one document on standard input, or those of a folder in order.",
    )
    parser.add_argument(
        "--ipc",
        type=Path,
        metavar="DIR",
        help="read DIR/input/0.json, 1.json, ... instead; leave when standard input ends",
    )
    parser.add_argument(
        "--no-leash",
        action="store_true",
        help="with --ipc: go on when standard input ends; a signal ends it",
    )
    parser.add_argument("--output", type=Path, metavar="FILE", help="append the records to FILE")
    return parser.parse_args(arguments)


async def _run(ipc: Path | None, output: Output, *, has_leash: bool) -> int:
    loop = asyncio.get_running_loop()
    for number, code in SIGNALS.items():
        loop.add_signal_handler(number, leash.leave, code, output.flush)
    if ipc is None:
        given: AsyncIterator[Document] = documents.single(sys.stdin.buffer.read())
    else:
        if has_leash:
            leash.hold(sys.stdin.fileno())
        given = documents.folder(ipc / INPUT)
    try:
        return DONE if await converse(given, output, ipc) else FAILED
    finally:
        output.flush()


def _say(sentence: str, code: int) -> int:
    print(f"agent_runner: {sentence}", file=sys.stderr)
    return code
