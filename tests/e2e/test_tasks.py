"""Firings of tasks beside a conversation with the real Claude CLI: what each tells the model."""

from __future__ import annotations

from typing import Any

import pytest

from pynchy_cli import clock
from pynchy_cli.model import Firing
from pynchy_cli.scheduling.prompt import prompt
from pynchy_cli.store import runs, tasks
from pynchy_cli.store.connection import Store
from tests.clocks import START, task
from tests.e2e.test_conversations import Talk, bash, talk
from tests.process.test_run_agent import wait_for

__all__ = ["talk"]

pytestmark = pytest.mark.timeout(300)


def fire(talk: Talk, text: str, **more: Any) -> int:
    """A firing in the admin group, as an agent is told of it; its run."""
    now = clock.now()
    with Store.open(talk.home / "data/messages.db") as store, store.atomic() as db:
        made = task(START, "interval", "30m", group_folder="main", prompt=text, **more)
        tasks.add(db, made)
        told = prompt(made, Firing(1, made.id, now, now, None, False, "fired", None))
        return runs.queue_task(
            db, "main", tasks.lane_of(made), made.id, told, "local:main", clock.now()
        )


def done(talk: Talk, text: str, **more: Any) -> str:
    """A firing that is over; all that the model was told in it."""
    asked = len(talk.server.requests)
    run = fire(talk, text, **more)
    ended = f"SELECT 1 FROM runs WHERE id = {run} AND state = 'done'"
    wait_for(lambda: talk.rows(ended), f"the end of the task {text}")
    return "".join(talk.told(number) for number in range(asked, len(talk.server.requests)))


@pytest.mark.parametrize("talk", ["bubblewrap"], indirect=True)
def test_a_task_knows_of_the_conversation_only_what_it_is_to(talk: Talk) -> None:
    worker = talk.start("run-agent", "claude")
    (talk.folder / "note.txt").write_text("the word is plinth")
    talk.say("my cat is called Minka")
    known = talk.session()
    state = talk.home / "data/claude/main/projects"
    kept = sorted(state.rglob("*.jsonl"))

    # A conversation of its own, in the group's folder, of which nothing stays but the answer.
    told = done(talk, bash("cat note.txt"), id="task-alone")
    assert talk.replies()[-1].startswith("tool said: ")
    assert "the word is plinth" in talk.replies()[-1]
    assert "[SCHEDULED TASK]" in told
    assert "Minka" not in told
    assert sorted(state.rglob("*.jsonl")) == kept
    assert not talk.rows("SELECT 1 FROM sessions WHERE lane <> 'chat' AND owner IS NULL")

    # The conversation goes on, and knows nothing of it.
    talk.say("SAY who am I?")
    assert "Minka" in talk.told()
    assert not any(words in talk.told() for words in ("SCHEDULED", "plinth"))
    assert talk.session() == known

    # One that goes on with the conversation knows it, warm or not, and is known to it.
    assert "Minka" in done(talk, "SAY it rains", id="task-warm", context_mode="group")
    worker.terminate()
    assert worker.wait(60) == 0
    talk.start("run-agent", "claude")
    told = done(talk, "SAY <internal>still</internal>", id="task-cold", context_mode="group")
    assert all(words in told for words in ("Minka", "it rains"))
    assert "plinth" not in told
    assert talk.replies()[-1] == "it rains"
    assert talk.say("SAY well?") == "well?"
    assert all(words in talk.told() for words in ("Minka", "task-warm", "task-cold"))
    assert talk.session()[0] == known[0]
