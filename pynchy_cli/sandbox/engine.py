"""A container engine, as Docker's SDK talks to it: where it listens, and whether it answers. The
SDK is loaded only to connect, and what it raises leaves this module as one of two errors."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import socket
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pynchy_cli.errors import SandboxUnavailable

T = TypeVar("T")
Facts = Mapping[str, Any]
CALL = 60.0
"""Seconds that one call may take: with a busy disk the making of a container takes some."""
PROBE = 5.0
"""Seconds in which an engine must say that it is there."""
THREADS = 8
"""Calls at once, over all containers; waiting for an end has threads of its own."""
CONNECTIONS = 128
"""Connections kept open; one for each container that is waited for."""
AWAY = (0.1, 0.2, 0.5, 1.0, 2.0)
"""Seconds between attempts to reach an engine that is away; the last one repeats."""
INSTALL = (
    "Install Docker (`apt install docker.io`) or Podman and start it, or name its socket in "
    "DOCKER_HOST."
)


class EngineAway(SandboxUnavailable):
    """The engine doesn't answer now; what it holds may well live on."""


class Refused(SandboxUnavailable):
    """The engine answered with an error; `status` is HTTP's."""

    def __init__(self, sentence: str, status: int) -> None:
        super().__init__(sentence)
        self.status = status

    @property
    def is_missing(self) -> bool:
        """Whether there is no such thing."""
        return self.status == 404


@dataclass(frozen=True)
class Address:
    """Where an engine listens. `socket` is None where that is no unix socket."""

    url: str
    socket: Path | None

    def problem(self) -> str | None:
        """Why it can't be reached, as far as the file system tells."""
        if self.socket is None:
            return None
        if not self.socket.exists():
            return f"There is no container engine at {self.socket}. {INSTALL}"
        if not os.access(self.socket, os.R_OK | os.W_OK):
            return (
                f"You may not use the container engine at {self.socket}. "
                "Add yourself to its group (`usermod -aG docker $USER`) and log in again."
            )
        return None

    def knock(self) -> None:
        """Raise OSError where nobody listens. The SDK would leave its socket open there."""
        if self.socket is not None:
            with socket.socket(socket.AF_UNIX) as door:
                door.settimeout(PROBE)
                door.connect(str(self.socket))


def find(environ: Mapping[str, str]) -> Address | None:
    """Where an engine seems to listen: where DOCKER_HOST says, else at the first socket of Docker
    or Podman that we may use, else at one that we may not."""
    if named := environ.get("DOCKER_HOST", ""):
        plain = named.removeprefix("unix://")
        return Address(named, Path(plain) if plain != named or plain.startswith("/") else None)
    there = [path for path in _usual(environ) if _is_there(path)]
    usable = [path for path in there if os.access(path, os.R_OK | os.W_OK)]
    for path in usable or there:
        return Address(f"unix://{path}", path)
    return None


def _is_there(path: Path) -> bool:
    """Whether it can be used by us: what lies where we may not look can't."""
    try:
        return path.exists()
    except OSError:
        return False


def _usual(environ: Mapping[str, str]) -> Iterator[Path]:
    yield Path("/var/run/docker.sock")
    if run := environ.get("XDG_RUNTIME_DIR"):
        yield Path(run, "docker.sock")
    if home := environ.get("HOME"):
        yield Path(home, ".docker/run/docker.sock")
    if run:
        yield Path(run, "podman/podman.sock")
    yield Path("/run/podman/podman.sock")


class Engine:
    """A connection to an engine that answers. `api` is the SDK's low-level client; whoever uses
    it does so within `translated`, on a thread. `facts` are what the engine said of itself, and
    `is_podman` whether it is Podman that speaks Docker's language."""

    def __init__(self, api: Any, address: Address, facts: Facts, *, is_podman: bool) -> None:
        self.api = api
        self.address = address
        self.facts = facts
        self.is_podman = is_podman
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="engine")
        # A runtime that isn't chosen after all is forgotten with its connections.
        weakref.finalize(self, api.close).atexit = False

    @property
    def is_rootless(self) -> bool:
        """Whether its containers' root is an ordinary user."""
        return any("rootless" in option for option in self.facts.get("SecurityOptions") or [])

    def now(self, function: Callable[..., T], *arguments: Any, **named: Any) -> T:
        """A call, made in this thread. Raises EngineAway and Refused."""
        with translated(self.address):
            self.address.knock()
            return function(*arguments, **named)

    async def call(self, function: Callable[..., T], *arguments: Any, **named: Any) -> T:
        """A call, made in another thread. Raises EngineAway and Refused."""
        work = functools.partial(self.now, function, *arguments, **named)
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def patiently(self, step: Callable[[], T], *, given_up: Callable[[], bool]) -> T | None:
        """The step's result, tried again for as long as the engine is away, or None once it is
        given up. Blocks; raises Refused."""
        pauses = iter(AWAY)
        while not given_up():
            try:
                return self.now(step)
            except EngineAway:
                time.sleep(next(pauses, AWAY[-1]))
        return None

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the connections and the threads."""
        self._threads.shutdown(wait=False)
        self.api.close()


@contextlib.contextmanager
def translated(address: Address) -> Iterator[None]:
    """Turn what the SDK raises into our errors."""
    from docker import errors
    from urllib3.exceptions import HTTPError

    try:
        yield
    except errors.APIError as error:
        said = str(error.explanation or error).strip().rstrip(".")
        raise Refused(f"The container engine refused: {said}.", error.status_code or 500) from error
    except (
        *(OSError, ValueError),  # What `requests` raises is either, the latter for half an answer.
        *(errors.DockerException, errors.StreamParseError, HTTPError),
    ) as error:
        raise EngineAway(
            f"The container engine at {address.url} doesn't answer ({_short(error)}). "
            "Start it, for example with `systemctl start docker`."
        ) from error


def _short(error: BaseException) -> str:
    """The system's own words where there are any below what the libraries wrapped around them."""
    inner: BaseException | None = error
    while inner is not None:
        if isinstance(inner, OSError) and inner.strerror:
            return inner.strerror
        inner = inner.__context__
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__


def connect(address: Address) -> Engine:
    """An engine that answers, within seconds. Raises EngineAway and Refused."""
    # Takes 0.1 s to load, and is needed by this runtime alone.
    import docker

    with translated(address):
        api = docker.APIClient(
            base_url=address.url, version="auto", timeout=PROBE, max_pool_size=CONNECTIONS
        )
        facts, parts = api.info(), api.version().get("Components") or []
        api.timeout = CALL
    is_podman = any("podman" in part.get("Name", "").lower() for part in parts)
    return Engine(api, address, facts, is_podman=is_podman)


def watch(name: str, work: Callable[[], None]) -> None:
    """Run what waits for long on a thread of its own, which never keeps a process from ending."""
    threading.Thread(target=work, name=name, daemon=True).start()
