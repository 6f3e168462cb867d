"""What checks look at: a home, an environment, a machine. Nothing is looked for elsewhere, so that
a test can give a check whatever it is to see."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import Any

from pynchy_cli.config.load import load
from pynchy_cli.config.paths import Home
from pynchy_cli.config.settings import Settings
from pynchy_cli.store import processes, status
from pynchy_cli.store.connection import Connection, translated
from pynchy_cli.store.lookup import reading

PACKAGE = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Said:
    """What a program of this machine printed, and its exit code."""

    code: int
    out: str
    error: str


@dataclass
class Facts:
    """Everything that a check may look at. `system` is the root below which it finds /proc, /sys
    and /etc; `code` is the folder of the package that runs; `patience` are seconds that one answer
    of a program, a network or the database may take."""

    home: Home
    environ: Mapping[str, str]
    now: str
    system: Path = Path("/")
    code: Path = PACKAGE
    python: tuple[int, ...] = sys.version_info[:3]
    sqlite: tuple[int, ...] = sqlite3.sqlite_version_info
    uid: int = field(default_factory=os.geteuid)
    patience: float = 8.0
    noted: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What checks leave for the findings `git` and `engine`."""
    left: list[str] = field(default_factory=list)
    """The checks that were left behind because they took too long."""
    _one: Lock = field(default_factory=Lock)

    @property
    def settings(self) -> Settings:
        """The configuration in force. Raises ConfigInvalid."""
        with self._one:
            return self._settings

    @cached_property
    def _settings(self) -> Settings:
        return load(self.home, self.environ)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """The database, to be read alone. Raises what `glimpse` raises."""
        with reading(self.home.database) as db, translated(self.home.database):
            yield db

    def status(self) -> dict[str, Any]:
        """What `pynchy status` tells. Raises what its `read` raises."""
        return status.read(str(self.home.database), str(self.home.locks), self.now)

    def running(self) -> list[processes.Process]:
        """The stages that live. Raises what `glimpse` raises."""
        with self.reading() as db:
            return processes.alive(db, self.home.locks)

    def program(self, name: str) -> str | None:
        """Where a program is, if there is one."""
        return shutil.which(name, path=self.environ.get("PATH"))

    def ask(self, *command: str, cwd: Path = Path("/")) -> Said | None:
        """What a program says; None where there is no such program, or it takes too long: then it
        is ended, with all that it has started."""
        program = self.program(command[0])
        if program is None:
            return None
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as error:
            child = subprocess.Popen(
                [program, *command[1:]],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=error,
                cwd=cwd,
                env={**self.environ, "LC_ALL": "C"},
                start_new_session=True,
            )
            try:
                code = child.wait(self.patience)
            except subprocess.TimeoutExpired:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()
                return None
            out.seek(0)
            error.seek(0)
            return Said(code, _text(out.read(_MOST)), _text(error.read(_MOST)))

    def proc(self, path: str) -> str | None:
        """What a file of the system says, such as proc/sys/fs/inotify/max_user_watches."""
        try:
            return (self.system / path).read_text(errors="replace").strip()
        except OSError:
            return None


_MOST = 1 << 20
"""Bytes of what a program prints that are read."""


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace").strip()
