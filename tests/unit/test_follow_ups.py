"""What is said while an agent works, and what ends its turn: read, queued or stopped, and each
message answered once. Sandboxes are coroutines of this process, all else is real."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from agent_runner.protocol import (
    FollowUp,
    Interrupt,
    Record,
    Replied,
    RunInput,
    Steer,
    Text,
    ToolUse,
    TurnEnded,
)
from pynchy_cli import clock
from pynchy_cli.agent.turn import STOPPED
from pynchy_cli.config.settings import GroupRules, Queue, Settings
from pynchy_cli.store import groups, runs, sessions, steering
from tests.unit.test_worker import SETTINGS, Bench, Place, bench, echo, script


def told(place: Place, kind: type) -> list[str]:
    return [str(getattr(one, "prompt", "")) for one in place.told if isinstance(one, kind)]


def patient(*records: Callable[[Steer], Record]) -> Callable[[Place], Awaitable[None]]:
    """An agent that waits for something to be said during its first turn, writes what comes of
    that, and is an echo afterwards."""

    async def agent(place: Place) -> None:
        await place.document()
        place.write(Text(turn="1.1.0", text="so far"))
        said = await place.document()
        assert isinstance(said, Steer)
        place.write(*[record(said) for record in records])
        await echo(place)

    return agent


async def begun(b: Bench, place: int = 0) -> Place:
    await b.until(lambda: len(b.runtime.places) > place, "the sandbox")
    await b.until(lambda: b.runtime.places[place].told, "the prompt")
    return b.runtime.places[place]


def state(b: Bench, run: int) -> str:
    return str(b.run(run).state)


def cursor(b: Bench) -> int:
    return groups.get(b.store.db, "team").answered_seq


def test_what_is_said_meanwhile_is_told_and_answered_in_the_same_run(tmp_path: Path) -> None:
    agent = patient(lambda said: TurnEnded(turn="1.1.0", reply="both", read=said.through))

    async def story() -> None:
        async with bench(tmp_path, agent) as b:
            b.ask("first")
            place = await begun(b)
            second = b.ask("second <b>")
            await b.answered("both")
            (prompt,) = told(place, Steer)
            assert "second &lt;b&gt;" in prompt
            assert "first" not in prompt
            assert (state(b, 1), state(b, second)) == ("done", "superseded")
            assert (b.run(1).last_seq, cursor(b)) == (2, 2)
            await b.until(lambda: not b.worker.is_busy(), "rest")
            b.ask("third")
            await b.until(lambda: len(b.said()) == 2, "the next answer")
            assert [one.prompt.count("<message ") for one in place.told[2:]] == [1]  # type: ignore[union-attr]

    script(story)


def test_what_a_turn_has_not_read_is_answered_by_the_next(tmp_path: Path) -> None:
    agent = patient(lambda said: TurnEnded(turn="1.1.0", reply="only the first", read=0))

    async def story() -> None:
        async with bench(tmp_path, agent) as b:
            b.ask("first")
            place = await begun(b)
            b.ask("second")
            await b.until(lambda: len(b.said()) == 2, "both answers")
            assert b.said()[0] == "only the first"
            (prompt,) = told(place, FollowUp)
            assert "second" in prompt
            assert "first" not in prompt
            assert cursor(b) == 2

    script(story)


def test_answers_in_the_middle_stay_when_the_rest_fails(tmp_path: Path) -> None:
    async def dies(place: Place) -> None:
        await place.document()
        place.write(Text(turn="1.1.0", text="so far"))
        await place.document()
        place.write(Replied(turn="1.1.0", reply="to the first"), Text(turn="1.1.0", text="and now"))

    async def story() -> None:
        async with bench(tmp_path, dies, echo) as b:
            b.ask("first")
            await begun(b)
            b.ask("second")
            await b.until(lambda: len(b.said()) == 2, "both answers")
            again = b.runtime.places[1].told[0]
            assert isinstance(again, RunInput)
            assert "second" in again.prompt
            assert "first" not in again.prompt
            assert b.said() == ["to the first", "turn 1"]
            assert (state(b, 1), b.run(1).replies, cursor(b)) == ("done", 1, 2)
            keys = [row[0] for row in b.store.db.execute("SELECT key FROM outbound_ledger")]
            assert keys == ["run:1:0", "run:1:1"]

    script(story)


def test_what_a_dying_turn_was_told_is_asked_again_with_the_rest(tmp_path: Path) -> None:
    async def dies(place: Place) -> None:
        await place.document()
        await place.document()

    async def story() -> None:
        async with bench(tmp_path, dies, echo) as b:
            b.ask("first")
            await begun(b)
            b.ask("second")
            await b.answered("turn 1")
            again = b.runtime.places[1].told[0]
            assert isinstance(again, RunInput)
            assert again.prompt.count("<message ") == 2
            assert cursor(b) == 2

    script(story)


def test_a_failed_turn_gives_up_what_it_was_told_and_not_the_rest(tmp_path: Path) -> None:
    agent = patient(lambda said: TurnEnded(turn="1.1.0", error="no", is_permanent=True))

    async def story() -> None:
        async with bench(tmp_path, agent) as b:
            b.ask("first")
            await begun(b)
            b.ask("second")
            await b.until(lambda: len(b.said()) == 2, "both")
            assert b.said()[0].endswith(": no")
            assert (state(b, 1), cursor(b)) == ("failed", 2)
            with b.store.atomic() as db:
                again = runs.get(db, runs.retry(db, 1, clock.now()))
            assert (again.first_seq, again.last_seq) == (1, 1), "the rest was answered"

    script(story)


@pytest.mark.parametrize("how", ["queue", "interrupt"])
def test_a_group_may_have_it_otherwise(tmp_path: Path, how: str) -> None:
    rules = {"team": GroupRules(follow_up=how)}  # type: ignore[arg-type]
    settings = Settings(agent=SETTINGS.agent, queue=SETTINGS.queue, groups=rules)
    go = asyncio.Event()

    async def agent(place: Place) -> None:
        await place.document()
        place.write(Text(turn="1.1.0", text="half an answer"))
        if how == "interrupt":
            assert isinstance(await place.document(), Interrupt)
            place.write(TurnEnded(turn="1.1.0", is_interrupted=True))
        else:
            await go.wait()
            place.write(TurnEnded(turn="1.1.0", reply="a whole answer"))
        await echo(place)

    async def story() -> None:
        async with bench(tmp_path, agent, settings=settings) as b:
            b.ask("first")
            place = await begun(b)
            await b.until(
                lambda: b.store.db.execute("SELECT 1 FROM outbound_ledger").fetchone(), ""
            )
            b.ask("second")
            for _ in range(10):
                await b.drained()
            go.set()
            await b.until(lambda: len(b.said()) == 2, "both answers")
            (prompt,) = told(place, FollowUp)
            assert "second" in prompt
            if how == "queue":
                assert b.said()[0] == "a whole answer"
                assert not told(place, Steer)
            else:
                assert b.said()[0] == "half an answer"
                assert "first" in prompt, "it had no answer yet"
                assert (state(b, 1), b.run(2).attempts) == ("superseded", 1)
            assert cursor(b) == 2

    script(story)


def test_nothing_is_told_to_an_agent_whose_conversation_was_reset(tmp_path: Path) -> None:
    go = asyncio.Event()

    async def agent(place: Place) -> None:
        await place.document()
        await go.wait()
        place.write(TurnEnded(turn="1.1.0", reply="old"))
        await place.document()

    async def story() -> None:
        async with bench(tmp_path, agent, echo) as b:
            b.ask("first")
            place = await begun(b)
            with b.store.atomic() as db:
                sessions.forget(db, "team", "chat", clock.now())
            b.ask("second")
            for _ in range(10):
                await b.drained()
            go.set()
            await b.answered("old", "turn 1")
            assert not told(place, Steer)
            assert "second" in told(b.runtime.places[1], RunInput)[0]

    script(story)


def stop(b: Bench, run: int) -> bool:
    with b.store.atomic() as db:
        return steering.ask(db, run, "stop")


def test_a_turn_that_is_stopped_keeps_what_it_said_and_its_conversation(tmp_path: Path) -> None:
    async def agent(place: Place) -> None:
        await place.document()
        place.write(Text(turn="1.1.0", text="once upon"))
        assert isinstance(await place.document(), Interrupt)
        place.write(
            Text(turn="1.1.0", text=" a time"), TurnEnded(turn="1.1.0", is_interrupted=True)
        )
        await echo(place)

    async def story() -> None:
        async with bench(tmp_path, agent) as b:
            run = b.ask("tell me a story")
            await begun(b)
            assert stop(b, run)
            await b.answered(f"once upon a time\n\n{STOPPED}")
            assert (state(b, run), cursor(b)) == ("cancelled", 1)
            await b.until(lambda: not b.worker.is_busy(), "rest")
            b.ask("next")
            await b.until(lambda: len(b.said()) == 2, "the next answer")
            assert len(b.runtime.places) == 1, "the sandbox stayed"
            assert not stop(b, run)

    script(story)


def test_what_is_said_after_a_stop_is_not_stopped_with_it(tmp_path: Path) -> None:
    """Also where the worker learns of both at once."""

    async def agent(place: Place) -> None:
        await place.document()
        assert isinstance(await place.document(), Interrupt)
        place.write(TurnEnded(turn="1.1.0", is_interrupted=True))
        await echo(place)

    async def story() -> None:
        async with bench(tmp_path, agent) as b:
            run = b.ask("tell me a story")
            place = await begun(b)
            assert stop(b, run)
            b.ask("do this instead")
            await b.answered(STOPPED, "turn 3")
            assert "do this instead" in told(place, FollowUp)[0]
            assert (state(b, run), cursor(b)) == ("cancelled", 2)

    script(story)


def test_an_agent_that_will_not_stop_is_ended(tmp_path: Path) -> None:
    async def deaf(place: Place) -> None:
        await place.document()
        place.write(Text(turn="1.1.0", text="la la la"))
        await asyncio.Event().wait()

    async def story() -> None:
        async with bench(tmp_path, deaf, echo) as b:
            b.worker.at_work.patience = 0.01
            run = b.ask("sing")
            await begun(b)
            await b.until(
                lambda: b.store.db.execute("SELECT 1 FROM outbound_ledger").fetchone(), ""
            )
            assert stop(b, run)
            await b.answered(f"la la la\n\n{STOPPED}")
            assert state(b, run) == "cancelled"
            await b.until(lambda: b.runtime.places[0].is_gone, "its end")

    script(story)


def test_a_run_is_stopped_before_its_sandbox_is_there(tmp_path: Path) -> None:
    async def story() -> None:
        async with bench(tmp_path, echo) as b:
            b.runtime.before = lambda spec: stop(b, 1)  # type: ignore[assignment]
            b.ask("hello")
            await b.until(lambda: state(b, 1) in ("cancelled", "done"), "the end")
            assert len(b.said()) == 1

    script(story)


def test_what_failed_after_tools_is_not_blindly_repeated(tmp_path: Path) -> None:
    async def agent(place: Place) -> None:
        await place.document()
        call = ToolUse(turn="1.1.0", tool_id="t", name="Bash", input={"command": "rm <old>"})
        place.write(call, TurnEnded(turn="1.1.0", error="the model went away"))
        await place.document()

    async def story() -> None:
        async with bench(tmp_path, agent, echo) as b:
            b.ask("clean up")
            await b.until(lambda: b.said(), "the answer")
            prompt = told(b.runtime.places[1], RunInput)[0]
            assert "Bash rm &lt;old&gt;" in prompt
            assert 'ended="the model went away"' in prompt
            assert prompt.rstrip().endswith("</messages>")

    script(story)


def test_the_third_attempt_is_told_of_both_before_it(tmp_path: Path) -> None:
    def fails(name: str) -> Callable[[Place], Awaitable[None]]:
        async def agent(place: Place) -> None:
            document = await place.document()
            assert document is not None
            call = ToolUse(turn=document.turn, tool_id="t", name=name, input={})
            place.write(call, TurnEnded(turn=document.turn, error=f"after {name}"))

        return agent

    async def story() -> None:
        queue = Queue(base_retry=0.0, max_retries=2)
        settings = Settings(agent=SETTINGS.agent, queue=queue)
        async with bench(tmp_path, fails("Write"), fails("Bash"), echo, settings=settings) as b:
            b.ask("clean up")
            await b.answered("turn 1")
            prompt = told(b.runtime.places[2], RunInput)[0]
            assert prompt.index("<call>Write") < prompt.index("<call>Bash")
            assert prompt.index("after Bash") < prompt.index("<messages>")

    script(story)


def test_no_group_waits_for_another_s_second_turn(tmp_path: Path) -> None:
    async def story() -> None:
        async with bench(tmp_path, echo, concurrency=1) as b:
            b.add_group("other")
            order: list[str] = []

            def claim() -> str | None:
                with b.store.atomic() as db:
                    run = runs.claim(db, b.context.owner, 1, clock.now())
                    if run is None:
                        return None
                    runs.finish(db, run, "done", clock.now())
                order.append(run.group_folder)
                return run.group_folder

            b.ask("one", "team")
            claim()
            b.ask("two", "team")
            b.ask("hello", "other")
            claim()
            b.ask("three", "team")
            b.ask("more", "other")
            while claim():
                pass
            assert order == ["team", "other", "team", "other"]

    script(story)
