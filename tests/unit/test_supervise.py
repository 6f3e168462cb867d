"""The supervisor's own rules: pauses between starts, who holds a home, whose words count, what is
kept of what was said."""

from __future__ import annotations

import io
import json
import os
import socket
import threading
from importlib import import_module
from pathlib import Path

import pytest

from pynchy_cli import locks
from pynchy_cli.log_lines import as_text
from pynchy_cli.stage import STAGES
from pynchy_cli.supervise import standing
from pynchy_cli.supervise.ear import Ear
from pynchy_cli.supervise.logbook import FILES, Logbook
from pynchy_cli.supervise.pauses import Pauses
from pynchy_cli.supervise.printer import HELD, Printer
from pynchy_cli.supervise.services import SERVICES, SIDE_BY_SIDE


def test_five_times_at_once_then_ever_more_slowly() -> None:
    pauses, now, found = Pauses(), 0.0, []
    for _ in range(13):
        found.append(pauses.after(now, now + 0.1))
        now += found[-1] + 0.1
    assert found == [0, 0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 60, 60]
    assert pauses.after(now, now + 59.9) == 60, "it has not worked for long enough"
    assert pauses.after(now, now + 60.0) == 0, "now it has"
    found = [pauses.after(now + 60, now + 60.1) for _ in range(5)]
    assert found == [0, 0, 0, 0, 1], "the end before counts, too"
    pauses.forget()
    assert pauses.after(now, now + 0.1) == 0


def test_seldom_enough_is_always_at_once() -> None:
    pauses = Pauses()
    assert {pauses.after(at, at + 12.5) for at in range(0, 1250, 13)} == {0}


def test_who_holds_a_home_is_told_by_the_lock(tmp_path: Path) -> None:
    lock = locks.take(tmp_path / "up.lock")
    assert lock is not None
    assert standing.holder(lock.path) == {}, "somebody has it, and hasn't said who"
    assert standing.described({}) == ""
    now = "2026-01-31T08:00:00.000Z"
    os.pwrite(lock.fd, b"x" * 1000, 0)
    standing.note(lock, {}, now)
    facts = {"pid": os.getpid(), "started_at": now, "unit": None}
    assert standing.holder(lock.path) == facts
    assert standing.described(facts) == f"process {os.getpid()}, since {now}"
    assert standing.described({**facts, "unit": "pynchy.service"}).endswith("unit pynchy.service")
    assert not list(tmp_path.glob("*.tmp")), "the file stays the one that is locked"
    assert locks.is_held(lock.path)
    lock.release()


@pytest.mark.parametrize(
    ("environ", "cgroup", "unit"),
    [
        ({}, "0::/system.slice/pynchy.service\n", None),
        ({"INVOCATION_ID": "1"}, "0::/system.slice/pynchy.service\n", "pynchy.service"),
        ({"INVOCATION_ID": "1"}, "0::/user.slice/user@0.service/a.service/sub\n", "a.service"),
        ({"INVOCATION_ID": "1"}, "0::/\n", None),
        ({"XPC_SERVICE_NAME": "0"}, "", None),
        ({"XPC_SERVICE_NAME": "org.pynchy"}, "", "org.pynchy"),
    ],
)
def test_the_service_manager_s_name_for_us(
    tmp_path: Path, environ: dict[str, str], cgroup: str, unit: str | None
) -> None:
    file = tmp_path / "cgroup"
    file.write_text(cgroup)
    assert standing.unit(environ, file) == unit
    if "INVOCATION_ID" in environ:
        assert standing.unit(environ, tmp_path / "nowhere") is None


def test_only_the_process_itself_is_heard(tmp_path: Path) -> None:
    ear = Ear(tmp_path / "ear")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as way:
        way.connect(str(ear.path))
        way.send(b"READY=1\nSTATUS=all is well")
        way.send(b"WATCHDOG=1\nSTART=1")
        assert list(ear.heard(os.getpid() + 1)) == ["START=1"]
        way.send(b"READY=1")
        assert list(ear.heard(None)) == []
        way.send(b"READY=1")
        way.send(b"STOPPING=1")
        assert list(ear.heard(os.getpid())) == ["READY=1", "STOPPING=1"], "all that has come"
    ear.close()
    assert not ear.path.exists()


