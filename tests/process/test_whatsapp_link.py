"""The connection to WhatsApp in a process of its own, with the real library, against a server that
does what WhatsApp does: it stands again by itself, or ends with a sentence; and whatever kills it,
what was stored is known, and what wasn't is told of."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from pynchy_cli.errors import EXIT_BROKEN
from tests.whatsapp_server import WhatsAppProcess

BOB = "4915550100"
PATIENCE = 30.0
CLIENT = Path(__file__).parents[1] / "contract" / "whatsapp_client.py"


def until(condition: Callable[[], Any], seconds: float = PATIENCE) -> Any:
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "it never became so"
        time.sleep(0.01)
    return found


@pytest.fixture(scope="module")
def whatsapp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WhatsAppProcess]:
    with WhatsAppProcess(tmp_path_factory.mktemp("whatsapp")) as server:
        server.person(BOB, "Bob")
        yield server


@pytest.fixture(scope="module")
def paired(whatsapp: WhatsAppProcess, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with the device that the server knows."""
    folder = tmp_path_factory.mktemp("paired")
    database, told = folder / "neonize.db", folder / "told"
    command = [sys.executable, str(CLIENT), str(database), str(told)]
    environ = {**os.environ, **whatsapp.environ()}
    client = subprocess.Popen(command, stdin=subprocess.PIPE, env=environ)
    rows = lambda: [json.loads(one) for one in told.read_text().splitlines()]  # noqa: E731
    try:
        until(told.exists)
        whatsapp.scan(until(lambda: [one["code"] for one in rows() if one["what"] == "qr"])[0])
        until(lambda: any(one["what"] == "Connected" for one in rows()))
    finally:
        client.kill()
        client.communicate()
    return database


