"""What is told of an account that is linked: who listens there, and what is to be done next."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pynchy_cli import locks
from pynchy_cli.channels.whatsapp import device, standing
from pynchy_cli.channels.whatsapp.device import Device
from pynchy_cli.config.paths import Home
from pynchy_cli.errors import DatabaseMissing
from pynchy_cli.store import groups, processes
from pynchy_cli.store.connection import Store
from tests.conftest import Pynchy

NOW = "2030-01-01T08:00:00.000Z"
ALICE = Device("4915550001:12@s.whatsapp.net", "99988@lid", "Alice")
CHAT = "whatsapp:4915550001@s.whatsapp.net"


@contextlib.contextmanager
def listening(home: Home, connected: bool, error: str | None) -> Iterator[None]:
    """A stage that holds the account, as its row and its locks tell."""
    with Store.open(home.database) as store, store.atomic() as db:
        facts = {"version": "1", "config_hash": "", "settings": "{}", "hashes": "{}", "now": NOW}
        one = processes.start(db, stage="listen@whatsapp", pid=os.getpid(), **facts)
        lock = locks.take(processes.owner_lock(home.locks, one))
        processes.connected(db, one, connected)
        processes.fail(db, one, error, NOW)
    assert lock is not None
    with device.hold(home.whatsapp):
        yield
    assert not standing.look(home, ALICE, "").listens, "it is about to end"
    lock.release()


def words(home: Path, owner: str = "", *, is_new: bool = False) -> str:
    return "\n".join(standing.look(Home(home), ALICE, owner).words(is_new=is_new))


def test_nothing_runs_yet(home: Path) -> None:
    assert words(home, is_new=True) == (
        "Linked: +4915550001 (Alice).\n"
        "`listen whatsapp` doesn't run.\n"
        "\n"
        "Next:\n"
        f"  pynchy groups link main {CHAT}\n"
        "      so that it answers in the chat with yourself\n"
        "  pynchy up\n"
        "      connects"
    )
    assert "This home is linked already: +4915550001 (Alice).\nFor another account" in words(home)
    off = standing.look(Home(home), ALICE, "")
    off.is_enabled = False
    assert [command for command, _ in off.steps()] == [f"pynchy groups link main {CHAT}"]


@pytest.mark.parametrize(
    ("connected", "error", "said"),
    [
        (True, None, "runs and is connected."),
        (False, "WhatsApp doesn't answer", "runs and isn't connected: WhatsApp doesn't answer"),
        (False, None, "runs and isn't connected: not yet."),
    ],
)
def test_the_stage_runs(home: Path, connected: bool, error: str | None, said: str) -> None:
    with listening(Home(home), connected, error):
        assert f"`listen whatsapp` {said}\n" in words(home)
        document = standing.look(Home(home), ALICE, "").document(is_new=False)
    assert (document["listening"], document["connected"]) == (True, connected)


def test_the_supervisor_runs_without_it(home: Path) -> None:
    lock = locks.take(home / "data" / "run" / "up.lock")
    assert lock is not None
    found = standing.look(Home(home), ALICE, "")
    assert "stop it, and start it again." in "\n".join(found.words(is_new=True))
    found.is_enabled = False
    assert "[channels.whatsapp.main] has enabled = false" in "\n".join(found.words(is_new=True))
    found.is_enabled = found.is_started = True
    assert "`pynchy up` starts `listen whatsapp` now." in found.words(is_new=True)
    assert "pynchy up" not in [command for command, _ in found.steps()]
    lock.release()


def test_the_account_is_the_assistants_own_and_the_chat_has_its_group(
    home: Path, pynchy: Pynchy
) -> None:
    chat = "whatsapp:4915559999@s.whatsapp.net"
    said = words(home, "4915559999")
    step = (
        f"  pynchy groups link main {chat}\n      so that it answers in the chat with its owner\n"
    )
    assert step in said
    with Store.open(home / "data" / "messages.db") as store, store.atomic() as db:
        groups.link(db, "main", chat, NOW)
    found = standing.look(Home(home), ALICE, "4915559999")
    assert found.document(is_new=False)["group"] == "main"
    assert [command for command, _ in found.steps()] == ["pynchy up"]


def test_a_home_without_an_admin_group_and_one_without_a_database(
    home: Path, tmp_path: Path
) -> None:
    with Store.open(home / "data" / "messages.db") as store, store.atomic() as db:
        groups.remove(db, "main")
    assert f"pynchy groups add {CHAT} --folder whatsapp" in words(home)
    with pytest.raises(DatabaseMissing):
        standing.look(Home(tmp_path / "nowhere"), ALICE, "")
