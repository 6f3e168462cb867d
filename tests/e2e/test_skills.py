"""Directives, skills and environment as the real Claude CLI in the real sandbox gets them: seen
in the requests that reach the model, and by commands that it runs."""

from __future__ import annotations

import json
import re
import shutil
import textwrap
from pathlib import Path
from typing import Any

import pytest

from tests.anthropic_server import AnthropicServer
from tests.conftest import Pynchy
from tests.e2e.test_claude import Talk

SKILL = "---\nname: {name}\ndescription: {about}\ntier: {tier}\n---\n\n# How\n\nAsk the lamp.\n"
pytestmark = pytest.mark.timeout(300)
SHIPPED = Path(__file__).parents[2] / "agent_runner/skills"
INSIDE = "/home/agent/.claude/skills"


@pytest.fixture
def server() -> Any:
    with AnthropicServer() as made:
        yield made


def skill(home: Path, name: str, about: str, tier: str = "community") -> Path:
    folder = home / "skills" / name
    folder.mkdir(parents=True)
    (folder / "SKILL.md").write_text(SKILL.format(name=name, about=about, tier=tier))
    return folder


def bash(command: str) -> str:
    return f"TOOL Bash {json.dumps({'command': command})}"


def test_the_model_can_load_the_skills_that_its_group_has_now_and_no_others(
    pynchy: Pynchy, home: Path, server: AnthropicServer
) -> None:
    talk = Talk(pynchy, home, server)
    skill(home, "lamp-oil", "How to fill a lamp, in the manner of Wanneperveen.")
    skill(home, "sundials", "Reading sundials, in the manner of Giethoorn.", tier="odd")
    skill(home, "tides", "Reading tides, in the manner of Urk.", tier="other")
    talk.env["PYNCHY_GROUPS__MAIN__SKILLS"] = "lamp-oil, odd"
    talk.say('TOOL Skill {"skill": "lamp-oil"}')
    told = json.dumps(server.requests[-1])
    for words in ("memory-notes", "read-documents", "Wanneperveen", "Giethoorn", "Ask the lamp."):
        assert words in told
    for words in ("Urk", "plugin-authoring", "Co-Authored-By"):
        assert words not in told
    del talk.env["PYNCHY_GROUPS__MAIN__SKILLS"]
    said = talk.say(bash(f"ls {INSIDE}"))
    assert "memory-notes" in said
    assert "lamp-oil" not in said


def test_what_the_shipped_skills_tell_to_do_works_in_the_sandbox(
    pynchy: Pynchy, home: Path, server: AnthropicServer
) -> None:
    talk = Talk(pynchy, home, server)
    group = home / "groups/main"
    (group / "costs.csv").write_text("tea,3\ncake,5\n")
    blocks = re.findall(r"```bash\n(.*?)```", (SHIPPED / "memory-notes/SKILL.md").read_text(), re.S)
    assert len(blocks) == 4
    script = "\n".join(textwrap.dedent(block) for block in blocks)
    program = f"python3 {INSIDE}/read-documents/read_document.py"
    assert program in (SHIPPED / "read-documents/SKILL.md").read_text()
    said = talk.say(bash(f"exec 2>&1; {script}\n{program} costs.csv | tail -1 | cut -f2"))
    assert "Ana moved the dentist to 14 May, 9:00." in said
    assert said.rstrip('"]}').endswith("5")
    assert (
        "- `notes/appointments.md`: who is where, and when\n" in (group / "CLAUDE.md").read_text()
    )
    assert (group / "notes/appointments.md").read_text().count("Ana moved") == 1


@pytest.mark.parametrize("kind", ["link out", "link in"])
def test_an_agent_can_neither_change_its_skills_nor_lead_them_elsewhere(
    pynchy: Pynchy, home: Path, server: AnthropicServer, kind: str
) -> None:
    talk = Talk(pynchy, home, server)
    claude = home / "data/claude/main"
    claude.mkdir(parents=True)
    place = claude / "skills"
    (home / "groups/main/mine").mkdir(parents=True)
    outside = "../../../../../../../../oldroot/tmp"
    place.symlink_to(outside if kind == "link out" else "/workspace/group/mine")
    command = (
        f"cd {INSIDE}; rm -rf memory-notes; touch x; mkdir y; (echo z >> memory-notes/SKILL.md);"
        " cd ..; mv skills s; rmdir skills; ln -sfn /workspace/group skills; umount skills;"
        " test -L skills || echo no-link; head -2 skills/memory-notes/SKILL.md; ls skills"
    )
    said = talk.say(bash(command + " 2>&1"))
    assert "no-link" in said
    assert "name: memory-notes" in said
    assert list((home / "groups/main/mine").iterdir()) == []
    assert place.is_dir()
    assert not place.is_symlink()
    assert list(place.iterdir()) == []


def test_a_directive_reaches_the_model_as_show_prints_it(
    pynchy: Pynchy, home: Path, server: AnthropicServer
) -> None:
    talk = Talk(pynchy, home, server)
    (home / "directives/house.md").write_text("# House\n\nWe live in Wanneperveen.\n")
    talk.env["PYNCHY_GROUPS__MAIN__DIRECTIVES"] = "house"
    shown = pynchy("directives", "show", "main", env=talk.env).stdout
    talk.say("hello")
    system = "\n".join(block["text"] for block in server.requests[-1]["system"])
    assert shown.removesuffix("\n") in system
    for words in ("# Where you are", "# When there is", "# House", "# The admin group"):
        assert words in shown


def test_only_the_admin_group_has_the_token_and_nobody_writes_it_down(
    pynchy: Pynchy, home: Path, server: AnthropicServer
) -> None:
    token = "gho_canaryOfTheTests0123456789"
    talk = Talk(pynchy, home, server)
    talk.env |= {"GH_TOKEN": token, "PYNCHY_LOG__LEVEL": "debug"}
    talk.env |= {"PYNCHY_AGENT__GIT_NAME": "Ana", "PYNCHY_AGENT__GIT_EMAIL": "ana@example.org"}
    pynchy("groups", "add", "club", "--chat", "local:club", "--trigger", "always", env=talk.env)
    seen = {}
    for group in ("main", "club"):
        asked = bash('echo "${#GH_TOKEN} $GIT_AUTHOR_NAME $GIT_COMMITTER_EMAIL"; env | cut -d= -f1')
        pynchy("send", group, asked, env=talk.env)
        pynchy("route", "--once", env=talk.env)
        done = pynchy("run-agent", "--once", env=talk.env, timeout=100)
        assert token not in done.stdout + done.stderr
        seen[group] = str(talk.rows("SELECT content FROM outbound_ledger ORDER BY id")[-1][0])
    assert f"{len(token)} Ana ana@example.org" in seen["main"]
    assert "0 Ana ana@example.org" in seen["club"]
    assert "GH_TOKEN" in seen["main"]
    assert "GH_TOKEN" not in seen["club"]
    for shown in (("status",), ("config", "show")):
        assert token not in pynchy(*shown, env=talk.env, code=None).stdout
    for path in [*(home / "data").glob("messages.db*"), *(home / "data/ipc").rglob("*")]:
        assert not path.is_file() or token.encode() not in path.read_bytes()


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_an_agent_can_commit_with_no_identity_configured(
    pynchy: Pynchy, home: Path, server: AnthropicServer
) -> None:
    talk = Talk(pynchy, home, server)
    said = talk.say(
        bash("git init -q r; cd r; git commit -q --allow-empty -m x; git log --format='%an <%ae>'")
    )
    assert "pynchy <pynchy@localhost>" in said
