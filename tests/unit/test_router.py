"""The router when something happens between its reading and its writing: somebody else routes
the same messages, or the group goes. The file and the router are real."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from agent_runner.protocol.requests import Question
from pynchy_cli.config.home import prepare
from pynchy_cli.config.paths import Home
from pynchy_cli.config.settings import Settings
from pynchy_cli.context import Context
from pynchy_cli.model import Group, Message, NewMessage
from pynchy_cli.owner import present
from pynchy_cli.pipeline.route import Routed, Router
from pynchy_cli.store import groups, messages, questions, requests, runs
from pynchy_cli.store.connection import Store
from pynchy_cli.store.migrate import migrate
from pynchy_cli.watch import Watcher
from tests.teams import add_team

NOW = "2026-01-31T08:00:00.000Z"


class Interrupted(Router):
    """Something happens each time that it has decided."""

    def __init__(self, context: Context, happens: Callable[[], None]) -> None:
        super().__init__(context)
        self.happens = happens

    def decide(self, group: Group, message: Message) -> Routed:
        decided = super().decide(group, message)
        self.happens()
        return decided


def add_group(store: Store, jid: str) -> None:
    add_team(store, jid=jid, trigger_mode="always")


def routed(tmp_path: Path, happens: Callable[[Store, Router], None]) -> list[tuple[int, str]]:
    """Route one message of a group, while something happens; the runs there are then."""

    async def route() -> list[tuple[int, str]]:
        home = Home(tmp_path / "home")
        prepare(home)
        migrate(home.database)
        settings = Settings()
        with Store.open(home.database) as store, Store.open(home.database) as second:
            add_group(store, "local:team")
            with store.atomic() as db:
                said = NewMessage("m1", "local:team", "owner", "owner", "hello", NOW)
                messages.add(db, said, NOW)
            with (
                present(store, home, "route", settings) as owner,
                closing(Watcher()) as watcher,
            ):
                context = Context("route", home, settings, store, owner, watcher, once=True)
                other = Context("route", home, settings, second, owner, watcher, once=True)
                router = Interrupted(context, lambda: happens(second, Router(other)))
                while router.drain():
                    pass
            rows = store.db.execute("SELECT last_seq, state FROM runs ORDER BY id").fetchall()
            assert store.db.execute("SELECT count(*) FROM failures").fetchone()[0] == 0
            return [tuple(row) for row in rows]

    return asyncio.run(route())


def test_what_another_router_has_routed_meanwhile_is_not_routed_again(tmp_path: Path) -> None:
    """Its lock keeps a second one away; but who removes its file can start one."""

    def answered(store: Store, other: Router) -> None:
        other.drain()
        with store.atomic() as db:
            run = runs.claim(db, 1, 5, NOW)
            assert run is not None
            runs.finish(db, run, "done", NOW)

    assert routed(tmp_path, answered) == [(1, "done")]


def test_a_group_that_goes_meanwhile_gets_nothing(tmp_path: Path) -> None:
    def removed(store: Store, other: Router) -> None:
        with store.atomic() as db:
            groups.remove(db, "team")

    assert routed(tmp_path, removed) == []


def test_what_a_run_for_an_answer_has_read_is_not_asked_again(tmp_path: Path) -> None:
    """Something is said before that run's message has its place, and is routed after the run."""
    calls: list[int] = []

    def said_meanwhile(store: Store, other: Router) -> None:
        calls.append(1)
        with store.atomic() as db:
            if len(calls) == 2:
                run = runs.claim(db, 1, 5, NOW)
                assert run is not None
                runs.finish(db, run, "done", NOW)
            if len(calls) > 1:
                return
            request = requests.add(
                db,
                group_folder="team",
                session="gone",
                request_id="r1",
                lane="chat",
                role="group",
                type="ask_user",
                payload="{}",
                state="waiting",
                now=NOW,
            )
            questions.ask(
                db,
                id="q2w3",
                request=request,
                chat_jid="local:team",
                questions=[Question(question="Who?")],
                expires_at="2999-01-01T00:00:00.000Z",
                now=NOW,
            )
            messages.add(db, NewMessage("m2", "local:team", "owner", "owner", "more", NOW), NOW)

    # The answer's message has the place after "more".
    assert routed(tmp_path, said_meanwhile) == [(3, "done")]
    assert len(calls) >= 2


def test_another_group_of_the_same_name_gets_nothing_either(tmp_path: Path) -> None:
    def replaced(store: Store, other: Router) -> None:
        with store.atomic() as db:
            groups.remove(db, "team")
        add_group(store, "local:elsewhere")

    assert routed(tmp_path, replaced) == []
