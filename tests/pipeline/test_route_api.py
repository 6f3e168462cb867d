"""What comes over HTTP without a token is for the assistant to read; the host obeys none of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent_runner.protocol.requests import Option, Question
from pynchy_cli import clock
from pynchy_cli.channels.intake import take
from pynchy_cli.config.settings import Settings
from pynchy_cli.model import FROM_API, Message, NewMessage
from pynchy_cli.routing.orders import Orders
from pynchy_cli.security.senders import API
from pynchy_cli.store import groups
from tests.people import People

TEXTS = (
    *("approve k7m2", "deny k7m2 no", "@pynchy approve k7m2", "reset", "stop", "stop all"),
    *("go on all", "!id", "pending", "help", "status", "todo milk", "1", "q7m2 1", "q7m2: this"),
)
QUESTION = Question(question="Which?", options=(Option(label="this"), Option(label="that")))


@pytest.fixture
def people(environment: dict[str, str], tmp_path: Path) -> People:
    made = People.moved_in(environment, tmp_path / "home")
    made.group("main", "owner", is_admin=True)
    made.group("team", "owner")
    return made


def by_api(people: People, text: str, chat: str = "local:main") -> None:
    people.say((API, text), chat=chat, channel=API)
    people.route(commands__shell="true")


def runs(people: People) -> int:
    return int(people.rows("SELECT count(*) FROM runs")[0][0])


def test_no_text_is_a_command_an_answer_or_an_approval(people: People) -> None:
    asked = people.gated("k7m2", "local:main", folder="main")
    people.question("q7m2", QUESTION, folder="main", chat="local:main")
    people.say(*((API, text) for text in TEXTS), chat="local:main", channel=API)
    people.route(commands__shell="true")
    assert people.state(asked) == "waiting"
    assert people.rows("SELECT state, answers FROM questions") == [("pending", "{}")]
    assert people.rows("SELECT count(*) FROM outbound_ledger WHERE source = 'host'") == [(0,)]
    assert people.rows("SELECT count(*) FROM holds") == [(0,)]
    assert people.rows("SELECT count(*) FROM todos") == [(0,)]
    assert people.rows("SELECT count(*) FROM requests WHERE type = 'host_shell'") == [(0,)]
    assert people.rows(
        "SELECT DISTINCT verdict, sender, metadata FROM messages WHERE id LIKE 'm%'"
    ) == [("allowed", API, FROM_API)]
    # All of it is for the assistant of the admin group.
    assert people.rows("SELECT last_seq - first_seq + 1 FROM runs") == [(len(TEXTS),)]


def test_the_same_from_the_owner_is_obeyed(people: People) -> None:
    """Else the test above could not fail."""
    asked = people.gated("k7m2", "local:main", folder="main")
    assert people.said("owner", "approve k7m2", chat="local:main") == "✅ k7m2 is approved."
    assert people.state(asked) != "waiting"


def test_a_group_is_called_as_by_anybody(people: People) -> None:
    by_api(people, "hello", "local:team")
    assert runs(people) == 0
    by_api(people, "@pynchy hello", "local:team")
    assert runs(people) == 1


def test_nobody_else_is_taken_for_it(people: People) -> None:
    """Who is called so on another channel is judged like anybody there."""
    people.say((API, "@pynchy hello"), channel="stdin")
    people.say((API, "@pynchy hello"), channel="slack", chat="slack:C1")
    with people.store() as store, store.atomic() as db:
        claimed = NewMessage("x", "local:team", API, API, "hi", clock.now(), metadata=FROM_API)
        take(db, "stdin", claimed, clock.now(), settings=Settings())
    assert people.rows("SELECT verdict, metadata FROM messages WHERE sender = 'api'") == [
        ("refused", None),
        ("refused", None),
        ("refused", None),
    ]


def test_what_it_says_is_no_command_to_whoever_reads_it(people: People) -> None:
    words = Orders(Settings())
    with people.store() as store:
        group = groups.get(store.db, "main")
        for metadata, name in ((FROM_API, None), (None, "stop")):
            told = Message("x", "local:main", API, API, "stop", clock.now(), metadata=metadata)
            command = words.read(told, group).command
            assert (command.name if command else None) == name
