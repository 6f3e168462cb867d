"""The core that talks to Claude: one live client of the Claude Agent SDK for all turns. Each
turn is told apart by an id of ours, never by the order in which results come."""

from __future__ import annotations

import asyncio
import os
import sys
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from claude_agent_sdk import (
    ClaudeSDKClient,
    ClaudeSDKError,
    Message,
    ResultError,
    ResultMessage,
    SystemMessage,
)

from agent_runner.cores import claude_options
from agent_runner.cores.base import CoreFailed
from agent_runner.cores.claude_errors import died
from agent_runner.cores.claude_hooks import Gate, hooks, somebody_is_there
from agent_runner.cores.claude_messages import Translation
from agent_runner.cores.claude_prompts import Prompts
from agent_runner.cores.claude_sessions import is_written
from agent_runner.forwarder import Forwarder
from agent_runner.protocol import (
    FollowUp,
    Notice,
    Record,
    RunInput,
    Started,
    Steer,
    TurnEnded,
)

if TYPE_CHECKING:
    from agent_runner.tools.toolbox import Toolbox

GATEWAY = "PYNCHY_GATEWAY"
"""The variable that holds the path of the gateway's socket; without it, the client uses
whatever key and address the environment holds."""
DUMMY = "pynchy"
"""What the client takes for a key; the gateway puts in the real one."""
STDERR_LINES = 20
PAUSE = 0.1
"""Seconds between looks whether a new conversation can be continued."""
STOP_PATIENCE = 5.0


