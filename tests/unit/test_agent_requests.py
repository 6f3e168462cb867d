"""The agent's side of requests, against a host with real files: every one that asks is told
something, in time, and nothing stays behind."""

from __future__ import annotations

import asyncio
import resource
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from agent_runner.protocol import Answer, Error
from agent_runner.protocol.requests import NAME, AddTodo, Handoff, ListTodos, Request, Service
from agent_runner.requests import Requests
from tests.answering_host import AnsweringHost

LIMIT = 60


@pytest.fixture
def ipc(tmp_path: Path) -> Path:
    """A session's folder in which nobody answers."""
    for name in ("requests", "responses"):
        (tmp_path / "ipc" / name).mkdir(parents=True)
    return tmp_path / "ipc"


def code(answer: Answer) -> str:
    """The code of a refusal."""
    assert not answer.ok
    assert answer.error is not None
    return answer.error.code


def nested(depth: int) -> list[Any]:
    """Lists in lists."""
    found: list[Any] = []
    for _ in range(depth):
        found = [found]
    return found


def waiting(ipc: Path) -> list[Path]:
    """The requests that nobody has taken, whole or not."""
    return sorted((ipc / "requests").iterdir())


def test_a_request_is_a_file_and_its_answer_another(ipc: Path) -> None:
    async def ask() -> list[Answer]:
        requests = Requests(ipc)
        return [await requests.ask(AddTodo(content="milk")), await requests.ask(ListTodos())]

    with AnsweringHost(ipc) as host:
        first, second = asyncio.run(ask())
    assert first == Answer(
        ok=True, result={"type": "add_todo", "content": "milk", "request_id": None}
    )
    assert second.result["type"] == "list_todos"
    assert host.requests() == [AddTodo(content="milk"), ListTodos()]
    names = [NAME.fullmatch(name) for name, _ in host.asked]
    assert [name and name[1] for name in names] == ["00000001", "00000002"]
    assert all(name and len(name[2]) == 16 and int(name[2], 16) >= 0 for name in names)
    assert waiting(ipc) == []


def test_numbers_go_on_after_the_highest_that_waits(ipc: Path) -> None:
    async def ask() -> list[str]:
        task = await asking(Requests(ipc), ListTodos())
        names = [file.name for file in waiting(ipc)]
        task.cancel()
        await asyncio.wait([task])
        return names

    (ipc / "requests" / "00000041-mine.json").write_bytes(b'{"type":"list_todos"}')
    (ipc / "requests" / "no-number.json").write_bytes(b"{}")
    assert asyncio.run(ask())[1].startswith("00000042-")


def test_an_id_never_comes_twice(ipc: Path) -> None:
    async def ask() -> None:
        await asyncio.gather(*(Requests(ipc).ask(ListTodos()) for _ in range(5)))

    with AnsweringHost(ipc) as host:
        asyncio.run(ask())
    assert len({host.id(number) for number in range(5)}) == 5


def test_hundreds_at_once_each_get_their_own_answer_in_order(ipc: Path) -> None:
    async def ask() -> list[Answer]:
        requests = Requests(ipc)
        return await asyncio.gather(*(requests.ask(AddTodo(content=f"{n}")) for n in range(400)))

    with AnsweringHost(ipc) as host:
        answers = asyncio.run(ask())
    assert [answer.result["content"] for answer in answers] == [f"{n}" for n in range(400)]
    numbered = [request for _, request in sorted(host.asked, key=lambda pair: pair[0])]
    assert numbered == [AddTodo(content=f"{n}") for n in range(400)]


def test_answers_in_another_order_reach_those_who_asked(ipc: Path) -> None:
    async def ask() -> list[Answer]:
        requests, tasks, ids = Requests(ipc), [], []
        for _ in range(3):
            tasks.append(await asking(requests, ListTodos()))
            ids.append(taken(ipc))
        for number in (2, 0, 1):
            say(ipc, ids[number], f'{{"ok":true,"result":{number}}}'.encode())
            await tasks[number]
        return [task.result() for task in tasks]

    assert [answer.result for answer in asyncio.run(ask())] == [0, 1, 2]


def taken(ipc: Path) -> str:
    """Takes the only request there is; its id."""
    (file,) = waiting(ipc)
    file.unlink()
    found = NAME.fullmatch(file.name)
    assert found is not None
    return found[2]


def say(ipc: Path, request_id: str, data: bytes) -> None:
    """Write a response as the host does."""
    draft = ipc / "responses" / ".draft"
    draft.write_bytes(data)
    draft.rename(ipc / "responses" / f"{request_id}.json")


async def asking(requests: Requests, request: Request) -> asyncio.Task[Answer]:
    """A request that was just written."""
    task = asyncio.create_task(requests.ask(request))
    await asyncio.sleep(0)
    return task


def test_what_was_taken_is_waited_for_without_end(ipc: Path) -> None:
    async def ask() -> Answer:
        task = await asking(Requests(ipc, patience=0.02), ListTodos())
        request_id = taken(ipc)
        await asyncio.wait([task], timeout=0.3)
        assert not task.done()
        say(ipc, request_id, b'{"ok":true,"result":"late"}')
        async with asyncio.timeout(LIMIT):
            return await task

    assert asyncio.run(ask()).result == "late"


def test_what_nobody_takes_is_withdrawn(ipc: Path) -> None:
    answer = asyncio.run(Requests(ipc, patience=0.02).ask(ListTodos()))
    assert code(answer) == "host_silent"
    assert "not known" in str(answer.error)
    assert "pynchy ipc-watch" in str(answer.error)
    assert waiting(ipc) == []


