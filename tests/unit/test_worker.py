"""The worker and its takeovers among faults that must fall at one exact moment. Its sandboxes
are coroutines of this process; home, database, folders and locks are real."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from agent_runner import protocol
from agent_runner.protocol import Record, Text, TurnEnded
from pynchy_cli import clock, locks
from pynchy_cli.agent import cores
from pynchy_cli.agent.identity import lease_path
from pynchy_cli.agent.sandboxes import Sandboxes
from pynchy_cli.agent.worker import Worker
from pynchy_cli.config.home import prepare
from pynchy_cli.config.paths import Home
from pynchy_cli.config.settings import Agent, Queue, Sandbox, Settings
from pynchy_cli.context import Context
from pynchy_cli.errors import DatabaseBusy, DatabaseFull, DatabaseReplaced, SandboxUnavailable
from pynchy_cli.gateway.server import Gateway
from pynchy_cli.model import CHAT_LANE, Group, NewMessage
from pynchy_cli.owner import present
from pynchy_cli.sandbox.base import DiesWithWorker, Limits, Mount, Spec
from pynchy_cli.store import counters, groups, messages, processes, runs, sessions
from pynchy_cli.store.connection import Store, connect
from pynchy_cli.store.migrate import migrate
from pynchy_cli.watch import Watcher

DEAD = 9999
"""An owner that never was."""
SETTINGS = Settings(
    agent=Agent(core="echo"), queue=Queue(base_retry=0.0, max_retries=1), sandbox=Sandbox()
)


class Place:
    """A sandbox that is a coroutine; `gate` holds up its end."""

    def __init__(self, spec: Spec, agent: Agency, gate: asyncio.Event) -> None:
        self.name = spec.name
        self.ipc = spec.mounts[2].source.parent
        self.told: list[protocol.Document] = []
        self.is_gone = False
        self._gate = gate
        self._lease = os.dup(spec.lease)
        self._agent = asyncio.ensure_future(agent(self))
        self._end = asyncio.ensure_future(self._ended())

    async def _ended(self) -> int:
        await asyncio.wait({self._agent})
        await self._gate.wait()
        self.is_gone = True
        os.close(self._lease)
        return 0

    async def wait(self) -> int:
        return await asyncio.shield(self._end)

    async def stop(self, grace: float) -> int:
        self._agent.cancel()
        return await self.wait()

    async def document(self) -> protocol.Document | None:
        """The next document, or None when it is to leave."""
        place = self.ipc / "input"
        path = place / f"{len(self.told)}.json"
        while not path.exists():
            if (place / protocol.CLOSE).exists():
                return None
            await asyncio.sleep(0.002)
        self.told.append(protocol.read_document(path.read_bytes()))
        return self.told[-1]

    def forge(self) -> None:
        """What no agent of ours does: a log that is a link."""
        (self.ipc / "output/log").symlink_to("/etc/passwd")

    def write(self, *records: Record) -> None:
        with (self.ipc / "output/log").open("ab") as out:
            out.write(b"".join(protocol.write_record(record) for record in records))


Agency = Callable[[Place], Awaitable[None]]


async def echo(place: Place) -> None:
    """Answers with its number of the turn."""
    while (document := await place.document()) is not None:
        place.write(TurnEnded(turn=document.turn, reply=f"turn {len(place.told)}"))


class Runtime(DiesWithWorker):
    """Makes such sandboxes; the n-th is `agents[n]`, further ones are like the last."""

    name = "scripted"
    is_isolated = False

    def __init__(self, *agents: Agency) -> None:
        self.agents = agents
        self.places: list[Place] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.before: Callable[[Spec], None] = lambda spec: None

    def problem(self) -> str | None:
        return None

    def missing(self) -> list[str]:
        return []

    def prepare(self, data: Path, say: Callable[[str], None]) -> None:
        pass

    def inside(self, path: str, spec_mounts: tuple[Mount, ...]) -> str:
        return path

    async def start(self, spec: Spec) -> Place:
        assert not [p for p in self.places if p.name == spec.name and not p.is_gone], "two at once"
        agent = self.agents[min(len(self.places), len(self.agents) - 1)]
        self.before(spec)
        self.places.append(Place(spec, agent, self.gate))
        return self.places[-1]


class Bench:
    """One worker, drained as the loop does it."""

    def __init__(self, context: Context, runtime: Runtime, concurrency: int) -> None:
        self.context, self.store, self.home = context, context.store, context.home
        self.runtime = runtime
        self.sandboxes = Sandboxes(
            context,
            runtime,
            cores.chosen(context.settings),
            Gateway(context.settings, context.log),
        )
        self.worker = Worker(context, runtime, self.sandboxes, concurrency, nothing_offered)
        self.blocker = connect(self.store.path)
        self.store.db.execute("PRAGMA busy_timeout = 1")

    async def until(self, condition: Callable[[], Any], what: str, limit: float = 30) -> None:
        """Drain until it is so."""
        end = asyncio.get_running_loop().time() + limit
        while True:
            await self.drained()
            if condition():
                return
            assert asyncio.get_running_loop().time() < end, what

    async def drained(self) -> None:
        """Drain once, and let the tasks take a step."""
        with contextlib.suppress(DatabaseBusy, DatabaseFull):
            self.worker.drain()
        await asyncio.sleep(0.002)

    def lock(self) -> None:
        """Let the database not be written: somebody else does, and does not end."""
        self.blocker.execute("BEGIN IMMEDIATE")

    def unlock(self) -> None:
        """Let it be written again."""
        self.blocker.execute("ROLLBACK")

    def add_group(self, folder: str = "team") -> None:
        with self.store.atomic() as db:
            groups.add(
                db,
                folder=folder,
                name=folder,
                jid=f"local:{folder}",
                is_admin=False,
                trigger_mode="always",
                trigger_pattern=None,
                allowed_users=("owner",),
                now=clock.now(),
            )

    def ask(self, text: str = "hello", folder: str = "team") -> int:
        now, chat = clock.now(), f"local:{folder}"
        with self.store.atomic() as db:
            number = messages.highest(db) + 1
            messages.add(db, NewMessage(str(number), chat, "owner", "Ann", text, now), now)
            return runs.queue_chat(db, folder, number, number, chat, now)

    def said(self) -> list[str]:
        query = "SELECT content FROM outbound_ledger WHERE is_final = 1 ORDER BY id"
        return [row[0] for row in self.store.db.execute(query)]

    def run(self, number: int) -> Any:
        return runs.get(self.store.db, number)

    def left(self) -> list[str]:
        """What is left of sandboxes: rows, leases, folders."""
        rows = [f"row {one.folder}" for one in sessions.live(self.store.db)]
        leases = [path.name for path in self.home.locks.glob("sandbox-*")]
        return [*rows, *leases, *(str(path) for path in self.home.ipc.glob("*/*"))]

    async def answered(self, *said: str) -> None:
        await self.until(lambda: self.said() == list(said), f"{self.said()}, not {said}")


@asynccontextmanager
async def bench(
    root: Path, *agents: Agency, settings: Settings = SETTINGS, concurrency: int = 5
) -> AsyncIterator[Bench]:
    home = Home(root / "home")
    prepare(home)
    migrate(home.database)
    runtime = Runtime(*agents)
    with (
        Store.open(home.database) as store,
        present(store, home, "run-agent", settings) as owner,
        contextlib.closing(Watcher()) as watcher,
    ):
        context = Context("run-agent", home, settings, store, owner, watcher, once=False)
        made = Bench(context, runtime, concurrency)
        made.add_group()
        yield made
        runtime.gate.set()
        await made.worker.stop()
        await context.end_tasks()
        made.blocker.close()
        assert all(place.is_gone for place in runtime.places)
        assert not made.left()


def nothing_offered(group: Group, lane: str) -> protocol.Offer:
    """Agents that may ask for nothing."""
    return protocol.Offer()


def script(story: Callable[[], Awaitable[None]]) -> None:
    async def run() -> None:
        await asyncio.wait_for(story(), 100)

    asyncio.run(run())


async def refuse(place: Place) -> None:
    document = await place.document()
    assert document is not None
    place.write(TurnEnded(turn=document.turn, error="no", is_permanent=True))
    await asyncio.Event().wait()


async def hang(place: Place) -> None:
    await place.document()
    await asyncio.Event().wait()


async def die(place: Place) -> None:
    await place.document()


def test_a_lane_s_next_sandbox_waits_for_the_last_one_s_end(tmp_path: Path) -> None:
    """A failed run's sandbox ends slowly; the run's next attempt begins meanwhile."""

    async def story() -> None:
        async with bench(tmp_path, hang, echo) as b:
            b.ask()
            await b.until(lambda: b.runtime.places and b.runtime.places[0].told, "the agent")
            b.runtime.gate.clear()
            b.runtime.places[0].forge()
            await b.until(lambda: b.run(1).attempts == 2, "the next attempt")
            for _ in range(20):
                await b.drained()
            assert len(b.runtime.places) == 1, "the old one has not gone yet"
            assert b.worker.is_busy()
            b.runtime.gate.set()
            await b.answered("turn 1")

    script(story)


def test_what_is_at_work_is_known_while_an_old_sandbox_still_goes(tmp_path: Path) -> None:
    """A failed run's sandbox ends slowly, and a new run of the same lane begins meanwhile."""

    async def story() -> None:
        async with bench(tmp_path, refuse, echo, concurrency=2) as b:
            b.ask()
            await b.until(lambda: len(b.said()) == 1, "the refusal")
            b.runtime.gate.clear()
            with b.store.atomic() as db:
                sessions.let_go(db, "team", CHAT_LANE)
            second = b.ask("again")
            await b.until(lambda: b.run(second).state == "running", "the claim")
            assert len(b.runtime.places) == 1, "the old one has not gone yet"
            assert b.worker.is_busy()
            b.runtime.gate.set()
            await b.until(lambda: b.said()[1:] == ["turn 1"], "the answer")

    script(story)


