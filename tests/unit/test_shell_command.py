"""A command that the owner has the host run: real processes, and the real way to the chat."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pynchy_cli import clock
from pynchy_cli.config.settings import Commands, Settings
from pynchy_cli.errors import RequestRefused
from pynchy_cli.ipc.carrying import Carrying
from pynchy_cli.ipc.effects import Asked
from pynchy_cli.ipc.handlers.shell import EFFECTS, KEPT, HostShell
from pynchy_cli.ipc.parse import parse
from pynchy_cli.store import groups, requests
from tests.asking import Asking, asking

PATIENCE = 60.0


@pytest.fixture
def ask(tmp_path: Path) -> Iterator[Asking]:
    """A home with the admin group; commands may take 2 s."""
    settings = msgspec.structs.replace(Settings(), commands=Commands(shell=True, shell_timeout=2.0))
    with asking(tmp_path, settings) as made:
        made.group("main", is_admin=True)
        yield made


def stored(ask: Asking, command: str) -> requests.Request:
    """The row that `route` makes of `!command`."""
    with ask.store.atomic() as db:
        return requests.add(
            db,
            group_folder="main",
            session=requests.CHAT,
            request_id=requests.id_of_message(next(ask.numbers)),
            lane="chat",
            role="admin",
            type="host_shell",
            payload=json.dumps({"command": command}),
            state="accepted",
            now=clock.now(),
            chat_jid="local:main",
        )


def ran(ask: Asking, command: str) -> Mapping[str, Any]:
    """What comes of a command."""
    row = stored(ask, command)
    group = groups.get(ask.store.db, "main")
    asked = Asked(HostShell(command=command), row, group, ask.context)
    return ask.told(EFFECTS["host_shell"], asked)


def gone(pid: int) -> bool:
    """Whether a process ends within a while."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
            os.kill(pid, 0)
        except (ProcessLookupError, FileNotFoundError):
            return True
        time.sleep(0.05)
    return False


def test_it_runs_in_the_groups_folder_and_tells_all_it_prints(ask: Asking) -> None:
    told = ran(ask, "pwd; echo no >&2; cat; exit 3")
    folder = ask.home.group("main").resolve()
    assert told == {"exit_code": 3, "output": f"{folder}\nno\n"}
    assert ran(ask, "kill -9 $$")["exit_code"] == 137


def test_it_is_given_no_secret(ask: Asking, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ANTHROPIC_API_KEY", "GH_TOKEN", "PYNCHY_SECRETS__GH_TOKEN", "MY_PASSWORD"):
        monkeypatch.setenv(name, "hush-hush")
    told = ran(ask, "env")
    assert "hush-hush" not in told["output"]
    assert f"PYNCHY_HOME={ask.home.root}" in told["output"]


def test_of_much_the_beginning_and_the_end_are_kept(ask: Asking) -> None:
    told = ran(ask, "echo begin; yes 0123456789abcdef | head -c 5000000; echo; echo end")
    output = told["output"]
    assert output.startswith("begin\n0123")
    assert output.endswith("\nend\n")
    assert " bytes are left out …" in output
    assert len(output) < KEPT + 100


def test_what_it_prints_gives_a_terminal_no_orders(ask: Asking) -> None:
    assert ran(ask, r"printf '\033[2J\000\377'")["output"] == "\\x1b[2J\\x00\ufffd"


def test_what_takes_too_long_is_ended_with_all_that_it_has_started(ask: Asking) -> None:
    told = ran(ask, "echo before; sleep 1000 & echo $!; wait")
    before, pid, *rest = told["output"].split("\n")
    assert (told["exit_code"], before) == (124, "before")
    assert "longer than 2 s" in "".join(rest)
    assert gone(int(pid))


def test_what_is_left_behind_is_ended(ask: Asking) -> None:
    told = ran(ask, "sleep 1000 & echo $!")
    assert told["exit_code"] == 0
    assert gone(int(told["output"]))


def test_what_can_not_be_started_is_said(ask: Asking) -> None:
    ask.home.group("main").rmdir()
    with pytest.raises(RequestRefused, match="can't be started"):
        ran(ask, "true")


def test_the_chat_is_told_how_it_ended(ask: Asking) -> None:
    for command in ("echo hello", "exit 7"):
        stored(ask, command)

    async def carry_out() -> None:
        carrying = Carrying(ask.context, EFFECTS)
        while carrying.drain() or carrying.is_busy():
            await ask.context.woken.wait()
            ask.context.woken.clear()

    ask.runner.run(asyncio.wait_for(carry_out(), PATIENCE))
    said = ask.store.db.execute("SELECT content, chat_jid, source FROM outbound_ledger ORDER BY id")
    assert [tuple(row) for row in said] == [
        ("✅ exit code 0\n\nhello", "local:main", "host"),
        ("❌ exit code 7", "local:main", "host"),
    ]


def test_the_chat_is_told_when_nobody_knows_how_it_ended(ask: Asking) -> None:
    """The process that ran it was killed: it is not run again."""
    row = stored(ask, "echo hello >> ran")
    with ask.store.atomic() as db:
        assert requests.start(db, row.id, owner=999_999)
    Carrying(ask.context, EFFECTS).drain()
    (said,) = ask.store.db.execute("SELECT content FROM outbound_ledger").fetchall()
    assert said[0].startswith("❌ The host was interrupted in the middle of it.")
    assert not (ask.home.group("main") / "ran").exists()


def test_no_sandbox_can_ask_for_it() -> None:
    with pytest.raises(RequestRefused) as refused:
        parse(b'{"type": "host_shell", "command": "id"}')
    assert refused.value.code == "type_unknown"
