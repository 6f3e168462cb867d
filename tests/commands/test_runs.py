"""`pynchy runs`: what is listed, shown and logged, tried again and cancelled; and that a worker
and whoever cancels never both have a run."""

from __future__ import annotations

import json
import os
import pty
import sqlite3
import subprocess
import sys
import termios
from pathlib import Path
from typing import Any

import pytest

from pynchy_cli.agent.turn import STOPPED
from pynchy_cli.commands.runs import HEADERS
from pynchy_cli.store.cancelling import CANCELLED
from tests.conftest import Pynchy
from tests.process.test_run_agent import (
    Pipeline,
    pipeline,  # noqa: F401
    sources,  # noqa: F401
    started,
    wait_for,
)

WAITING = ["listen", "stdin", "--chat", "local:main", "--wait"]


def write(home: Path, script: str) -> None:
    db = sqlite3.connect(home / "data" / "messages.db")
    db.executescript(script)
    db.close()


def queued(pynchy: Pynchy, *texts: str) -> None:
    for text in texts:
        pynchy("send", "main", text)
    pynchy("route", "--once")


def listed(pynchy: Pynchy, *arguments: str) -> list[dict[str, Any]]:
    lines = pynchy("runs", "list", *arguments).stdout.splitlines()
    return [json.loads(line) for line in lines]


def on_terminal(home: Path, *arguments: str, columns: int = 0) -> str:
    """What a person sees, on a terminal that is so wide, or doesn't tell."""
    reader, writer = pty.openpty()
    termios.tcsetwinsize(writer, (24, columns))
    command = [sys.executable, "-m", "pynchy_cli", "--home", str(home), *arguments]
    done = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=writer)
    os.close(writer)
    text = b""
    try:
        while piece := os.read(reader, 65536):
            text += piece
    except OSError:
        pass  # the other end was closed
    os.close(reader)
    assert done.wait(60) == 0
    return text.decode().replace("\r\n", "\n")


ENDED = """
UPDATE runs SET state = 'done', attempts = 2, started_at = '2026-01-31T08:00:00.000Z',
  finished_at = '2026-01-31T08:00:02.500Z', created_at = '2026-01-31T07:59:59.000Z';
INSERT INTO runs(group_folder, lane, kind, state, attempts, first_seq, last_seq, chat_jid,
  created_at, error, superseded_by) VALUES ('main', 'chat', 'chat', 'superseded', 1, 1, 1,
  'local:main', '2026-01-31T08:00:00.000Z', 'its worker died', 1);
"""


def test_runs_are_listed(pynchy: Pynchy, home: Path) -> None:
    queued(pynchy, "one", "two")
    write(home, ENDED)
    queued(pynchy, "three")
    rows = listed(pynchy)
    assert [(row["id"], row["state"]) for row in rows] == [
        (1, "done"),
        (2, "superseded"),
        (3, "queued"),
    ]
    wanted = {"group": "main", "first_seq": 1, "last_seq": 2, "attempts": 2, "seconds": 2.5}
    assert wanted.items() <= rows[0].items()
    assert [row["seconds"] for row in rows[1:]] == [None, None]
    assert [row["id"] for row in listed(pynchy, "main", "-n", "2")] == [2, 3]
    assert [row["id"] for row in listed(pynchy, "--state", "done")] == [1]
    pynchy("groups", "add", "team")
    assert listed(pynchy, "team") == []
    header, *lines = on_terminal(home, "runs", "list").splitlines()
    assert header.lower().split() == list(HEADERS)
    assert lines[0].split()[:6] == ["1", "main", "chat", "done", "2", "1..2"]
    assert lines[1].endswith("its worker died; see run 1")
    narrow = on_terminal(home, "runs", "list", columns=84).splitlines()
    assert max(map(len, narrow)) <= 84
    assert "main" in pynchy("runs", "list", "mian", code=1).stderr
    assert "superseded" in pynchy("runs", "list", "--state", "well", code=2).stderr


