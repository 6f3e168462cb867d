"""What the stages have logged, read from where it is: the supervisor's file of JSON lines and its
older ones, or systemd's journal. A line that is no JSON is somebody's text, and shown as such."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pynchy_cli.config.paths import Home

LEVELS = ("debug", "info", "warning", "error")
BLOCK = 64 * 1024
LONGEST = 1024**2
"""Bytes of one line at most; what is longer is cut."""
SYSTEM = Path("/etc/systemd/system")
UNITS = "pynchy*"
Line = dict[str, Any]


@dataclass(frozen=True)
class Wanted:
    """Which lines are shown: of a stage (`listen` is all channels'), and from a level on."""

    stage: str | None = None
    level: str = "debug"

    def has(self, line: Mapping[str, Any]) -> bool:
        """Whether a line is one of these."""
        stage = str(line.get("stage", ""))
        if self.stage is not None and stage != self.stage and stage.split("@")[0] != self.stage:
            return False
        level = str(line.get("level", "info"))
        return level not in LEVELS or LEVELS.index(level) >= LEVELS.index(self.level)


def file_of(home: Home) -> Path:
    """The file to which the supervisor appends."""
    return home.data / "logs" / "pynchy.ndjson"


def files(path: Path) -> list[Path]:
    """The file and its older ones, the newest first."""
    older = sorted(path.parent.glob(f"{path.name}.[0-9]"), key=lambda one: one.suffix)
    return [one for one in (path, *older) if one.is_file()]


def newest(found: Iterable[Path], wanted: Wanted, number: int) -> list[Line]:
    """The newest lines that are wanted, the oldest of them first."""
    lines: list[Line] = []
    if number == 0:
        return lines
    for path in found:
        for text in backwards(path):
            if wanted.has(line := as_line(text)):
                lines.append(line)
                if len(lines) == number:
                    return lines[::-1]
    return lines[::-1]


def backwards(path: Path, block: int = BLOCK) -> Iterator[bytes]:
    """The lines of a file, the last first, read a block at a time; one that is not ended yet is
    none."""
    with path.open("rb") as file:
        at, rest, is_ended = file.seek(0, os.SEEK_END), b"", False
        while at > 0:
            begin = max(0, at - block)
            file.seek(begin)
            first, *whole = (file.read(at - begin) + rest).split(b"\n")
            at, rest = begin, first[-LONGEST:]
            if not is_ended:
                if not whole:
                    rest = b""
                    continue
                whole.pop()
                is_ended = True
            yield from (one for one in reversed(whole) if one)
        if rest and is_ended:
            yield rest


def as_line(text: bytes) -> Line:
    """A line as an object; what is no JSON object is an event without a time."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if isinstance(found, dict):
        return found
    return {"event": text.decode("utf-8", "replace")}


class Follower:
    """Reads on in a file that grows, and in the one that takes its place."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("rb") if path.exists() else None
        if self._file is not None:
            self._file.seek(0, os.SEEK_END)
        self._rest = b""

    def more(self) -> Iterator[Line]:
        """The lines that came since."""
        while True:
            yield from self._read()
            if not self._is_replaced():
                return
            if self._file is not None:
                self._file.close()
            self._file, self._rest = self.path.open("rb"), b""

    def _read(self) -> Iterator[Line]:
        if self._file is None:
            return
        while data := self._file.read(BLOCK):
            *whole, self._rest = (self._rest + data).split(b"\n")
            yield from (as_line(one) for one in whole if one)

    def _is_replaced(self) -> bool:
        try:
            there = self.path.stat()
        except OSError:
            return False
        return self._file is None or not os.path.samestat(there, os.fstat(self._file.fileno()))

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()


def journal(environ: Mapping[str, str], system: Path = SYSTEM) -> list[str] | None:
    """How systemd's journal is asked for the units' lines; None where no units are installed."""
    if shutil.which("journalctl", path=environ.get("PATH")) is None:
        return None
    base = environ.get("XDG_CONFIG_HOME") or f"{environ.get('HOME', '')}/.config"
    asked = ["journalctl", "--output=json", "--no-pager"]
    if any(Path(base, "systemd/user").glob("pynchy*.service")):
        return [*asked, f"--user-unit={UNITS}"]
    if any(system.glob("pynchy*.service")):
        return [*asked, f"--unit={UNITS}"]
    return None


def from_journal(command: list[str], environ: Mapping[str, str]) -> Iterator[Line]:
    """The lines that the journal gives, until it ends or the reader has enough."""
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env=dict(environ)
    ) as child:
        assert child.stdout is not None, "a pipe"
        try:
            for text in child.stdout:
                yield as_journal(as_line(text))
        finally:
            child.terminate()


def as_journal(entry: Mapping[str, Any]) -> Line:
    """A line of ours out of an entry of the journal; what somebody else wrote there, such as
    systemd itself, with its time, priority and unit."""
    message = entry.get("MESSAGE", "")
    if isinstance(message, list):  # bytes that are no text
        message = bytes(one & 255 for one in message if isinstance(one, int)).decode(
            "utf-8", "replace"
        )
    line = as_line(str(message).encode("utf-8", "surrogatepass"))
    if "timestamp" in line:
        return line
    priority = str(entry.get("PRIORITY", "6"))
    level = {"7": "debug", "6": "info", "5": "info", "4": "warning"}.get(priority, "error")
    unit = str(
        entry.get("UNIT")
        or entry.get("USER_UNIT")
        or entry.get("_SYSTEMD_USER_UNIT")
        or entry.get("_SYSTEMD_UNIT", "")
    )
    return {"timestamp": _moment(entry), "level": level, "stage": stage_of(unit), **line}


def stage_of(unit: str) -> str:
    """The stage that a unit runs, such as `listen@slack` of `pynchy-listen@slack.service`."""
    name = unit.removesuffix(".service").removesuffix(".target")
    if name.startswith("pynchy-listen@"):
        return name.removeprefix("pynchy-")
    return name.removeprefix("pynchy@") if name.startswith("pynchy@") else "up"


def _moment(entry: Mapping[str, Any]) -> str:
    microseconds = str(entry.get("__REALTIME_TIMESTAMP", "0"))
    number = int(microseconds) if microseconds.isdigit() else 0
    moment = datetime.fromtimestamp(number / 1e6, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{number // 1000 % 1000:03d}Z"
