"""The whole pipeline with the real Claude CLI in a container, against a model that stands at the
door of the network."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.anthropic_server import AnthropicServer
from tests.conftest import Pynchy
from tests.engine import BASE, Engine

KEY = "sk-ant-api03-canary-of-the-tests"

pytestmark = pytest.mark.timeout(300)  # Whoever comes first builds the image.


def test_claude_uses_a_tool_in_a_container(pynchy: Pynchy, home: Path, engine: Engine) -> None:
    (home / "groups/main/note.txt").write_text("the word is plinth")
    command = json.dumps({"command": "cat note.txt; env | grep -c canary; id -un"})
    with AnthropicServer() as server:
        env = {
            "DOCKER_HOST": engine.host,
            "PYNCHY_SANDBOX__RUNTIME": "docker",
            "PYNCHY_SANDBOX__BASE_IMAGE": BASE,
            "PYNCHY_AGENT__CORE": "claude",
            "PYNCHY_GATEWAY__UPSTREAM": server.url,
            "ANTHROPIC_API_KEY": KEY,
        }
        said = pynchy(
            "run-agent", "main", input=f"TOOL Bash {command}", env=env, timeout=200
        ).stdout
        assert server.headers[-1]["x-api-key"] == KEY
    assert "the word is plinth" in said
    assert "agent" in said
    assert KEY not in said
    engine.await_empty("label=pynchy.group=main")
