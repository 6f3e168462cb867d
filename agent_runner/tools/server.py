"""The tools as an MCP server, for whatever client a core has."""

from __future__ import annotations

from typing import Any

from mcp.server import Server
from mcp.types import CallToolResult, ListToolsResult, TextContent
from mcp.types import Tool as Listed

from agent_runner.protocol import VERSION
from agent_runner.tools.toolbox import SERVER, Toolbox


def server(toolbox: Toolbox) -> Server[Any]:
    """A server that lists the tools and calls them. What goes wrong is an error that the model
    reads, never one of the protocol."""
    listed = [
        Listed(name=tool.name, description=tool.description, input_schema=tool.schema)
        for tool in toolbox.tools
    ]

    async def tools(context: Any, parameters: Any) -> ListToolsResult:
        return ListToolsResult(tools=listed)

    async def call(context: Any, parameters: Any) -> CallToolResult:
        said = await toolbox.call(parameters.name, parameters.arguments or {})
        text = TextContent(type="text", text=said.text)
        return CallToolResult(content=[text], is_error=said.is_error)

    return Server(SERVER, version=str(VERSION), on_list_tools=tools, on_call_tool=call)
