"""A home that is well, on a machine that is well, for the doctor to look at; and the ways to make
both ill."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import sqlite3
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from socketserver import UnixStreamServer
from typing import Any

from pynchy_cli import __version__, clock, locks
from pynchy_cli.config.home import prepare
from pynchy_cli.config.paths import Home
from pynchy_cli.install.doctor.examination import examine
from pynchy_cli.install.doctor.facts import Facts
from pynchy_cli.install.doctor.finding import Finding
from pynchy_cli.install.doctor.registry import CHECKS
from pynchy_cli.store import audit, groups, processes
from pynchy_cli.store.connection import Connection, Store
from pynchy_cli.store.migrate import migrate

CONFIG = '[supervise]\nstages = ["route"]\n[gateway]\nmode = "rehearsal"\n'
SYSTEM = {
    "proc/sys/fs/inotify/max_user_instances": "128",
    "proc/sys/fs/inotify/max_user_watches": "65536",
    "proc/sys/user/max_user_namespaces": "15000",
    "proc/meminfo": "MemTotal: 9000000 kB\nMemAvailable: 8000000 kB",
    "proc/self/mountinfo": "25 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw",
}
NO_ENGINE = "unix:///nowhere/docker.sock"
PROGRAMS = {
    "timedatectl": "echo NTP=yes; echo NTPSynchronized=yes",
    "gh": "echo a-token-of-gh",
    "loginctl": "echo Linger=yes",
}
"""Programs of the machine that answer as they do where all is well."""


def build(root: Path) -> None:
    """Make a home that is well below `root`; others copy it."""
    home = Home(root)
    prepare(home)
    home.config.write_text(CONFIG)
    home.env.write_text("")
    home.env.chmod(0o600)
    migrate(home.database)
    home.group("main").mkdir(mode=0o700)
    with Store.open(home.database) as store, store.atomic() as db:
        groups.add(
            db,
            folder="main",
            name="Main",
            jid="local:main",
            is_admin=True,
            trigger_mode="always",
            trigger_pattern=None,
            allowed_users=("owner",),
            now=clock.now(),
        )
        audit.add(db, "request", "allowed", who="policy", subject="one", now=clock.now())


def write(path: Path, text: str) -> Path:
    """Write a file, and make its folders; its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


class World:
    """A copy of that home, a machine, and what is done to them. `given` goes to Facts as it is."""

    def __init__(self, well: Path, root: Path) -> None:
        self.ending = ExitStack()
        self.root = root
        self.home = Home(root / "home")
        shutil.copytree(well, self.home.root)
        self.system = root / "system"
        for path, text in SYSTEM.items():
            write(self.system / path, text)
        self.bin = root / "bin"
        for name, script in PROGRAMS.items():
            self.program(name, script)
        self.code = root / "checkout" / "pynchy_cli"
        self.code.mkdir(parents=True)
        (root / "person").mkdir()
        self.environ = {
            "HOME": str(root / "person"),
            "PATH": f"{self.bin}:{os.environ['PATH']}",
            "PYNCHY_SERVE__PORT": "0",
            "PYNCHY_AGENT__CORE": "echo",
            "TZ": "Europe/Berlin",
            "DOCKER_HOST": NO_ENGINE,
            "PYNCHY_SANDBOX__MIN_FREE": "0",
        }
        self.given: dict[str, Any] = {}
        self.route = self.stage("route")

    def facts(self) -> Facts:
        """What the doctor is given."""
        given = {"now": clock.now(), "system": self.system, "code": self.code, "patience": 5.0}
        return Facts(self.home, self.environ, **{**given, **self.given})

    def look(self, *ids: str) -> list[Finding]:
        """What the checks of these ids find, or all."""
        checks = [one for one in CHECKS if not ids or one.id in ids]
        return [one for _, found in examine(checks, self.facts()) for one in found]

    def configure(self, text: str) -> None:
        """Add to config.toml."""
        self.home.config.write_text(CONFIG + text)

    def program(self, name: str, script: str) -> None:
        """Have a program of this name, in place of the machine's."""
        write(self.bin / name, f"#!/bin/sh\n{script}\n").chmod(0o755)

    @contextlib.contextmanager
    def changing(self) -> Iterator[Connection]:
        """The database, to be changed by whatever SQL."""
        with Store.open(self.home.database) as store, store.atomic() as db:
            yield db

    def run(self, *statements: str) -> None:
        """Change the database, as another program would: no reference is looked at."""
        with closing(sqlite3.connect(self.home.database)) as db:
            for statement in statements:
                db.execute(statement)
            db.commit()

    def stage(self, name: str, connected: bool | None = None) -> locks.Lock:
        """A stage that runs, as far as row and lock tell; its lock."""
        with self.changing() as db:
            id = processes.start(
                db,
                stage=name,
                pid=os.getpid(),
                version=__version__,
                config_hash="",
                settings="{}",
                hashes="{}",
                now=clock.now(),
            )
            if connected is not None:
                processes.connected(db, id, connected)
        lock = locks.take(processes.owner_lock(self.home.locks, id))
        assert lock is not None
        self.ending.callback(lock.release)
        return lock

    def sockets(self) -> Path:
        """The folder of this home's sockets, which is short and goes with the test."""
        short = self.ending.enter_context(tempfile.TemporaryDirectory(prefix="d-", dir="/tmp"))
        self.environ["XDG_RUNTIME_DIR"] = short
        folder = self.home.sockets(self.environ)
        folder.parent.mkdir(mode=0o700)
        folder.mkdir(mode=0o700)
        return folder

    def answering(self, answer: Callable[[str], tuple[int, str]], at: Path | None = None) -> str:
        """An HTTP server that answers so to each path, at a free port or at a socket; its
        address."""

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, text = answer(self.path)
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text.encode())

            do_DELETE = do_GET  # noqa: N815 - likewise

            def address_string(self) -> str:
                return "test"

            def log_message(self, format: str, *arguments: object) -> None:
                pass

        server: Any = HTTPServer(("127.0.0.1", 0), Handler)
        if at is not None:
            server.server_close()
            server = UnixStreamServer(str(at), Handler)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        self.ending.callback(server.server_close)
        self.ending.callback(thread.join)
        self.ending.callback(server.shutdown)
        return f"unix://{at}" if at else f"http://127.0.0.1:{server.server_port}"

    def listening(self) -> int:
        """A port of this machine that is taken."""
        taken = self.ending.enter_context(socket.socket())
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        return int(taken.getsockname()[1])
