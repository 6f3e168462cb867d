"""The agents' image on a real Debian, made here of this machine's release: the same
Dockerfile and context, with the programs that it takes from Debian's packages."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile

import pytest

from pynchy_cli.sandbox import context
from tests import debian
from tests.engine import Engine

pytestmark = pytest.mark.timeout(600)
IMAGE = "pynchy-agent:debian"
DOCUMENT = {"type": "run", "turn": "1", "prompt": "hello", "core": "echo"}


@pytest.fixture
def base(engine: Engine) -> str:
    """A small Debian with this machine's Python."""
    return debian.image(engine)


def run(engine: Engine, *arguments: str, given: str = "") -> str:
    """What `docker run -i` prints."""
    done = subprocess.run(
        ["docker", "--host", engine.host, "run", "-i", "--rm", *arguments],
        input=given,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        env={"PATH": os.environ["PATH"], "HOME": str(engine.root)},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_is_built_with_all_that_belongs_in_it(engine: Engine, base: str) -> None:
    with tempfile.TemporaryFile() as file:
        context.write(file, carries_packages=True)
        file.seek(0)
        done = subprocess.run(
            [
                *("docker", "--host", engine.host, "build", "--network", "host"),
                *("--tag", IMAGE, "--build-arg", f"BASE_IMAGE={base}", "-"),
            ],
            stdin=file,
            capture_output=True,
            text=True,
            timeout=400,
            check=False,
            env={"PATH": os.environ["PATH"], "HOME": str(engine.root)},
        )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert "Left out" not in done.stdout.replace('echo "Left out', "")
    programs = "git --version; rg --version; jq --version; gh --version; id --user --name"
    told = run(engine, "--entrypoint", "sh", IMAGE, "-e", "-c", programs)
    for word in ("git version", "ripgrep", "jq-", "gh version", "agent"):
        assert word in told
    code = "import agent_runner; print('OK')"
    assert run(engine, "--entrypoint", "python", IMAGE, "-c", code) == "OK\n"
    lines = run(engine, IMAGE, given=json.dumps(DOCUMENT)).splitlines()
    records = [json.loads(line) for line in lines if not line.startswith("---")]
    assert records[-1]["reply"] == "hello"
    claude = "import claude_agent_sdk as c; print(c.__path__[0] + '/_bundled/claude')"
    path = run(engine, "--entrypoint", "python", IMAGE, "-c", claude).strip()
    assert "Claude Code" in run(engine, "--entrypoint", path, IMAGE, "--version")
    engine.docker("rmi", IMAGE)
