"""Taking over what a dead worker left, from a runtime whose sandboxes outlive it, among faults
that must fall at one exact moment: no run stays at work for ever, and no sandbox is forgotten."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Container, Mapping
from pathlib import Path
from typing import Any

import pytest

from agent_runner import protocol
from agent_runner.protocol import RunInput, TurnEnded
from pynchy_cli import clock
from pynchy_cli.agent.adoption import may_outlive
from pynchy_cli.agent.folder import SessionFolder
from pynchy_cli.errors import GatewayUnavailable, SandboxUnavailable
from pynchy_cli.model import Session
from pynchy_cli.store import conversations, sessions
from tests.fired import fire
from tests.unit.test_worker import TURN, Bench, bench, echo, left_at_work, left_behind, script


class Survivor:
    """A sandbox that lives on without its worker."""

    name = "survivor"

    def __init__(self) -> None:
        self.end: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def wait(self) -> int:
        return await asyncio.shield(self.end)

    async def stop(self, grace: float) -> int:
        if not self.end.done():
            self.end.set_result(137)
        return await self.wait()


class Engine:
    """The part of a runtime that keeps sandboxes; `faults` come out of its next answers
    to questions of that name."""

    def __init__(self, b: Bench) -> None:
        self.survivor: Survivor | None = Survivor()
        self.faults: dict[str, list[Exception]] = {}
        self.swept = 0
        self.gate = asyncio.Event()
        self.gate.set()
        for name in ("alive", "adopt", "sweep"):
            setattr(b.runtime, name, getattr(self, name))
        b.runtime.outlives_worker = True

    def _answer(self, question: str) -> None:
        if faults := self.faults.get(question):
            raise faults.pop(0)

    async def alive(self, labels: Mapping[str, str]) -> bool:
        await self.gate.wait()
        self._answer("alive")
        return self.survivor is not None and not self.survivor.end.done()

    async def adopt(self, labels: Mapping[str, str], log: Path) -> Survivor | None:
        self._answer("adopt")
        return self.survivor

    async def sweep(self, home_id: str, known: Container[str]) -> list[str]:
        self._answer("sweep")
        self.swept += 1
        return []


def given(b: Bench, text: bytes | None = None) -> int:
    """A run that a dead worker has handed to a sandbox that lives."""
    number = left_behind(b)
    folder = SessionFolder(b.home.session("team", "s9999-1"))
    (folder.path / "input").mkdir()
    folder.hand_over(RunInput(turn=TURN, prompt="hello", core="echo"))
    if text is not None:
        (folder.path / "input/0.json").write_bytes(text)
    return number


def story(tmp_path: Path, tell: Callable[[Bench, Engine], Awaitable[Any]]) -> None:
    async def told() -> None:
        async with bench(tmp_path, echo) as b:
            await tell(b, Engine(b))

    script(told)


def test_a_runtime_that_is_away_is_waited_for(tmp_path: Path) -> None:
    async def tell(b: Bench, engine: Engine) -> None:
        number = given(b)
        engine.faults = {name: [SandboxUnavailable("away")] for name in ("alive", "sweep")}
        log = b.home.session("team", "s9999-1") / "output/log"
        log.write_bytes(protocol.write_record(TurnEnded(turn=TURN, reply="alive")))
        await b.answered("alive")
        await b.until(lambda: engine.swept, "the sweep")
        assert b.run(number).takeovers == 0

    story(tmp_path, tell)


def test_a_sandbox_that_can_t_be_taken_over_is_ended(tmp_path: Path) -> None:
    async def tell(b: Bench, engine: Engine) -> None:
        given(b)

        async def refuse(session: Session) -> None:
            raise GatewayUnavailable("no way to the model")

        b.sandboxes.connect = refuse  # type: ignore[method-assign]
        await b.answered("turn 1")
        assert engine.survivor is not None
        assert engine.survivor.end.done()

    story(tmp_path, tell)


@pytest.mark.parametrize("fault", [OSError("no descriptors left"), ValueError("nonsense")])
def test_what_nobody_foresaw_counts_as_an_attempt(tmp_path: Path, fault: Exception) -> None:
    async def tell(b: Bench, engine: Engine) -> None:
        number = given(b)
        engine.faults = {"alive": [fault]}
        await b.answered("turn 1")
        assert b.run(number).attempts == 2
        await b.until(lambda: engine.swept == 2, "the sweep of what it may have left")
        assert engine.survivor is not None
        await engine.survivor.stop(0)

    story(tmp_path, tell)


def test_a_takeover_while_the_database_is_locked_leaves_one_watcher(tmp_path: Path) -> None:
    """The agent was never asked, and the run can't be given back yet."""

    async def tell(b: Bench, engine: Engine) -> None:
        given(b, protocol.write_document(RunInput(turn="9.9.9", prompt="x", core="echo")))
        engine.gate.clear()
        await b.until(b.worker.recovery.is_busy, "the takeover")
        b.lock()
        engine.gate.set()
        for _ in range(50):
            await b.drained()
        b.unlock()
        await b.until(lambda: not b.worker.recovery.is_busy(), "the takeover's end")
        waiting = [task for task in asyncio.all_tasks() if task.get_name() == "wait survivor"]
        assert len(waiting) == 1
        assert engine.survivor is not None
        await engine.survivor.stop(0)
        await b.answered("turn 1")

    story(tmp_path, tell)


