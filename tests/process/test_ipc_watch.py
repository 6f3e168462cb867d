"""The stage that answers agents, as a process over a real home, and agents that write whatever they
like into their folders: each request is answered once, and nothing else comes of it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from pynchy_cli import clock
from pynchy_cli.ipc.approving import MOST
from pynchy_cli.store import approvals, audit, groups, sessions
from tests.by_hand import Agent, House, wait_for

ADDED = {"type": "add_todo", "content": "x"}
WHOLE = json.dumps(ADDED).encode()


def todos(house: House) -> list[str]:
    return house.rows("SELECT content FROM todos ORDER BY id")


def seen(folder: Path) -> list[tuple[str, int, int, int, bytes]]:
    """All that could be changed of a folder and of what is in it."""
    return [
        (
            *(str(path), facts.st_mode, facts.st_uid, facts.st_mtime_ns),
            path.read_bytes() if path.is_file() else b"",
        )
        for path in (folder, *sorted(folder.rglob("*")))
        for facts in [path.lstat()]
    ]


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """What is none of an agent's business; valid requests lie there."""
    folder = tmp_path / "outside"
    folder.mkdir()
    for name in ("letter", "linked", "00000001-theirs.json"):
        (folder / name).write_bytes(WHOLE)
    return folder


def _socket(path: Path) -> None:
    with contextlib.chdir(path.parent), socket.socket(socket.AF_UNIX) as made:
        made.bind(path.name)


def _full(path: Path) -> None:
    path.mkdir()
    (path / "inner").write_bytes(WHOLE)


def _sparse(path: Path) -> None:
    path.write_bytes(WHOLE)
    os.truncate(path, 10 << 30)


def odd_files(outside: Path) -> dict[str, tuple[Callable[[Path], object], str]]:
    """Name -> what an agent puts there, and the code of the answer."""
    found: dict[str, tuple[Callable[[Path], object], str]] = {
        "link": (lambda path: path.symlink_to(outside / "letter"), "invalid"),
        "link-to-folder": (lambda path: path.symlink_to(outside), "invalid"),
        "link-to-nothing": (lambda path: path.symlink_to("nowhere"), "invalid"),
        "link-to-itself": (lambda path: path.symlink_to(path.name), "invalid"),
        "link-to-terminal": (lambda path: path.symlink_to("/dev/tty"), "invalid"),
        "pipe": (os.mkfifo, "invalid"),
        "socket": (_socket, "invalid"),
        "folder": (lambda path: path.mkdir(), "invalid"),
        "full-folder": (_full, "invalid"),
        "hard-link": (lambda path: path.hardlink_to(outside / "linked"), "invalid"),
        "sparse": (_sparse, "too_large"),
        "too-large": (lambda path: path.write_bytes(b" " * 300_000), "too_large"),
        "deep": (lambda path: path.write_bytes(b"[" * 200_000), "invalid"),
        "binary": (lambda path: path.write_bytes(bytes(range(256))), "invalid"),
        "nan": (lambda path: path.write_bytes(WHOLE[:-1] + b', "a": NaN}'), "invalid"),
        "twice": (lambda path: path.write_bytes(WHOLE[:-1] + b', "type": "add_todo"}'), "invalid"),
        "other-id": (lambda path: path.write_bytes(b'{"type":"list_todos","request_id":"a"}'),
                     "invalid"),
        "unknown": (lambda path: path.write_bytes(b'{"type":"approve"}'), "type_unknown"),
        "no-object": (lambda path: path.write_bytes(b'[1]'), "invalid"),
    }  # fmt: skip
    if os.getuid() == 0:
        found["foreign"] = (lambda path: (path.write_bytes(WHOLE), os.chown(path, 4321, 4321)),
                            "invalid")  # fmt: skip
        with contextlib.suppress(OSError):
            place = outside.parent / "device"
            os.mknod(place, 0o600 | stat.S_IFCHR, os.makedev(1, 5))
            place.unlink()
            found["device"] = (
                lambda path: os.mknod(path, 0o600 | stat.S_IFCHR, os.makedev(1, 5)),
                "invalid",
            )
    else:
        found["shut"] = (lambda path: (path.write_bytes(WHOLE), path.chmod(0)), "invalid")
    return found


