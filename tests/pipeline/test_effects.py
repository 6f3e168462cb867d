"""What becomes of agents' requests, from their files through the stage to what people see; with a
stranger's package that brings tools."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pynchy_cli import clock
from pynchy_cli.config.paths import Home
from pynchy_cli.model import Attachment
from pynchy_cli.store import approvals, outbound
from pynchy_cli.store.connection import Store
from tests.conftest import Pynchy
from tests.planted import plant_plugin

HANDY = """
import os, signal
from pathlib import Path
from pynchy_cli.plugins import hookimpl
from pynchy_cli.plugins.tools import Tool

NUMBERS = {"type": "object", "additionalProperties": False, "required": ["a", "b"],
           "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}}

async def add(arguments, caller):
    return {"sum": arguments["a"] + arguments["b"], "group": caller.group}

async def fail(arguments, caller):
    raise LookupError("there is no such thing")

async def once(arguments, caller):
    # The host dies in the midst of it, the first time.
    mark = Path(__file__).with_name("begun")
    with mark.open("a") as file:
        file.write(arguments["id"])
    if mark.read_text().count(arguments["id"]) == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return {"done": arguments["id"]}

class Plugin:
    @hookimpl
    def pynchy_tools(self, name, settings):
        return [Tool("add", "Adds.", NUMBERS, add),
                Tool("pay", "Pays.", NUMBERS, add, rule="gate"),
                Tool("fail", "Fails.", {"type": "object"}, fail),
                Tool("wipe", "Wipes.", {"type": "object"}, fail, rule="admin"),
                Tool("careful", "Once.", {"type": "object"}, once),
                Tool("careless", "Again.", {"type": "object"}, once, is_idempotent=True)]

plugin = Plugin()
"""


class Desk:
    """Two groups' sandboxes, as far as the host sees them, and the stage."""

    def __init__(self, home: Path, env: dict[str, str]) -> None:
        self.home = Home(home)
        self.env = env
        self.number = 0

    def ask(self, group: str, type: str, **fields: Any) -> Callable[[], dict[str, Any]]:
        """Write a request; what gives its answer."""
        self.number += 1
        session = self.home.session(group, f"{group}-1")
        for name in ("requests", "responses"):
            (session / name).mkdir(parents=True, exist_ok=True)
        id = f"r{self.number}"
        draft = session / "requests" / f".{id}"
        draft.write_text(json.dumps({"type": type, **fields}))
        draft.rename(session / "requests" / f"{self.number:08d}-{id}.json")

        def answer() -> dict[str, Any]:
            found: dict[str, Any] = json.loads((session / "responses" / f"{id}.json").read_text())
            return found

        return answer

    def once(self, code: int = 0) -> str:
        """Run the stage until nothing is left to do; what it says."""
        document = json.dumps({"home": str(self.home.root), "once": True})
        done = subprocess.run(
            [sys.executable, "-m", "pynchy_cli.stage", "ipc-watch", document],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            env=self.env,
        )
        assert done.returncode == code, done.stderr
        return done.stderr


@pytest.fixture
def desk(tmp_path: Path, home: Path, pynchy: Pynchy, environment: dict[str, str]) -> Desk:
    """The groups main, which is the admin's, and work, whose agents have the plugin handy; and a
    plugin that is broken, which all should have."""
    pynchy("groups", "add", "work")
    plant_plugin(tmp_path / "site", "handy", HANDY)
    plant_plugin(tmp_path / "site", "broken", "raise LookupError('what now?')")
    tools = {"PYNCHY_GROUPS__WORK__TOOLS": "handy", "PYNCHY_DEFAULTS__TOOLS": "broken"}
    tools["PYNCHY_SANDBOX__MIN_FREE"] = "0"
    return Desk(home, {**environment, **tools, "PYTHONPATH": str(tmp_path / "site")})


def rows(desk: Desk, sql: str) -> list[tuple[Any, ...]]:
    with Store.open(desk.home.database) as store:
        return [tuple(row) for row in store.db.execute(sql)]


def test_a_message_with_files_is_said_in_its_place_and_seen(desk: Desk, pynchy: Pynchy) -> None:
    (desk.home.group("work") / "plan.txt").write_text("step one")
    answers = [
        desk.ask("work", "send_message", text="before"),
        desk.ask("work", "send_message", text="here", files=["plan.txt"], sender="Planner"),
        desk.ask("work", "send_message", text="after"),
        desk.ask("work", "send_message", text="never", files=["../main/secret"]),
    ]
    desk.once()
    assert [answer()["ok"] for answer in answers] == [True, True, True, False]
    assert answers[1]()["result"]["files"] == [{"name": "plan.txt", "size": 8}]
    assert answers[3]()["error"]["code"] == "file_unusable"
    said = [json.loads(line) for line in pynchy("tail", "work").stdout.splitlines()]
    assert [one["content"] for one in said] == ["before", "Planner: here", "after"]
    (file,) = said[1]["files"]
    assert (file["name"], file["size"]) == ("plan.txt", 8)
    assert Path(file["path"]).read_text() == "step one"
    exported = pynchy("sessions", "export", "work", "-o", str(desk.home.root / "talk.md"))
    assert exported.returncode == 0
    assert f"> 📎 plan.txt (8 bytes) {file['path']}" in (desk.home.root / "talk.md").read_text()


def test_the_admin_group_sees_all_groups_and_makes_one_when_a_person_agrees(desk: Desk) -> None:
    seen, denied = desk.ask("main", "list_groups"), desk.ask("work", "list_groups")
    wanted = {"jid": "local:family", "folder": "family", "name": "Family"}
    made = desk.ask("main", "register_group", **wanted)
    impossible = desk.ask("main", "register_group", **{**wanted, "folder": "work"})
    desk.once()
    assert {one["folder"] for one in seen()["result"]["groups"]} == {"main", "work"}
    assert denied()["error"]["code"] == "forbidden"
    assert impossible()["error"]["code"] == "group_invalid"
    assert not desk.home.group("family").exists()
    approve(desk)
    desk.once()
    assert made()["result"]["is_admin"] is False
    assert desk.home.group("family").is_dir()
    assert rows(desk, "SELECT is_admin FROM registered_groups WHERE folder = 'family'") == [(0,)]


def approve(desk: Desk) -> approvals.Approval:
    """A person's yes to what waits."""
    with Store.open(desk.home.database) as store, store.atomic() as db:
        (waiting,) = approvals.all(db)
        assert approvals.decide(db, waiting, "approved", "owner (shell)", clock.now())
    return waiting


def test_a_todo_is_the_groups_own(desk: Desk) -> None:
    added = desk.ask("work", "add_todo", content="water the plants")
    desk.once()
    id = added()["result"]["id"]
    theirs = desk.ask("main", "complete_todo", todo_id=id)
    listed = desk.ask("work", "list_todos")
    desk.once()
    assert theirs()["error"]["code"] == "todo_unknown"
    assert [one["content"] for one in listed()["result"]["todos"]] == ["water the plants"]


def test_a_strangers_tools_work_for_the_groups_that_have_them(desk: Desk) -> None:
    numbers = {"a": 2, "b": 3}
    answers = {
        name: desk.ask(group, "service", tool=tool, arguments=arguments)
        for name, group, tool, arguments in (
            ("mine", "work", "add", numbers),
            ("theirs", "main", "add", numbers),
            ("admins", "work", "wipe", {}),
            ("wrong", "work", "add", {"a": 2, "b": 3, "group": "main"}),
            ("broken", "work", "fail", {}),
        )
    }
    said = desk.once()
    assert answers["mine"]()["result"] == {"sum": 5, "group": "work"}
    codes = {name: answer().get("error", {}).get("code") for name, answer in answers.items()}
    assert codes == {
        "mine": None,
        "theirs": "forbidden",
        "admins": "forbidden",
        "wrong": "arguments_invalid",
        "broken": "service_failed",
    }
    decided = rows(
        desk, "SELECT decision FROM audit WHERE kind = 'request' AND group_folder = 'work'"
    )
    assert decided == [("allowed",), ("forbidden",), ("invalid",), ("allowed",)]
    assert "there is no such thing" in answers["broken"]()["error"]["message"]
    assert said.count("a plugin's tools can't be used") == 1
    assert "what now?" in said


def test_a_tool_that_needs_a_yes_gets_what_was_shown(desk: Desk) -> None:
    paid = desk.ask("work", "service", tool="pay", arguments={"a": 2, "b": 40})
    wrong = desk.ask("work", "service", tool="pay", arguments={"a": "all"})
    desk.once()
    assert wrong()["error"]["code"] == "arguments_invalid"
    summary = approve(desk).summary
    assert "Run the host's tool pay" in summary
    assert '"b": 40' in summary
    desk.once()
    assert paid()["result"] == {"sum": 42, "group": "work"}


def test_a_tool_in_whose_midst_the_host_was_killed_is_run_again_if_it_may(desk: Desk) -> None:
    answers = {}
    for tool in ("careful", "careless"):
        answers[tool] = desk.ask("work", "service", tool=tool, arguments={"id": tool[-2:]})
        desk.once(code=-9)
        desk.once()
    assert answers["careful"]()["error"]["code"] == "unknown"
    assert answers["careless"]()["result"] == {"done": "ss"}


def test_what_no_reply_names_is_swept_away_when_the_stage_begins(desk: Desk) -> None:
    desk.home.files.mkdir(mode=0o700)
    old = time.time() - 7200
    for name in ("unnamed", "named", "new"):
        (desk.home.files / name).touch()
        os.utime(desk.home.files / name, None if name == "new" else (old, old))
    with Store.open(desk.home.database) as store, store.atomic() as db:
        id = outbound.say(
            db, key="request:9", chat_jid="local:main", content="x", source="agent", now=clock.now()
        )
        outbound.attach(db, id, [Attachment("a.txt", 0, "named")])
    desk.once()
    assert sorted(path.name for path in desk.home.files.iterdir()) == ["named", "new"]


def test_what_a_person_approves_is_the_file_that_was_there_when_it_was_asked(
    desk: Desk, pynchy: Pynchy
) -> None:
    desk.env["PYNCHY_GROUPS__WORK__GATE"] = "send_message"
    notes = desk.home.group("work") / "notes.txt"
    notes.write_text("harmless")
    sent = desk.ask("work", "send_message", text="Here.", files=["notes.txt"])
    desk.once()
    (waiting,) = [
        json.loads(line) for line in pynchy("approvals", "list", "--json").stdout.splitlines()
    ]
    shown = json.loads(pynchy("approvals", "show", waiting["id"]).stdout)["summary"]
    digest = hashlib.sha256(b"harmless").hexdigest()
    assert f"notes.txt: 8 bytes, sha256 {digest}" in shown
    notes.write_text("something else")
    old = time.time() - 10 * 3600
    os.utime(desk.home.files / digest, (old, old))
    desk.once()  # what is kept for it is not swept away meanwhile
    pynchy("approvals", "approve", waiting["id"])
    desk.once()
    assert sent()["result"]["files"] == [{"name": "notes.txt", "size": 8}]
    with Store.open(desk.home.database) as store:
        (row,) = store.db.execute("SELECT sha256 FROM outbound_files").fetchall()
    assert row[0] == digest
    assert (desk.home.files / digest).read_text() == "harmless"
