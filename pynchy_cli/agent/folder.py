"""One sandbox's folder of documents and records. `input` and `responses` are the host's;
`requests` and `output` the agent's, and nothing in those is followed or written to by path."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from agent_runner import protocol
from pynchy_cli.agent import removal
from pynchy_cli.sandbox.base import Mount

INSIDE = "/workspace/ipc"
HOSTS = (protocol.INPUT, protocol.RESPONSES)
AGENTS = (protocol.REQUESTS, protocol.OUTPUT)
SCRATCH = "scratch"
CLAUDE = "claude"


class SessionFolder:
    """The folder of one sandbox's life."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._documents = 0

    def make(self) -> None:
        """Make it, empty. Its name was never used before."""
        for part in HOSTS:
            (self.path / part).mkdir(parents=True, mode=0o755)
        for part in AGENTS:
            (self.path / part).mkdir(mode=0o700)

    def make_own(self, *parts: str) -> None:
        """Make the folders that it has instead of its group's; they go with the sandbox."""
        for part in parts:
            (self.path / part).mkdir(mode=0o700)

    def mounts(self) -> tuple[Mount, ...]:
        """Its parts, one by one; never their parent."""
        return tuple(
            Mount(self.path / part, f"{INSIDE}/{part}", writable=part in AGENTS)
            for part in (*HOSTS, *AGENTS)
        )

    def hand_over(self, document: protocol.Document) -> None:
        """Give the agent its next document; whole, or not at all."""
        place = self.path / protocol.INPUT
        draft = place / ".draft"
        draft.write_bytes(protocol.write_document(document))
        draft.chmod(0o644)
        draft.rename(place / f"{self._documents}.json")
        self._documents += 1

    def count(self) -> None:
        """Find out how many documents a dead worker has handed over."""
        self._documents = sum(1 for _ in self._handed_over())

    def holds(self, turn: str) -> bool:
        """Whether the agent was given the document that begins a turn."""
        for path in self._handed_over():
            document = protocol.read_document(path.read_bytes())
            if document.turn == turn and isinstance(
                document, protocol.RunInput | protocol.FollowUp
            ):
                return True
        return False

    def _handed_over(self) -> Iterator[Path]:
        place, number = self.path / protocol.INPUT, 0
        while (path := place / f"{number}.json").exists():
            yield path
            number += 1

    def ask_to_leave(self) -> None:
        """Tell the agent that nothing more comes."""
        (self.path / protocol.INPUT / protocol.CLOSE).touch()

    def remove(self) -> None:
        """Take it away with all that the agent left in it; links are removed, not followed."""
        removal.remove(self.path)

    @property
    def output(self) -> Path:
        """The folder that the agent's log is in."""
        return self.path / protocol.OUTPUT


class OutputLog:
    """The agent's records, read from an offset on. The file is opened without following
    links; one that shrinks, is replaced or is no plain file is a dead sandbox."""

    PIECE = 256 * 1024

    def __init__(self, folder: Path, offset: int) -> None:
        self._folder = folder
        self._start = offset
        self._fd = -1
        self._at = offset
        self._reader = protocol.RecordReader()

    @property
    def read_bytes(self) -> int:
        """How far it has been read."""
        return self._at

    @property
    def noise(self) -> int:
        """Bytes that were no records."""
        return self._reader.noise

    def read(self) -> tuple[bool, list[tuple[protocol.Record, int]]]:
        """Read one piece: whether there was any, and the records that became whole, each
        with the offset just after it. Raises BadLog."""
        if self._fd < 0 and not self._open():
            return False, []
        facts = os.fstat(self._fd)
        if facts.st_size < self._at or facts.st_nlink != 1:
            raise BadLog("the agent cut or replaced its output log")
        piece = os.pread(self._fd, self.PIECE, self._at)
        if not piece:
            return False, []
        self._at += len(piece)
        found = [(record, self._start + end) for record, end in self._reader.feed(piece)]
        return True, found

    def _open(self) -> bool:
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            folder = os.open(self._folder, flags)
        except OSError as error:
            raise BadLog(f"the agent's output can't be opened: {error.strerror}") from error
        try:
            fd = os.open(
                "log",
                os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC,
                dir_fd=folder,
            )
        except FileNotFoundError:
            return False
        except OSError as error:
            raise BadLog(f"the agent's output log can't be opened: {error.strerror}") from error
        finally:
            os.close(folder)
        if not _is_plain(fd):
            os.close(fd)
            raise BadLog("the agent's output log is no plain file")
        self._fd = fd
        return True

    def close(self) -> None:
        """Let go of the file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class BadLog(Exception):
    """The agent did something to its output log that no agent of ours does."""


def _is_plain(fd: int) -> bool:
    import stat

    facts = os.fstat(fd)
    return stat.S_ISREG(facts.st_mode) and facts.st_nlink == 1
