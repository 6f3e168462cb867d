"""Where Podman, which speaks Docker's language, has other words: what it is told and answers, as
Podman 4 was heard."""

from __future__ import annotations

import json
import socketserver
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from pynchy_cli.sandbox import docker, recipe
from pynchy_cli.sandbox.base import Limits, Spec
from pynchy_cli.sandbox.engine import connect, find

SPEC = Spec(
    name="pynchy-main",
    mounts=(),
    command=("python", "-c", "pass"),
    environment={},
    workdir="/",
    limits=Limits(memory=256 << 20, processes=64, file_size=8 << 20),
    uid=700_001,
    lease=-1,
    log=Path("log"),
    labels={"home": "0123abcd"},
)
FILE = Path("/nothing")
HOST = recipe.Host("image", (), "700001:700001", FILE, FILE, FILE, FILE, 1.0)


def test_the_agents_home_is_its_own() -> None:
    for host, own in ((HOST, "uid=700001,gid=700001"), (replace(HOST, is_podman=True), "U")):
        folders = recipe.container(SPEC, host)["HostConfig"]["Tmpfs"]
        assert folders[recipe.HOME].endswith(f",mode=0700,{own}")


class Answering(BaseHTTPRequestHandler):
    """An engine on which somebody has the plain name."""

    def do_GET(self) -> None:
        """The version, or who has that name."""
        taken = {"Id": "1", "Config": {"Labels": {}}, "State": {"Status": "running"}}
        self._tell(200, {"ApiVersion": "1.41"} if self.path.endswith("/version") else taken)

    def do_POST(self) -> None:
        """Create a container."""
        self.rfile.read(int(self.headers["Content-Length"]))
        if self.path.endswith("name=pynchy-main"):
            why = 'container create: the container name "pynchy-main" is already in use by 1'
            self._tell(500, {"message": why})
        else:
            self._tell(201, {"Id": "2"})

    def _tell(self, status: int, body: dict[str, object]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def host() -> Iterator[str]:
    """Where it listens."""
    with tempfile.TemporaryDirectory(prefix="pynchy-") as folder:
        path = Path(folder) / "s"
        with socketserver.ThreadingUnixStreamServer(str(path), Answering) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            yield f"unix://{path}"
            server.shutdown()


def test_a_name_that_is_taken_is_no_fault_of_its_own(host: str) -> None:
    address = find({"DOCKER_HOST": host})
    assert address is not None
    with connect(address) as engine:
        made = docker._create(engine.api, SPEC, recipe.container(SPEC, HOST))
    assert made == ("2", "pynchy-main-0123abcd")
