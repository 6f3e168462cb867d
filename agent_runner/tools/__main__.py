"""`python -m agent_runner.tools --ipc DIR`: the tools as an MCP server on standard input and
output, for cores whose client starts its servers itself. Which tools those are stands in the
document that began the run, `DIR/input/0.json`. It ends when its standard input does."""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

from mcp.server.stdio import stdio_server

from agent_runner.documents import InputUnreadable, beginning
from agent_runner.protocol import INPUT
from agent_runner.requests import Requests
from agent_runner.tools.server import server
from agent_runner.tools.toolbox import Toolbox


def main(arguments: list[str]) -> int:
    """Serves until its client has gone; 2 where there is no run in the folder."""
    parser = argparse.ArgumentParser(
        prog="agent_runner.tools",
        description="Serves what an agent may ask of its host, as an MCP server.",
    )
    parser.add_argument("--ipc", type=Path, metavar="DIR", required=True, help="the run's folder")
    ipc: Path = parser.parse_args(arguments).ipc
    try:
        run = beginning(ipc / INPUT)
    except InputUnreadable as error:
        print(f"agent_runner.tools: {error}", file=sys.stderr)
        return 2
    asyncio.run(_serve(Toolbox(run.offer, Requests(ipc))))
    return 0


async def _serve(toolbox: Toolbox) -> None:
    served = server(toolbox)
    async with stdio_server() as (given, said):
        await served.run(given, said, served.create_initialization_options())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
