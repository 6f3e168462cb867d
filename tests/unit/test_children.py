"""Runs that belong to another run: an agent hands a task to a sandbox of its own, within bounds,
and gets what comes of it. Sandboxes are coroutines of this process; their files, the desk and the
worker are real."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agent_runner.protocol import (
    Answer,
    FollowUp,
    RunInput,
    Text,
    TurnEnded,
    read_answer,
    requests,
)
from pynchy_cli import clock
from pynchy_cli.agent import patience
from pynchy_cli.agent.specification import PARENT_INSIDE
from pynchy_cli.config.settings import Agent, Queue, Sandbox, Settings
from pynchy_cli.errors import DatabaseBusy, RequestRefused
from pynchy_cli.ipc.desk import Desk
from pynchy_cli.ipc.handlers.children import EFFECTS
from pynchy_cli.sandbox.base import Spec
from pynchy_cli.store import cancelling, children, runs, sessions
from pynchy_cli.store import requests as requests_store
from tests.asking import asking
from tests.unit.test_worker import Agency, Bench, Place, bench, script

Does = Callable[[Place, str], Awaitable[str]]
"""What an agent answers to a prompt."""


class Asker:
    """Asks by files, as the tools in a sandbox do."""

    def __init__(self, place: Place) -> None:
        self.place = place

    def write(self, number: int, request: requests.Request) -> str:
        id = f"r{number}"
        folder = self.place.ipc / "requests"
        draft = folder / ".draft"
        draft.write_bytes(requests.write_request(request))
        draft.rename(folder / f"{number:08d}-{id}.json")
        return id

    async def answer(self, id: str) -> Answer:
        path = self.place.ipc / "responses" / f"{id}.json"
        while True:
            if path.exists():
                return read_answer(path.read_bytes())
            await asyncio.sleep(0.002)


async def ask(place: Place, request: requests.Request, number: int = 1) -> Answer:
    asker = Asker(place)
    return await asker.answer(asker.write(number, request))


def agent(**does: Does) -> Agency:
    """An agent that does what stands under the first word of its prompt, or under `chat`."""

    async def lives(place: Place) -> None:
        while (document := await place.document()) is not None:
            if not isinstance(document, RunInput | FollowUp):
                continue
            prompt = document.prompt
            word = "chat" if prompt.startswith("<") else prompt.partition(" ")[0]
            try:
                place.write(TurnEnded(turn=document.turn, reply=await does[word](place, prompt)))
            except RuntimeError as error:
                place.write(TurnEnded(turn=document.turn, error=str(error)))

    return lives


def settings(**more: Any) -> Settings:
    queue = Queue(base_retry=0.0, max_retries=1, max_concurrent=more.pop("max_concurrent", 1))
    return Settings(agent=Agent(core="echo"), queue=queue, sandbox=Sandbox(stop_grace=0, **more))


@asynccontextmanager
async def attended(root: Path, lives: Agency, **more: Any) -> AsyncIterator[Bench]:
    """A worker for one run at a time, and a desk beside it."""
    made = settings(**more)
    concurrency = made.queue.max_concurrent
    async with bench(root, lives, settings=made, concurrency=concurrency) as b:
        desk = Desk(b.context)

        async def attend() -> None:
            while True:
                with contextlib.suppress(DatabaseBusy):
                    desk.drain()
                await asyncio.sleep(0.002)

        task = asyncio.ensure_future(attend())
        try:
            yield b
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            await desk.stop()


def rows(b: Bench, query: str) -> list[Any]:
    return [tuple(row) for row in b.store.db.execute(query)]


def code(answer: Answer) -> str:
    assert answer.error is not None, answer.result
    return answer.error.code


async def idle(b: Bench) -> None:
    await b.until(lambda: not runs.unfinished(b.store.db, "team"), "the end of all runs")


@pytest.mark.parametrize("limit", [1, 3])
def test_a_child_answers_its_parent_and_nobody_else(tmp_path: Path, limit: int) -> None:
    async def parent(place: Place, prompt: str) -> str:
        told = await ask(place, requests.RunInSandbox(task="count the sheep"))
        return f"{told.result['state']}: {told.result['result']}"

    async def child(place: Place, prompt: str) -> str:
        place.write(Text(turn=place.told[-1].turn, text="one, two"))
        return f"seven, for: {prompt} <internal>or eight</internal>"

    async def story() -> None:
        async with attended(tmp_path, agent(chat=parent, count=child), max_concurrent=limit) as b:
            b.ask()
            await b.answered("done: seven, for: count the sheep")
            await idle(b)
            assert rows(b, "SELECT kind, lane, state, parent, depth, shares, result FROM runs") == [
                ("chat", "chat", "done", None, 0, None, None),
                ("child", "child:1", "done", 1, 1, "read", "seven, for: count the sheep"),
            ]
            assert rows(b, "SELECT state, delivered FROM requests") == [("done", 1)]
            assert rows(b, "SELECT run_id FROM outbound_ledger") == [(1,)]
            assert rows(b, "SELECT content FROM messages WHERE sender = 'pynchy'") == [
                ("done: seven, for: count the sheep",)
            ]
            await b.until(lambda: not sessions.get(b.store.db, "team", "child:1").folder, "the end")
            assert rows(b, "SELECT lane FROM sessions") == [("chat",)]
            told = b.runtime.places[1].told[0]
            assert isinstance(told, RunInput)
            assert told.session_id is None
            assert not told.stay
            assert "Another agent of this group" in (told.system_prompt or "")
            assert b.runtime.places[1].name == "pynchy-team-child-1"

    script(story)


def test_a_child_may_have_a_child_where_one_run_is_at_work_at_a_time(tmp_path: Path) -> None:
    at_work: list[str] = []
    most: list[int] = []

    async def worked(name: str, wait: Awaitable[Answer] | None) -> str:
        """Counts who is at work: whoever waits isn't."""
        if wait is None:
            at_work.append(name)
            most.append(len(at_work))
            await asyncio.sleep(0.02)
            at_work.remove(name)
            return name
        told = await wait
        return f"{name}({told.result['result']})"

    async def parent(place: Place, prompt: str) -> str:
        return await worked("a", ask(place, requests.RunInSandbox(task="second")))

    async def second(place: Place, prompt: str) -> str:
        return await worked("b", ask(place, requests.RunInSandbox(task="third")))

    async def third(place: Place, prompt: str) -> str:
        told = await ask(place, requests.RunInSandbox(task="fourth"))
        assert code(told) == "too_deep"
        return await worked("c", None)

    async def other(place: Place, prompt: str) -> str:
        return await worked("other", None)

    async def lives(place: Place) -> None:
        does = {"second": second, "third": third}
        await agent(chat=parent if place.name == "pynchy-team" else other, **does)(place)

    async def story() -> None:
        async with attended(tmp_path, lives) as b:
            b.add_group("others")
            b.ask()
            for _ in range(3):
                b.ask(folder="others")
            await b.until(lambda: sorted(b.said()) == ["a(b(c))", "other"], f"{b.said()}")
            assert set(most) == {1}

    script(story)


