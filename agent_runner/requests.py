"""The agent's side of requests: one file each for the host to take, and one file each with its
answer. Whoever asks always gets an answer: where the host doesn't give one, it is a refusal."""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from pathlib import Path

from agent_runner.protocol import REQUESTS, RESPONSES, Answer, Error, read_answer
from agent_runner.protocol.requests import NAME, REQUEST_LIMIT, RESPONSE, Request, write_request
from agent_runner.watch import watched

PATIENCE = 60.0
"""Seconds in which a host that is at work takes a request; answering may take it any time."""
LAST = 99_999_999
"""The highest number of a request."""
UNWRITABLE = (UnicodeError, RecursionError, OverflowError, TypeError)
"""What writing a request as JSON may raise."""


class Requests:
    """Asks the host by the folders below `ipc`. Many may ask at once: they share one watch, which
    is there while somebody waits."""

    def __init__(self, ipc: Path, patience: float = PATIENCE) -> None:
        self.ipc = ipc
        self._requests, self._responses = ipc / REQUESTS, ipc / RESPONSES
        self._patience = patience
        self._number = 0
        self._waiting: dict[str, asyncio.Future[Answer]] = {}
        self._watcher: asyncio.Task[None] | None = None

    async def ask(self, request: Request) -> Answer:
        """The host's answer, however long it takes. Where nobody takes the request it is
        withdrawn; so it is when the asking task is cancelled."""
        try:
            data = write_request(request)
        except UNWRITABLE as error:
            return _refusal("invalid", f"It can't be written as JSON: {error}")
        if len(data) > REQUEST_LIMIT:
            return _refusal("too_large", f"A request is at most {REQUEST_LIMIT} bytes.")
        request_id = os.urandom(8).hex()
        try:
            file = self._write(request_id, data)
        except OSError as error:
            said = f"The request could not be written: {error.strerror or error}."
            return _refusal("not_written", f"{said} Nothing was asked of the host.")
        answered = self._expect(request_id)
        try:
            return await self._answered(file, answered)
        finally:
            self._forget(request_id)

    async def _answered(self, file: Path, answered: asyncio.Future[Answer]) -> Answer:
        try:
            await asyncio.wait([answered], timeout=self._patience)
            if not answered.done():
                self._look(None)
            if not answered.done() and _withdraw(file):
                return _refusal(
                    "host_silent",
                    f"Nobody took the request within {self._patience:.0f} seconds, and it was "
                    "withdrawn; whether it was done is not known. Is `pynchy ipc-watch` running?",
                )
            return await answered
        except asyncio.CancelledError:
            _withdraw(file)
            raise

    def _write(self, request_id: str, data: bytes) -> Path:
        """Raises OSError."""
        self._number = min(max(self._number, self._highest()) + 1, LAST)
        file = self._requests / f"{self._number:08}-{request_id}.json"
        draft = self._requests / f".{file.name}"
        try:
            draft.write_bytes(data)
            return draft.rename(file)
        except OSError:
            _withdraw(draft)
            raise

    def _highest(self) -> int:
        """The highest number among the requests that nobody has taken yet. Raises OSError."""
        found = (NAME.fullmatch(name) for name in os.listdir(self._requests))  # noqa: PTH208
        return max((int(name[1]) for name in found if name), default=0)

    def _expect(self, request_id: str) -> asyncio.Future[Answer]:
        self._waiting[request_id] = asyncio.get_running_loop().create_future()
        if self._watcher is None:
            self._watcher = asyncio.create_task(self._watch(), name="responses")
        return self._waiting[request_id]

    def _forget(self, request_id: str) -> None:
        self._waiting.pop(request_id).cancel()
        if not self._waiting and self._watcher is not None:
            self._watcher.cancel()
            self._watcher = None

    async def _watch(self) -> None:
        with watched(self._responses) as wait:
            name = None
            while True:
                self._look(name)
                name = await wait()

    def _look(self, name: str | None) -> None:
        """Give the answer in the file of that name, or in any, to whoever waits for it."""
        if name is None:
            known = list(self._waiting)
        else:
            request_id = name.removesuffix(".json")
            known = [request_id] if request_id in self._waiting else []
        for request_id in known:
            with suppress(FileNotFoundError):
                self._settle(request_id, self._response(request_id))

    def _response(self, request_id: str) -> Answer:
        """Raises FileNotFoundError while there is none."""
        try:
            return read_answer((self._responses / RESPONSE.format(id=request_id)).read_bytes())
        except FileNotFoundError:
            raise
        except OSError as error:
            return _refusal("answer_unreadable", f"The answer can't be read: {error.strerror}.")

    def _settle(self, request_id: str, answer: Answer) -> None:
        if not self._waiting[request_id].done():
            self._waiting[request_id].set_result(answer)


def _withdraw(file: Path) -> bool:
    """Take the file away, if it can be; whether it was still there."""
    try:
        file.unlink()
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return True


def _refusal(code: str, message: str) -> Answer:
    return Answer(ok=False, error=Error(code, message))
