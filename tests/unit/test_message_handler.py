"""`send_message`: what an agent says in the midst of a run, and the files that go with it."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent_runner.protocol.requests import SendMessage
from pynchy_cli import clock
from pynchy_cli.config.settings import Sandbox, Settings
from pynchy_cli.errors import RequestRefused
from pynchy_cli.ipc import approving
from pynchy_cli.ipc.handlers.messages import DAILY, EFFECTS
from pynchy_cli.model import Attachment
from pynchy_cli.store import approvals, chats, groups, messages, outbound, requests
from pynchy_cli.store.connection import Connection
from tests.asking import Asking, asking

EFFECT = EFFECTS["send_message"]


@pytest.fixture
def ask(tmp_path: Path) -> Iterator[Asking]:
    """A home with the groups family (in two chats), work, and main, which is an admin group."""
    with asking(tmp_path, Settings(sandbox=Sandbox(min_free=0))) as made:
        made.group("family")
        with made.store.atomic() as db:
            chats.seen(db, "slack:F", None, clock.now())
            db.execute("INSERT INTO group_chats(jid, group_folder) VALUES ('slack:F', 'family')")
        made.group("work", jid="slack:W")
        made.group("main", is_admin=True)
        yield made


def told(
    ask: Asking, folder: str, request: SendMessage, chat_jid: str | None = None
) -> Mapping[str, Any]:
    """What an agent of the group is told."""
    group = groups.get(ask.store.db, folder)
    return ask.told(EFFECT, ask.asked(group, request, chat_jid))


def deliveries(db: Connection) -> list[tuple[str, str, str]]:
    rows = db.execute(
        "SELECT content, d.chat_jid, state FROM outbound_deliveries AS d"
        " JOIN outbound_ledger ON id = ledger_id ORDER BY id, d.chat_jid"
    )
    return [tuple(row) for row in rows]


def test_it_is_said_where_the_run_is_and_in_the_groups_other_chats(ask: Asking) -> None:
    answer = told(ask, "family", SendMessage(text="one moment"), "slack:F")
    assert answer == {"message": "It is stored, and is delivered to the chat.", "chat": "slack:F"}
    assert deliveries(ask.store.db) == [
        ("one moment", "local:family", "sent"),
        ("one moment", "slack:F", "pending"),
    ]
    (said,) = messages.last(ask.store.db, None, 5)
    assert (said.chat_jid, said.content) == ("slack:F", "one moment")
    assert said.message_type == "assistant"


def test_without_a_run_it_is_said_in_the_groups_first_chat(ask: Asking) -> None:
    assert told(ask, "family", SendMessage(text="hello"))["chat"] == "local:family"
    assert told(ask, "family", SendMessage(text="hello"), "slack:W")["chat"] == "local:family"


def test_it_is_no_answer_of_the_run_that_it_is_said_in(ask: Asking) -> None:
    group = groups.get(ask.store.db, "family")
    asked = ask.asked(group, SendMessage(text="one moment"))
    ask.told(EFFECT, dataclasses.replace(asked, row=dataclasses.replace(asked.row, run_id=7)))
    assert outbound.of_run(ask.store.db, 7) == []
    (said,) = messages.last(ask.store.db, None, 5)
    assert said.run_id is None


def test_it_is_said_once_however_often_it_is_carried_out(ask: Asking) -> None:
    asked = ask.asked(groups.get(ask.store.db, "work"), SendMessage(text="once"))
    ask.told(EFFECT, asked)
    ask.told(EFFECT, asked)
    assert deliveries(ask.store.db) == [("once", "slack:W", "pending")]


def test_an_admin_group_speaks_in_others_chats(ask: Asking) -> None:
    answer = told(ask, "main", SendMessage(text="lunch", chat_jid="slack:W"))
    assert answer["chat"] == "slack:W"
    assert deliveries(ask.store.db) == [("lunch", "slack:W", "pending")]
    (row,) = ask.store.db.execute("SELECT group_folder FROM outbound_ledger").fetchall()
    assert row[0] == "work"


@pytest.mark.parametrize(
    ("folder", "jid", "code"),
    [
        ("main", "slack:nowhere", "chat_unknown"),
        ("family", "slack:nowhere", "chat_unknown"),
        ("family", "slack:W", "forbidden"),
    ],
)
def test_a_chat_that_is_none_or_not_ones_own_is_refused(
    ask: Asking, folder: str, jid: str, code: str
) -> None:
    with pytest.raises(RequestRefused) as refused:
        told(ask, folder, SendMessage(text="hello", chat_jid=jid))
    assert refused.value.code == code
    assert deliveries(ask.store.db) == []


def test_a_chat_that_was_ones_own_when_it_was_asked_is_asked_for_again(ask: Asking) -> None:
    """A person may have taken a long time to approve it."""
    asked = ask.asked(groups.get(ask.store.db, "work"), SendMessage(text="hi", chat_jid="slack:W"))
    with ask.store.atomic() as db:
        groups.remove(db, "work")
    ask.group("else", jid="slack:W")
    assert EFFECT.rows is not None
    with pytest.raises(RequestRefused) as refused, ask.store.atomic() as db:
        EFFECT.rows(db, asked, clock.now(), None)
    assert refused.value.code == "forbidden"


def test_a_senders_name_stands_before_it_and_can_hide_nothing(ask: Asking) -> None:
    told(ask, "work", SendMessage(text="hello", sender="Tester\u202e\x85"))
    assert [row[0] for row in deliveries(ask.store.db)] == ["Tester\\u202e\\x85: hello"]


def test_a_message_needs_a_text(ask: Asking) -> None:
    with pytest.raises(RequestRefused, match="needs a text"):
        told(ask, "work", SendMessage(text=" \n "))


def give(ask: Asking, folder: str, name: str, content: bytes) -> Attachment:
    (ask.home.group(folder) / name).write_bytes(content)
    return Attachment(name, len(content), hashlib.sha256(content).hexdigest())


def test_files_go_with_it_as_they_were(ask: Asking) -> None:
    files = [give(ask, "work", "b.txt", b"bees"), give(ask, "work", "a.txt", b"an ant")]
    request = SendMessage(text="here", files=("b.txt", "a.txt"))
    assert not EFFECT.is_immediate(request)
    assert EFFECT.is_immediate(SendMessage(text="here"))
    answer = told(ask, "work", request)
    assert answer["files"] == [{"name": "b.txt", "size": 4}, {"name": "a.txt", "size": 6}]
    (said,) = messages.last(ask.store.db, None, 5)
    assert outbound.files_of(ask.store.db, said) == files
    (ledger,) = ask.store.db.execute("SELECT id FROM outbound_ledger").fetchone()
    assert outbound.files(ask.store.db, ledger) == files
    assert outbound.named_files(ask.store.db) == {one.sha256 for one in files}
    assert (ask.home.files / files[0].sha256).read_bytes() == b"bees"


def test_nobody_elses_message_has_files(ask: Asking) -> None:
    """Not even where its network's id is like that of one of ours."""
    give(ask, "work", "a.txt", b"an ant")
    told(ask, "work", SendMessage(text="here", files=("a.txt",)))
    (ours,) = messages.last(ask.store.db, None, 5)
    theirs = dataclasses.replace(ours, id=ours.id.removeprefix("pynchy:"))
    assert outbound.files_of(ask.store.db, theirs) == []