def test_a_child_that_fails_is_not_tried_again_and_its_parent_is_told(tmp_path: Path) -> None:
    async def parent(place: Place, prompt: str) -> str:
        told = await ask(place, requests.RunInSandbox(task="fail"))
        assert told.error is not None
        return f"{told.error.code}: {told.error.message}"

    async def fails(place: Place, prompt: str) -> str:
        raise RuntimeError("there are no sheep")

    async def story() -> None:
        async with attended(tmp_path, agent(chat=parent, fail=fails)) as b:
            b.ask()
            await b.answered("run_failed: there are no sheep")
            assert b.run(2).attempts == 1
            assert b.run(2).state == "failed"

    script(story)


def test_what_is_not_waited_for_is_collected_in_a_later_turn(tmp_path: Path) -> None:
    go = asyncio.Event()
    found: list[Answer] = []

    async def parent(place: Place, prompt: str) -> str:
        match prompt:
            case text if "begin" in text:
                found.append(await ask(place, requests.RunInSandbox(task="slow", wait=False)))
            case text if "look" in text:
                found.append(await ask(place, requests.CollectSandbox(run=2, wait=False), 2))
            case _:
                found.append(await ask(place, requests.CollectSandbox(run=2), 3))
        return "so"

    async def slow(place: Place, prompt: str) -> str:
        await go.wait()
        return "slowly"

    async def story() -> None:
        async with attended(tmp_path, agent(chat=parent, slow=slow), max_concurrent=2) as b:
            b.ask("begin")
            await b.until(lambda: len(b.said()) == 1, "the first answer")
            b.ask("look")
            await b.until(lambda: len(b.said()) == 2, "the second answer")
            b.ask("now")
            await b.until(lambda: rows(b, "SELECT 1 FROM requests WHERE child_run"), "the wait")
            go.set()
            await b.until(lambda: len(b.said()) == 3, "the third answer")
            assert found[0].result["run"] == 2
            assert found[1].result["state"] in ("queued", "running")
            assert found[2].result == {"run": 2, "state": "done", "result": "slowly"}

    script(story)


