"""An agent reaches nothing of the HTTP interface: neither its address nor its socket from inside a
sandbox, nor either of them through the gateway."""

from __future__ import annotations

import contextlib
import http.client
import os
import socket
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from pynchy_cli import clock
from pynchy_cli.sandbox.base import Mount
from pynchy_cli.sandbox.bubblewrap import Bubblewrap
from pynchy_cli.store import sessions
from tests.http_house import LIMIT, House, until
from tests.process.test_serve import housed
from tests.sandboxes import World, made


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    one = housed(tmp_path)
    try:
        one.start()
        yield one
    finally:
        one.close()


@pytest.fixture
def gateway(house: House) -> Iterator[Path]:
    """The folder that an agent of the team has for its gateway, which is at work."""
    with house.store() as store, store.atomic() as db:
        sessions.begin(
            *(db, "team", "chat"),
            folder="s1-1",
            owner=99,
            sandbox="x",
            runtime="bubblewrap",
            now=clock.now(),
        )
    with contextlib.ExitStack() as held:
        other = House(house.environment, house.home.root)
        held.callback(other.close)
        other.environment = house.environment
        other.start(stage="gateway")
        folder = house.socket.parent / "s1-1"
        until((folder / "gateway.sock").exists, "the gateway's socket")
        yield folder


def test_neither_address_nor_socket_is_there_for_an_agent(
    house: House, gateway: Path, tmp_path: Path
) -> None:
    assert house.get("/api/groups").status == 200
    assert house.owner("GET", "/api/groups").status == 200
    (tmp_path / "world").mkdir()
    world = World(made(Bubblewrap(), tmp_path / "data"), tmp_path / "world")
    code = textwrap.dedent(f"""
        import errno, os, socket

        def attempt(family, address):
            with socket.socket(family) as end:
                try:
                    end.settimeout(5)
                    end.connect(address)
                except OSError as error:
                    return errno.errorcode.get(error.errno, str(error))
            return "done"

        places = [{str(house.socket)!r}, "/run/pynchy/serve.sock", "/run/pynchy/../serve.sock"]
        found = [attempt(socket.AF_UNIX, place) for place in places]
        found += [attempt(socket.AF_INET, (one, {house.port})) for one in ("127.0.0.1", "0.0.0.0")]
        found.append(attempt(socket.AF_UNIX, "/run/pynchy/gateway.sock"))
        print(json.dumps([found, sorted(os.listdir("/run/pynchy"))]))
    """)
    mounts = (*world.mounts, Mount(gateway, "/run/pynchy"))
    found, there = world.ask(code, mounts=mounts)
    assert found == ["ENOENT"] * 3 + ["ECONNREFUSED"] * 2 + ["done"]
    assert there == ["gateway.sock"]


class _Gateway(http.client.HTTPConnection):
    def __init__(self, folder: Path) -> None:
        super().__init__("gateway", timeout=LIMIT)
        self.folder = folder

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(LIMIT)
        self.sock.connect(str(self.folder / "gateway.sock"))


def test_the_gateway_leads_nowhere_else(house: House, gateway: Path) -> None:
    base = f"http://127.0.0.1:{house.port}"
    before = house.rows("SELECT count(*) FROM messages")
    body = '{"jid": "local:main", "content": "x"}'
    for method, path in (
        *[("GET", "/status"), ("POST", "/api/send"), ("GET", f"{base}/status")],
        *[("POST", f"{base}/api/send"), ("CONNECT", f"127.0.0.1:{house.port}")],
        *[("GET", "/v1/models/../../status"), ("GET", f"//127.0.0.1:{house.port}/status")],
    ):
        with contextlib.closing(_Gateway(gateway)) as connection:
            headers = {"Host": f"127.0.0.1:{house.port}", "Content-Type": "application/json"}
            connection.request(method, path, body if method == "POST" else None, headers)
            assert connection.getresponse().status in (400, 404)
    assert house.rows("SELECT count(*) FROM messages") == before


def as_nobody(place: Path) -> int:
    """What becomes of a call by another user: 0 if it is not answered, else 1, or the error's."""
    try:
        os.setgid(65534)
        os.setuid(65534)
        with socket.socket(socket.AF_UNIX) as end:
            end.settimeout(LIMIT)
            end.connect(str(place))
            with contextlib.suppress(ConnectionError):
                end.sendall(b"GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n")
                return 1 if end.recv(1) else 0
            return 0
    except OSError as error:
        return error.errno or 2


def test_a_process_of_somebody_else_may_not_use_the_socket(house: House) -> None:
    """Not even where rights would let it: who is at the other end is asked of the kernel."""
    if os.geteuid() != 0:
        pytest.skip("only root can become somebody else") if "CI" not in os.environ else None
    house.socket.chmod(0o666)
    folder = house.socket.parent
    opened = [folder, folder.parent, house.run_folder]
    for one in opened:
        one.chmod(0o711)
    if (pid := os.fork()) == 0:
        os._exit(as_nobody(house.socket))
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert house.owner("GET", "/status").status == 200
