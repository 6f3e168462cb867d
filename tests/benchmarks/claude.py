"""Turns of the real Claude client, through all stages and by itself, against a model on this
machine that answers at once."""

from __future__ import annotations

import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import Iterator

from claude_agent_sdk import ClaudeAgentOptions, ClaudeSDKClient

from tests.anthropic_server import AnthropicServer
from tests.benchmarks.latency import cold, live
from tests.benchmarks.place import place, summary

KEY = "sk-ant-api03-of-the-benchmark"


def figures() -> Iterator[str]:
    """The lines to print."""
    with AnthropicServer() as server:
        first, later = asyncio.run(alone(server.url))
        yield f"the client alone, cold: {summary(first)}"
        yield f"the client alone, live: {summary(later)}"
        upstream = {"PYNCHY_GATEWAY__UPSTREAM": server.url, "ANTHROPIC_API_KEY": KEY}
        with place("claude", **upstream) as made:
            made.start("gateway")
            whole = asyncio.run(cold(made, 8))
            yield (
                f"message to reply, cold in the sandbox: {summary(whole)} (goal 1500),"
                f" {ratio(whole, first)} times the client alone"
            )
            whole = asyncio.run(live(made, 40))
            yield (
                f"message to reply, live agent: {summary(whole)} (goal 60),"
                f" {ratio(whole, later)} times the client alone"
            )


def ratio(ours: list[float], theirs: list[float]) -> str:
    """How the medians compare."""
    return f"{statistics.median(ours) / statistics.median(theirs):.2f}"


async def alone(url: str, count: int = 5, turns: int = 9) -> tuple[list[float], list[float]]:
    """Milliseconds of first answers with the start of the client, and of later ones."""
    first, later = [], []
    with tempfile.TemporaryDirectory(prefix="pynchy-bench-") as folder:
        os.environ["CLAUDE_CONFIG_DIR"] = folder
        for _ in range(count):
            start = time.monotonic()
            async with ClaudeSDKClient(options(url, folder)) as client:
                for _ in range(turns):
                    await client.query("Hello")
                    async for _ in client.receive_response():
                        pass
                    took, start = (time.monotonic() - start) * 1000, time.monotonic()
                    (later if len(first) > len(later) // (turns - 1) else first).append(took)
    return first, later


def options(url: str, folder: str) -> ClaudeAgentOptions:
    """What the client is told by itself, as little as there can be."""
    return ClaudeAgentOptions(
        cwd=folder,
        permission_mode="bypassPermissions",
        setting_sources=[],
        env={
            "ANTHROPIC_BASE_URL": url,
            "ANTHROPIC_AUTH_TOKEN": KEY,
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "IS_SANDBOX": "1",
        },
    )
