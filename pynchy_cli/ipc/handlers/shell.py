"""A command that the owner of the admin group has the host run, by `!` in the chat. Who may was
decided by `route`, which stored the request; no sandbox can ask for it, because it is no type of
what is read from their files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from agent_runner.protocol import Answer
from agent_runner.protocol.requests import Command
from pynchy_cli import host_command
from pynchy_cli.errors import CommandUnstartable, RequestRefused
from pynchy_cli.ipc.effects import Asked, Effect

KEPT = 64 * 1024
"""Bytes of output that are kept: the first half from its beginning, the other from its end."""
TIMED_OUT = 124
"""The exit code of a command that took too long, as that of `timeout`."""


class HostShell(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is to be run by /bin/sh."""

    command: Command


CHAT_TYPES: Mapping[str, type[msgspec.Struct]] = {"host_shell": HostShell}
"""What people may ask by a chat command: how its row is read."""


async def _run(asked: Asked[HostShell]) -> Mapping[str, Any]:
    """Run it, and end all that it has started. Raises RequestRefused where it can't be started."""
    limit = asked.context.settings.commands.shell_timeout
    home = asked.context.home
    try:
        ended = await host_command.run(
            asked.request.command,
            cwd=home.group(asked.group.folder),
            environment={"PYNCHY_HOME": str(home.root)},
            limit=limit,
            kept=KEPT,
        )
    except CommandUnstartable as error:
        raise RequestRefused("not_started", str(error)) from error
    if ended.how == "late":
        late = f"\n(It took longer than {limit:g} s, and was ended.)\n"
        return {"exit_code": TIMED_OUT, "output": ended.output + late}
    return {"exit_code": ended.code, "output": ended.output}


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
