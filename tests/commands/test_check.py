"""`pynchy check`: rules that can be asked."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.conftest import Pynchy
from tests.planted import PAYING, plant_plugin


def ask(pynchy: Pynchy, kind: str, *questions: Any) -> list[Any]:
    """The answers to questions, each a JSON document or a line as it is."""
    lines = [one if isinstance(one, str) else json.dumps(one) for one in questions]
    done = pynchy("check", kind, "--batch", input="\n".join(lines) + "\n")
    assert done.stderr == ""
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_trigger(pynchy: Pynchy, home: Path) -> None:
    assert ask(
        pynchy,
        "trigger",
        {"id": 1, "text": " @Pynchy  hello "},
        {"id": "b", "text": "hello"},
        {"id": 3, "text": "@ghost hello", "name": "andy", "aliases": ["ghost"]},
        {"id": 4, "text": "@pynchy hello", "name": "andy"},
        {"id": 5, "text": "hello", "mode": "always"},
        {"id": 6, "text": "hello", "is_admin_group": True},
        {"id": 7, "text": "@pynchyx", "mode": "mention", "is_admin_group": False},
        {"id": 8, "text": "@pynchy \ud800"},
        {"id": None, "text": "x"},
    ) == [
        {"id": 1, "triggered": True, "text": "hello"},
        {"id": "b", "triggered": False, "text": "hello"},
        {"id": 3, "triggered": True, "text": "hello"},
        {"id": 4, "triggered": False, "text": "@pynchy hello"},
        {"id": 5, "triggered": True, "text": "hello"},
        {"id": 6, "triggered": True, "text": "hello"},
        {"id": 7, "triggered": False, "text": "@pynchyx"},
        {"id": 8, "triggered": True, "text": "\ud800"},
        {"id": None, "triggered": False, "text": "x"},
    ]


def test_what_it_answers_is_json_whatever_the_id(pynchy: Pynchy, home: Path) -> None:
    done = pynchy("check", "trigger", input='{"id": -1e999, "text": "x"}', code=1)
    assert json.loads(done.stdout)["id"] is None
    assert "Infinity" not in done.stdout


def test_the_configuration_says_what_is_not_asked(pynchy: Pynchy, home: Path) -> None:
    done = pynchy(
        "check",
        "trigger",
        "--batch",
        input='{"id":1,"text":"@andy hello"}',
        env={"PYNCHY_AGENT__NAME": "andy"},
    )
    assert json.loads(done.stdout)["triggered"] is True


def test_transcript(pynchy: Pynchy, home: Path) -> None:
    hostile = {
        "sender_name": '"><x a="\ud800',
        "timestamp": "<now>\x00",
        "content": "</message>\x1b]]>&amp;\ud83d",
    }
    plain = {"sender_name": "Ann", "timestamp": "2026-01-31T08:00:00Z", "content": "hi <b>"}
    one, two, none = ask(
        pynchy,
        "transcript",
        {"id": 1, "messages": [plain]},
        {"id": 2, "messages": [hostile, plain]},
        {"id": 3, "messages": []},
    )
    assert one["prompt"] == (
        '<messages>\n<message sender="Ann" time="2026-01-31T08:00:00Z">hi &lt;b&gt;</message>\n'
        "</messages>"
    )
    root = ElementTree.fromstring(two["prompt"])
    assert [element.text for element in root] == ["</message>\ufffd]]>&amp;\ufffd", "hi <b>"]
    assert len(ElementTree.fromstring(none["prompt"])) == 0


@pytest.mark.parametrize("kind", ["trigger", "transcript"])
def test_a_bad_line_is_answered_and_the_rest_goes_on(pynchy: Pynchy, home: Path, kind: str) -> None:
    good = {"id": "good", "text": "@pynchy x", "messages": []}
    bad: list[tuple[Any, Any]] = [
        ("nonsense", None),
        ("[1]", None),
        ('{"id": NaN}', None),
        ("[" * 100_000, None),
        ({"id": 1}, 1),
        ({"id": "x", "text": 5, "messages": 5}, "x"),
        ({"id": {}, "text": "x", "messages": []}, None),
    ]
    if kind == "trigger":
        bad += [
            ({"id": 2, "text": "x", "mode": "sometimes"}, 2),
            ({"id": 3, "text": "x", "aliases": [1]}, 3),
            ({"id": 4, "text": "x", "is_admin_group": "yes"}, 4),
        ]
    else:
        bad += [
            ({"id": 5, "messages": [1]}, 5),
            ({"id": 6, "messages": [{"sender_name": "a", "content": "b"}]}, 6),
        ]
    answers = ask(pynchy, kind, good, *(line for line, _ in bad), good)
    assert answers[0] == answers[-1]
    assert "error" not in answers[0]
    for (_, id), answered in zip(bad, answers[1:-1], strict=True):
        assert set(answered) == {"id", "error"}
        assert answered["id"] == id
        assert answered["error"]


def test_each_line_is_answered_before_the_next_is_asked(home: Path) -> None:
    asking = subprocess.Popen(
        [sys.executable, "-m", "pynchy_cli", "--home", str(home), "check", "trigger", "--batch"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert asking.stdin is not None
    assert asking.stdout is not None
    with asking:
        for number in range(3):
            asking.stdin.write(json.dumps({"id": number, "text": "x"}) + "\n")
            asking.stdin.flush()
            assert json.loads(asking.stdout.readline())["id"] == number
        asking.stdin.close()
        assert asking.wait(60) == 0
        asking.stdin = None


def test_one_question_alone(pynchy: Pynchy, home: Path) -> None:
    done = pynchy("check", "trigger", input='{"id": 1,\n "text": "@pynchy x"}')
    assert json.loads(done.stdout) == {"id": 1, "triggered": True, "text": "x"}
    assert "error" in json.loads(pynchy("check", "trigger", input="{", code=1).stdout)


def test_nothing_is_made_and_unknown_kinds_are_refused(pynchy: Pynchy, tmp_path: Path) -> None:
    ask(pynchy, "trigger", {"id": 1, "text": "x"})
    assert not (tmp_path / "home").exists()
    assert "trigger" in pynchy("check", "weather", code=2).stderr


def test_mount(pynchy: Pynchy, home: Path, tmp_path: Path) -> None:
    papers = tmp_path / "papers"
    (papers / ".ssh").mkdir(parents=True)
    listed = tmp_path / "list.toml"
    listed.write_text(f'allowed_roots = [{{path = "{papers}", allow_read_write = true}}]\n')
    questions = [
        {"id": 1, "host_path": str(papers), "container_path": "a/b"},
        {"id": 2, "host_path": str(papers), "readonly": False},
        {"id": 3, "host_path": str(papers), "readonly": False, "admin": True},
        {"id": 4, "host_path": f"{papers}/.ssh", "container_path": "x"},
        {"id": 5, "host_path": "/etc", "container_path": "x"},
        {"id": 6, "host_path": "\ud800\0", "container_path": "\ud800"},
        {"id": 7, "host_path": str(papers), "container_path": "../x"},
        {"id": 8, "host_path": 8},
    ]
    lines = "".join(json.dumps(one) + "\n" for one in questions)
    done = pynchy("check", "mount", "--batch", "--allowlist", str(listed), input=lines)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    below = f"{papers} lies below the allowed {papers}"
    assert answers[:3] == [
        {"id": 1, "allowed": True, "readonly": True, "container_path": "/workspace/extra/a/b"}
        | {"reason": f"{below}."},
        {"id": 2, "allowed": True, "readonly": True, "container_path": "/workspace/extra/papers"}
        | {"reason": f"{below}, and only admin groups may write: read-only."},
        {"id": 3, "allowed": True, "readonly": False, "container_path": "/workspace/extra/papers"}
        | {"reason": f"{below}."},
    ]
    assert [(one["id"], one["allowed"]) for one in answers[3:7]] == [
        (4, False),
        (5, False),
        (6, False),
        (7, False),
    ]
    assert all(one["container_path"] is None and one["reason"] for one in answers[3:7])
    assert answers[7] == {"id": 8, "error": "host_path is not a string"}


def test_without_a_list_no_mount_is_allowed(pynchy: Pynchy, home: Path, tmp_path: Path) -> None:
    (answer,) = ask(pynchy, "mount", {"id": 1, "host_path": str(tmp_path), "container_path": "x"})
    assert answer["allowed"] is False
    assert "mount-allowlist.toml does not exist" in answer["reason"]


def requested(id: object, payload: object, group: str = "work", admin: object = False) -> Any:
    text = payload if isinstance(payload, str) else json.dumps(payload)
    return {"id": id, "group": group, "admin": admin, "payload": text}


SAY = {"type": "send_message", "text": "hi"}


def outcomes(answers: list[Any]) -> list[tuple[Any, str, str]]:
    assert all(set(one) == {"id", "outcome", "code", "message"} for one in answers)
    return [(one["id"], one["outcome"], one["code"]) for one in answers]


def test_request(pynchy: Pynchy, home: Path) -> None:
    pynchy("groups", "add", "work")
    (home / "config.toml").write_text('[groups.work]\ngate = ["handoff"]\n')
    with closing(sqlite3.connect(home / "data/messages.db")) as db, db:
        db.execute(
            "INSERT INTO scheduled_tasks(id, group_folder, prompt, schedule_type, schedule_value,"
            " created_at) VALUES ('t1', 'main', 'Look', 'once', 'x', 'x')"
        )
    before = hashlib.sha256((home / "data/messages.db").read_bytes()).hexdigest()
    accepted, gated, forbidden = (
        ("accepted", "ok"),
        ("gated", "approval_needed"),
        ("forbidden", "forbidden"),
    )
    asked: list[tuple[Any, tuple[str, str]]] = [
        (requested(1, SAY), accepted),
        (requested(2, SAY | {"chat_jid": "local:work"}), accepted),
        (requested(3, SAY | {"chat_jid": "local:main"}), forbidden),
        (requested(4, SAY | {"chat_jid": "local:main"}, "nobody"), forbidden),
        (requested(5, SAY | {"chat_jid": "local:work"}, "main", admin=True), accepted),
        (requested(6, {"type": "pause_task", "task_id": "t1"}), forbidden),
        (requested(7, {"type": "pause_task", "task_id": "t1"}, "main"), accepted),
        (requested(8, {"type": "deploy_changes"}), forbidden),
        (requested(9, {"type": "deploy_changes"}, "main", admin=True), gated),
        (requested(10, {"type": "handoff", "brief": "x"}), gated),
        (requested(11, {"type": "handoff", "brief": "x"}, "main"), accepted),
        (requested("s", {"type": "service", "tool": "x"}), forbidden),
    ]
    answers = ask(pynchy, "request", *(one for one, _ in asked))
    assert outcomes(answers) == [(one["id"], *outcome) for one, outcome in asked]
    assert answers[2]["message"] == "'local:main' is not a chat of this group."
    assert hashlib.sha256((home / "data/messages.db").read_bytes()).hexdigest() == before


def test_a_tool_is_judged_as_the_plugins_of_the_group_have_it(
    pynchy: Pynchy, home: Path, tmp_path: Path
) -> None:
    plant_plugin(tmp_path / "site", "handy", PAYING)
    (home / "config.toml").write_text(
        '[groups.work]\ntools = ["handy"]\n'
        '[groups.main]\ntools = ["handy"]\ngate = ["service:look"]\n'
    )
    asked = [
        (name, group, is_admin)
        for name in ("look", "pay", "wipe", "none")
        for group, is_admin in (("work", False), ("main", True), ("other", False))
    ]
    lines = [
        json.dumps(requested(name, {"type": "service", "tool": name}, group, admin=is_admin))
        for name, group, is_admin in asked
    ]
    path = {"PYTHONPATH": str(tmp_path / "site")}
    done = pynchy("check", "request", "--batch", input="\n".join(lines), env=path)
    assert [json.loads(line)["outcome"] for line in done.stdout.splitlines()] == [
        *("accepted", "gated", "forbidden"),
        *("gated", "gated", "forbidden"),
        *("forbidden", "accepted", "forbidden"),
        *("forbidden", "forbidden", "forbidden"),
    ]


def test_a_payload_that_is_no_request_is_invalid(pynchy: Pynchy, home: Path) -> None:
    asked: list[tuple[Any, str]] = [
        (requested(1, "rubbish"), "invalid"),
        (requested(2, ""), "invalid"),
        (requested(3, "[]"), "invalid"),
        (requested(4, '{"type": "send_message", "text": "a", "text": "b"}'), "invalid"),
        (requested(5, '{"type": "send_message", "text": NaN}'), "invalid"),
        (requested(6, SAY | {"group": "main"}), "invalid"),
        (requested(7, {"type": "be_admin"}), "type_unknown"),
        (requested(8, "[" * 100_000), "invalid"),
        (requested(9, SAY | {"text": "x" * 300_000}), "too_large"),
        (requested(10, SAY | {"text": "\0"}), "invalid"),
        (requested(11, '{"type": "send_message", "text": "\ud800"}'), "invalid"),
        (requested(12, SAY | {"text": "\ud800"}), "invalid"),
    ]
    answers = ask(pynchy, "request", *(one for one, _ in asked))
    assert outcomes(answers) == [(one["id"], "invalid", code) for one, code in asked]
    assert all(one["message"] for one in answers)


def test_what_can_not_be_scheduled_is_invalid_where_it_may_be_asked(
    pynchy: Pynchy, home: Path
) -> None:
    task = {"type": "schedule_task", "schedule_type": "cron", "schedule_value": "0 9 * * *"}
    remind = task | {"prompt": "Remind us."}
    job = task | {"task_type": "host", "command": "true"}
    no_time = {"schedule_value": "0 0 30 2 *"}
    asked: list[tuple[Any, tuple[str, str]]] = [
        (requested(1, remind), ("accepted", "ok")),
        (requested(2, remind | {"timezone": "Asia/Tokyo"}), ("accepted", "ok")),
        (requested(3, remind | no_time), ("invalid", "schedule_invalid")),
        (requested(4, remind | {"timezone": "Asia/Tokio"}), ("invalid", "schedule_invalid")),
        (requested(5, remind | {"schedule_type": "interval"}), ("invalid", "schedule_invalid")),
        (requested(6, remind | {"prompt": " "}), ("invalid", "invalid")),
        (requested(7, remind | no_time | {"target_group": "main"}), ("forbidden", "forbidden")),
        (requested(8, job | no_time), ("forbidden", "forbidden")),
        (requested(9, job, "main", admin=True), ("gated", "approval_needed")),
        (requested(10, job | no_time, "main", admin=True), ("invalid", "schedule_invalid")),
        (requested(11, job | {"cwd": "x"}, "main", admin=True), ("invalid", "invalid")),
    ]
    answers = ask(pynchy, "request", *(one for one, _ in asked))
    assert outcomes(answers) == [(one["id"], *outcome) for one, outcome in asked]
    assert answers[2]["message"] == "'0 0 30 2 *' never comes."


def test_a_question_about_a_request_must_be_whole(pynchy: Pynchy, home: Path) -> None:
    whole = requested(1, SAY, "main")
    bad = [
        *({name: value for name, value in whole.items() if name != one} for one in whole),
        *(whole | {"payload": value} for value in (SAY, None, 5, ["x"])),
        *(whole | {"group": value} for value in ("", "../main", "Main", "a/b", "\ud800", 7, None)),
        *(whole | {"admin": value} for value in ("yes", 1, None)),
    ]
    answers = ask(pynchy, "request", whole, *bad, whole)
    assert outcomes([answers[0], answers[-1], answers[1]]) == [
        (1, "accepted", "ok"),
        (1, "accepted", "ok"),
        (None, "accepted", "ok"),
    ]
    for answered in answers[2:-1]:
        assert set(answered) == {"id", "error"}
        assert answered["id"] == 1
        assert answered["error"]


def test_requests_are_judged_without_a_database(pynchy: Pynchy, tmp_path: Path) -> None:
    answers = ask(
        pynchy,
        "request",
        requested(1, SAY),
        requested(2, SAY | {"chat_jid": "local:work"}),
        requested(3, SAY | {"chat_jid": "local:work"}, admin=True),
        requested(4, {"type": "cancel_task", "task_id": "t1"}),
    )
    assert [one["outcome"] for one in answers] == [
        *("accepted", "forbidden", "accepted", "forbidden")
    ]
    assert not (tmp_path / "home").exists()


def test_a_database_that_can_t_be_read_answers_nothing(pynchy: Pynchy, home: Path) -> None:
    (home / "data/messages.db").write_bytes(b"no database at all, by no means\n" * 200)
    for left in home.glob("data/messages.db-*"):
        left.unlink()
    done = pynchy("check", "request", "--batch", input=json.dumps(requested(1, SAY)), code=100)
    assert done.stdout == ""
    assert "is damaged or not a database" in done.stderr


AFTER = "2026-03-07T00:00:00Z"


def test_cron(pynchy: Pynchy, home: Path) -> None:
    questions = [
        {"id": 1, "value": "30 2 * * *", "tz": "America/New_York", "after": AFTER},
        {"id": 2, "type": "interval", "value": 1800, "after": AFTER, "count": 2},
        {"id": 3, "type": "interval", "value": "2h", "after": AFTER, "count": 1, "tz": None},
        {
            "id": 4,
            "type": "once",
            "value": "2026-10-25 02:30",
            "tz": "Europe/Berlin",
            "after": AFTER,
        },
        {"id": 5, "type": "once", "value": "2026-10-25T02:30+02:00", "after": AFTER, "count": 5},
        {"id": 6, "value": "@daily", "tz": "UTC", "after": AFTER, "count": 0},
        {
            "id": 7,
            "value": "0 9 * * *",
            "tz": "Asia/Tokyo",
            "after": "2026-03-07 08:59",
            "count": 1,
        },
    ]
    want = [
        ["2026-03-07T07:30:00.000Z", "2026-03-08T07:00:00.000Z", "2026-03-09T06:30:00.000Z"],
        ["2026-03-07T00:30:00.000Z", "2026-03-07T01:00:00.000Z"],
        ["2026-03-07T02:00:00.000Z"],
        ["2026-10-25T00:30:00.000Z"],
        ["2026-10-25T00:30:00.000Z"],
        [],
        ["2026-03-07T00:00:00.000Z"],
    ]
    assert ask(pynchy, "cron", *questions) == [
        {"id": id, "valid": True, "next": due, "error": None} for id, due in enumerate(want, 1)
    ]


def test_schedules_that_can_not_be_are_told_with_the_reason(pynchy: Pynchy, home: Path) -> None:
    asked: list[tuple[dict[str, Any], str]] = [
        ({"value": "* * * * * *"}, "neither seconds nor years"),
        ({"value": "0 0 30 2 *"}, "never comes"),
        ({"value": "H * * * *"}, "R or H"),
        ({"value": 5}, "five fields"),
        ({"value": "\ud800"}, "five fields"),
        ({"type": "interval", "value": 9}, "10 seconds"),
        ({"type": "interval", "value": 10.5}, "no interval"),
        ({"type": "once", "value": "2026-03-06 09:00", "tz": "UTC", "after": AFTER}, "past"),
        ({"type": "weekly", "value": "x"}, "cron, interval or once"),
        ({"value": "@daily", "tz": "Europe/Berlinn"}, "Europe/Berlin?"),
        ({"value": "@daily", "tz": "\ud800\0"}, "no time zone"),
        ({"value": "@daily", "after": "9999-12-31T23:00:00Z"}, "never comes"),
    ]
    answers = ask(pynchy, "cron", *({"id": n} | one for n, (one, _) in enumerate(asked)))
    for id, (answered, (_, reason)) in enumerate(zip(answers, asked, strict=True)):
        assert reason in answered.pop("error")
        assert answered == {"id": id, "valid": False, "next": []}


def test_a_schedule_is_asked_about_at_this_moment_in_the_configured_zone(
    pynchy: Pynchy, home: Path
) -> None:
    def hours(**environment: str) -> set[int]:
        done = pynchy("check", "cron", input='{"id": 1, "value": "0 9 * * *"}', env=environment)
        answered = json.loads(done.stdout)["next"]
        assert len(answered) == 3
        ahead = datetime.fromisoformat(answered[0]) - datetime.now(UTC)
        assert timedelta(0) < ahead + timedelta(minutes=5) < timedelta(days=1, minutes=5)
        return {datetime.fromisoformat(one).hour for one in answered}

    pynchy("check", "cron", input='{"id": 1, "value": "0 9 * *"}', code=1)
    assert hours(TZ="Asia/Kolkata") == {3}
    assert hours(TZ="Asia/Kolkata", PYNCHY_SCHEDULER__TIMEZONE="Asia/Tokyo") == {0}


def test_a_question_about_a_schedule_must_be_whole(pynchy: Pynchy, home: Path) -> None:
    whole = {"id": 1, "value": "@daily"}
    wrong: list[dict[str, Any]] = [
        *({"value": value} for value in (None, True, ["@daily"], {})),
        *({"type": value} for value in (1, [])),
        *({"tz": value} for value in (1, [])),
        *({"count": value} for value in (-1, 1001, 2.5, "3", True)),
        *({"after": value} for value in ("yesterday", "", 5, "2026-02-30 09:00")),
    ]
    answers = ask(pynchy, "cron", {"id": 0}, *(whole | one for one in wrong), "{", whole)
    assert [set(one) for one in answers[:-1]] == [{"id", "error"}] * (len(wrong) + 2)
    assert [one["id"] for one in answers] == [0, *[1] * len(wrong), None, 1]
    assert answers[-1]["valid"] is True


def test_a_thousand_due_times_may_be_asked_for(pynchy: Pynchy, home: Path) -> None:
    (answered,) = ask(pynchy, "cron", {"id": 1, "value": "* * * * *", "count": 1000})
    assert len(set(answered["next"])) == 1000


def test_chunk(pynchy: Pynchy, home: Path) -> None:
    code = "```py\none = 1\ntwo = 2\n```"
    answers = ask(
        pynchy,
        "chunk",
        {"id": 1, "text": "One two three. Four five.", "limit": 15},
        {"id": "code", "text": code, "limit": 24},
        {"id": 3, "text": "\ud83d\ude00\ud83d\ude00\ud83d", "limit": 2},
        {"id": 4, "text": "", "limit": 2},
        {"id": 5, "text": "a", "limit": 0},
        {"id": 6, "text": "a", "limit": True},
        {"id": 7, "text": "a", "limit": 2.0},
        {"id": 8, "text": "a"},
        {"id": 9, "limit": 2},
        "[1]",
    )
    assert answers == [
        {"id": 1, "chunks": ["One two three.", "Four five."]},
        {"id": "code", "chunks": ["```py\none = 1\n```", "```py\ntwo = 2\n```"]},
        {"id": 3, "chunks": ["😀", "😀", "\ud83d"]},
        {"id": 4, "chunks": []},
        {"id": 5, "error": "limit is 0, and must be 1 or more"},
        {"id": 6, "error": "limit is not a whole number"},
        {"id": 7, "error": "limit is not a whole number"},
        {"id": 8, "error": "limit is missing"},
        {"id": 9, "error": "text is missing"},
        {"id": None, "error": "not a JSON object"},
    ]
