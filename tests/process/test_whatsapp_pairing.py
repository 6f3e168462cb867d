"""`pynchy auth whatsapp` with the real library against a WhatsApp of the tests' own: by a code that
is read, by one that is typed, refused, interrupted, finished later, and taken off again."""

from __future__ import annotations

import json
import os
import pty
import shutil
import signal
import socket
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Pynchy
from tests.whatsapp_server import OWNER, WhatsAppProcess

LIMIT = 60.0
Auth = Callable[..., "Linking"]


class Linking:
    """The command, as it goes on."""

    def __init__(self, options: tuple[str, ...], environ: dict[str, str], **how: Any) -> None:
        command = [sys.executable, "-m", "pynchy_cli", "auth", "whatsapp", *options]
        how = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **how}
        self.process = subprocess.Popen(command, env=environ, text=True, **how)

    def next(self) -> dict[str, Any]:
        """The next line that it prints."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError(f"it has ended: {self.process.communicate(timeout=LIMIT)}")
        found: dict[str, Any] = json.loads(line)
        return found

    def end(self) -> tuple[int, list[dict[str, Any]], str]:
        """Its exit code, the rest of what it prints, and what it says to people."""
        out, said = self.process.communicate(timeout=LIMIT)
        return self.process.returncode, [json.loads(line) for line in out.splitlines()], said


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WhatsAppProcess]:
    with WhatsAppProcess(tmp_path_factory.mktemp("whatsapp")) as made:
        yield made


@pytest.fixture
def whatsapp(server: WhatsAppProcess) -> WhatsAppProcess:
    server.mend()
    if server.linked():
        server.unlink()
    return server


@pytest.fixture
def environ(whatsapp: WhatsAppProcess, environment: dict[str, str], home: Path) -> dict[str, str]:
    return {**environment, **whatsapp.environ(environment), "PYNCHY_HOME": str(home)}


@pytest.fixture
def auth(environ: dict[str, str]) -> Iterator[Auth]:
    """Starts the command, with options."""
    started: list[Linking] = []

    def start(*options: str, **how: Any) -> Linking:
        started.append(Linking(options, environ, **how))
        return started[-1]

    yield start
    for one in started:
        one.process.kill()
        one.process.communicate()


@pytest.fixture
def up(environ: dict[str, str], tmp_path: Path) -> Iterator[Path]:
    """A supervisor whose `listen whatsapp` has ended; where it prints."""
    said = tmp_path / "up.txt"
    command = [sys.executable, "-m", "pynchy_cli", "up", "--only", "listen,route"]
    (tmp_path / "home" / "data" / "neonize.db").touch()  # of an account that was logged out
    with said.open("w") as out, subprocess.Popen(command, env=environ, stdout=out) as process:
        try:
            until(said, "listen@whatsapp ended with code 100")
            until(said, "route is ready")
            yield said
        finally:
            process.terminate()
            process.wait(LIMIT)


def until(said: Path, words: str) -> None:
    """Wait until something was printed."""
    end = time.monotonic() + LIMIT
    while words not in said.read_text():
        assert time.monotonic() < end, said.read_text()
        time.sleep(0.05)


def left(home: Path) -> list[str]:
    """The library's files in a home."""
    return sorted(path.name for path in (home / "data").glob("*neonize*"))


def test_a_code_is_read_and_the_device_taken_off_again(
    whatsapp: WhatsAppProcess, auth: Auth, home: Path, tmp_path: Path
) -> None:
    png = tmp_path / "code.png"
    one = auth("--png", str(png))
    code = one.next()
    assert (code["state"], code["kind"], code["seconds"]) == ("code", "qr", 60)
    assert code["png"] == str(png)
    assert png.stat().st_mode & 0o777 == 0o600
    other = auth("--json")
    refused, lines, said = other.end()
    assert (refused, lines[0]["error"]["code"]) == (1, "already_running")
    assert "`pynchy auth whatsapp` in another terminal" in said

    whatsapp.scan(code["code"])
    assert one.next() == {"state": "accepted"}
    ended, [told], said = one.end()
    assert (ended, said) == (0, ""), "the library says nothing to people"
    chat = f"whatsapp:{OWNER}@s.whatsapp.net"
    assert (told["ok"], told["state"], told["number"]) == (True, "linked", OWNER)
    assert (told["chat"], told["listening"]) == (chat, False)
    assert told["next"] == [f"pynchy groups link main {chat}", "pynchy up"]
    assert not png.exists()
    assert left(home) == ["neonize.db"]
    assert (home / "data" / "neonize.db").stat().st_mode & 0o777 == 0o600
    assert whatsapp.linked()

    ended, [told], said = auth().end()
    assert (ended, told["state"], told["number"]) == (0, "linked_before", OWNER)
    database = home / "data" / "neonize.db"
    shutil.copy(database, tmp_path)
    ended, [told], said = auth("--logout").end()
    assert (ended, told["state"], said) == (0, "not_linked", "")
    assert left(home) == []
    assert not whatsapp.linked()
    shutil.copy(tmp_path / database.name, database)
    ended, [told], said = auth("--logout").end()
    assert (ended, told["state"], said) == (0, "not_linked", ""), "it had been taken off before"
    assert left(home) == []