def test_only_stages_of_which_several_may_run_are_started_beside_what_is_left() -> None:
    modules = {name: import_module(f"pynchy_cli.pipeline.{STAGES[name]}") for name in SERVICES}
    several = [name for name, module in modules.items() if not getattr(module, "SINGLE", True)]
    assert several == list(SIDE_BY_SIDE)


def test_lines_for_people() -> None:
    line = {
        "stage": "route",
        "timestamp": "2026-01-31T08:00:00.000Z",
        "level": "warning",
        "logger": "route",
        "event": "queued\x1b[31m",
        "run": 5,
        "why": "a\nb",
        "exception": "Traceback:\n  line\x07",
    }
    text = (
        "2026-01-31T08:00:00.000Z warning route: queued\\x1b[31m run=5 why=a\\nb\n"
        "Traceback:\n  line\\x07"
    )
    assert as_text(line, colours=False) == text
    assert as_text(line, colours=True) == f"\033[33m{text}\033[0m"
    assert as_text({"event": "x", "level": "info"}, colours=True) == "info    x"
    assert as_text({}, colours=False) == ""


def test_the_logbook_is_of_bounded_size(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "pynchy.ndjson"
    book = Logbook(path, limit=100)
    for number in range(100):
        book.write(json.dumps({"number": number, "more": "x" * 20}))
    files = [path, *(path.with_name(f"pynchy.ndjson.{age}") for age in range(1, FILES))]
    assert sorted(path.parent.iterdir()) == sorted(files)
    assert all(0 < file.stat().st_size <= 100 for file in files)
    lines = [line for file in reversed(files) for line in file.read_text().splitlines()]
    numbers = [json.loads(line)["number"] for line in lines]
    assert numbers == list(range(100 - len(numbers), 100)), "the newest, in order"
    book.write("x" * 500)
    assert path.read_text() == "x" * 500 + "\n", "a long line has a file of its own"
    book.close()
    assert path.stat().st_mode & 0o777 == 0o600


def test_the_logbook_outlives_what_happens_to_its_file(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    folder.write_text("in the way")
    book = Logbook(folder / "a.ndjson")
    book.write("lost")
    folder.unlink()
    book.write("one")
    (folder / "a.ndjson").rename(folder / "elsewhere")
    book.write("two")
    assert (folder / "a.ndjson").read_text() == "two\n"
    assert (folder / "elsewhere").read_text() == "one\n"
    full = tmp_path / "full"
    full.symlink_to("/dev/full")
    book = Logbook(full)
    for _ in range(3):
        book.write("lost, too")
    full.unlink()
    book.write("three")
    assert full.read_text() == "three\n"
    book.close()
    full.write_text("three\nhal")
    book.write("four")
    assert full.read_text() == "three\nhal\nfour\n", "nothing is added to half a line"


def test_a_reader_who_does_not_read_holds_nobody_up(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    book = Logbook(tmp_path / "log")
    with os.fdopen(writing, "w") as out:
        printer = Printer(out, ["route"], as_json=True, book=book)
        for number in range(4 * HELD // 1000):
            printer.print("route", json.dumps({"event": "x" * 1000, "number": number}))
        said: list[str] = []
        with os.fdopen(reading) as source:
            reader = threading.Thread(target=lambda: said.extend(source))
            reader.start()
            while not printer._outlet.has_room():
                pass
            printer.say("over")
            printer.close()
            out.close()
            reader.join(60)
    found = [json.loads(line) for line in said]
    assert found[-1]["event"] == "over"
    assert found[-2]["event"].startswith("nobody read along: ")
    kept = [line["number"] for line in found[:-2]]
    left_out = int(found[-2]["event"].split()[3])
    assert kept == list(range(len(kept)))
    assert len(kept) + left_out == 4 * HELD // 1000
    assert len((tmp_path / "log").read_text().splitlines()) == 4 * HELD // 1000 + 2


def test_new_names_and_lines_that_are_no_objects() -> None:
    out = io.StringIO()
    printer = Printer(out, ["route"], as_json=False)
    printer.print("route", "plain \x1b text")
    printer.print("listen@slack", '{"event": "begun", "level": "info", "stage": "listen@slack"}')
    printer.print("route", '{"not": whole')
    printer.print("route", "[1]")
    nested = '{"a":' * 10_000
    printer.print("route", nested)
    printer.close()
    assert out.getvalue().splitlines() == [
        "route | plain \\x1b text",
        "listen@slack | info    begun",
        'route        | {"not": whole',
        "route        | [1]",
        f"route        | {nested}",
    ]