def test_a_stranger_s_child_is_like_none(tmp_path: Path) -> None:
    answers: list[Answer] = []

    async def parent(place: Place, prompt: str) -> str:
        if place.name == "pynchy-team":
            await ask(place, requests.RunInSandbox(task="secret"))
            answers.append(await ask(place, requests.CollectSandbox(run=2), 2))
        else:
            answers.extend(
                [
                    await ask(place, requests.CollectSandbox(run=number, wait=wait), n)
                    for n, (number, wait) in enumerate([(2, True), (1, True), (999, False)])
                ]
            )
        return "so"

    async def secret(place: Place, prompt: str) -> str:
        told = await ask(place, requests.CollectSandbox(run=2))
        assert code(told) == "run_unknown", "nobody waits for himself"
        return "a secret"

    async def story() -> None:
        async with attended(tmp_path, agent(chat=parent, secret=secret)) as b:
            b.add_group("others")
            b.ask()
            await b.until(lambda: len(b.said()) == 1, "the child")
            b.ask(folder="others")
            await b.until(lambda: len(b.said()) == 2, "the stranger")
            assert answers[0].result["result"] == "a secret"
            said = {(code(one), str(one.error and one.error.message)) for one in answers[1:]}
            assert {kind for kind, _ in said} == {"run_unknown"}
            assert "secret" not in str(said)

    script(story)


@pytest.mark.parametrize("gone", ["the run", "the sandbox"])
def test_nobody_starts_what_its_asker_will_not_hear_of(tmp_path: Path, gone: str) -> None:
    """The request was approved when its turn, or its sandbox, was over."""
    with asking(tmp_path) as made:
        group = made.group("team")
        asked = made.asked(group, requests.RunInSandbox(task="late"))
        now = clock.now()
        with made.store.atomic() as db:
            owner = made.context.owner
            run = runs.start_now(db, "team", "chat", "chat", "x", owner, now)
            assert run is not None
            folder = asked.row.session if gone == "the run" else "another"
            session = {"folder": folder, "owner": owner, "sandbox": "x", "runtime": "x"}
            sessions.begin(db, "team", "chat", now=now, **session)  # type: ignore[arg-type]
            if gone == "the run":
                runs.finish(db, run, "done", now)
        late = replace(asked, row=replace(asked.row, run_id=run.id))
        for wish in (late, replace(late, request=requests.RunInSandbox(task="late", wait=False))):
            with pytest.raises(RequestRefused) as refusal:
                made.told(EFFECTS["run_in_sandbox"], wish)
            assert refusal.value.code == "no_turn"
        assert children.unfinished(made.store.db, "team") == 0


def test_bounds_are_refused_in_a_sentence(tmp_path: Path) -> None:
    refused: list[str] = []

    async def parent(place: Place, prompt: str) -> str:
        for number in range(3):
            told = await ask(place, requests.RunInSandbox(task="hang", wait=False), number)
            if told.error is not None:
                refused.append(f"{told.error.code} {told.error.message}")
        return "so"

    async def hang(place: Place, prompt: str) -> str:
        await asyncio.Event().wait()
        return ""

    async def story() -> None:
        lives = agent(chat=parent, hang=hang)
        async with attended(tmp_path, lives, max_concurrent=5, max_children=2) as b:
            b.ask()
            await b.answered("so")
            assert len(refused) == 1
            assert refused[0].startswith("too_many This group has 2 such sandboxes at work")
            assert children.unfinished(b.store.db, "team") == 2

    script(story)


