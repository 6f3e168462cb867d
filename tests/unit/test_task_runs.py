"""What the firings of tasks do to a group's conversation: nothing that anybody there would notice
but an answer. Sandboxes are coroutines of this process, all else is real."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from agent_runner.protocol import FollowUp, Interrupt, RunInput, Steer, Text, ToolUse, TurnEnded
from pynchy_cli import clock
from pynchy_cli.config.paths import Home
from pynchy_cli.config.settings import GroupRules, Sandbox, Settings
from pynchy_cli.model import CHAT_LANE
from pynchy_cli.sandbox.base import Spec
from pynchy_cli.store import cancelling, conversations, groups, runs, sessions
from pynchy_cli.store.connection import Store
from pynchy_cli.tui import stopping
from tests.fired import fire
from tests.unit.test_worker import SETTINGS, Agency, Bench, Place, bench, left_at_work, script

Ends = Callable[[Place, str], Awaitable[TurnEnded]]


def lives(end: Ends) -> Agency:
    """An agent whose conversations are named after what they began with; `end` gives the ends of
    its turns, whose names are left out."""

    async def agent(place: Place) -> None:
        known: str | None = None
        while (document := await place.document()) is not None:
            if isinstance(document, RunInput):
                known = document.session_id or f"of {place.ipc.name}"
            if isinstance(document, RunInput | FollowUp):
                ended = await end(place, document.prompt)
                fields = {"turn": document.turn, "session_id": known}
                place.write(
                    TurnEnded(reply=ended.reply, error=ended.error, is_permanent=True, **fields)  # type: ignore[arg-type]
                    if ended.error
                    else TurnEnded(reply=ended.reply, is_interrupted=ended.is_interrupted, **fields)  # type: ignore[arg-type]
                )
                if isinstance(document, RunInput) and not document.stay:
                    return

    return agent


async def repeat(place: Place, prompt: str) -> TurnEnded:
    """Answers with its place's number of the turn, and whether it is a task's."""
    what = "task" if not prompt.startswith("<") else "chat"
    return TurnEnded(turn="", reply=f"{what} {len(place.told)}")


def prompts(place: Place) -> list[str]:
    return [one.prompt for one in place.told if isinstance(one, RunInput | FollowUp)]


def session(b: Bench) -> tuple[str | None, str | None, int]:
    known = sessions.get(b.store.db, "team", CHAT_LANE)
    return known.session_id, known.folder, known.generation


def cursors(b: Bench) -> tuple[int, int]:
    group = groups.get(b.store.db, "team")
    return group.routed_seq, group.answered_seq


def traces(b: Bench, run: int) -> list[tuple[str, str]]:
    query = (
        "SELECT event_type, payload FROM events"
        " WHERE run_id = ? AND event_type <> 'begun' ORDER BY id"
    )
    return [tuple(row) for row in b.store.db.execute(query, (run,))]


async def done(b: Bench, run: int, state: str = "done") -> None:
    await b.until(lambda: b.run(run).state == state, f"the end of {b.run(run)}")


def test_an_isolated_run_is_at_work_beside_the_conversation_and_leaves_nothing(
    tmp_path: Path,
) -> None:
    go = asyncio.Event()
    specs: list[Spec] = []

    async def end(place: Place, prompt: str) -> TurnEnded:
        if prompt == "look":
            await go.wait()
        return await repeat(place, prompt)

    async def story() -> None:
        async with bench(tmp_path, lives(end)) as b:
            b.runtime.before = specs.append
            b.ask()
            await b.answered("chat 1")
            before = session(b)
            firing = fire(b.store, id="Daily_news.v2")
            await b.until(lambda: len(b.runtime.places) == 2, "the second sandbox")
            chat, own = b.runtime.places
            assert [place.ipc.name[0] for place in b.runtime.places] == ["s", "t"]
            await b.until(lambda: own.told, "the prompt")
            (told,) = own.told
            assert isinstance(told, RunInput)
            assert (told.prompt, told.session_id, told.stay) == ("look", None, False)
            b.ask("meanwhile")
            await b.answered("chat 1", "chat 2")
            assert b.run(firing).state == "running"
            went_on = cursors(b)
            go.set()
            await b.answered("chat 1", "chat 2", "task 1")
            await b.until(lambda: own.is_gone and not b.worker.is_busy(), "its end")
            assert (session(b), cursors(b)) == (before, went_on)
            assert [one.lane for one in sessions.all(b.store.db)] == [CHAT_LANE]
            assert b.run(firing).last_seq == 0
            b.ask("again")
            await b.until(lambda: len(b.said()) == 4, "the last answer")
            assert (b.said()[-1], len(chat.told)) == ("chat 3", 3)

    script(story)
    assert [spec.name for spec in specs] == ["pynchy-team", "pynchy-team-task-Daily_news.v2"]
    states = [one.source for spec in specs for one in spec.mounts if one.target.endswith(".claude")]
    assert states[0] == tmp_path / "home/data/claude/team"
    assert states[1].parent.parent == tmp_path / "home/data/ipc/team"
    work = {one.source for spec in specs for one in spec.mounts if one.target.endswith("/group")}
    assert work == {tmp_path / "home/groups/team"}
    assert not states[1].exists()


def test_two_firings_of_a_task_have_nothing_of_each_other(tmp_path: Path) -> None:
    async def story() -> None:
        async with bench(tmp_path, lives(repeat)) as b:
            first, second = fire(b.store), fire(b.store, "and look again")
            await done(b, second)
            assert b.run(first).finished_at <= b.run(second).started_at
            told = [place.told for place in b.runtime.places]
            assert [[one.session_id for one in some if isinstance(one, RunInput)] for some in told]
            assert [len(some) for some in told] == [1, 1]
            assert b.said() == ["task 1", "task 1"]
            await b.until(lambda: not b.left(), "the end of both")

    script(story)


@pytest.mark.parametrize("idle", [300.0, 0.0], ids=["warm", "cold"])
def test_a_group_s_run_goes_on_with_its_conversation_and_leaves_it(
    tmp_path: Path, idle: float
) -> None:
    rules = Settings(agent=SETTINGS.agent, queue=SETTINGS.queue, sandbox=Sandbox(idle_timeout=idle))

    async def story() -> None:
        async with bench(tmp_path, lives(repeat), settings=rules) as b:
            b.ask()
            await b.until(lambda: len(b.said()) == 1, "the first answer")
            await b.until(lambda: not b.worker.is_busy(), "rest")
            name, folder, _ = session(b)
            began = cursors(b)
            await done(b, fire(b.store, context_mode="group"))
            assert cursors(b) == began
            await b.until(lambda: not b.worker.is_busy(), "rest")
            b.ask("again")
            await b.until(lambda: len(b.said()) == 3, "the last answer")
            await b.until(lambda: not b.worker.is_busy(), "rest")
            if idle:
                (place,) = b.runtime.places
                assert [type(one) for one in place.told] == [RunInput, FollowUp, FollowUp]
                assert prompts(place)[1] == "look"
                assert session(b) == (name, folder, 0)
                return
            told = [place.told[0] for place in b.runtime.places]
            assert [one.session_id for one in told if isinstance(one, RunInput)] == [
                *(None, name),
                name,
            ]
            assert session(b)[0] == name

    script(story)


def test_a_group_s_run_begins_the_conversation_that_goes_on_after_it(tmp_path: Path) -> None:
    async def story() -> None:
        async with bench(tmp_path, lives(repeat)) as b:
            fire(b.store, context_mode="group")
            await b.answered("task 1")
            b.ask()
            await b.answered("task 1", "chat 2")
            assert len(b.runtime.places) == 1

    script(story)


@pytest.mark.parametrize("follow_up", ["steer", "interrupt", "queue"])
def test_what_is_said_during_a_group_s_run_waits_and_is_answered_after_it(
    tmp_path: Path, follow_up: str
) -> None:
    go = asyncio.Event()
    team = GroupRules(follow_up=follow_up)  # type: ignore[arg-type]
    rules = Settings(agent=SETTINGS.agent, queue=SETTINGS.queue, groups={"team": team})

    async def end(place: Place, prompt: str) -> TurnEnded:
        if prompt == "look":
            await go.wait()
        return await repeat(place, prompt)

    async def story() -> None:
        async with bench(tmp_path, lives(end), settings=rules) as b:
            firing = fire(b.store, context_mode="group")
            await b.until(lambda: b.runtime.places and b.runtime.places[0].told, "the prompt")
            asked = b.ask("and the owl?")
            assert b.ask("and Minka?") == asked
            for _ in range(20):
                await b.drained()
            (place,) = b.runtime.places
            assert not [one for one in place.told if isinstance(one, Steer | Interrupt)]
            assert (b.run(firing).state, b.run(asked).state) == ("running", "queued")
            go.set()
            await b.answered("task 1", "chat 2")
            assert all(words in prompts(place)[1] for words in ("and the owl?", "and Minka?"))
            assert (b.run(asked).state, cursors(b)[1]) == ("done", 2)
            assert (b.run(firing).first_seq, b.run(firing).last_seq) == (0, 0)

    script(story)


async def wait_or_end(place: Place, prompt: str) -> TurnEnded:
    """A task's turn ends when it is asked to; others at once."""
    if prompt != "look":
        return await repeat(place, prompt)
    name = f"{len(place.told)}"
    turn = next(one.turn for one in reversed(place.told) if isinstance(one, RunInput | FollowUp))
    place.write(Text(turn=turn, text=f"so far, {name}"))
    while not isinstance(await place.document(), Interrupt):
        pass
    return TurnEnded(turn="", reply="so far", is_interrupted=True)