def test_one_file_that_can_not_be_sent_keeps_all_of_it_back(ask: Asking) -> None:
    give(ask, "work", "a.txt", b"an ant")
    with pytest.raises(RequestRefused, match="missing"):
        told(ask, "work", SendMessage(text="here", files=("a.txt", "missing")))
    assert deliveries(ask.store.db) == []
    assert not list(ask.home.files.iterdir()) if ask.home.files.exists() else True


def test_files_of_another_group_are_out_of_reach(ask: Asking) -> None:
    give(ask, "family", "a.txt", b"an ant")
    path = str(ask.home.group("family") / "a.txt")
    for one in (path, "../family/a.txt", "/workspace/group/../family/a.txt"):
        with pytest.raises(RequestRefused) as refused:
            told(ask, "work", SendMessage(text="here", files=(one,)))
        assert refused.value.code == "file_unusable"


def test_a_group_sends_no_more_than_its_share_of_a_day(ask: Asking) -> None:
    """What it sent on the day before doesn't count."""
    files = [Attachment("large", DAILY - 5, "0" * 64)]
    yesterday = clock.after(clock.now(), -90_000)
    for key, when in (("request:900", yesterday), ("request:901", clock.now())):
        give(ask, "work", "a.txt", b"an ant")
        with ask.store.atomic() as db:
            id = outbound.say(
                db,
                key=key,
                chat_jid="slack:W",
                content="x",
                source="agent",
                now=when,
                group_folder="work",
            )
            outbound.attach(db, id, files)
        request = SendMessage(text="here", files=("a.txt",))
        if when == yesterday:
            assert told(ask, "work", request)
    with pytest.raises(RequestRefused) as refused:
        told(ask, "work", request)
    assert refused.value.code == "files_too_large"
    give(ask, "family", "a.txt", b"an ant")
    assert told(ask, "family", request)