NAMELESS = [
    *("x.json", "00000001.json", "00000001-.json", "1-a.json", "00000001-A.json", "00000001-a"),
    *("00000001-..%2f..%2fx.json", "00000001-....json", "00000001-a.json.json", "00000001-a.JSON"),
    *("00000001-a\n.json", "00000001-a.json\n", "٠٠٠٠٠٠٠١-a.json", "00000001-ü.json", "x" * 255),
    *("00000001-" + "a" * 65 + ".json", " ", "-rf", "*", "\udcff.json", "\x1b[2J.json"),
]
"""Names of files that no answer can bear."""


@pytest.mark.parametrize("is_down", [False, True], ids=["at work", "found at a start"])
def test_whatever_lies_there_is_answered_once_and_nothing_outside_is_touched(
    house: House, outside: Path, is_down: bool
) -> None:
    """What an agent names or links is neither followed nor written to."""
    agent, other = house.agent("team"), house.agent("club")
    odd = odd_files(outside)
    if not is_down:
        house.start()
    for number, (id, (make, _)) in enumerate(odd.items()):
        make(agent.requests / f"{number:08}-{id}.json")
    before = seen(outside)
    for name in NAMELESS:
        (agent.requests / name).write_bytes(WHOLE)
    agent.ask("sound", "add_todo", content="sound")
    other.ask("theirs", "add_todo", content="theirs")
    if is_down:
        house.start()
    assert agent.code("sound") == other.code("theirs") == "ok"
    assert {id: agent.code(id) for id in odd} == {id: code for id, (_, code) in odd.items()}
    wait_for(lambda: left(agent) == ["full-folder"], "the end of all files")
    wait_for(lambda: unreadable(house) == len(odd) + len(NAMELESS), "the count of what is none")
    assert agent.answers() == {*odd, "sound"}
    assert sorted(todos(house)) == ["sound", "theirs"]
    assert seen(outside) == before
    house.stop()
    house.start()
    assert agent.code("sound") == "ok"
    house.stop()
    assert house.rows("SELECT count(*), count(answer), sum(delivered) FROM requests") == [
        (len(odd) + 2,) * 3
    ]
    assert "Traceback" not in house.said
    assert house.rows("SELECT count(*) FROM failures") == [0]


def left(agent: Agent) -> list[str]:
    """The ids, or names, of what lies there."""
    return sorted(
        path.stem.partition("-")[2] or path.name
        for path in agent.requests.iterdir()
        if not path.name.startswith(".")
    )


def unreadable(house: House) -> int:
    (found,) = house.rows("SELECT value FROM counters WHERE name = 'requests_unreadable'")
    return int(found)


def test_of_what_can_t_be_read_the_beginning_is_kept(house: House) -> None:
    agent = house.agent("team")
    agent.write(agent.name("rubbish"), b"\0rubbish \xff" + b"y" * 9000)
    agent.write("none.json", b"nothing")
    house.start(once=True)
    ((state, payload),) = house.rows("SELECT state, payload FROM requests")
    assert state == "refused"
    assert payload.startswith("\N{REPLACEMENT CHARACTER}rubbish")
    assert len(payload) == 4096
    (event,) = house.rows("SELECT payload FROM events WHERE event_type = 'request_unreadable'")
    assert "nothing" in event


@pytest.mark.parametrize("gap", [0.3, 5.2])
def test_what_is_written_in_pieces_is_taken_once_it_is_whole(house: House, gap: float) -> None:
    """Without a rename, by one that keeps it open, and by one that comes again."""
    agent, other = house.agent("team"), house.agent("club")
    stage = house.start()
    spent = busy(stage.pid)
    name, again = agent.name("open"), agent.name("again")
    with (agent.requests / name).open("wb", buffering=0) as kept:
        kept.write(WHOLE[:9])
        (agent.requests / again).write_bytes(WHOLE[:-3])
        for number in range(3):
            time.sleep(gap / 3)
            kept.write(WHOLE[9 + number : 10 + number])
        other.ask("meanwhile", "list_todos")
        assert other.code("meanwhile") == "ok"
        assert agent.answers() == set()
        assert house.rows("SELECT count(*) FROM requests WHERE group_folder = 'team'") == [0]
        kept.write(WHOLE[12:])
        with (agent.requests / again).open("ab") as more:
            more.write(WHOLE[-3:])
        assert agent.code("open") == agent.code("again") == "ok"
    assert todos(house) == ["x", "x"]
    assert busy(stage.pid) - spent < 0.5