def test_a_code_is_typed_and_what_was_killed_then_is_finished(
    whatsapp: WhatsAppProcess, auth: Auth, home: Path, up: Path
) -> None:
    one = auth("--phone", f"+{OWNER[:2]} {OWNER[2:]}")
    assert one.next() == {"state": "logged_out"}
    code = one.next()
    assert (code["kind"], code["phone"]) == ("typed", OWNER)
    whatsapp.fail_login(503, number=-1)
    whatsapp.type_code(code["code"])
    assert one.next() == {"state": "accepted"}
    whatsapp.until(whatsapp.linked)
    one.process.kill()
    one.process.wait()
    assert "neonize.pairing.db" in left(home)
    whatsapp.mend()
    again = auth()
    assert again.next() == {"state": "logged_out"}
    assert again.next() == {"state": "accepted"}, "without another code"
    ended, [told], _ = again.end()
    assert (ended, told["state"]) == (0, "linked")
    assert "pynchy up" not in told["next"]
    assert left(home) == ["neonize.db"]
    until(up, "listen@whatsapp is started again, as somebody asked")
    until(up, "Connected to WhatsApp")
    whatsapp.wait_online()
    whatsapp.until(lambda: auth().end()[1][0]["connected"])  # a row, soon after it was said
    ended, lines, said = auth("--logout", "--json").end()
    assert (ended, lines[0]["error"]["code"]) == (1, "already_running")
    assert "which `pynchy up` runs" in said


def test_ctrl_c_while_a_terminal_shows_the_code(
    whatsapp: WhatsAppProcess, auth: Auth, home: Path
) -> None:
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (60, 100))
    one = auth(stdout=theirs)
    os.close(theirs)
    shown = b""
    while b"Ctrl-C stops." not in shown:
        shown += os.read(ours, 65536)
    assert shown.decode().startswith("Connecting to WhatsApp …\r\n")
    assert "Linked devices" in shown.decode()
    assert "█▀▀▀▀▀█" in shown.decode()
    one.process.send_signal(signal.SIGINT)
    assert one.process.wait(LIMIT) == 130
    assert b"\033[J" in os.read(ours, 65536), "the code is taken away"
    os.close(ours)
    assert left(home) == []


def test_the_connection_is_lost_and_the_library_is_too_old(
    whatsapp: WhatsAppProcess, auth: Auth, home: Path
) -> None:
    one = auth()
    assert one.next()["state"] == "code"
    whatsapp.drop()
    ended, lines, said = one.end()
    assert (ended, lines) == (111, [])
    assert said == (
        "pynchy: WhatsApp has closed the connection. `pynchy auth whatsapp` shows new codes.\n"
    )
    whatsapp.fail_login(405)
    ended, lines, said = auth().end()
    assert (ended, lines) == (100, [])
    assert "neonize" in said
    assert left(home) == []


def test_nothing_is_left_where_whatsapp_can_t_be_reached(pynchy: Pynchy, home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        nobody = f"http://127.0.0.1:{taken.getsockname()[1]}"
    done = pynchy("auth", "whatsapp", "--json", env={"HTTPS_PROXY": nobody}, code=111)
    assert json.loads(done.stdout)["error"]["code"] == "network_away"
    assert "can't be reached" in done.stderr
    assert left(home) == []


LOOKING = """
import asyncio, contextlib, os, sys
from pathlib import Path
from pynchy_cli.channels.whatsapp import device, library
from pynchy_cli.errors import ChannelBroken
async def main():
    library.load()
    from pynchy_cli.channels.whatsapp.talk import Talk
    database = Path(sys.argv[1])
    device.prepare(database)
    talk = Talk(database, is_paired=False)
    talk.begin()
    said = asyncio.ensure_future(talk.next(60))
    while not said.done():
        with contextlib.suppress(ChannelBroken):
            device.paired(database, in_use=True)
        await asyncio.sleep(0)
    print(said.exception(), flush=True)
    os._exit(0)
asyncio.run(main())
"""


def test_a_look_at_the_file_is_in_nobodys_way(environment: dict[str, str], tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOOKING, str(tmp_path / "neonize.db")],
        env={**environment, "HTTPS_PROXY": "http://127.0.0.1:1"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=LIMIT,
    )
    assert "connection refused" in done.stdout, "the library had its tables, and dialled"