class ClaudeCore:
    """One conversation with Claude."""

    gates: Sequence[Gate] = (somebody_is_there,)
    """Asked in this order before any tool runs."""

    def __init__(self) -> None:
        self.session_id: str | None = None
        self._toolbox: Toolbox | None = None
        self._client: ClaudeSDKClient | None = None
        self._forwarder: Forwarder | None = None
        self._reader: asyncio.Task[None] | None = None
        self._heard: asyncio.Queue[Message | None] = asyncio.Queue()
        self._stderr: deque[str] = deque(maxlen=STDERR_LINES)
        self._lost: str | None = None
        self._prompts: Prompts | None = None
        self._early: list[Steer] = []
        self._is_interrupted = False
        self._begun: str | None = None

    async def start(self, run: RunInput, toolbox: Toolbox | None) -> None:
        """Connect, to the earlier conversation if there is one. Raises CoreFailed."""
        self._toolbox = toolbox
        environment = {**claude_options.environment(os.environ), **await self._way_out()}
        try:
            await self._connect(run, run.session_id, environment)
            self.session_id = run.session_id
        except ResultError as error:
            if run.session_id is None:
                raise CoreFailed(died(error, self._stderr)) from error
            self._lost = "; ".join(error.errors) or str(error)
            await self._connect(run, None, environment)
        self._reader = asyncio.create_task(self._read(), name="claude reader")

    async def turn(self, document: RunInput | FollowUp) -> AsyncIterator[Record]:
        """Send the prompt and give all that is said until it and what was said meanwhile are
        answered."""
        turn = document.turn
        yield Started(turn=turn, session_id=self.session_id)
        if self._lost is not None:
            yield Notice(turn=turn, subtype="session_lost", data={"reason": self._lost})
            self._lost = None
        try:
            async for record in self._answers(document):
                yield record
        finally:
            self._prompts, self._early, self._is_interrupted = None, [], False

    async def _answers(self, document: RunInput | FollowUp) -> AsyncIterator[Record]:
        translation, prompts = Translation(document.turn), Prompts()
        if self._is_interrupted:
            yield self._cut_short(document.turn, prompts)
            return
        self._forget_what_nobody_asked()
        await self._send(document.prompt, prompts.add(0))
        self._prompts, early = prompts, self._early
        for more in early:
            await self.steer(more)
        async for message in self._messages():
            if self.session_id is None and self._begun and is_written(self._begun):
                self.session_id = self._begun
                yield Started(turn=document.turn, session_id=self.session_id)
            if isinstance(message, ResultMessage) and prompts.answered_by(message):
                self.session_id = message.session_id
                if (ended := await self._ended(message, translation, prompts)) is not None:
                    yield ended
                    return
                if not self._is_interrupted:
                    yield translation.replied(message, prompts.read)
            elif message is not None:
                for record in translation.records(message):
                    yield record
        raise CoreFailed(died(self._why_it_ended(), self._stderr))

    async def _ended(
        self, result: ResultMessage, translation: Translation, prompts: Prompts
    ) -> TurnEnded | None:
        """The turn's end, where the result is that. What was asked after a failure, or after
        somebody had enough, is not begun."""
        ended = translation.ended(result, prompts.read)
        if self._is_interrupted and prompts.is_done:
            reply = "" if ended.error is not None else ended.reply
            return self._cut_short(ended.turn, prompts, reply)
        if not prompts.is_done and (self._is_interrupted or ended.error is not None):
            await self._stop_talking()
        return ended if not self._is_interrupted and (prompts.is_done or ended.error) else None

    def _cut_short(self, turn: str, prompts: Prompts, reply: str = "") -> TurnEnded:
        return TurnEnded(
            turn=turn,
            reply=reply,
            session_id=self.session_id,
            read=prompts.read,
            is_interrupted=True,
        )

    async def steer(self, document: Steer) -> None:
        """Say it to the client at once: it takes it in at the next tool, or answers it after
        what it is saying."""
        if self._prompts is None:
            self._early.append(document)
        elif not self._is_interrupted:
            with suppress(CoreFailed):  # the turn ends too, and says why
                await self._send(document.prompt, self._prompts.add(document.through))

    async def interrupt(self) -> None:
        """Have the client end what it does."""
        self._is_interrupted = True
        if self._prompts is not None:
            await self._stop_talking()

    async def _stop_talking(self) -> None:
        if self._client is not None:
            with suppress(TimeoutError, ClaudeSDKError):
                async with asyncio.timeout(STOP_PATIENCE):
                    await self._client.interrupt()

    async def stop(self) -> None:
        """End the client and the way to the gateway."""
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.gather(self._reader, return_exceptions=True)
        if self._client is not None:
            client, self._client = self._client, None
            with suppress(TimeoutError, ClaudeSDKError):
                async with asyncio.timeout(STOP_PATIENCE):
                    await client.disconnect()
        if self._forwarder is not None:
            await self._forwarder.stop()

    async def _way_out(self) -> dict[str, str]:
        """The variables by which the client reaches the model, and may work as it is told."""
        found = {"IS_SANDBOX": "1"} if os.geteuid() == 0 else {}
        socket = os.environ.get(GATEWAY)
        if not socket:
            return found
        for name in ("ANTHROPIC_API_KEY", "CLAUDE_CODE_OAUTH_TOKEN"):
            os.environ.pop(name, None)
        self._forwarder = Forwarder(Path(socket))
        port = await self._forwarder.start()
        address = f"http://127.0.0.1:{port}"
        return {**found, "ANTHROPIC_BASE_URL": address, "ANTHROPIC_AUTH_TOKEN": DUMMY}

    async def _connect(
        self, run: RunInput, session_id: str | None, environment: dict[str, str]
    ) -> None:
        """Raises ResultError where the client says what is wrong, CoreFailed otherwise."""
        chosen = claude_options.chosen(
            run,
            session_id,
            environment,
            hooks=hooks(self.gates, Path.cwd()),
            toolbox=self._toolbox,
            is_behind_gateway=self._forwarder is not None,
            complaint=self._complaint,
        )
        self._client = ClaudeSDKClient(chosen)
        try:
            await self._client.connect()
        except ResultError:
            raise
        except ClaudeSDKError as error:
            raise CoreFailed(died(error, self._stderr)) from error

    def _complaint(self, line: str) -> None:
        self._stderr.append(line)
        print(line, file=sys.stderr)

    async def _read(self) -> None:
        """Takes in all that the client says, turn or no turn, so that it never waits for us."""
        assert self._client is not None, "the reader starts after the client"
        try:
            async for message in self._client.receive_messages():
                self._heard.put_nowait(message)
        finally:
            self._heard.put_nowait(None)

    async def _messages(self) -> AsyncIterator[Message | None]:
        """What the client says until it ends; None now and then, while it is not yet known
        how the conversation can be continued."""
        while True:
            try:
                patience = PAUSE if self.session_id is None else None
                async with asyncio.timeout(patience):
                    message = await self._heard.get()
            except TimeoutError:
                yield None
                continue
            if message is None:
                self._heard.put_nowait(None)  # It stays ended.
                return
            if isinstance(message, SystemMessage) and message.subtype == "init":
                self._begun = message.data.get("session_id")
            yield message

    def _why_it_ended(self) -> BaseException | None:
        reader = self._reader
        return reader.exception() if reader is not None and reader.done() else None

    def _forget_what_nobody_asked(self) -> None:
        """What the client said between turns belongs to none of them."""
        while not self._heard.empty():
            if self._heard.get_nowait() is None:
                self._heard.put_nowait(None)
                return

    async def _send(self, prompt: str, prompt_id: str) -> None:
        assert self._client is not None, "a turn comes after the start"

        async def message() -> AsyncIterator[dict[str, Any]]:
            yield {
                "type": "user",
                "message": {"role": "user", "content": prompt},
                "parent_tool_use_id": None,
                "uuid": prompt_id,
            }

        try:
            await self._client.query(message())
        except ClaudeSDKError as error:
            raise CoreFailed(died(self._why_it_ended() or error, self._stderr)) from error