def busy(pid: int) -> float:
    """Seconds of a processor that a process has used."""
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def test_what_is_never_finished_is_refused_and_costs_nothing_meanwhile(house: House) -> None:
    agent = house.agent("team")
    stage = house.start()
    agent.write(agent.name("first"), WHOLE)
    assert agent.code("first") == "ok"
    spent = busy(stage.pid)
    for id, data in (("empty", b""), ("half", WHOLE[:-1]), ("blank", b" \n")):
        (agent.requests / agent.name(id)).write_bytes(data)
    gone = agent.requests / agent.name("gone")
    gone.write_bytes(b"{")
    time.sleep(0.5)
    gone.unlink()
    assert {agent.code(id) for id in ("empty", "half", "blank")} == {"invalid"}
    assert busy(stage.pid) - spent < 0.5
    assert left(agent) == []
    assert agent.answers() == {"first", "empty", "half", "blank"}


def test_what_was_asked_while_nothing_could_be_written_is_answered_then(house: House) -> None:
    agent = house.agent("team")
    house.start()
    agent.ask("first", "list_todos")
    assert agent.code("first") == "ok"
    with house.store.atomic():
        agent.ask("a", "add_todo", content="x")
        wait_for(lambda: "drain failed" in house.said, "the end of the stage's patience")
    wait_for(lambda: "a" in agent.answers(), "the answer", limit=25)
    assert todos(house) == ["x"]