def test_a_group_s_run_is_stopped_in_the_chat_and_the_conversation_goes_on(
    tmp_path: Path,
) -> None:
    async def story() -> None:
        async with bench(tmp_path, lives(wait_or_end)) as b:
            b.ask()
            await b.answered("chat 1")
            before = session(b)
            firing = fire(b.store, context_mode="group")
            await b.until(lambda: len(b.runtime.places[0].told) == 2, "the prompt")
            with b.store.atomic() as db:
                stopped = cancelling.stop(db, "team", clock.now())
            assert stopped is not None
            assert stopped.id == firing
            await done(b, firing, "cancelled")
            assert b.said() == ["chat 1"]
            assert traces(b, firing) == [("text", '{"text": "so far, 2"}')]
            b.ask("again")
            await b.until(lambda: len(b.said()) == 2, "the answer")
            assert session(b) == before
            assert len(b.runtime.places) == 1

    script(story)


@pytest.mark.parametrize("is_at_work", [True, False], ids=["running", "queued"])
def test_a_conversation_that_is_forgotten_stays_so_whatever_a_run_of_its_does(
    tmp_path: Path, is_at_work: bool
) -> None:
    go = asyncio.Event()

    async def end(place: Place, prompt: str) -> TurnEnded:
        if prompt == "look":
            await go.wait()
        return await repeat(place, prompt)

    async def story() -> None:
        async with bench(tmp_path, lives(end)) as b:
            b.ask()
            await b.answered("chat 1")
            old = session(b)[0]
            await b.until(lambda: not b.worker.is_busy(), "rest")
            firing = fire(b.store, context_mode="group")
            if is_at_work:
                await b.until(lambda: len(b.runtime.places[0].told) == 2, "the prompt")
            with b.store.atomic() as db:
                conversations.reset(db, "team", CHAT_LANE, 1, clock.now())
            go.set()
            await done(b, firing)
            await b.until(lambda: not b.worker.is_busy(), "rest")
            b.ask("again")
            await b.until(lambda: len(b.said()) == 3, "the answer")
            assert len(b.runtime.places) == 2, "the old one is gone"
            assert session(b)[0] not in (None, old)

    script(story)