def test_a_run_is_shown_with_all_that_belongs_to_it(pipeline: Pipeline) -> None:  # noqa: F811
    (pipeline.home / "groups/main/go").touch()
    assert pipeline.ask("hello \x1b[31m\nthere", "polite") == ["whole, in turn 1"]
    shown = json.loads(pipeline.run("runs", "show", "1"))
    assert (shown["id"], shown["state"], shown["first_seq"]) == (1, "done", 1)
    assert [one["content"] for one in shown["messages"]] == ["hello \x1b[31m\nthere"]
    assert [one["content"] for one in shown["answers"]] == ["whole, in turn 1"]
    assert [(one["name"], one["input"]) for one in shown["tools"]] == [
        ("Bash", {"command": "ls\n-l"})
    ]
    log = pipeline.run("runs", "show", "1", "--log").splitlines()
    assert all(line[10] == "T" and line[23] == "Z" for line in log)
    said = [tuple(line[25:].split(maxsplit=1)) for line in log]
    assert said == [
        ("message", "owner: hello \\x1b[31m\\nthere"),
        ("queued", "run 1 of main, lane chat, messages 1..1"),
        ("started", "attempt 1"),
        ("begun", "sandbox pynchy-main, process 2"),
        ("text", "half"),
        ("tool_use", 'Bash {"command": "ls\\n-l"}'),
        ("answer", "whole, in turn 1"),
        ("end", "done"),
    ]
    lines = pipeline.run("runs", "show", "1", "--log", "--json").splitlines()
    assert [json.loads(line)["kind"] for line in lines] == [kind for kind, _ in said]
    seen = on_terminal(pipeline.home, "runs", "show", "1")
    assert "\x1b" not in seen
    steps = [line for line in seen.splitlines() if line.startswith("  ")]
    assert len(steps) == 3
    assert all(line[12] == "T" for line in steps), "all have a time of the same form"
    for words in ("state: done", "hello \\x1b[31m", "Bash", "whole, in turn 1"):
        assert words in seen
    assert "There is no run 7." in pipeline.run("runs", "show", "7", code=1)


def test_a_log_is_whole_however_long_the_run_was(pynchy: Pynchy, home: Path) -> None:
    queued(pynchy, *(f"question {number}" for number in range(3)))
    write(
        home,
        """
        WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500)
        INSERT INTO events(event_type, group_folder, run_id, timestamp, payload)
        SELECT iif(i % 2, 'thinking', 'tool_result'), 'main', 1,
          printf('2026-01-31T08:%02d:%02d.000Z', i / 60, i % 60),
          json_object('text', 'thought ' || i, 'content', 'result ' || i, 'is_error', i = 500,
            'tool_id', 't') FROM n;
        INSERT INTO events(event_type, group_folder, run_id, timestamp, payload)
        VALUES ('notice', 'main', 1, '2026-01-31T09:00:00.000Z', '{"subtype": "retry"}'),
          ('thinking', 'main', 2, '2026-01-31T09:00:00.000Z', '{"text": "of another run"}');
        INSERT INTO outbound_ledger(key, chat_jid, run_id, content, is_final, source, created_at)
        VALUES ('run:1:0', 'local:main', 1, 'so f', 0, 'agent', '2999-01-01T00:00:00.000Z');
        """,
    )
    log = [line[25:] for line in pynchy("runs", "show", "1", "--log").stdout.splitlines()]
    steps = [line for line in log if "thought" in line or "result" in line]
    assert [int(line.rpartition(" ")[2]) for line in steps] == list(range(1, 501))
    assert (steps[0], steps[-1]) == ("thinking     thought 1", "tool_error   result 500")
    assert [line for line in log if "question" in line] == [
        f"message      owner: question {number}" for number in range(3)
    ]
    assert 'notice       {"subtype": "retry"}' in log
    assert log[-2:] == ["answering    so f", "so far       queued"]
    assert "another" not in "".join(log)


def test_a_failed_run_is_tried_again(pynchy: Pynchy, home: Path) -> None:
    queued(pynchy, "hello")
    assert "only a failed run" in pynchy("runs", "retry", "1", code=2).stderr
    write(home, "UPDATE runs SET state = 'failed'")
    assert json.loads(pynchy("runs", "retry", "1").stdout) == {"ok": True, "retried": 1, "run": 2}
    assert [(row["id"], row["superseded_by"]) for row in listed(pynchy)] == [(1, 2), (2, None)]
    assert "retried already" in pynchy("runs", "retry", "1", code=2).stderr


def test_a_run_that_waits_is_cancelled_and_nobody_waits_for_it(pynchy: Pynchy, home: Path) -> None:
    said = "".join(json.dumps({"id": str(n), "text": f"question {n}"}) + "\n" for n in range(2))
    pynchy(*WAITING[:-1], input=said)
    pynchy("route", "--once")
    told = json.loads(pynchy("runs", "cancel", "1").stdout)
    assert told == {
        "ok": True,
        "run": 1,
        "state": "cancelled",
        "message": "Cancelled run 1 of main.",
    }
    # The same again is the same messages, and what became of them is known.
    waited = pynchy(*WAITING, input=said, code=1)
    replies = [json.loads(line) for line in waited.stdout.splitlines()]
    assert {reply["content"] for reply in replies} == {CANCELLED}
    assert sorted(one for reply in replies for one in reply["reply_to"]) == ["0", "1"]
    status = json.loads(pynchy("status", "--json", code=None).stdout)
    assert status["queue"]["per_group"]["main"]["pending_messages"] == 0
    assert "is cancelled" in pynchy("runs", "cancel", "1", code=2).stderr
    failed = json.loads(pynchy("runs", "cancel", "9", "--json", code=1).stdout)
    assert failed["error"]["code"] == "run_unknown"