def test_no_event_need_be_heard(house: House) -> None:
    """So much happens at once that the kernel loses count."""
    agent, other = house.agent("team"), house.agent("club")
    stage = house.start()
    other.ask("first", "list_todos")
    assert other.code("first") == "ok"
    most = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    stage.send_signal(signal.SIGSTOP)
    noise = other.requests / ".noise"
    for _ in range(most // 2 + 1000):
        noise.touch()
        noise.unlink()
    for number in range(50):
        agent.ask(f"r{number}", "add_todo", content=f"{number}")
    stage.send_signal(signal.SIGCONT)
    assert [agent.code(f"r{number}") for number in range(50)] == ["ok"] * 50
    assert todos(house) == [str(number) for number in range(50)]


def test_five_hundred_of_twenty_groups_are_answered_in_each_group_s_order(house: House) -> None:
    agents = [house.agent(f"team-{number}") for number in range(20)]
    house.start()
    for number in range(25):
        for agent in agents:
            agent.ask(f"r{number}", "add_todo", content=f"{number}")
    for agent in agents:
        assert {agent.code(f"r{number}") for number in range(25)} == {"ok"}
        noted = f"SELECT content FROM todos WHERE group_folder = '{agent.group}' ORDER BY id"
        assert house.rows(noted) == [str(number) for number in range(25)]


@pytest.mark.chaos
@pytest.mark.timeout(600)
def test_twenty_thousand_files_at_once_are_answered_each(house: House) -> None:
    """Another group is served meanwhile."""
    agent, other = house.agent("team"), house.agent("club")
    house.start()
    count = 20_000
    for number in range(count):
        agent.ask(f"r{number}", "add_todo", content=f"{number}")
    other.ask("meanwhile", "list_todos")
    assert other.code("meanwhile") == "ok"
    answered = "SELECT count(*) FROM requests WHERE group_folder = 'team' AND answer IS NOT NULL"
    wait_for(lambda: house.rows(answered) == [count], "every answer", limit=500)
    wait_for(lambda: left(agent) == [], "the end of all files")
    assert len(agent.answers()) == count
    assert todos(house) == [str(number) for number in range(count)]


def replaced(path: Path, kind: str, outside: Path) -> None:
    """The folder is something else now; it stays behind beside it."""
    path.rename(path.with_name("before"))
    match kind:
        case "link":
            path.symlink_to(outside)
        case "pipe":
            os.mkfifo(path)
        case "socket":
            _socket(path)
        case "file":
            path.write_bytes(WHOLE)


@pytest.mark.parametrize("kind", ["link", "pipe", "socket", "file", "nothing"])
def test_a_folder_that_became_something_else_is_left_alone(
    house: House, outside: Path, kind: str
) -> None:
    """Others are served, and the group again when it has a folder."""
    agent, other = house.agent("team"), house.agent("club")
    before = seen(outside)
    house.start()
    agent.ask("before", "list_todos")
    assert agent.code("before") == "ok"
    replaced(agent.requests, kind, outside)
    (agent.path / "before" / agent.name("behind")).write_bytes(WHOLE)
    other.ask("one", "list_todos")
    assert other.code("one") == "ok"
    other.ask("two", "list_todos")
    assert other.code("two") == "ok"
    assert agent.answers() == {"before"}
    assert seen(outside) == before
    assert todos(house) == []
    agent.requests.unlink(missing_ok=True)
    agent.requests.mkdir()
    agent.ask("after", "add_todo", content="after")
    other.ask("three", "list_todos")
    assert other.code("three") == agent.code("after") == "ok"
    assert seen(outside) == before
    house.stop()
    assert "Traceback" not in house.said


def test_a_folder_that_was_something_else_at_the_start_is_left_alone(
    house: House, outside: Path
) -> None:
    agent, other = house.agent("team"), house.agent("club")
    before = seen(outside)
    replaced(agent.requests, "link", outside)
    other.ask("one", "list_todos")
    house.start(once=True)
    assert other.answers() == {"one"}
    assert agent.answers() == set()
    assert seen(outside) == before


@pytest.mark.parametrize("how", ["folder gone", "session over"])
def test_an_asker_that_has_gone_disturbs_nobody(house: House, how: str) -> None:
    """What it asked is done, and nobody tries to tell it again and again."""
    agent, other = house.agent("team"), house.agent("club")
    house.start()
    agent.ask("wait", "sync_worktree_to_main")
    wait_for(lambda: house.rows("SELECT 1 FROM approvals"), "the question")
    shutil.rmtree(agent.path / "responses")
    if how == "session over":
        with house.store.atomic() as db:
            sessions.end(db, sessions.get(db, "team", "chat"))
        shutil.rmtree(agent.path)
    else:
        agent.ask("done", "add_todo", content="done")
    assert house.decide("approved", agent, "wait")
    delivered = "SELECT min(delivered) FROM requests WHERE group_folder = 'team'"
    wait_for(lambda: house.rows(delivered) == [1], "the end of it")
    assert house.outside == ["approved wait group"]
    other.ask("one", "list_todos")
    assert other.code("one") == "ok"
    house.stop()
    assert len(house.said.splitlines()) <= 2
    assert house.rows("SELECT count(*) FROM failures") == [0]


@pytest.mark.parametrize("is_down", [False, True], ids=["at work", "found at a start"])
def test_a_removed_group_s_sandbox_is_none_of_its_namesake_s(house: House, is_down: bool) -> None:
    """It lives on for a while, and the new group may be one that is trusted."""
    agent = house.agent("team")
    if not is_down:
        house.start()
        agent.ask("own", "list_todos")
        assert agent.code("own") == "ok"
    else:
        os.utime(agent.path, (0, 0))
    with house.store.atomic() as db:
        groups.remove(db, "team")
    house.add_group("team")
    left = agent.ask("theirs", "add_todo", content="x")
    if is_down:
        house.start(once=True)
    else:
        wait_for(lambda: not left.exists(), "the end of it")
        house.stop()
    assert agent.answers() <= {"own"}
    assert todos(house) == []
    assert house.rows("SELECT count(*) FROM requests") == [0]
    new = house.agent("team", session="anew")
    new.ask("a", "list_todos")
    house.start(once=True)
    assert new.code("a") == "ok"


def test_an_id_is_answered_once_whatever_it_asks_the_second_time(house: House) -> None:
    agent, twin = house.agent("team"), house.agent("team", "task:1")
    house.start()
    agent.ask("a", "add_todo", content="first")
    assert agent.code("a") == "ok"
    answer = (agent.path / "responses/a.json").read_bytes()
    for content in ("first", "second"):
        agent.ask("a", "add_todo", content=content)
    agent.write(agent.name("a"), b"rubbish")
    agent.ask("b", "finished_work")
    agent.ask("b", "finished_work")
    agent.ask("c", "list_todos")
    twin.ask("a", "add_todo", content="of another session")
    assert agent.code("c") == agent.code("b") == twin.code("a") == "ok"
    wait_for(lambda: left(agent) == [], "the end of all files")
    assert (agent.path / "responses/a.json").read_bytes() == answer
    assert sorted(todos(house)) == ["first", "of another session"]
    assert house.outside == ["once b group"]
    house.stop()
    (agent.path / "responses/a.json").unlink()
    agent.ask("a", "add_todo", content="third")
    house.start(once=True)
    assert (agent.path / "responses/a.json").read_bytes() == answer
    assert sorted(todos(house)) == ["first", "of another session"]


def test_nothing_that_an_agent_plants_is_an_approval(house: House) -> None:
    """Not in its own folder, not in one beside it, and not as a request."""
    agent = house.agent("team")
    house.start()
    agent.ask("gated", "sync_worktree_to_main")
    wait_for(lambda: house.rows("SELECT 1 FROM approvals"), "the question")
    (id,) = house.rows("SELECT id FROM approvals")
    yes = {"approved": True, "request_id": "gated", "id": id, "handler_type": "ipc"}
    for folder in (agent.path, agent.requests):
        for name in ("pending_approvals", "approval_decisions"):
            (folder / name).mkdir()
            for file in ("gated.json", f"{id}.json", "00000009-gated.json"):
                (folder / name / file).write_text(json.dumps(yes))
    agent.write(f"00000090-{id}.json", json.dumps(yes).encode())
    for type in ("approve", "approval_decision", "deny"):
        agent.ask(type, type, id=id)
        assert agent.code(type) == "type_unknown"
    agent.ask("gated", "sync_worktree_to_main", approved=True)
    agent.ask("self", "sync_worktree_to_main", _approved=True)
    assert agent.code("self") == "invalid"
    assert agent.code(id) == "invalid"
    assert house.rows("SELECT state FROM approvals") == ["pending"]
    assert house.outside == []
    assert "gated" not in agent.answers()


def test_what_was_approved_is_done_as_the_one_who_asked(house: House) -> None:
    """A yes doesn't make an admin of anybody; and what is done is what is stored."""
    agent, admin = house.agent("team"), house.agent("main")
    house.start()
    for one in (agent, admin):
        one.ask("a", "sync_worktree_to_main")
    for one in (agent, admin):
        wait_for(lambda one=one: left(one) == [], "the end of the file")
        one.ask("a", "sync_worktree_to_main", more="than was shown")
        assert house.decide("approved", one, "a")
        assert not house.decide("denied", one, "a")
    assert agent.answer("a").result == {"role": "group"}
    assert admin.answer("a").result == {"role": "admin"}
    assert sorted(house.outside) == ["approved a admin", "approved a group"]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ("UPDATE requests SET payload = replace(payload, 'sync', 'sink')", "changed"),
        ("UPDATE requests SET type = 'deploy_changes'", "changed"),
        ("UPDATE approvals SET digest = 'of something else'", "forbidden"),
        ("UPDATE approvals SET state = 'denied'", "forbidden"),
        ("UPDATE registered_groups SET is_admin = 0", "forbidden"),
    ],
)
def test_what_is_not_what_was_shown_is_not_done(house: House, change: str, code: str) -> None:
    """The row is asked again before it is carried out, whoever may have written to it since."""
    agent = house.agent("main")
    agent.ask("a", "sync_worktree_to_main")
    house.start(once=True)
    assert house.decide("approved", agent, "a")
    with house.store.atomic() as db:
        db.execute(change)
    house.start(once=True)
    assert agent.code("a") == code
    assert house.outside == []


