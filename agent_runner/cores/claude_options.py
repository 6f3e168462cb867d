"""What the Claude client is told at its start: the tools and habits that fit an agent whose host
brings its messages and keeps its notes. Everything that it would do on its own is off."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from claude_agent_sdk import ClaudeAgentOptions
from claude_agent_sdk.types import McpSdkServerConfig, McpServerConfig

from agent_runner.cores.claude_hooks import ABSENT
from agent_runner.protocol import RunInput

if TYPE_CHECKING:
    from agent_runner.tools.toolbox import Toolbox

ENVIRONMENT = {
    # One of these alone stops every connection but the one to the model.
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    # The group has the skills that its host chose for it, and not the client's own.
    "CLAUDE_CODE_DISABLE_BUNDLED_SKILLS": "1",
    # What is remembered stands in the group's folder, as the directives say, and nowhere else.
    "CLAUDE_CODE_DISABLE_AUTO_MEMORY": "1",
    # A helper's or a command's result belongs to the turn that wanted it: what comes after the
    # turn is heard by nobody.
    "CLAUDE_CODE_DISABLE_BACKGROUND_TASKS": "1",
    # A command ends sooner than the default patience with an agent that gives no sign of life.
    "BASH_MAX_TIMEOUT_MS": "540000",
    # The host answers when it can: a person may be asked first. About 24 days, the most there is.
    "MCP_TOOL_TIMEOUT": "2147483647",
    # Tools are told to the model at once instead of behind a search.
    "ENABLE_TOOL_SEARCH": "false",
    # About ten seconds; whoever started us tries again with longer pauses.
    "CLAUDE_CODE_MAX_RETRIES": "4",
}
LATER = (
    *("CronCreate", "CronDelete", "CronList", "ScheduleWakeup"),
    *("Monitor", "SendMessage", "Workflow"),
)
"""Tools that would act, or tell what they found, when the turn is over."""
BEYOND = ("WebFetch",)
"""Tools that need a network of their own. They fail behind a gateway, after ten seconds."""
SETTINGS = {
    # Whoever commits is named by the environment.
    "attribution": {"commit": "", "pr": ""},
    "enabledPlugins": {"plugin-authoring@builtin": False},
}
LINE_LIMIT = 64 << 20
"""Bytes of one message of the client; a picture that a tool read is one."""


def environment(own: Mapping[str, str]) -> dict[str, str]:
    """The client's variables; what the sandbox's own environment sets goes before."""
    return {name: own.get(name, value) for name, value in ENVIRONMENT.items()}


def chosen(
    run: RunInput,
    session_id: str | None,
    variables: dict[str, str],
    *,
    hooks: dict[Any, Any],
    toolbox: Toolbox | None,
    is_behind_gateway: bool,
    complaint: Callable[[str], None],
) -> ClaudeAgentOptions:
    """The client's options for a run, which continues the session if there is one; `complaint`
    gets what it writes to standard error, a line each."""
    return ClaudeAgentOptions(
        cwd=Path.cwd(),
        resume=session_id,
        model=run.model,
        system_prompt={
            "type": "preset",
            "preset": "claude_code",
            "append": run.system_prompt,
        },
        setting_sources=["user", "project"],
        settings=json.dumps(SETTINGS),
        permission_mode="bypassPermissions",
        disallowed_tools=[*sorted(ABSENT), *LATER, *(BEYOND if is_behind_gateway else ())],
        hooks=hooks,
        mcp_servers={} if toolbox is None else servers(toolbox),
        include_partial_messages=True,
        verbatim_prompts=True,
        max_buffer_size=LINE_LIMIT,
        env=variables,
        stderr=complaint,
    )


def servers(toolbox: Toolbox) -> dict[str, McpServerConfig]:
    """The tools of the host, served in this process."""
    # Only those need it who are offered something.
    from agent_runner.tools.server import server
    from agent_runner.tools.toolbox import SERVER

    return {SERVER: McpSdkServerConfig(type="sdk", name=SERVER, instance=server(toolbox))}
