"""Engines that are too far away for sandboxes, and what is said of them before any starts."""

from __future__ import annotations

import json
import os
import socketserver
import tempfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from pynchy_cli.config.settings import Settings
from pynchy_cli.sandbox.docker import Docker
from pynchy_cli.sandbox.engine import find
from tests.engine import Engine

LINUX = {"OSType": "linux", "SecurityOptions": ["name=seccomp,profile=builtin"]}
DESKTOP = {**LINUX, "OperatingSystem": "Docker Desktop", "KernelVersion": "6.12.0-linuxkit"}
COLIMA = {**LINUX, "OperatingSystem": "Ubuntu 24.04 LTS", "KernelVersion": "6.8.0-virtual"}
HERE = {**COLIMA, "KernelVersion": os.uname().release}


class Answering(BaseHTTPRequestHandler):
    """An engine that tells what it is, and has every image."""

    facts: dict[str, object]

    def do_GET(self) -> None:
        """Answer by the path, without the version that it begins with."""
        if self.path.endswith("/version"):
            body: dict[str, object] = {"ApiVersion": "1.44", "Version": "27.1.1"}
        else:
            body = self.facts if self.path.endswith("/info") else {"Id": "sha256:1"}
        data = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def address_string(self) -> str:
        """Nobody's: a unix socket's peer has no address."""
        return ""

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def docker(host: str) -> Docker:
    return Docker(Settings(), find({"DOCKER_HOST": host}))


@pytest.fixture
def host(request: pytest.FixtureRequest) -> Iterator[str]:
    """Where an engine listens that says these facts of itself."""
    handler = type("Handler", (Answering,), {"facts": request.param})
    with tempfile.TemporaryDirectory(prefix="pynchy-") as folder:
        path = Path(folder) / "s"
        with socketserver.ThreadingUnixStreamServer(str(path), handler) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            yield f"unix://{path}"
            server.shutdown()


@pytest.mark.parametrize("host", [DESKTOP], indirect=True)
def test_docker_desktop_is_refused(host: str) -> None:
    problem = docker(host).problem() or ""
    assert "is Docker Desktop" in problem
    assert "runtime apple" in problem


@pytest.mark.parametrize("host", [COLIMA], indirect=True)
def test_an_engine_in_a_virtual_machine_may_lack_the_way_to_a_model(host: str) -> None:
    runtime = docker(host)
    assert runtime.problem() is None
    assert "a sure way to the model" in " ".join(runtime.missing())


@pytest.mark.parametrize("host", [HERE], indirect=True)
def test_an_engine_on_this_machine_doesnt(host: str) -> None:
    runtime = docker(host)
    assert runtime.problem() is None
    assert "model" not in " ".join(runtime.missing())


def test_nor_does_a_real_one(engine: Engine) -> None:
    assert "model" not in " ".join(docker(engine.host).missing())


@pytest.mark.parametrize("url", ["tcp://127.0.0.1:9", "ssh://somebody@127.0.0.1"])
def test_an_engine_elsewhere_is_refused(url: str) -> None:
    assert f"{url} may be on another machine" in (docker(url).problem() or "")
