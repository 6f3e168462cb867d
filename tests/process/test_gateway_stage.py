"""The gateway as a stage: its sockets follow the file's sessions, through restarts and kills."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from pynchy_cli import clock
from pynchy_cli.config.paths import Home
from pynchy_cli.store import sessions
from pynchy_cli.store.connection import Store

LIMIT = 40.0


@pytest.fixture
def run_folder() -> Iterator[Path]:
    """A short XDG_RUNTIME_DIR of this test's own."""
    path = Path(tempfile.mkdtemp(prefix="gw"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


class World:
    """A home, its store, and gateway stages started on it."""

    def __init__(self, root: Path, run_folder: Path, environment: Mapping[str, str]) -> None:
        self.environment = {**environment, "XDG_RUNTIME_DIR": str(run_folder)}
        self.home = Home(root)
        self.root = self.home.sockets(self.environment)
        self.store = Store.open(self.home.database)
        self.started: list[subprocess.Popen[bytes]] = []
        self.log = root / "gateway.log"

    def start(self, **more: str) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "pynchy_cli", "--home", str(self.home.root), "gateway"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                env={**self.environment, **more},
            )
        self.started.append(process)
        return process

    def begin(self, folder: str) -> None:
        with self.store.atomic() as db:
            sessions.begin(
                db,
                "main",
                folder,
                folder=folder,
                owner=99,
                sandbox="x",
                runtime="r",
                now=clock.now(),
            )

    def end(self, folder: str) -> None:
        with self.store.atomic() as db:
            sessions.end(db, sessions.get(db, "main", folder))

    def socket(self, folder: str) -> Path:
        return self.root / folder / "gateway.sock"

    def stop(self, process: subprocess.Popen[bytes], number: int = signal.SIGTERM) -> int:
        process.send_signal(number)
        return process.wait(LIMIT)

    def close(self) -> None:
        for process in self.started:
            if process.poll() is None:
                process.kill()
                process.wait()
        self.store.close()


@pytest.fixture
def world(home: Path, run_folder: Path, environment: dict[str, str]) -> Iterator[World]:
    it = World(home, run_folder, environment)
    yield it
    it.close()


def until(condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + LIMIT
    while time.monotonic() < end:
        if condition():
            return
        time.sleep(0.02)
    raise AssertionError(f"not in {LIMIT:g} s: {what}")


class _Unix(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("gateway", timeout=LIMIT)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(LIMIT)
        self.sock.connect(str(self.path))


def ask(path: Path) -> str:
    """The rehearsal's answer to `hello`, or "" where nobody listens."""
    with contextlib.closing(_Unix(path)) as connection:
        body = {"model": "x", "max_tokens": 9, "messages": [{"role": "user", "content": "hello"}]}
        try:
            connection.request("POST", "/v1/messages", json.dumps(body))
        except OSError:
            return ""
        return str(json.loads(connection.getresponse().read())["content"][0]["text"])


def loaded(process: subprocess.Popen[bytes], library: str) -> bool:
    return f"/{library}/" in Path(f"/proc/{process.pid}/maps").read_text()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_session_has_its_socket_and_has_it_again_after_a_restart(
    world: World, number: int
) -> None:
    (world.root / "dead-one").mkdir(parents=True)
    (world.root / "dead-one" / "gateway.sock").touch()
    process = world.start()
    world.begin("s1-1")
    path = world.socket("s1-1")
    until(path.exists, "a socket for the session")
    assert "You said: hello" in ask(path)
    assert not (world.root / "dead-one").exists()
    folder = path.parent.stat().st_ino

    code = world.stop(process, number)
    assert code == (0 if number == signal.SIGTERM else -signal.SIGKILL)
    assert ask(path) == ""
    assert path.parent.stat().st_ino == folder  # a sandbox has it bound

    world.start()
    until(lambda: "You said: hello" in ask(path), "the socket again")
    assert path.parent.stat().st_ino == folder

    world.begin("s1-2")
    until(world.socket("s1-2").exists, "a socket for another session")
    world.end("s1-1")
    until(lambda: not path.parent.exists(), "the end of the first")
    assert "You said: hello" in ask(world.socket("s1-2"))
    world.end("s1-2")
    until(lambda: not any(world.root.iterdir()), "nothing left")


def test_it_stops_in_peace_before_anybody_has_called(world: World) -> None:
    process = world.start()
    world.begin("s1-1")
    until(world.socket("s1-1").exists, "a socket")
    assert world.stop(process) == 0
    assert "stop failed" not in world.log.read_text()


def test_an_end_while_it_was_dead_is_cleaned_up(world: World) -> None:
    process = world.start()
    world.begin("s1-1")
    until(world.socket("s1-1").exists, "a socket")
    world.stop(process, signal.SIGKILL)
    world.end("s1-1")
    world.begin("s1-2")
    world.start()
    until(world.socket("s1-2").exists, "the new one's socket")
    until(lambda: not (world.root / "s1-1").exists(), "the old one gone")


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_http_is_loaded_only_when_somebody_calls(world: World) -> None:
    process = world.start()
    world.begin("s1-1")
    until(world.socket("s1-1").exists, "a socket")
    assert not loaded(process, "aiohttp")
    assert ask(world.socket("s1-1"))
    assert loaded(process, "aiohttp")
    for heavy in ("pydantic_core", "sqlite_utils"):
        assert not loaded(process, heavy)


def test_one_is_enough_and_the_second_says_so(world: World) -> None:
    world.start()
    until(lambda: b'"event": "started"' in world.log.read_bytes(), "the first one's start")
    second = world.start()
    assert second.wait(LIMIT) == 1
    assert b"gateway already runs" in world.log.read_bytes()


def test_it_says_who_answers_and_asks_for_a_key_that_it_needs(world: World) -> None:
    process = world.start()
    until(lambda: b'"event": "started"' in world.log.read_bytes(), "the start")
    world.stop(process)
    assert b"A script answers (rehearsal), no model." in world.log.read_bytes()
    process = world.start(PYNCHY_GATEWAY__MODE="anthropic")
    assert process.wait(LIMIT) == 100
    assert b"there is no key" in world.log.read_bytes()


def test_a_new_key_in_the_file_is_used_without_a_restart(world: World) -> None:
    with socket.create_server(("127.0.0.1", 0)) as fake:
        fake.settimeout(LIMIT)
        port = fake.getsockname()[1]
        world.home.env.write_text("ANTHROPIC_API_KEY=sk-ant-first\n")
        world.home.config.write_text(f"[gateway]\nupstream = 'http://127.0.0.1:{port}'\n")
        world.start()
        world.begin("s1-1")
        until(world.socket("s1-1").exists, "a socket")
        assert "sk-ant-first" in call_seen(world.socket("s1-1"), fake)
        draft = world.home.env.with_name("draft")
        draft.write_text("ANTHROPIC_API_KEY=sk-ant-second\n")
        draft.rename(world.home.env)
        until(
            lambda: "sk-ant-second" in call_seen(world.socket("s1-1"), fake),
            "the second key",
        )
        aside = world.home.config.rename(world.home.root / "aside")
        until(lambda: b"config.toml is gone" in world.log.read_bytes(), "a word about the file")
        assert "sk-ant-second" in call_seen(world.socket("s1-1"), fake), "and to nobody else"
        aside.rename(world.home.config)
        world.home.env.write_text("PYNCHY_GATEWAI__MODE=auto\n")
        until(lambda: b"stays as it was" in world.log.read_bytes(), "a word about the mistake")
        assert "sk-ant-second" in call_seen(world.socket("s1-1"), fake)
        world.home.env.write_text("")
        until(
            lambda: b"who answers changes with" in world.log.read_bytes(), "a word about the mode"
        )
        assert "sk-ant-second" in call_seen(world.socket("s1-1"), fake)
    assert b"sk-ant-" not in world.log.read_bytes()
    for name in ("messages.db", "messages.db-wal"):
        assert b"sk-ant-" not in (world.home.data / name).read_bytes()


def call_seen(path: Path, fake: socket.socket) -> str:
    """The head of a call as the fake model gets it."""
    with contextlib.closing(_Unix(path)) as sandbox:
        sandbox.request("POST", "/v1/messages", "{}")
        connection, _ = fake.accept()
        with connection:
            connection.settimeout(LIMIT)
            head = connection.recv(65536).decode()
            connection.sendall(
                b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"
            )
        assert sandbox.getresponse().read() == b"{}"
    return head


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to make a foreign folder")
def test_a_root_that_cannot_be_trusted_is_no_crash(world: World) -> None:
    world.root.mkdir(parents=True)
    world.root.chmod(0o777)
    world.start()
    world.begin("s1-1")
    until(lambda: b"no folder of ours alone" in world.log.read_bytes(), "the reason")
    row = world.store.db.execute("SELECT subject FROM failures").fetchone()
    assert row["subject"] == "socket:s1-1"
    world.root.chmod(0o700)
    until(world.socket("s1-1").exists, "the socket, at a retry")