def test_the_disk_keeps_what_is_to_stay_free(tmp_path: Path) -> None:
    with asking(tmp_path, Settings(sandbox=Sandbox(min_free=1 << 60))) as ask:
        ask.group("work")
        give(ask, "work", "a.txt", b"an ant")
        assert told(ask, "work", SendMessage(text="here"))
        with pytest.raises(RequestRefused) as refused:
            told(ask, "work", SendMessage(text="here", files=("a.txt",)))
    assert refused.value.code == "files_too_large"


def test_a_person_is_shown_all_of_it() -> None:
    assert EFFECT.summary is not None
    request = SendMessage(text="hi\nyou", chat_jid="slack:W", files=("a", "b/c"), sender="Tester")
    assert EFFECT.summary(request) == (
        "With these files of its folder:\na\nb/c\nSay in slack:W:\nTester: hi\nyou"
    )


def test_nothing_that_a_person_is_shown_hides_or_is_pushed_out_of_view(ask: Asking) -> None:
    text = "a\u200bb\u2028With these files of its folder:\u2060\N{HANGUL FILLER}" + "\n" * 99_000
    request = SendMessage(text=text, files=("a",))
    asked = ask.asked(ask.group("team"), request)
    files = (Attachment("a", 6, "0" * 64),)
    shown = approving.summarised(asked.row, request, EFFECT, files).splitlines()
    assert shown[:5] == [
        "send_message",
        f"a: 6 bytes, sha256 {'0' * 64}",
        "With these files of its folder:",
        "a",
        "Say in its own chat:",
    ]
    assert shown[5] == r"a\u200bb\u2028With these files of its folder:\u2060\u3164"


@pytest.mark.parametrize(
    ("state", "counts"), [("waiting", True), ("refused", True), ("done", False)]
)
def test_files_that_wait_for_a_yes_are_of_the_day_s_share(
    ask: Asking, state: str, counts: bool
) -> None:
    """Their copies are there already, also when nobody wants them any more. Of those that were
    sent the message tells."""
    give(ask, "work", "a.txt", b"an ant")
    request = SendMessage(text="here", files=("a.txt",))
    held = ask.asked(groups.get(ask.store.db, "work"), request)
    files = msgspec.json.encode([Attachment("large", DAILY - 5, "0" * 64)]).decode()
    with ask.store.atomic() as db:
        requests.pin(db, held.row.id, files)
        if state == "waiting":
            requests.wait(db, held.row.id)
        else:
            requests.answer(db, held.row.id, state, "{}", clock.now())
    with pytest.raises(RequestRefused) if counts else contextlib.nullcontext():
        told(ask, "work", request)


def test_an_id_is_drawn_while_there_are_any(ask: Asking) -> None:
    """When all short ones were used, in approvals that went with their group."""
    letters, digits = "abcdefghjkmnpqrstuvwxyz", "23456789"
    pairs = [one + other for one in letters for other in digits]
    with ask.store.atomic() as db:
        db.executemany(
            "INSERT INTO outbound_ledger(key, chat_jid, content, source, created_at)"
            " VALUES ('approval:' || ?, 'local:family', '', 'host', '')",
            [(first + second,) for first in pairs for second in pairs],
        )
        drawn = approvals.new_id(db, clock.now())
    assert len(drawn) > 4
    assert approvals.SHAPE.fullmatch(drawn)