def test_somebody_who_waits_for_a_cancelled_answer_goes_on(pynchy: Pynchy, home: Path) -> None:
    command = [sys.executable, "-m", "pynchy_cli", "--home", str(home)]
    with subprocess.Popen(
        [*command, "send", "main", "hello", "--wait", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as waiting:
        assert waiting.stderr is not None
        assert "not running" in waiting.stderr.readline()
        pynchy("route", "--once")
        pynchy("runs", "cancel", "1")
        out, _ = waiting.communicate(timeout=60)
    told = json.loads(out)
    assert (waiting.returncode, told["state"]) == (1, "cancelled")
    assert [one["content"] for one in told["replies"]] == [CANCELLED]


def test_a_run_at_work_is_stopped(pipeline: Pipeline) -> None:  # noqa: F811
    pipeline.start("run-agent", "polite")
    pipeline.run("send", "main", "tell me a story")
    pipeline.run("route", "--once")
    started(pipeline)
    told = json.loads(pipeline.run("runs", "cancel", "1", "--wait", "60"))
    assert (told["ok"], told["state"]) == (True, "cancelled")
    assert pipeline.replies() == [f"half\n\n{STOPPED}"]


CANCELLER = """
import sys
from pathlib import Path
from pynchy_cli import clock
from pynchy_cli.errors import UsageWrong
from pynchy_cli.store import cancelling
from pynchy_cli.store.connection import Store

with Store.open(Path(sys.argv[1])) as store:
    while not store.db.execute("SELECT 1 FROM runs WHERE state <> 'queued'").fetchone():
        pass
    for run in range(12, 0, -1):
        try:
            with store.atomic() as db:
                cancelling.cancel(db, run, clock.now())
        except UsageWrong:
            pass
"""


def test_a_worker_and_whoever_cancels_never_both_have_a_run(pipeline: Pipeline) -> None:  # noqa: F811
    """One process claims the runs of many groups while another one cancels them all."""
    names = [f"team-{number}" for number in range(12)]
    for name in names:
        write(
            pipeline.home,
            f"""
            INSERT INTO chats(jid, channel, first_seen_at) VALUES ('local:{name}', 'local', 'now');
            INSERT INTO registered_groups(folder, name, jid, trigger_mode, number, routed_seq,
              answered_seq, added_at) SELECT '{name}', 'x', 'local:{name}', 'always',
              max(number) + 1, 0, 0, 'now' FROM registered_groups;
            INSERT INTO messages(id, chat_jid, sender, sender_name, content, timestamp,
              received_at) VALUES ('1', 'local:{name}', 'owner', 'Ann', 'to {name}',
              '2026-01-31T08:00:00.000Z', '2026-01-31T08:00:00.000Z');
            """,
        )
        (pipeline.home / "groups" / name).mkdir(mode=0o700)
    pipeline.run("route", "--once")
    assert len(pipeline.rows("SELECT 1 FROM runs WHERE state = 'queued'")) == len(names)
    pipeline.start("run-agent", PYNCHY_QUEUE__MAX_CONCURRENT="2")
    subprocess.run(
        [sys.executable, "-c", CANCELLER, str(pipeline.home / "data/messages.db")],
        check=True,
        timeout=60,
        env=pipeline.environ,
    )
    left = "SELECT 1 FROM runs WHERE state IN ('queued', 'running')"
    wait_for(lambda: not pipeline.rows(left), "the end of all")
    states = dict(pipeline.rows("SELECT id, state FROM runs"))
    said: dict[int, list[str]] = {run: [] for run in states}
    for run, content, is_final in pipeline.rows(
        "SELECT run_id, content, is_final FROM outbound_ledger"
    ):
        assert is_final
        said[run].append(content)
    for run, state in states.items():
        (answer,) = said[run]
        assert (state == "cancelled") == (CANCELLED in answer or STOPPED in answer), (state, answer)
    assert "cancelled" in states.values()
    behind = "SELECT count(*) FROM registered_groups WHERE answered_seq < routed_seq"
    assert pipeline.rows(behind) == [0]


@pytest.mark.parametrize("number", ["0", "-1", "x", "9" * 30])
def test_a_run_is_a_number(pynchy: Pynchy, home: Path, number: str) -> None:
    said = pynchy("runs", "show", "--", number, code=2).stderr
    assert "Traceback" not in said
    assert "too large" in said or "Invalid value" in said
