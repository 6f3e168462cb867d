"""`service`: a tool of the host's, brought by a plugin. Its arguments are checked before anything,
who calls it is the host's word, and whatever it does or raises, the agent gets an answer."""

from __future__ import annotations

import asyncio
import copy
import json
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from agent_runner.protocol import ServiceTool
from agent_runner.protocol.requests import Request, Service
from pynchy_cli import plugins
from pynchy_cli.config.settings import Settings
from pynchy_cli.config.tiers import for_group
from pynchy_cli.context import Context, described
from pynchy_cli.errors import PluginBroken, PluginUnknown, RequestRefused
from pynchy_cli.ipc.authorise import Rule
from pynchy_cli.ipc.effects import Asked, Effect
from pynchy_cli.log import masked
from pynchy_cli.plugins.tools import MOST_PATIENCE, SHOWN, Caller, Tool

MOST_RESULT = 256 * 1024
"""Bytes of JSON that a tool may give."""
LEAVING = 5.0
"""Seconds that a tool gets to end when its time is over."""
Tell = Callable[[str, str], None]


def of_group(
    settings: Settings, folder: str, *, is_admin: bool, tell: Tell = lambda plugin, why: None
) -> dict[str, Tool]:
    """The tools that a group's agents have, by name; the first of a name counts. A plugin that is
    broken is left out, and told of. Raises ConfigInvalid."""
    found: dict[str, Tool] = {}
    for plugin in for_group(settings, folder).tools:
        try:
            offered = plugins.tools_of(plugin, settings)
        except (PluginBroken, PluginUnknown) as error:
            tell(plugin, str(error))
            continue
        for tool in offered:
            if found.setdefault(tool.name, tool) is not tool:
                tell(plugin, f"Another plugin has a tool {tool.name!r} already.")
    return {name: tool for name, tool in found.items() if is_admin or tool.rule != "admin"}


def rules(
    settings: Settings, folder: str, request: Request, *, is_admin: bool
) -> dict[str, Rule] | None:
    """The rule of each tool that the group has; None where none was asked for."""
    if not isinstance(request, Service):
        return None
    return rules_of(settings, folder, is_admin=is_admin)


def rules_of(settings: Settings, folder: str, *, is_admin: bool) -> dict[str, Rule]:
    """The rule of each tool that the group has. Raises ConfigInvalid."""
    found = of_group(settings, folder, is_admin=is_admin)
    return {name: "gate" if tool.rule == "gate" else "allow" for name, tool in found.items()}


def offered(settings: Settings, folder: str, *, is_admin: bool) -> tuple[ServiceTool, ...]:
    """What the group's agents are told of their tools."""
    return tuple(
        ServiceTool(name=name, description=tool.description, schema=dict(tool.schema))
        for name, tool in of_group(settings, folder, is_admin=is_admin).items()
    )


def report(context: Context) -> None:
    """Load the plugins whose tools some group may use, and say once what is wrong with any."""
    faults: dict[str, str] = {}
    for folder in ("", *context.settings.groups):
        of_group(context.settings, folder, is_admin=True, tell=faults.__setitem__)
    for plugin, why in faults.items():
        context.log.error("a plugin's tools can't be used", plugin=plugin, reason=why)
    if faults:
        context.fail(" ".join(faults.values()))


def _tool(asked: Asked[Service]) -> Tool:
    """The tool that is asked for, if the group has it still. Raises RequestRefused."""
    is_admin = asked.row.role == "admin"
    found = of_group(asked.context.settings, asked.group.folder, is_admin=is_admin)
    if asked.request.tool not in found:
        raise RequestRefused("forbidden", f"This group has no tool {asked.request.tool!r}.")
    return found[asked.request.tool]


def _check(asked: Asked[Service]) -> None:
    """Raises RequestRefused where the tool's schema doesn't allow the arguments."""
    fault = _tool(asked).fault(asked.request.arguments)
    if fault is not None:
        raise RequestRefused("arguments_invalid", f"{asked.request.tool}: {fault}")


async def _run(asked: Asked[Service]) -> Mapping[str, Any]:
    _check(asked)
    tool, row = _tool(asked), asked.row
    caller = Caller(asked.group.folder, row.role == "admin", row.lane, row.run_id)
    task = asyncio.create_task(_guarded(tool, asked.request.arguments, caller), name=tool.name)
    try:
        await asyncio.wait({task}, timeout=tool.patience)
        if not task.done():
            raise RequestRefused(
                "timed_out", f"{tool.name} took longer than {tool.patience:g} s, and was ended."
            )
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait({task}, timeout=LEAVING)
    return _result(asked, tool, task)


async def _guarded(tool: Tool, arguments: Mapping[str, Any], caller: Caller) -> Mapping[str, Any]:
    try:
        return await tool.run(copy.deepcopy(dict(arguments)), caller)
    except (SystemExit, KeyboardInterrupt) as error:
        # The loop would end with it, and all that others ask.
        raise RuntimeError(f"it tried to end the host's process ({error!r})") from error


def _result(
    asked: Asked[Service], tool: Tool, task: asyncio.Task[Mapping[str, Any]]
) -> Mapping[str, Any]:
    """What the tool gave, as plain JSON. Raises RequestRefused, whatever else it did."""
    if task.cancelled():
        raise RequestRefused("service_failed", f"{tool.name} ended itself.")
    error = task.exception()
    if error is not None:
        asked.context.log.warning("a tool failed", tool=tool.name, exc_info=error)
        words = masked(described(error))[:SHOWN]
        raise RequestRefused("service_failed", f"{tool.name} failed: {words}")
    given = task.result()
    try:
        text = json.dumps(given, ensure_ascii=False, allow_nan=False)
        result: dict[str, Any] = json.loads(text)
        size = len(msgspec.json.encode(result))
    except (TypeError, ValueError, OverflowError, RecursionError) as wrong:
        why = f"{tool.name} gave what is no JSON: {wrong}"[:SHOWN]
        raise RequestRefused("service_failed", why) from wrong
    if not isinstance(given, Mapping):
        raise RequestRefused("service_failed", f"{tool.name} gave no object.")
    if size > MOST_RESULT:
        raise RequestRefused(
            "result_too_large",
            f"{tool.name} gave {size} bytes; at most {MOST_RESULT} are handed on.",
        )
    return result


def _summary(request: Service) -> str:
    shown = json.dumps(request.arguments, ensure_ascii=False, indent=2)
    return f"Run the host's tool {request.tool} with:\n{shown}"


EFFECTS: dict[str, Effect[Any]] = {
    "service": Effect(
        check=_check,
        outside=_run,
        may_repeat=lambda asked: _tool(asked).is_idempotent,
        summary=_summary,
        patience=MOST_PATIENCE + 2 * LEAVING,
    )
}
