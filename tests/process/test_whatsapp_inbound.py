"""What people say and do in WhatsApp, each kind of it, through the real library and the channel's
stage into the file. One home is linked for all tests, each with people of its own."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests import whatsapp_events as wa
from tests.process.test_run_agent import wait_for
from tests.whatsapp_events import e2e
from tests.whatsapp_home import SELF, WhatsAppHome, linked
from tests.whatsapp_server import OWNER

NUMBERS = itertools.count(4915550700)
Row = tuple[Any, ...]


@pytest.fixture(scope="module")
def listening(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WhatsAppHome]:
    with linked(tmp_path_factory.mktemp("inbound")) as home:
        home.run("groups", "link", "main", SELF)
        home.listen()
        home.whatsapp.wait_online()
        yield home


@pytest.fixture
def bob(listening: WhatsAppHome) -> str:
    """Somebody new, by number."""
    number = str(next(NUMBERS))
    listening.whatsapp.person(number, "Bob")
    return number


def stored(home: WhatsAppHome, chat: str, number: int, columns: str) -> list[Any]:
    """What is known of the messages of a chat, in order, once there are so many."""
    query = f"SELECT {columns} FROM messages WHERE chat_jid = 'whatsapp:{chat}' ORDER BY seq"

    def there() -> list[Any]:
        found = home.rows(query)
        return found if len(found) >= number else []

    wait_for(lambda: bool(there()), f"{number} messages of {chat}", 30)
    return there()


def test_every_kind_of_text_in_its_order(listening: WhatsAppHome, bob: str) -> None:
    whatsapp, chat = listening.whatsapp, wa.number(bob)
    listening.group(f"kinds-{bob}", f"+{bob}")
    plain = whatsapp.say(bob, "plain")
    for wrapper in ("ephemeralMessage", "viewOnceMessage", "viewOnceMessageV2"):
        wrapped = wa.wrapped(wrapper, e2e.Message(conversation=wrapper))
        whatsapp.say(bob, message=wrapped.SerializeToString())
    whatsapp.say(bob, "with its number", address="lid")
    whatsapp.say(bob, "its number is known", address="lid_only")
    whatsapp.say(bob, "I mean it", reply_to=plain, quoted_text="plain", quoted_from=bob)
    whatsapp.edit(bob, plain, "plainer")
    whatsapp.react(bob, plain, "👀", ours=False)
    whatsapp.react(bob, plain, "🎉", ours=False)
    whatsapp.revoke(bob, plain)
    place = e2e.Message(locationMessage={"name": "Home"})
    whatsapp.say(bob, message=place.SerializeToString())
    found = stored(listening, chat, 11, "message_type, content, sender, sender_name")
    assert found == [
        (kind, content, bob, "Bob")
        for kind, content in (
            ("user", "plain"),
            ("user", "ephemeralMessage"),
            ("user", "viewOnceMessage"),
            ("user", "viewOnceMessageV2"),
            ("user", "with its number"),
            ("user", "its number is known"),
            ("user", "I mean it"),
            ("edit", "plainer"),
            ("reaction", "eyes"),
            ("deletion", ""),
            ("user", "[location: Home]"),
        )
    ]
    of_it = stored(listening, chat, 11, "replaces IS NOT NULL")
    assert of_it == [0] * 7 + [1] * 3 + [0]
    quoting = json.loads(stored(listening, chat, 11, "metadata")[6])
    assert quoting["quoted"] == {"id": plain, "sender": "Bob", "text": "plain"}
    whatsapp.wait_received()


@pytest.mark.parametrize("by_lid", [False, True])
def test_a_group_of_people(listening: WhatsAppHome, bob: str, by_lid: bool) -> None:
    whatsapp = listening.whatsapp
    eve = str(next(NUMBERS))
    whatsapp.person(eve, "owner")
    choir = whatsapp.group("Choir", bob, eve, by_lid=by_lid)
    allowed = ("--folder", f"choir-{bob}", "--allow", f"whatsapp:{bob}")
    listening.run("groups", "add", f"whatsapp:{choir}", *allowed)
    said = whatsapp.say(bob, "one", choir)
    whatsapp.say(eve, "two", choir)
    whatsapp.edit(eve, said, "not what Bob said", choir)
    whatsapp.revoke(eve, said, choir)
    whatsapp.own("three", choir)
    found = stored(listening, choir, 5, "content, sender, sender_name, verdict, replaces")
    assert [row[:4] for row in found[:2]] == [
        ("one", bob, "Bob", "allowed"),
        ("two", eve, f"owner ({eve})", "refused"),
    ]
    assert [(row[3], row[4]) for row in found[2:4]] == [("refused", None)] * 2
    assert (found[4][0], found[4][1]) == ("three", "owner")


@pytest.mark.parametrize("address", ["phone", "lid"])
def test_the_owner_talks_to_the_assistant_alone(listening: WhatsAppHome, address: str) -> None:
    before = listening.rows(f"SELECT count(*) FROM messages WHERE chat_jid = '{SELF}'")[0]
    listening.whatsapp.own("hello", address=address)
    found = stored(listening, SELF.partition(":")[2], before + 1, "content, sender, verdict")
    assert found[-1] == ("hello", "owner", "allowed")


def test_files_come_with_their_messages(listening: WhatsAppHome, bob: str) -> None:
    whatsapp, folder = listening.whatsapp, f"files-{bob}"
    listening.group(folder, f"+{bob}")
    contents = {"image": b"an image" * 9, "voice": b"a voice" * 9, "document": b"a page" * 9}
    whatsapp.share(bob, "image", contents["image"], mimetype="image/jpeg", caption="look")
    whatsapp.share(bob, "voice", contents["voice"], mimetype="audio/ogg; codecs=opus")
    whatsapp.share(bob, "document", contents["document"], mimetype="text/plain", name="a.txt")
    (look, voice, page) = stored(listening, wa.number(bob), 3, "content")
    assert (look, voice[:11], page) == ("look", "[voice note", "")
    query = (
        "SELECT f.path FROM message_files f JOIN messages m ON m.seq = f.seq WHERE m.chat_jid ="
        f" 'whatsapp:{wa.number(bob)}' AND f.state = 'here' ORDER BY m.seq"
    )
    wait_for(lambda: len(listening.rows(query)) == 3, "three files", 30)
    received = next(listening.home.glob(f"data/**/{folder}"))
    there = [(received / path).read_bytes() for path in listening.rows(query)]
    assert [hashlib.sha256(one).digest() for one in there] == [
        hashlib.sha256(one).digest() for one in contents.values()
    ]


def test_chats_of_others_are_their_own(listening: WhatsAppHome, bob: str) -> None:
    whatsapp = listening.whatsapp
    whatsapp.say(bob, "between the two of us")
    whatsapp.own("yes", wa.number(bob))
    whatsapp.say(bob, "@pynchy hello")
    assert stored(listening, wa.number(bob), 1, "content, sender") == [("@pynchy hello", bob)]
    known = listening.rows(f"SELECT name FROM chats WHERE jid = 'whatsapp:{wa.number(bob)}'")
    assert known == ["Bob"]
    assert OWNER not in str(known)
