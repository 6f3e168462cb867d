"""What only a person can mend about WhatsApp: people are told in words what to do, the stage ends
for good, and `pynchy auth whatsapp` has the supervisor that runs start it again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pynchy_cli.errors import EXIT_BROKEN
from tests.process.test_run_agent import wait_for
from tests.process.test_up import Up
from tests.whatsapp_home import SELF, WhatsAppHome, linked
from tests.whatsapp_server import OWNER, WhatsAppProcess

LISTEN = "listen@whatsapp"
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WhatsAppHome]:
    """The chat with oneself is the admin group's."""
    with linked(tmp_path_factory.mktemp("states")) as made:
        made.environ["PYNCHY_LOG__LEVEL"] = "info"
        made.run("groups", "link", "main", SELF)
        yield made


@pytest.fixture
def up(home: WhatsAppHome, tmp_path: Path) -> Iterator[Up]:
    """`pynchy up` with the channel's stage, and one more that goes on."""
    at = ["--home", str(home.home), "up", "--only", "route,listen"]
    made = Up([sys.executable, "-m", "pynchy_cli", *at], tmp_path / "out", home.environ)
    try:
        yield made
    finally:
        made.process.terminate()
        made.process.wait(60)


FAULTS: dict[str, Callable[[WhatsAppProcess], None]] = {
    "too many people have blocked it. Wait until that is over": (
        lambda server: refuse(server, 402, code=102, expire=3600)
    ),
    "Get a newer one: pip install --upgrade neonize": lambda server: refuse(server, 405),
    "Another program has connected with the same device": (
        lambda server: server.stream_error(conflict="replaced")
    ),
    "WhatsApp has logged this device out": lambda server: server.unlink(),
}
"""What people are told, and what happens to the connection."""


def refuse(server: WhatsAppProcess, reason: int, **more: int) -> None:
    """The connection is lost, and the next login refused."""
    server.fail_login(reason, **more)
    server.drop()


def test_it_ends_with_words_and_auth_has_it_started_again(home: WhatsAppHome, up: Up) -> None:
    whatsapp = home.whatsapp
    up.until("Connected to WhatsApp")
    for times, (says, fault) in enumerate(FAULTS.items(), 1):
        fault(whatsapp)
        up.until(f"{LISTEN} ended with code 100; it is not started again", times)
        up.until("Connection closed", times)
        stage = json.loads(home.run("status", code=None))["stages"][LISTEN]
        assert not stage["running"]
        assert says in stage["error"]
        assert "`pynchy auth whatsapp`" in stage["error"]
        if whatsapp.linked():
            assert json.loads(home.run("auth", "whatsapp"))["state"] == "linked_before"
        else:
            assert home.link()["state"] == "linked"
        up.until(f"{LISTEN} is started again, as somebody asked", times)
        up.until("Connected to WhatsApp", times + 1)
        told = whatsapp.wait_outbound(times, f"{OWNER}@s.whatsapp.net")
        assert len(told) == times
        assert told[-1]["text"].startswith("⚠️ The channel whatsapp has stopped: ")
        assert says in told[-1]["text"]
    heard = whatsapp.own("here again")
    wait_for(lambda: home.rows(f"SELECT 1 FROM messages WHERE id = '{heard}'"), "what is said")
    assert up.stop(15) == 0


def test_without_its_library_the_stage_says_how_to_get_it(
    home: WhatsAppHome, tmp_path: Path
) -> None:
    """All that is installed is there, but neonize."""
    for one in Path(pytest.__file__).parents[1].iterdir():
        if not one.name.startswith("neonize"):
            (tmp_path / one.name).symlink_to(one)
    options = {"home": str(home.home), "once": False, "options": {"channel": "whatsapp"}}
    done = subprocess.run(
        [sys.executable, "-S", "-P", "-m", "pynchy_cli.stage", LISTEN, json.dumps(options)],
        env={**home.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    how = 'pip install "pynchy[whatsapp]"'
    assert done.returncode == EXIT_BROKEN, done.stderr
    assert "pip install" in done.stderr
    assert how in json.loads(home.run("status", code=None))["stages"][LISTEN]["error"]
    told = "SELECT content FROM outbound_ledger ORDER BY id DESC LIMIT 1"
    assert how in home.rows(told)[0]