def test_a_sandbox_of_a_forgotten_conversation_hears_nothing_of_the_new_one(
    tmp_path: Path,
) -> None:
    """The worker died after the agent had left a brief, and before its turn was over."""

    async def tell(b: Bench, engine: Engine) -> None:
        given(b)
        with b.store.atomic() as db:
            conversations.begin_with(db, "team", "local:team", "request:1", "go on", clock.now())
        await b.until(lambda: engine.swept and not b.worker.recovery.is_busy(), "the takeover")
        for _ in range(20):
            await b.drained()
        old = b.home.session("team", "s9999-1")
        assert [path.name for path in (old / "input").iterdir()] == ["0.json"]
        (old / "output/log").write_bytes(
            protocol.write_record(TurnEnded(turn=TURN, reply="old", session_id="one"))
        )
        await b.answered("old", "turn 1")
        begun = b.runtime.places[0].told[0]
        assert isinstance(begun, RunInput)
        assert "go on" in begun.prompt
        assert begun.session_id is None

    story(tmp_path, tell)


@pytest.mark.parametrize("mode", ["isolated", "group"])
def test_a_task_s_run_that_outlived_its_worker_is_heard_to_its_end(
    tmp_path: Path, mode: str
) -> None:
    async def tell(b: Bench, engine: Engine) -> None:
        number = fire(b.store, context_mode=mode)
        lane = b.run(number).lane
        left_at_work(b, lane)
        folder = SessionFolder(b.home.session("team", "s9999-1"))
        (folder.path / "input").mkdir()
        folder.hand_over(RunInput(turn=TURN, prompt="look", core="echo"))
        await b.until(lambda: engine.swept and not b.worker.recovery.is_busy(), "the takeover")
        assert b.run(number).state == "running"
        (folder.path / "output/log").write_bytes(
            protocol.write_record(TurnEnded(turn=TURN, reply="alive", session_id="one"))
        )
        await b.answered("alive")
        assert (b.run(number).attempts, b.run(number).takeovers) == (1, 0)
        await b.until(lambda: not b.worker.is_busy(), "rest")
        assert engine.survivor is not None
        assert engine.survivor.end.done() == (mode == "isolated")
        left = [(one.lane, one.session_id) for one in sessions.all(b.store.db)]
        assert left == ([("chat", "one")] if mode == "group" else [])
        await engine.survivor.stop(0)

    story(tmp_path, tell)


@pytest.mark.parametrize(
    ("lane", "may"), [("chat", True), ("task:a", True), ("child:1", False), ("shell:1", False)]
)
def test_only_where_nobody_waits_beside_it_a_turn_goes_on_without_its_worker(
    lane: str, may: bool
) -> None:
    assert may_outlive(lane) is may