MANY = 20_000
"""Files that take long enough to remove that one can look on."""


def leave_much(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(MANY):
        (folder / str(number)).touch()


async def removed(b: Bench, folder: Path) -> list[int]:
    """How many files there were, as long as the folder was there, while the worker drained."""
    found = []

    def is_gone() -> bool:
        with contextlib.suppress(OSError):
            found.append(sum(1 for _ in folder.iterdir()))
        return not folder.exists()

    await b.until(is_gone, "the removal")
    return found


def test_what_an_agent_left_is_removed_beside_all_else(tmp_path: Path) -> None:
    async def litter(place: Place) -> None:
        document = await place.document()
        assert document is not None
        leave_much(place.ipc / "output")
        place.write(TurnEnded(turn=document.turn, reply="much"))

    async def story() -> None:
        settings = Settings(agent=Agent(core="echo"), sandbox=Sandbox(idle_timeout=0))
        async with bench(tmp_path, litter, settings=settings) as b:
            b.ask()
            await b.until(lambda: b.runtime.places and b.runtime.places[0].told, "the agent")
            seen = await removed(b, b.runtime.places[0].ipc / "output")
            assert [number for number in seen if 0 < number < MANY], "it held up all else"

    script(story)


def test_what_a_dead_worker_s_agent_left_is_removed_beside_all_else(tmp_path: Path) -> None:
    async def story() -> None:
        left = tmp_path / "home/data/ipc/team" / f"s{DEAD}-1" / "output"
        leave_much(left)
        async with bench(tmp_path, echo) as b:
            assert [number for number in await removed(b, left) if 0 < number < MANY]

    script(story)


def test_every_run_counts_against_the_limit(tmp_path: Path) -> None:
    at_work: set[Place] = set()
    most = 0

    async def slow(place: Place) -> None:
        nonlocal most
        at_work.add(place)
        most = max(most, len(at_work))
        document = await place.document()
        assert document is not None
        await asyncio.sleep(0.01)
        at_work.discard(place)
        error = "no" if "fail" in document.prompt else None
        place.write(TurnEnded(turn=document.turn, reply="yes", error=error, is_permanent=True))

    async def story() -> None:
        settings = Settings(
            agent=Agent(core="echo"),
            queue=Queue(base_retry=0.0, max_concurrent=50),
            sandbox=Sandbox(idle_timeout=0),
        )
        async with bench(tmp_path, slow, settings=settings, concurrency=2) as b:
            for n in range(4):
                b.add_group(f"team-{n}")
            for text in ("fail", "well", "fail", "well"):
                for n in range(4):
                    b.ask(text, f"team-{n}")
                await b.until(lambda: not runs.is_any_due(b.store.db, clock.now()), "claims")
            await b.until(lambda: not b.worker.is_busy(), "the end")
            assert most <= 2

    script(story)


def test_each_group_s_sandbox_has_its_own_uid_folders_and_limits(tmp_path: Path) -> None:
    async def story() -> None:
        sandbox = Sandbox(uid_base=500_000, memory=1001, max_processes=102, max_file=1003, cpus=0.5)
        settings = Settings(agent=Agent(core="echo"), sandbox=sandbox)
        async with bench(tmp_path, echo, settings=settings) as b:
            specs: list[Spec] = []
            b.runtime.before = specs.append
            b.add_group("other")
            for folder, number in (("team", 1), ("other", 2)):
                b.ask(folder=folder)
                await b.until(lambda n=number: len(b.said()) == n, "the answer")
            for spec, folder, number in zip(specs, ("team", "other"), (1, 2), strict=True):
                assert spec.uid == 500_000 + number
                assert spec.limits == Limits(1001, 102, 1003, 0.5)
                where = {mount.target: mount.source for mount in spec.mounts if mount.writable}
                assert where.pop("/workspace/group") == b.home.group(folder)
                assert where.pop("/home/agent/.claude") == b.home.claude(folder)
                own = b.home.ipc / folder
                assert all(own in source.parents for source in where.values())
            assert counters.read(b.store.db)["messages_outbound"][0] == 2

    script(story)


def test_a_warm_sandbox_that_goes_as_it_is_told_costs_nothing(tmp_path: Path) -> None:
    async def once(place: Place) -> None:
        document = await place.document()
        assert document is not None
        place.write(TurnEnded(turn=document.turn, reply="first"))
        await place.document()

    async def story() -> None:
        async with bench(tmp_path, once, echo) as b:
            b.ask()
            await b.answered("first")
            second = b.ask("more")
            await b.answered("first", "turn 1")
            assert (b.run(second).attempts, b.run(second).takeovers) == (1, 0)

    script(story)


def test_a_warm_sandbox_that_took_the_turn_up_is_not_given_it_again(tmp_path: Path) -> None:
    async def once(place: Place) -> None:
        for reply in ("first", None):
            document = await place.document()
            assert document is not None
            record: Record = Text(turn=document.turn, text="half")
            place.write(TurnEnded(turn=document.turn, reply=reply) if reply else record)

    async def story() -> None:
        async with bench(tmp_path, once, echo) as b:
            b.ask()
            await b.answered("first")
            second = b.ask("more")
            await b.answered("first", "turn 1")
            assert b.run(second).attempts == 2

    script(story)


def test_a_sandbox_that_can_t_be_told_is_ended_and_the_run_answered(tmp_path: Path) -> None:
    async def story() -> None:
        async with bench(tmp_path, echo) as b:
            b.ask()
            await b.answered("turn 1")
            shutil.rmtree(b.runtime.places[0].ipc / "input")
            second = b.ask("more")
            await b.answered("turn 1", "turn 1")
            assert b.run(second).attempts == 1
            await b.until(lambda: b.runtime.places[0].is_gone, "the end of the first")

    script(story)


def few_warm(most: int) -> Settings:
    return Settings(agent=SETTINGS.agent, queue=SETTINGS.queue, sandbox=Sandbox(max_warm=most))


def test_of_the_warm_sandboxes_the_longest_unused_goes_first(tmp_path: Path) -> None:
    async def story() -> None:
        async with bench(tmp_path, echo, settings=few_warm(2)) as b:
            for folder in ("b", "c"):
                b.add_group(folder)
            for number, folder in enumerate(("team", "b", "team", "c"), 1):
                b.ask(folder=folder)
                await b.until(lambda n=number: len(b.said()) == n, "the answer")
                await b.until(lambda: not b.worker.is_busy(), "rest")
            assert [place.is_gone for place in b.runtime.places] == [False, True, False]

    script(story)


@pytest.mark.parametrize("is_older", [True, False])
def test_the_warm_sandboxes_of_all_workers_count(tmp_path: Path, is_older: bool) -> None:
    async def story() -> None:
        async with bench(tmp_path, echo, settings=few_warm(1)) as b:
            b.add_group("other")
            colleague = locks.take(processes.owner_lock(b.home.locks, DEAD))
            assert colleague is not None
            used = clock.after(clock.now(), -60 if is_older else 60)
            with b.store.atomic() as db:
                sessions.begin(
                    db,
                    "other",
                    CHAT_LANE,
                    folder="s",
                    owner=DEAD,
                    sandbox="x",
                    runtime="r",
                    now=used,
                )
            b.ask()
            await b.answered("turn 1")
            await b.until(lambda: not b.worker.is_busy(), "rest")
            assert b.runtime.places[0].is_gone is not is_older
            known = sessions.get(b.store.db, "other", CHAT_LANE)
            assert known.generation == is_older, "its worker lets go of it"
            with b.store.atomic() as db:
                sessions.end(db, known)
            colleague.release()

    script(story)


def test_a_group_that_is_made_anew_gets_a_new_agent(tmp_path: Path) -> None:
    async def story() -> None:
        async with bench(tmp_path, echo) as b:
            b.ask()
            await b.answered("turn 1")
            with b.store.atomic() as db:
                groups.remove(db, "team")
            b.add_group()
            b.ask("who are you?")
            await b.answered("turn 1", "turn 1")
            assert b.runtime.places[0].is_gone

    script(story)


def test_a_removed_group_s_agent_is_ended(tmp_path: Path) -> None:
    async def story() -> None:
        async with bench(tmp_path, echo) as b:
            b.ask()
            await b.answered("turn 1")
            with b.store.atomic() as db:
                groups.remove(db, "team")
            await b.until(lambda: b.runtime.places[0].is_gone, "the end")
            await b.until(lambda: not b.left(), "its traces")

    script(story)


def test_a_sandbox_whose_end_can_t_be_noted_is_forgotten_later(tmp_path: Path) -> None:
    async def story() -> None:
        async with bench(tmp_path, die, echo) as b:
            b.runtime.gate.clear()
            b.ask("x" * 20_000)
            await b.until(lambda: len(b.runtime.places) == 1, "the sandbox")
            b.lock()
            b.runtime.gate.set()
            await b.until(lambda: b.runtime.places[0].is_gone, "its end")
            for _ in range(50):
                await b.drained()
            b.unlock()
            await b.answered("turn 1")

    script(story)


def test_who_works_on_a_file_that_was_replaced_lets_go_of_its_sandbox(tmp_path: Path) -> None:
    """Nothing can be stored any more; whoever has the new file finds what that tells."""

    async def story() -> None:
        go = asyncio.Event()

        async def slow(place: Place) -> None:
            document = await place.document()
            assert document is not None
            await go.wait()
            place.write(TurnEnded(turn=document.turn, reply="too late"))
            await place.document()

        async with bench(tmp_path, slow) as b:
            b.ask()
            await b.until(lambda: len(b.runtime.places) == 1, "the sandbox")
            shutil.copy(b.store.path, b.store.path.with_name("copy"))
            b.store.path.with_name("copy").replace(b.store.path)
            go.set()
            with contextlib.suppress(DatabaseReplaced):
                await b.until(lambda: not b.worker.is_busy(), "the end")
            assert b.runtime.places[0].is_gone
            assert not b.context.has_failed
            assert not list(b.home.ipc.glob("*/*"))
            b.store.db.execute("DELETE FROM sessions")  # in the file that is gone

    script(story)


def test_a_sandbox_that_can_t_be_started_while_nothing_can_be_written_leaves_nothing(
    tmp_path: Path,
) -> None:
    async def story() -> None:
        async with bench(tmp_path, echo) as b:

            def fail(spec: Spec) -> None:
                b.runtime.before = lambda spec: None
                b.lock()
                raise SandboxUnavailable("no")

            b.runtime.before = fail
            b.ask()
            end = asyncio.get_running_loop().time() + 30
            while b.worker.is_busy() or not b.run(1).attempts:
                assert asyncio.get_running_loop().time() < end, "the failure"
                await b.drained()
            assert [one for one in b.left() if not one.startswith("row")] == []
            b.unlock()
            await b.answered("turn 1")

    script(story)


def test_a_sandbox_that_can_t_be_watched_is_ended(tmp_path: Path) -> None:
    async def story() -> None:
        async with bench(tmp_path, echo) as b:

            def unwatchable(spec: Spec) -> None:
                b.runtime.before = lambda spec: None
                shutil.rmtree(spec.mounts[-1].source)

            b.runtime.before = unwatchable
            b.ask()
            await b.answered("turn 1")
            assert b.runtime.places[0].is_gone

    script(story)


def test_somebody_else_s_socket_is_no_way_to_the_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The gateway lives, but who could make the folder first listens in its place."""
    settings = Settings(agent=Agent(core="claude"), queue=Queue(max_retries=0))

    async def story() -> None:
        with tempfile.TemporaryDirectory(prefix="gw") as run:
            monkeypatch.setenv("XDG_RUNTIME_DIR", run)
            async with bench(tmp_path, echo, settings=settings) as b:
                gateway = locks.take(b.home.locks / "gateway.lock")
                assert gateway is not None
                folder = b.home.sockets(os.environ) / f"s{b.context.owner}-1"
                folder.mkdir(parents=True)
                folder.parent.parent.chmod(0o777)
                with socket.socket(socket.AF_UNIX) as listening:
                    listening.bind(str(folder / "gateway.sock"))
                    listening.listen()
                    number = b.ask()
                    await b.until(lambda: b.run(number).state == "failed", "a failure")
                assert "no folder of ours alone" in b.run(number).error
                assert b.runtime.places == []
                gateway.release()

    script(story)


def left_behind(b: Bench, *records: Record, with_log: bool = True) -> int:
    """A run and a sandbox of a worker that died, and what is in the sandbox's log."""
    number = b.ask()
    output = left_at_work(b)
    if with_log:
        (output / "log").write_bytes(b"".join(protocol.write_record(one) for one in records))
    return number


def left_at_work(b: Bench, lane: str = CHAT_LANE) -> Path:
    """The run that waits was claimed by a worker that died, and had a sandbox; the folder of its
    output."""
    with b.store.atomic() as db:
        run = runs.claim(db, DEAD, 5, clock.now())
        sessions.begin(
            db,
            "team",
            lane,
            folder="s9999-1",
            owner=DEAD,
            sandbox="x",
            runtime="r",
            now=clock.now(),
        )
    assert run is not None
    output = b.home.session("team", "s9999-1") / "output"
    output.mkdir(parents=True)
    return output


TURN = "1.1.0"


def test_what_a_dead_worker_left_is_settled_once_it_can_be_written(tmp_path: Path) -> None:
    async def story() -> None:
        async with bench(tmp_path, echo) as b:
            long = "z" * 300_000  # more than one piece
            number = left_behind(
                b, Text(turn=TURN, text="a"), Text(turn=TURN, text=long), Text(turn=TURN, text="b")
            )
            lease = locks.take(lease_path(b.home, "s9999-1"), shared=True)
            assert lease is not None
            await b.until(b.worker.recovery.is_busy, "the takeover")
            b.lock()
            lease.release()
            for _ in range(50):
                await b.drained()
            assert b.run(number).state == "running"
            b.unlock()
            await b.answered("turn 1")
            assert (b.run(number).attempts, b.run(number).takeovers) == (1, 1)

    script(story)


def test_a_turn_that_ended_in_a_dead_worker_s_log_is_not_repeated(tmp_path: Path) -> None:
    async def story() -> None:
        async with bench(tmp_path, echo) as b:
            text = Text(turn=TURN, text="z" * 300_000)
            left_behind(b, text, TurnEnded(turn=TURN, reply="from the grave"))
            await b.answered("from the grave")
            await b.until(lambda: not b.left(), "its traces")
            assert not b.runtime.places

    script(story)


def test_a_dead_worker_s_log_that_is_none_is_not_followed(tmp_path: Path) -> None:
    async def story() -> None:
        async with bench(tmp_path, echo) as b:
            left_behind(b, with_log=False)
            output = b.home.session("team", "s9999-1") / "output"
            output.rmdir()
            output.symlink_to(tmp_path)
            (tmp_path / "log").write_bytes(
                protocol.write_record(TurnEnded(turn=TURN, reply="forged"))
            )
            await b.answered("turn 1")

    script(story)


def test_only_one_worker_takes_over(tmp_path: Path) -> None:
    async def story() -> None:
        async with bench(tmp_path, echo) as b:
            left_behind(b, TurnEnded(turn=TURN, reply="from the grave"))
            with present(b.store, b.home, "run-agent", SETTINGS) as owner:
                context = Context(
                    "run-agent", b.home, SETTINGS, b.store, owner, b.context.watcher, once=False
                )
                other = Worker(context, b.runtime, b.sandboxes, 5, nothing_offered)
                other.drain()
                b.worker.drain()
                await b.answered("from the grave")
                await b.until(lambda: not other.is_busy(), "the other's end")
                await context.end_tasks()
            assert b.said() == ["from the grave"]

    script(story)


def test_stopping_while_a_sandbox_begins_puts_its_run_back(tmp_path: Path) -> None:
    async def story() -> None:
        settings = Settings(agent=Agent(core="echo"), sandbox=Sandbox(stop_grace=0.01))
        async with bench(tmp_path, lambda place: asyncio.sleep(600), settings=settings) as b:
            number = b.ask()
            await b.until(lambda: b.run(number).state == "running", "the claim")
            await b.worker.stop()
            assert (b.run(number).state, b.run(number).attempts) == ("queued", 0)

    script(story)