def test_no_child_hands_on_more_of_the_folder_than_it_has(tmp_path: Path) -> None:
    wanted = ("none", "read", "write")
    had: dict[tuple[str, str], bool] = {}

    async def parent(place: Place, prompt: str) -> str:
        for number, shares in enumerate(wanted):
            told = await ask(
                place,
                requests.RunInSandbox(task=f"child {shares}", folder=shares),  # type: ignore[arg-type]
                number,
            )
            assert told.ok, told
        return "so"

    async def child(place: Place, prompt: str) -> str:
        own = prompt.split()[1]
        for number, shares in enumerate(wanted):
            told = await ask(
                place,
                requests.RunInSandbox(task="leaf", folder=shares),  # type: ignore[arg-type]
                number,
            )
            had[own, shares] = told.ok
            assert told.ok or code(told) == "forbidden"
        return "so"

    async def leaf(place: Place, prompt: str) -> str:
        return "so"

    async def story() -> None:
        async with attended(tmp_path, agent(chat=parent, child=child, leaf=leaf)) as b:
            b.ask()
            await b.answered("so")
            assert {pair for pair, ok in had.items() if ok} == {
                *(("none", "none"), ("read", "none"), ("read", "read")),
                *(("write", "none"), ("write", "read"), ("write", "write")),
            }

    script(story)


def test_what_a_child_sees_is_its_own_but_for_what_it_shares(tmp_path: Path) -> None:
    async def parent(place: Place, prompt: str) -> str:
        for number, shares in enumerate(("none", "read", "write")):
            task = requests.RunInSandbox(task="leaf", folder=shares)  # type: ignore[arg-type]
            await ask(place, task, number)
        return "so"

    async def leaf(place: Place, prompt: str) -> str:
        return "so"

    async def story() -> None:
        async with attended(tmp_path, agent(chat=parent, leaf=leaf)) as b:
            specs: list[Spec] = []
            b.runtime.before = specs.append
            b.ask()
            await b.answered("so")
            whole = b.home.group("team")
            first, *others = ({one.target: one for one in spec.mounts} for spec in specs)
            assert first["/workspace/group"].source == whole
            assert [one["/workspace/group"].source == whole for one in others] == [
                *(False, False, True)
            ]
            assert [one[PARENT_INSIDE].writable for one in others if PARENT_INSIDE in one] == [
                False
            ]
            assert others[1][PARENT_INSIDE].source == whole
            for one, spec in zip(others, specs[1:], strict=True):
                own = one["/workspace/ipc/input"].source.parent
                is_shared = PARENT_INSIDE in one or one is others[2]
                allowed = {whole, b.home.received("team")} if is_shared else set()
                assert {
                    mount.source
                    for mount in spec.mounts
                    if own != mount.source and own not in mount.source.parents
                } == allowed
                assert spec.uid == specs[0].uid
                assert spec.limits == specs[0].limits

    script(story)


@pytest.mark.parametrize("waits", [True, False])
def test_children_that_are_waited_for_end_with_their_parent(tmp_path: Path, waits: bool) -> None:
    go = asyncio.Event()

    async def parent(place: Place, prompt: str) -> str:
        if "again" in prompt:
            return "again"
        await ask(place, requests.RunInSandbox(task="slow", wait=waits))
        await asyncio.Event().wait()
        return ""

    async def slow(place: Place, prompt: str) -> str:
        await go.wait()
        return "slowly"

    async def story() -> None:
        async with attended(tmp_path, agent(chat=parent, slow=slow), max_concurrent=2) as b:
            b.worker.at_work.patience = 0.01
            b.ask()
            await b.until(lambda: len(b.runtime.places) == 2, "the child")
            await b.until(lambda: b.runtime.places[1].told, "the child's task")
            with b.store.atomic() as db:
                cancelling.cancel(db, 1, clock.now())
            await b.until(lambda: b.run(1).state == "cancelled", "the parent's end")
            if not waits:
                go.set()
            await b.until(lambda: b.run(2).state not in ("queued", "running"), "the child's end")
            assert b.run(2).state == ("cancelled" if waits else "done")
            assert b.said() == ["(Stopped.)"]
            await b.until(lambda: not rows(b, "SELECT 1 FROM requests WHERE answer IS NULL"), "it")
            b.ask("again")
            await b.answered("(Stopped.)", "again")

    script(story)


def test_a_child_that_waits_for_its_turn_is_cancelled_at_once(tmp_path: Path) -> None:
    go = asyncio.Event()

    async def parent(place: Place, prompt: str) -> str:
        await ask(place, requests.RunInSandbox(task="slow", wait=False))
        await go.wait()
        return code(await ask(place, requests.CollectSandbox(run=2), 2))

    async def story() -> None:
        async with attended(tmp_path, agent(chat=parent)) as b:
            b.ask()
            await b.until(lambda: children.unfinished(b.store.db, "team"), "the child")
            with b.store.atomic() as db:
                assert cancelling.cancel(db, 2, clock.now()).state == "cancelled"
            go.set()
            await b.answered("run_cancelled")
            assert len(b.runtime.places) == 1

    script(story)