class Held:
    """The process."""

    def __init__(self, whatsapp: WhatsAppProcess, database: Path) -> None:
        self.database = database
        self.path = database.with_suffix(".book")
        self.deadly = database.with_suffix(".deadly")
        self._before = len(self.states)
        environ = {**os.environ, **whatsapp.environ(), "NEONIZE_BOT_TAG": "off"}
        # As the stages are begun: whoever stands in a folder brings no modules in.
        environ["PYTHONPATH"] += os.pathsep + str(Path(__file__).parents[2])
        command = [sys.executable, "-P", "-m", "tests.whatsapp_held"]
        command += [str(self.database), str(self.path)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, env=environ, cwd=database.parent, text=True
        )

    def rows(self, name: str = "") -> list[dict[str, Any]]:
        if not self.path.exists():
            return []
        rows = [json.loads(one) for one in self.path.read_text().splitlines()]
        return [one for one in rows if not name or name in one]

    @property
    def texts(self) -> list[str]:
        return [one["text"] for one in self.rows("heard") if one["heard"] == "Message"]

    @property
    def states(self) -> list[bool]:
        return [one["connected"] for one in self.rows("connected")]

    def wait_up(self) -> None:
        until(lambda: self.states[self._before :][-1:] == [True])

    def send(self, text: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{BOB} {text}\n")
        self.process.stdin.flush()

    def end(self, by: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(by)
        return self.process.wait(PATIENCE)

    def rss(self) -> int:
        """Kilobytes of memory."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0])


@pytest.fixture
def hold(whatsapp: WhatsAppProcess, paired: Path, tmp_path: Path) -> Iterator[Callable[[], Held]]:
    """Begins a process; all with one database, as it was after the last."""
    database = tmp_path / "neonize.db"
    shutil.copy(paired, database)
    begun: list[Held] = []

    def begin() -> Held:
        begun.append(Held(whatsapp, database))
        return begun[-1]

    try:
        yield begin
        shutil.copy(database, paired)  # the keys have gone on: an older file knows nobody
    finally:
        for one in begun:
            one.process.kill()
            one.process.communicate()
        whatsapp.mend()


def test_it_stands_again_whatever_happens_and_hears_all_in_order(
    whatsapp: WhatsAppProcess, hold: Callable[[], Held]
) -> None:
    whatsapp.refuse()
    held = hold()
    until(lambda: len(held.states) > 1)
    assert True not in held.states
    whatsapp.refuse(False)
    held.wait_up()

    whatsapp.say(BOB, "hello")
    until(lambda: held.texts == ["hello"])
    for number in range(3):
        before = len(held.states)
        whatsapp.drop()
        until(lambda: held.states[before:] == [False, True])  # noqa: B023
        whatsapp.say(BOB, f"after {number}")
    until(lambda: len(held.texts) == 4)
    before = len(held.states)
    whatsapp.fail_login(503)
    whatsapp.drop()
    until(lambda: held.states[before:][-1:] == [True])

    said = [f"number {number}" for number in range(300)]
    whatsapp.flood(BOB, said)
    until(lambda: len(held.texts) >= 304)
    assert held.texts == ["hello", "after 0", "after 1", "after 2", *said]
    whatsapp.wait_received()
    held.send("an answer")
    [row] = whatsapp.wait_outbound(1)
    assert row["text"] == "an answer"
    assert held.rss() < 120_000
    assert held.end() == 0
    assert held.rows("ended") == [{"ended": "let go"}]


def test_nothing_is_acknowledged_before_it_is_stored(
    whatsapp: WhatsAppProcess, hold: Callable[[], Held]
) -> None:
    held = hold()
    held.wait_up()
    lock = held.path.with_suffix(".locked")
    lock.touch()
    ids = whatsapp.flood(BOB, ["one", "two", "three"])
    held.send("meanwhile")
    whatsapp.wait_outbound(1)
    assert whatsapp.waiting() == ids
    assert held.texts == []
    lock.unlink()
    until(lambda: held.texts == ["one", "two", "three"])
    whatsapp.wait_received()


def test_what_a_process_had_read_when_it_was_killed_is_asked_for_again(
    whatsapp: WhatsAppProcess, hold: Callable[[], Held]
) -> None:
    group = whatsapp.group("Family", BOB)
    says: list[Callable[[str], str]] = [
        lambda text: whatsapp.say(BOB, text),
        lambda text: whatsapp.say(BOB, text, chat=group),
        whatsapp.own,
    ]
    held = hold()
    held.wait_up()
    for number, say in enumerate(says):
        say(f"before {number}")
        whatsapp.wait_received()
        held.deadly.touch()
        lost = say(f"kill {number}")
        say(f"after {number}")
        assert held.process.wait(PATIENCE) == -signal.SIGKILL
        assert lost in whatsapp.waiting()
        assert f"kill {number}" not in held.texts

        held = hold()
        until(lambda: f"kill {number}" in held.texts)  # noqa: B023
    whatsapp.wait_received()
    assert sorted(held.texts) == sorted(
        f"{when} {number}" for when in ("before", "kill", "after") for number in range(3)
    )
    assert not [one for one in held.rows("heard") if one["heard"] == "Ignored"]


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (lambda server: server.fail_login(402, code=199, expire=60), "banned this account"),
        (lambda server: server.fail_login(405), "pip install --upgrade neonize"),
        (lambda server: server.stream_error(conflict="replaced"), "Another program"),
    ],
)
def test_what_only_a_person_can_mend_ends_it(
    whatsapp: WhatsAppProcess,
    hold: Callable[[], Held],
    fault: Callable[[WhatsAppProcess], None],
    says: str,
) -> None:
    held = hold()
    held.wait_up()
    fault(whatsapp)
    with contextlib.suppress(RuntimeError):
        whatsapp.drop()
    assert held.process.wait(PATIENCE) == 0
    [ended] = held.rows("ended")
    assert says in ended["ended"]
    assert ended["code"] == EXIT_BROKEN


def test_it_ends_while_nobody_answers_it(
    whatsapp: WhatsAppProcess, hold: Callable[[], Held]
) -> None:
    whatsapp.stall()
    held = hold()
    child = psutil.Process(held.process.pid)
    until(lambda: [one for one in child.net_connections() if one.status == "ESTABLISHED"])
    assert held.end() == 0
    assert held.rows("ended") == [{"ended": "let go"}]
    whatsapp.mend()

    held = hold()
    held.wait_up()
    whatsapp.stall()
    held.send("into the void")
    until(lambda: held.rows("sending"))
    assert held.end() == 0
    assert not held.rows("sent")


def test_a_device_that_was_removed_is_logged_out_and_then_unpaired(
    whatsapp: WhatsAppProcess, hold: Callable[[], Held]
) -> None:
    held = hold()
    held.wait_up()
    assert held.end() == 0
    kept = held.database.with_suffix(".kept")
    shutil.copy(held.database, kept)
    whatsapp.fail_login(401)
    assert hold().process.wait(PATIENCE) == 0
    assert "logged this device out" in held.rows("ended")[-1]["ended"]
    shutil.copy(kept, held.database)

    held = hold()
    held.wait_up()
    whatsapp.unlink()
    assert held.process.wait(PATIENCE) == 0
    assert "logged this device out" in held.rows("ended")[-1]["ended"]
    held = hold()
    assert held.process.wait(PATIENCE) == 0
    assert "No WhatsApp account is linked" in held.rows("ended")[-1]["ended"]
