"""A host that answers requests, for tests of the side that asks: real files, typed by the protocol,
taken by a thread as they come. What it answers is a function of the request."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

import msgspec

from agent_runner import protocol
from agent_runner.protocol import Answer
from agent_runner.protocol.requests import NAME, Request

LIMIT = 60
LOOK = 0.001
"""Seconds between looks for requests."""

Answering = Callable[[Request], Answer | bytes | None]
"""None: not yet; `answer` says it later. Bytes are written as they are."""


def yes(request: Request) -> Answer:
    """What was asked, in words of its own."""
    return Answer(ok=True, result=msgspec.to_builtins(request))


class AnsweringHost:
    """The host's half of a session's folder. `asked` holds (name of the file, request) in the
    order of their numbers."""

    def __init__(self, ipc: Path, answering: Answering = yes) -> None:
        self.asked: list[tuple[str, Request]] = []
        self._requests, self._responses = ipc / protocol.REQUESTS, ipc / protocol.RESPONSES
        for folder in (self._requests, self._responses):
            folder.mkdir(parents=True, exist_ok=True)
        self._answering = answering
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> AnsweringHost:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join(LIMIT)

    def requests(self) -> list[Request]:
        """What was asked so far."""
        return [request for _, request in self.asked]

    def wait(self, count: int = 1) -> str:
        """The id of the last request, once there are so many."""
        until = time.monotonic() + LIMIT
        while len(self.asked) < count:
            assert time.monotonic() < until, f"only {len(self.asked)} of {count} requests came"
            time.sleep(LOOK)
        return self.id(count - 1)

    def id(self, number: int) -> str:
        """The id of a request."""
        found = NAME.fullmatch(self.asked[number][0])
        assert found is not None
        return found[2]

    def answer(self, request_id: str, answer: Answer | bytes) -> None:
        """Write an answer."""
        data = answer if isinstance(answer, bytes) else protocol.write_answer(answer)
        draft = self._responses / f".{request_id}.json"
        draft.write_bytes(data)
        draft.rename(self._responses / f"{request_id}.json")

    def _run(self) -> None:
        while not self._ended.wait(LOOK):
            for file in sorted(self._requests.glob("[0-9]*.json")):
                request = msgspec.json.decode(file.read_bytes(), type=Request)
                self.asked.append((file.name, request))
                file.unlink()
                answer = self._answering(request)
                if answer is not None:
                    self.answer(self.id(-1), answer)