def test_an_agent_that_waits_for_a_child_is_not_taken_for_dead(tmp_path: Path) -> None:
    """The child goes on until its parent's time would be over twice; then the parent's goes on."""
    limit = 0.5

    async def parent(place: Place, prompt: str) -> str:
        told = await ask(place, requests.RunInSandbox(task="talk"))
        place.write(Text(turn=place.told[-1].turn, text=told.result["result"]))
        await asyncio.Event().wait()
        return ""

    async def talk(place: Place, prompt: str) -> str:
        began = clock.now()
        while clock.seconds_between(began, clock.now()) < 2 * limit:
            place.write(Text(turn=place.told[-1].turn, text="."))
            await asyncio.sleep(0.02)
        return "all that time"

    async def story() -> None:
        lives = agent(chat=parent, talk=talk)
        async with attended(tmp_path, lives, activity_timeout=limit, start_timeout=limit) as b:
            b.ask()
            await b.until(lambda: b.run(1).error, "the parent's end")
            assert b.run(1).error == f"the agent gave no sign of life for {limit:g} s"
            assert b.run(2).state == "done"
            assert rows(b, "SELECT state FROM requests WHERE id = 1") == [("done",)]

    script(story)


def test_time_waited_is_counted_once() -> None:
    def at(second: int) -> str:
        return clock.after("2026-01-31T08:00:00.000Z", second)

    waits = [(at(10), at(20)), (at(15), at(30)), (at(50), None), (at(0), at(2)), (at(55), at(56))]
    assert patience.waited(waits, at(5), at(60)) == 30
    assert patience.waited(waits, at(25), at(40)) == 5
    assert patience.waited([], at(5), at(60)) == 0
    assert patience.waited([(at(70), None)], at(5), at(60)) == 0


def test_who_waited_while_the_clock_was_set_back_is_not_taken_for_silent() -> None:
    """F47: by such a clock the wait has not begun yet."""
    limits = Sandbox(activity_timeout=0.5, run_timeout=600)
    one = patience.Patience(limits, is_cold=False)
    while one.left() > 0:
        time.sleep(0.05)
    assert one.left_after(lambda seconds: (0.0, True)) > 0
    assert one.left_after(lambda seconds: (0.0, False)) > 0


def test_a_long_answer_is_cut_and_says_so() -> None:
    assert children.bounded("é" * 10) == "é" * 10
    cut = children.bounded("é" * children.RESULT)
    assert len(cut.encode()) <= children.RESULT
    assert cut.endswith(children.CUT)


def claimed(b: Bench, limit: int) -> int | None:
    with b.store.atomic() as db:
        run = runs.claim(db, b.context.owner, limit, clock.now())
    return run.id if run else None


def test_who_waits_gives_one_place_to_whom_it_waits_for(tmp_path: Path) -> None:
    """Two runs wait for the same child, which goes before all else."""

    def waits(b: Bench, run: int, child: int) -> None:
        with b.store.atomic() as db:
            asker = runs.get(db, run)
            row = requests_store.add(
                db,
                group_folder=asker.group_folder,
                session="s",
                request_id=f"r{run}",
                lane=asker.lane,
                role="group",
                type="collect_sandbox",
                payload="{}",
                state="accepted",
                run_id=run,
                now=clock.now(),
            )
            requests_store.wait_for(db, row.id, child)

    async def story() -> None:
        async with bench(tmp_path, agent()) as b:
            b.add_group("others")
            first = b.ask()
            second = b.ask(folder="others")
            assert claimed(b, 2) == first
            assert claimed(b, 2) == second
            b.add_group("third")
            third = b.ask(folder="third")
            with b.store.atomic() as db:
                child = children.queue(db, runs.get(db, first), 1, "task", "none", clock.now())
            assert claimed(b, 2) is None
            waits(b, first, child)
            waits(b, second, child)
            assert runs.yielding(b.store.db, b.context.owner) == 1
            assert claimed(b, 2) == child
            assert claimed(b, 2) is None
            with b.store.atomic() as db:
                runs.finish(db, runs.get(db, child), "done", clock.now(), None, "so")
            assert runs.yielding(b.store.db, b.context.owner) == 0
            assert claimed(b, 2) is None
            assert claimed(b, 3) == third
            with b.store.atomic() as db:
                for run in (first, second, third):
                    runs.finish(db, runs.get(db, run), "done", clock.now())

    script(story)