def test_an_answer_that_nobody_has_seen_yet_counts_before_it_is_given_up(
    ipc: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def ask() -> Answer:
        task = await asking(Requests(ipc, patience=0.02), ListTodos())
        await asyncio.sleep(0)  # It looks, and will look again when the patience is over.
        (file,) = waiting(ipc)
        say(ipc, file.stem.split("-")[1], b'{"ok":true,"result":1}')
        return await task

    monkeypatch.setitem(sys.modules, "asyncinotify", None)
    assert asyncio.run(ask()).result == 1


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"\xff",
        b'{"ok":"yes"}',
        b'{"ok":true,"extra":1}',
        b'{"ok":true,"error":{"code":"refused","message":"no"}}',
        b'{"ok":false}',
        b"[" * 100_000,
    ],
)
def test_rubbish_is_a_refusal(ipc: Path, data: bytes) -> None:
    with AnsweringHost(ipc, lambda request: data):
        answer = asyncio.run(Requests(ipc).ask(ListTodos()))
    assert code(answer) in ("answer_unreadable", "refused")


def test_an_answer_that_is_no_file_is_a_refusal(ipc: Path) -> None:
    async def ask() -> Answer:
        task = await asking(Requests(ipc), ListTodos())
        (ipc / "responses" / f"{taken(ipc)}.json").mkdir()
        return await task

    assert code(asyncio.run(ask())) == "answer_unreadable"


def test_what_the_host_refuses_is_told_in_its_words(ipc: Path) -> None:
    refusal = Answer(ok=False, error=Error("forbidden", "Only the admin group may."))
    with AnsweringHost(ipc, lambda request: refusal):
        assert asyncio.run(Requests(ipc).ask(ListTodos())) == refusal


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (Handoff(brief="x" * 99_999 + "\ud800"), "invalid"),
        (Service(tool="t", arguments={"text": "x" * 300_000}), "too_large"),
        (Service(tool="t", arguments={"deep": nested(100_000)}), "invalid"),
    ],
)
def test_what_no_file_may_hold_is_not_asked(ipc: Path, request_: Request, expected: str) -> None:
    assert code(asyncio.run(Requests(ipc).ask(request_))) == expected
    assert waiting(ipc) == []


def test_a_folder_that_can_t_be_written_is_an_answer(ipc: Path) -> None:
    (ipc / "requests").rmdir()
    assert code(asyncio.run(Requests(ipc).ask(ListTodos()))) == "not_written"
    (ipc / "requests").touch()
    assert code(asyncio.run(Requests(ipc).ask(ListTodos()))) == "not_written"


def test_a_full_disk_is_an_answer_and_leaves_no_draft(
    ipc: Path,
) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, limits[1]))
    try:
        answer = asyncio.run(Requests(ipc).ask(AddTodo(content="milk")))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert code(answer) == "not_written"
    assert waiting(ipc) == []


def test_who_stops_waiting_withdraws_and_disturbs_nobody(ipc: Path) -> None:
    async def ask() -> Answer:
        requests = Requests(ipc)
        gone = await asking(requests, ListTodos())
        early = taken(ipc)
        other = await asking(requests, AddTodo(content="milk"))
        withdrawn = await asking(requests, Handoff(brief="go on"))
        assert len(waiting(ipc)) == 2
        for task in (gone, withdrawn):
            task.cancel()
        await asyncio.gather(gone, withdrawn, return_exceptions=True)
        say(ipc, early, b'{"ok":true,"result":"for nobody"}')
        say(ipc, taken(ipc), b'{"ok":true,"result":"for other"}')
        return await other

    assert asyncio.run(ask()).result == "for other"


def watches() -> int:
    """How many watches on folders this process has."""
    links = [str(link.readlink()) for link in Path("/proc/self/fd").iterdir() if link.exists()]
    return sum("inotify" in link for link in links)


@pytest.mark.skipif(sys.platform != "linux", reason="/proc tells which watches there are")
def test_all_share_one_watch_and_it_goes_with_the_last(ipc: Path) -> None:
    async def ask() -> tuple[int, int]:
        requests = Requests(ipc)
        tasks = [await asking(requests, ListTodos()) for _ in range(20)]
        during = watches()
        tasks[0].cancel()
        await asyncio.wait(tasks[:1])
        assert watches() == during
        for task in tasks:
            task.cancel()
        watchers = [task for task in asyncio.all_tasks() if task.get_name() == "responses"]
        await asyncio.wait([*tasks, *watchers], timeout=LIMIT)
        return during, watches()

    before = watches()
    assert asyncio.run(ask()) == (before + 1, before)


@pytest.mark.parametrize("steps", range(5))
def test_a_watcher_ends_although_something_comes_just_then(ipc: Path, steps: int) -> None:
    async def ask() -> None:
        requests = Requests(ipc)
        task = await asking(requests, ListTodos())
        await asyncio.sleep(0)
        (watcher,) = (one for one in asyncio.all_tasks() if one.get_name() == "responses")
        say(ipc, "other", b'{"ok":true}')
        for _ in range(steps):  # After one of them it is read, and not yet looked at.
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task, watcher], timeout=LIMIT)
        assert watcher.done()

    asyncio.run(ask())


def test_where_nothing_can_be_watched_it_looks(ipc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "asyncinotify", None)
    with AnsweringHost(ipc):
        assert asyncio.run(Requests(ipc).ask(ListTodos())).ok