@pytest.mark.parametrize(
    ("reply", "said", "kept"),
    [
        ("It rains.", ["It rains."], "It rains."),
        ("It rains.<internal>Still.</internal>", ["It rains."], "It rains."),
        ("<internal>Nothing new.</internal>", [], ""),
        ("", [], ""),
        ("x" * 100_000, ["x" * 100_000], None),
    ],
    ids=["answer", "both", "internal", "empty", "long"],
)
@pytest.mark.parametrize("mode", ["isolated", "group"])
def test_only_what_is_for_people_is_posted(
    tmp_path: Path, mode: str, reply: str, said: list[str], kept: str | None
) -> None:
    async def end(place: Place, prompt: str) -> TurnEnded:
        turn = place.told[-1].turn
        place.write(Text(turn=turn, text="Let me look."))
        place.write(ToolUse(turn=turn, tool_id="t1", name="Bash", input={"command": "ls"}))
        await wrote.wait()
        return TurnEnded(turn="", reply=reply)

    wrote = asyncio.Event()

    async def story() -> None:
        async with bench(tmp_path, lives(end)) as b:
            firing = fire(b.store, context_mode=mode)
            await b.until(lambda: len(traces(b, firing)) == 2, "the trace")
            assert not rows(b, "outbound_ledger")
            wrote.set()
            await done(b, firing)
            assert b.said() == said
            assert rows(b, "messages") == len(said)
            query = "SELECT result FROM runs WHERE id = ?"
            (result,) = b.store.db.execute(query, (firing,)).fetchone()
            assert result == kept or (kept is None and 60_000 < len(result) < 70_000)

    script(story)


