"""Names of Slack's people, channels and groups: asked for once, believed for a while."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from pynchy_cli.channels.base import Away, NotSent
from pynchy_cli.channels.slack.names import Names
from tests.slack_payloads import Workspace


class Time:
    """Seconds, as the test wants them."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """What time it is."""
        return self.now


@pytest.fixture
def workspace() -> Workspace:
    return Workspace()


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def names(workspace: Workspace, time: Time) -> Names:
    return Names(workspace, time)


def test_everything_that_has_a_name_is_called_by_it(names: Names) -> None:
    asyncio.run(names.fetch(["U0ANN", "C0DEV", "S0OPS", "D0ANN", "G0ALL", "U0PROG", "X1"]))
    called = {id: names.called(id) for id in ("U0ANN", "C0DEV", "S0OPS", "D0ANN", "G0ALL", "X1")}
    direct = Names(Workspace())
    asyncio.run(direct.fetch(["D0ANN"]))
    assert direct.called("D0ANN") == "Ann Lee", "whoever it is with is asked about, too"
    assert called == {
        "U0ANN": "Ann Lee",
        "C0DEV": "#dev",
        "S0OPS": "ops-people",
        "D0ANN": "Ann Lee",
        "G0ALL": "mpdm-ann--bob-1",
        "X1": None,
    }
    assert (names.is_bot("U0PROG"), names.is_bot("U0ANN"), names.is_bot("U9")) == (
        True,
        False,
        False,
    )


def test_many_who_wait_are_one_question(names: Names, workspace: Workspace) -> None:
    async def fetch() -> None:
        await asyncio.gather(
            *(names.fetch(["U0ANN", "C0DEV", f"S{number}", "U0ANN"]) for number in range(20))
        )

    asyncio.run(fetch())
    assert sorted(workspace.asked) == [
        ("conversations.info", "C0DEV"),
        ("usergroups.list", ""),
        ("users.info", "U0ANN"),
    ]
    asyncio.run(names.fetch(["U0ANN", "S3"]))
    assert len(workspace.asked) == 3, "it is remembered, also that a group isn't there"


def test_a_name_is_asked_for_again_when_it_is_old(
    names: Names, workspace: Workspace, time: Time
) -> None:
    asyncio.run(names.fetch(["U0ANN"]))
    time.now += 3599
    assert not names.is_wanted("U0ANN")
    time.now += 2
    assert names.is_wanted("U0ANN")
    assert names.called("U0ANN") == "Ann Lee", "and is used until there is another"
    workspace.errors.append(Away("no network"))
    asyncio.run(names.fetch(["U0ANN"]))
    assert (names.called("U0ANN"), names.is_wanted("U0ANN")) == ("Ann Lee", False)


@pytest.mark.parametrize(
    ("error", "pause"), [(Away("x"), 60), (NotSent("x", 300.0), 300), (NotSent("x", 5.0), 60)]
)
@pytest.mark.parametrize("id", ["U0ANN", "C0DEV", "S0OPS"])
def test_what_cant_be_told_is_left_alone_for_a_while(
    names: Names, workspace: Workspace, time: Time, error: Exception, pause: float, id: str
) -> None:
    workspace.errors.append(error)
    asyncio.run(names.fetch([id]))
    time.now += pause - 1
    asyncio.run(names.fetch([id]))
    assert (names.called(id), len(workspace.asked)) == (None, 1)
    time.now += 2
    asyncio.run(names.fetch([id]))
    assert names.called(id) is not None


def test_only_so_many_names_are_remembered(workspace: Workspace, time: Time) -> None:
    names = Names(workspace, time, most=10)
    asyncio.run(names.fetch(["U0ANN"]))
    for number in range(30):
        asyncio.run(names.fetch([f"U{number}", "U0BOB"]))
    assert (names.called("U0ANN"), names.called("U29")) == (None, None)
    assert [names.is_wanted(f"U{number}") for number in (0, 20, 29)] == [True, True, False]


def test_who_gives_up_waiting_takes_the_answer_from_nobody(workspace: Workspace) -> None:
    async def fetch() -> tuple[str | None, bool]:
        may_answer = asyncio.Event()

        async def ask(method: str, **arguments: str) -> Mapping[str, Any]:
            await may_answer.wait()
            return await workspace(method, **arguments)

        names = Names(ask)
        hasty = asyncio.create_task(names.fetch(["U0ANN"]))
        patient = asyncio.create_task(names.fetch(["U0ANN"]))
        await asyncio.sleep(0)
        hasty.cancel()
        may_answer.set()
        await patient
        return names.called("U0ANN"), hasty.cancelled()

    assert asyncio.run(fetch()) == ("Ann Lee", True)
    assert len(workspace.asked) == 1


def test_closing_ends_what_is_under_way() -> None:
    async def close() -> int:
        begun = asyncio.Semaphore(0)

        async def ask(method: str, **arguments: str) -> Mapping[str, Any]:
            begun.release()
            await asyncio.Event().wait()
            return {}

        names = Names(ask)
        waiting = asyncio.create_task(names.fetch(["U0ANN", "C0DEV"]))
        await begun.acquire()
        await begun.acquire()
        await names.close()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        return len(asyncio.all_tasks())

    assert asyncio.run(close()) == 1


@pytest.mark.parametrize(
    "answer",
    [{}, {"user": None}, {"user": {"name": 7, "profile": []}}, {"user": {"name": " \n"}}],
)
def test_an_answer_that_says_nothing_gives_no_name(answer: dict[str, Any]) -> None:
    async def ask(method: str, **arguments: str) -> Mapping[str, Any]:
        return answer

    names = Names(ask)
    asyncio.run(names.fetch(["U0ANN", "C0DEV", "S0OPS"]))
    assert [names.called(id) for id in ("U0ANN", "C0DEV", "S0OPS")] == [None] * 3
    assert not names.is_wanted("U0ANN")


def test_a_name_is_one_line_without_tricks() -> None:
    async def ask(method: str, **arguments: str) -> Mapping[str, Any]:
        return {"user": {"real_name": "Eve\n\u202e\0 admin \u2066" + "x" * 200}}

    names = Names(ask)
    asyncio.run(names.fetch(["U0EVE"]))
    assert names.called("U0EVE") == "Eve admin " + "x" * 70
