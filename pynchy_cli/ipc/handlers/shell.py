"""A command that the owner of the admin group has the host run, by `!` in the chat. Who may was
decided by `route`, which stored the request; no sandbox can ask for it, because it is no type of
what is read from their files."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping
from typing import Any

import msgspec

from agent_runner.protocol import Answer
from agent_runner.protocol.requests import Command
from pynchy_cli.channels.stdin import pieces
from pynchy_cli.errors import RequestRefused
from pynchy_cli.ipc.effects import Asked, Effect
from pynchy_cli.output import plain

KEPT = 64 * 1024
"""Bytes of output that are kept: the first half from its beginning, the other from its end."""
TIMED_OUT = 124
"""The exit code of a command that took too long, as that of `timeout`."""
DRAIN = 1.0
"""Seconds in which what is left in the pipe is read once the command has ended."""
GIVEN = ("PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR")
"""What a command is given of our environment: nothing that could be a secret."""


class HostShell(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is to be run by /bin/sh."""

    command: Command


CHAT_TYPES: Mapping[str, type[msgspec.Struct]] = {"host_shell": HostShell}
"""What people may ask by a chat command: how its row is read."""


class Output:
    """The beginning and the end of what a command prints."""

    def __init__(self) -> None:
        self._head, self._tail, self._all = bytearray(), bytearray(), 0

    def add(self, piece: bytes) -> None:
        """Keep of a further piece what has room."""
        room = KEPT // 2 - len(self._head)
        self._head += piece[:room]
        self._tail += piece[room:] if room > 0 else piece
        del self._tail[: -KEPT // 2]
        self._all += len(piece)

    def text(self) -> str:
        """What is kept, with a word on what isn't."""
        left_out = self._all - len(self._head) - len(self._tail)
        between = f"\n… {left_out} bytes are left out …\n".encode() if left_out else b""
        return plain((self._head + between + self._tail).decode("utf-8", "replace"))


async def _run(asked: Asked[HostShell]) -> Mapping[str, Any]:
    """Run it, and end all that it has started. Raises RequestRefused where it can't be started."""
    limit = asked.context.settings.commands.shell_timeout
    home = asked.context.home
    environment = {name: os.environ[name] for name in GIVEN if name in os.environ}
    reader, writer = os.pipe()
    output = Output()
    try:
        process = await asyncio.create_subprocess_exec(
            *("/bin/sh", "-c", asked.request.command),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=writer,
            stderr=writer,
            cwd=home.group(asked.group.folder),
            env={**environment, "PYNCHY_HOME": str(home.root)},
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        os.close(reader)
        raise RequestRefused("not_started", f"It can't be started: {error}.") from error
    finally:
        os.close(writer)
    reading = asyncio.create_task(_read(reader, output), name="output of a command")
    try:
        async with asyncio.timeout(limit):
            code = await process.wait()
    except TimeoutError:
        code = TIMED_OUT
        output.add(f"\n(It took longer than {limit:g} s, and was ended.)\n".encode())
    finally:
        # Also where we are told to end: nothing that it has started is left behind.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await asyncio.wait([reading], timeout=DRAIN)
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        os.close(reader)
        await process.wait()
    return {"exit_code": 128 - code if code < 0 else code, "output": output.text()}


async def _read(descriptor: int, output: Output) -> None:
    async for piece in pieces(descriptor):
        output.add(piece)


def _said(asked: Asked[HostShell], answer: Answer) -> str:
    """What the chat is told of it."""
    if answer.error is not None:
        return f"❌ {answer.error.message}"
    code, output = answer.result["exit_code"], answer.result["output"].rstrip("\n")
    mark = "✅" if code == 0 else "❌"
    return f"{mark} exit code {code}" + (f"\n\n{output}" if output else "")


EFFECTS: dict[str, Effect[Any]] = {
    "host_shell": Effect(
        outside=_run, summary=lambda request: request.command, said=_said, patience=660.0
    ),
}