def rows(b: Bench, table: str) -> int:
    return int(b.store.db.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


@pytest.mark.parametrize("how", ["ends", "fails", "dies"])
def test_an_agent_that_has_finished_its_work_says_nothing_and_does_none_of_it_again(
    tmp_path: Path, how: str
) -> None:
    hushed = asyncio.Event()

    async def end(place: Place, prompt: str) -> TurnEnded:
        await hushed.wait()
        if how == "dies":
            place.forge()
            await asyncio.Event().wait()
        if how == "fails":
            return TurnEnded(turn="", error="no more")
        return TurnEnded(turn="", reply="All is well.")

    async def story() -> None:
        async with bench(tmp_path, lives(end)) as b:
            firing = fire(b.store)
            await b.until(lambda: b.runtime.places and b.runtime.places[0].told, "the prompt")
            with b.store.atomic() as db:
                assert runs.hush(db, firing)
            hushed.set()
            await done(b, firing)
            assert (b.said(), rows(b, "messages"), b.run(firing).attempts) == ([], 0, 1)
            kept = [("internal", '{"text": "All is well."}')] if how == "ends" else []
            assert traces(b, firing) == kept
            assert len(b.runtime.places) == 1

    script(story)


def test_a_worker_s_death_makes_no_finished_work_begin_again(tmp_path: Path) -> None:
    async def story() -> None:
        async with bench(tmp_path, lives(repeat)) as b:
            firing = fire(b.store)
            left_at_work(b, b.run(firing).lane)
            with b.store.atomic() as db:
                assert runs.hush(db, firing)
            await done(b, firing)
            assert not b.runtime.places
            assert b.said() == []
            await b.until(lambda: not b.left(), "the end of what it left")

    script(story)


@pytest.mark.parametrize("what", ["task", "chat"])
def test_who_stops_a_turn_is_told_what_answers_the_rest(tmp_path: Path, what: str) -> None:
    async def stopped(b: Bench) -> None:
        asked = b.ask()
        with b.store.atomic() as db:
            run = runs.claim(db, b.context.owner, 5, clock.now())
            assert run is not None
            runs.finish(db, run, "cancelled", clock.now())
        fire(b.store, context_mode="group")
        later = b.ask() if what == "chat" else None
        told = await asyncio.to_thread(words, b.home, asked)
        assert ("What was said since" in told) == (later is not None)
        assert later is None or f"answered by run {later}." in told

    def words(home: Home, run: int) -> str:
        with Store.open(home.database) as store:
            return stopping.wait(home, store, run, 60).words

    async def story() -> None:
        async with bench(tmp_path, lives(repeat)) as b:
            await stopped(b)

    script(story)


def test_only_a_task_s_run_at_work_is_hushed(tmp_path: Path) -> None:
    async def story() -> None:
        async with bench(tmp_path, lives(repeat)) as b:
            asked, firing = b.ask(), fire(b.store)
            with b.store.atomic() as db:
                assert not runs.hush(db, firing)
                runs.claim(db, b.context.owner, 5, clock.now())
                assert not runs.hush(db, asked)

    script(story)


@pytest.mark.parametrize("mode", ["isolated", "group"])
@pytest.mark.parametrize("name", ["Daily news", None])
def test_what_fails_for_good_is_said_with_the_task_s_name(
    tmp_path: Path, mode: str, name: str | None
) -> None:
    async def end(place: Place, prompt: str) -> TurnEnded:
        if prompt == "look":
            turn = place.told[-1].turn
            place.write(Text(turn=turn, text="Let me look."))
            return TurnEnded(turn="", error="no network")
        return await repeat(place, prompt)

    async def story() -> None:
        async with bench(tmp_path, lives(end)) as b:
            b.ask()
            await b.answered("chat 1")
            before, began = session(b), cursors(b)
            await done(b, fire(b.store, context_mode=mode, name=name), "failed")
            assert cursors(b) == began
            called = "Daily news (task-aaaaaa)" if name else "task-aaaaaa"
            assert b.said()[1:] == [f"The scheduled task {called} failed: no network"]
            b.ask("again")
            await b.until(lambda: len(b.said()) == 3, "the answer")
            assert session(b) == before

    script(story)


def test_a_run_is_tried_again_like_any_other(tmp_path: Path) -> None:
    tries = []

    async def end(place: Place, prompt: str) -> TurnEnded:
        tries.append(prompt)
        turn = place.told[-1].turn
        if len(tries) == 1:
            place.write(ToolUse(turn=turn, tool_id="t1", name="Bash", input={"command": "ls"}))
            place.forge()
            await asyncio.Event().wait()
        return TurnEnded(turn="", reply="at last")

    async def story() -> None:
        async with bench(tmp_path, lives(end)) as b:
            firing = fire(b.store)
            await b.answered("at last")
            assert b.run(firing).attempts == 2

    script(story)
    assert tries[0] == "look"
    assert "<call>Bash ls</call>" in tries[1]
    assert tries[1].endswith("\n\nlook")