def test_without_a_yes_nothing_is_done_though_it_seems_accepted(house: House) -> None:
    agent = house.agent("main")
    agent.ask("a", "sync_worktree_to_main")
    agent.ask("b", "deploy_changes")
    house.start(once=True)
    with house.store.atomic() as db:
        db.execute("UPDATE requests SET state = 'accepted'")
    house.start(once=True)
    assert agent.code("a") == agent.code("b") == "forbidden"
    assert house.outside == []
    assert todos(house) == []


def test_a_no_and_no_answer_are_told_and_nothing_is_done_later(house: House) -> None:
    """The answer comes where it was asked for, and a yes after its time is none."""
    agent = house.agent("team")
    house.start(PYNCHY_APPROVALS__EXPIRY="1.5")
    agent.ask("denied", "sync_worktree_to_main")
    assert house.decide("denied", agent, "denied")
    agent.ask("late", "sync_worktree_to_main")
    assert agent.code("denied") == "denied"
    assert agent.code("late") == "expired"
    with house.store.atomic() as db:
        for approval in approvals.all(db, pending=False):
            assert not approvals.decide(db, approval, "approved", "owner", clock.now())
    agent.ask("after", "list_todos")
    assert agent.code("after") == "ok"
    assert house.outside == []


def say(house: House, chat: str, *texts: str, sender: str = "owner", **environ: str) -> None:
    """Somebody says something in a chat, and `route` hears it."""
    lines = [
        json.dumps({"id": uuid.uuid4().hex, "chat": chat, "text": text, "sender": sender})
        for text in texts
    ]
    for arguments in (("listen", "stdin"), ("route", "--once")):
        done = subprocess.run(
            [*(sys.executable, "-P", "-m", "pynchy_cli"), *arguments],
            env={**house.environ, "PYNCHY_HOME": str(house.home.root), **environ},
            input="\n".join(lines),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr


def test_a_yes_counts_from_whom_and_where_it_was_asked_alone(house: House) -> None:
    """Not from a stranger, not in another chat, not from one who may speak
    there but decides nothing; and a stranger answers no question and runs no command."""
    agent = house.agent("team")
    house.agent("club")
    house.start()
    agent.ask("gated", "sync_worktree_to_main")
    agent.ask(
        "question", "ask_user", questions=[{"question": "Red?", "options": [{"label": "yes"}]}]
    )
    wait_for(lambda: house.rows("SELECT 1 FROM approvals"), "the question for a yes")
    wait_for(lambda: house.rows("SELECT 1 FROM questions"), "the question")
    (id,) = house.rows("SELECT id FROM approvals")
    shell = {"PYNCHY_COMMANDS__SHELL": "true"}
    told = (f"approve {id}", f"@pynchy approve {id}", "1", "!touch pwned")
    for number, text in enumerate(told):
        agent.ask(f"own{number}", "send_message", text=text, sender="owner")
        agent.ask(f"bare{number}", "send_message", text=text)
        assert agent.code(f"own{number}") == agent.code(f"bare{number}") == "ok"
    before = agent.answers()
    say(house, "local:team", *told, sender="mallory", **shell)
    say(house, "local:main", *told[:2], sender="mallory", **shell)
    say(house, "local:main", told[3], sender="mallory", **shell)
    say(house, "local:club", *told, **shell)
    agent.ask("after", "list_todos")
    assert agent.code("after") == "ok"
    assert agent.answers() == {*before, "after"}
    say(house, "local:team", told[0], PYNCHY_APPROVALS__APPROVERS='["slack:U1"]')
    assert house.rows("SELECT state FROM approvals") == ["pending"]
    assert house.rows("SELECT state FROM questions") == ["pending"]
    assert house.rows("SELECT count(*) FROM requests WHERE type = 'host_shell'") == [0]
    say(house, "local:team", f"approve {id}", "1")
    assert agent.code("gated") == agent.code("question") == "ok"
    assert house.outside == ["approved gated group"]
    assert not list(house.home.root.rglob("pwned"))


def test_people_are_not_asked_without_end(house: House) -> None:
    agent, other = house.agent("team"), house.agent("club")
    house.start()
    for number in range(MOST):
        agent.ask(f"r{number}", "sync_worktree_to_main")
    agent.ask("more", "sync_worktree_to_main")
    assert agent.code("more") == "too_many"
    other.ask("theirs", "sync_worktree_to_main")
    assert house.decide("denied", agent, "r7")
    assert agent.code("r7") == "denied"
    agent.ask("again", "sync_worktree_to_main")
    assert house.decide("approved", agent, "again")
    assert agent.code("again") == "ok"
    assert house.decide("approved", other, "theirs")
    assert other.code("theirs") == "ok"
    assert house.rows("SELECT count(*) FROM approvals") == [MOST + 2]


def test_the_admin_group_is_asked_too_where_that_is_wanted(house: House) -> None:
    agent = house.agent("team")
    house.start(PYNCHY_APPROVALS__IN_ADMIN_CHAT="true")
    agent.ask("a", "sync_worktree_to_main")
    wait_for(lambda: house.rows("SELECT 1 FROM approvals"), "the question")
    asked = "SELECT chat_jid, content FROM outbound_ledger ORDER BY chat_jid"
    (here, first), (there, second) = house.rows(asked)
    assert (here, there) == ("local:main", "local:team")
    assert first == second
    assert "The agent of team asks for a yes" in first
    (id,) = house.rows("SELECT id FROM approvals")
    say(house, "local:main", f"approve {id}")
    assert agent.code("a") == "ok"
    assert house.outside == ["approved a group"]
    assert house.rows("SELECT decided_by, state FROM approvals") == [("owner", "approved")]
    decided = "SELECT who, decision, at FROM audit WHERE kind = 'approval'"
    ((who, decision, at),) = house.rows(decided)
    assert (who, decision) == ("owner", "approved")
    assert [at] == house.rows("SELECT decided_at FROM approvals")


def test_a_restart_while_something_waits_changes_nothing(house: House) -> None:
    """What was decided meanwhile is done at the next start, once."""
    agent = house.agent("team")
    house.start()
    for id in ("yes", "no"):
        agent.ask(id, "sync_worktree_to_main")
    wait_for(lambda: house.rows("SELECT count(*) FROM approvals") == [2], "the questions")
    house.stop()
    assert house.decide("approved", agent, "yes")
    assert house.decide("denied", agent, "no")
    house.start()
    assert (agent.code("yes"), agent.code("no")) == ("ok", "denied")
    house.stop()
    house.start(once=True)
    assert house.outside == ["approved yes group"]


@pytest.mark.parametrize(
    "said",
    [
        {**ADDED, "_cop_approved": True},
        {**ADDED, "is_admin": True},
        {**ADDED, "group_folder": "main"},
        {"type": "reset_context", "chatJid": "local:main", "groupFolder": "main"},
        {"type": "reset_context", "group_folder": "main"},
        {"type": "finished_work", "chat_jid": "local:main"},
        {**ADDED, "request_id": "../../../../pwned"},
        {"type": "send_message", "text": "x", "chat_jid": ["local:main"]},
    ],
    ids=str,
)
def test_nothing_that_is_said_tells_who_asks(house: House, said: dict[str, object]) -> None:
    agent = house.agent("team")
    agent.write(agent.name("a"), json.dumps(said).encode())
    house.start(once=True)
    assert agent.code("a") == "invalid"
    assert todos(house) == []
    assert house.outside == []
    assert not list(house.home.root.rglob("pwned*"))


@pytest.mark.parametrize(
    "said",
    [
        {"type": "send_message", "text": "x", "chat_jid": "local:main"},
        {"type": "send_message", "text": "x", "chat_jid": "local:nowhere"},
        {"type": "register_group", "jid": "local:x", "folder": "x", "name": "x"},
        {"type": "deploy_changes"},
        {"type": "refresh_groups"},
        {"type": "list_groups"},
        {
            "type": "schedule_task",
            "task_type": "host",
            "command": "id",
            "schedule_type": "once",
            "schedule_value": "tomorrow",
        },
        {
            "type": "schedule_task",
            "prompt": "x",
            "target_group": "main",
            "schedule_type": "once",
            "schedule_value": "tomorrow",
        },
    ],
    ids=lambda said: str(said["type"]),
)
@pytest.mark.parametrize("lane", ["chat", "child:1"])
def test_a_group_and_its_children_act_on_themselves_alone(
    house: House, said: dict[str, object], lane: str
) -> None:
    """Each refusal is a row of the audit log."""
    agent = house.agent("team", lane)
    agent.write(agent.name("a"), json.dumps(said).encode())
    house.start(once=True)
    assert agent.code("a") == "forbidden"
    assert house.rows("SELECT decision, who FROM audit") == [
        ("forbidden", f"{'child' if lane != 'chat' else 'group'}:team")
    ]
    assert house.rows("SELECT count(*) FROM outbound_ledger") == [0]


def test_every_decision_is_kept_and_none_written_over(house: House) -> None:
    agent = house.agent("team")
    house.start()
    agent.ask("a", "sync_worktree_to_main")
    assert house.decide("approved", agent, "a")
    assert agent.code("a") == "ok"
    agent.ask("a", "add_todo", content="x")
    agent.ask("b", "list_groups")
    assert agent.code("b") == "forbidden"
    house.stop()
    decisions = house.rows("SELECT decision FROM audit ORDER BY id")
    assert [one for one in decisions if one in ("gated", "approved", "forbidden")] == [
        *("gated", "approved", "forbidden")
    ]
    assert audit.check(house.store.db).faults == ()


def test_nobody_is_told_that_something_was_done_which_wasn_t(house: House) -> None:
    agent = house.agent("team")
    said = {"prompt": "x", "schedule_type": "once", "schedule_value": "tomorrow"}
    agent.ask("a", "schedule_task", **said)
    agent.ask("b", "complete_todo", todo_id=7)
    house.start(once=True)
    assert agent.code("a") == "schedule_invalid"
    assert agent.code("b") == "todo_unknown"


def test_a_slow_handler_delays_nobody_else(house: House) -> None:
    """Not another group, and not what is rows of its own."""
    agent, other = house.agent("team"), house.agent("club")
    house.start()
    agent.ask("slow", "list_tasks")
    wait_for(lambda: house.outside, "its beginning")
    agent.ask("gated", "sync_worktree_to_main")
    for one in (agent, other):
        one.ask("quick", "add_todo", content=one.group)
        assert one.code("quick") == "ok"
    other.ask("work", "finished_work")
    assert other.code("work") == "ok"
    assert house.outside == ["begun slow group", "once work group"]
    (house.home.data / "go").touch()
    assert agent.code("slow") == "ok"


def test_a_handler_that_breaks_is_answered_at_once_and_leaves_nothing(house: House) -> None:
    """`status` and the log tell of it."""
    agent = house.agent("main")
    for number in range(3):
        agent.ask(f"a{number}", "add_todo", content=f"{number}")
    agent.ask("broken", "refresh_groups")
    agent.ask("b", "add_todo", content="after")
    house.start()
    assert agent.code("broken") == "host_failed"
    assert agent.code("b") == agent.code("a2") == "ok"
    assert todos(house) == ["0", "1", "2", "after"]
    assert house.rows("SELECT state FROM requests WHERE request_id = 'broken'") == ["failed"]
    assert "a fault of the host" in house.said
    house.stop()


def test_swapping_files_under_its_hands_leads_nowhere(house: House, outside: Path) -> None:
    """One thread goes on with it while the stage reads."""
    agent, other = house.agent("team"), house.agent("club")
    before = seen(outside)
    house.start()
    over = threading.Event()
    number = 0

    def swap() -> None:
        nonlocal number
        while not over.is_set():
            number += 1
            path = agent.requests / f"00000001-swap{number % 5}.json"
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
                path.write_bytes(b'{"type":"list_todos"}')
                path.unlink()
                path.symlink_to(outside / "letter")
                path.unlink()
                path.hardlink_to(outside / "linked")
                path.unlink()
                os.mkfifo(path)

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        for count in range(30):
            other.ask(f"r{count}", "list_todos")
            assert other.code(f"r{count}") == "ok"
    finally:
        over.set()
        thread.join()
    assert todos(house) == []
    assert seen(outside) == before
    house.stop()
    assert "Traceback" not in house.said
