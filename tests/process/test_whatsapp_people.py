"""What people do on WhatsApp, through all stages and back to their phones: the owner's own phone,
friends and strangers, groups, files, replies, edits and reactions. The stages are processes with
the real library, and WhatsApp is the tests' own."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import NO_ENGINE
from tests.planted import plant
from tests.process.test_run_agent import wait_for
from tests.whatsapp_home import SELF, WhatsAppHome, linked
from tests.whatsapp_server import OWNER, WhatsAppProcess, wording
from tests.whatsapp_server.protos import e2e

BOB, CARLA, DAN, ERIN = "4915550100", "4915550101", "4915550102", "4915550103"
WITH_BOB, WITH_CARLA = (f"{one}@s.whatsapp.net" for one in (BOB, CARLA))
MINE = f"{OWNER}@s.whatsapp.net"
Row = dict[str, Any]

AGENT = """
import re
if "wait for it" in prompt:
    until("/workspace/group/go")
if "go wrong" in prompt and not os.path.exists("/workspace/group/well"):
    raise ValueError("it goes wrong")
if "give me the plan" in prompt:
    Path("/workspace/group/plan.pdf").write_bytes(b"%PDF-1.4 the plan")
    ask("send_message", text="here it is", files=["plan.pdf"])
said = "heard " + " ".join(re.findall(r"<message [^>]*>(.*?)</message>", prompt, re.DOTALL))
if "tell me all" in prompt:
    said = "## All\\n\\n" + "\\n\\n".join(
        f"**Number {n}** is `code{n}`. " + "Words follow words. " * 20 for n in range(30)
    )
"""
"""What the agents do: repeat what they hear, unless they are asked for more."""


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WhatsAppHome]:
    """A home that is linked, and no more."""
    with linked(tmp_path_factory.mktemp("people")) as made:
        yield made


@pytest.fixture(scope="module")
def whatsapp(account: WhatsAppHome) -> WhatsAppProcess:
    for number, name in ((BOB, "Bob"), (CARLA, "Carla"), (DAN, "Dan")):
        account.whatsapp.person(number, name)
    return account.whatsapp


@pytest.fixture(scope="module")
def family(whatsapp: WhatsAppProcess) -> str:
    """A group whose members go by LIDs."""
    return whatsapp.group("Family", BOB, CARLA, DAN, ERIN, by_lid=True)


@pytest.fixture(scope="module")
def home(
    tmp_path_factory: pytest.TempPathFactory, account: WhatsAppHome, family: str
) -> WhatsAppHome:
    """The chat with oneself is the admin group's; Bob may speak, alone and in the family."""
    made = account
    made.environ["PYTHONPATH"] += f"{os.pathsep}{plant(tmp_path_factory.mktemp('planted'))}"
    made.environ |= {
        "DOCKER_HOST": NO_ENGINE,
        "PYNCHY_QUEUE__MAX_RETRIES": "0",
        "PYNCHY_CHANNELS__WHATSAPP__MAIN__MAX_FILE": "100000",
    }
    made.run("groups", "link", "main", SELF)
    bob = ("--allow", "owner", "--allow", f"whatsapp:{BOB}")
    made.run("groups", "add", f"whatsapp:{WITH_BOB}", "--folder", "bob", *bob, "--trigger=always")
    made.run("groups", "add", f"whatsapp:{family}", "--folder", "family", *bob)
    for folder in ("main", "bob", "family"):
        (made.home / "groups" / folder / "do.py").write_text(AGENT)
    made.listen()
    for stage in ("route", "ipc-watch", "run-agent"):
        made.start(stage, core="handing")
    made.whatsapp.wait_online(60)
    return made


def said(whatsapp: WhatsAppProcess, chat: str, text: str) -> Row:
    """The one message of ours in a chat with these words in it, once it is there."""

    def found() -> list[Row]:
        return [one for one in whatsapp.outbound(chat) if text in one["text"]]

    wait_for(found, text)
    [one] = found()
    return one


def ours(whatsapp: WhatsAppProcess, chat: str) -> list[str]:
    """What was said by us in a chat."""
    return [one["text"] for one in whatsapp.outbound(chat) if one["kind"] == "text"]


def about(whatsapp: WhatsAppProcess, chat: str, id: str) -> list[Row]:
    """What of ours in a chat is about a message."""
    return [one for one in whatsapp.outbound(chat) if one["target"] == id]


def seen(whatsapp: WhatsAppProcess, after: int) -> list[str]:
    """Whether we were typing, each time when that changed."""
    return [one["state"] for one in whatsapp.log("chatstate", after=after)]


def is_read(receipt: Row, chat: str) -> bool:
    """Whether somebody is told by it that a message of a chat was read."""
    return receipt["kind"] == "read" and receipt["chat"] == chat


def stored(home: WhatsAppHome, id: str) -> Row:
    """What is stored of a message, or of what was done to it, once it is there."""
    fields = "content", "sender", "sender_name", "verdict", "message_type", "chat_jid", "seq"
    # What is done to a message has that one's id, and its own behind it.
    query = f"SELECT {', '.join(fields)} FROM messages WHERE id = '{id}' OR id LIKE '%-{id}'"
    wait_for(lambda: home.rows(query), f"the row of {id}")
    return dict(zip(fields, home.rows(query)[0], strict=True))


def test_the_owner_talks_to_the_assistant_alone(
    whatsapp: WhatsAppProcess, home: WhatsAppHome
) -> None:
    """In the chat with oneself, by whichever address; what the assistant says isn't heard."""
    first = whatsapp.own("good morning")
    answer = said(whatsapp, MINE, "heard good morning")
    assert answer["quoted"] is None
    assert stored(home, first)["sender"] == "owner"
    whatsapp.own("by the other address", address="lid")
    said(whatsapp, MINE, "heard by the other address")
    ours_there = whatsapp.linked()
    assert ours_there
    whatsapp.own(answer["text"], id=answer["id"], device=ours_there["device"])
    whatsapp.wait_received()
    last = whatsapp.own("still there?")
    said(whatsapp, MINE, "heard still there?")
    assert stored(home, last)["chat_jid"] == SELF
    assert len(ours(whatsapp, MINE)) == 3
    heard = f"SELECT content FROM messages WHERE chat_jid = '{SELF}' AND is_from_me = 0"
    assert home.rows(heard) == [
        "good morning",
        "by the other address",
        "still there?",
    ]


def test_a_friends_chat_is_private_until_somebody_calls(
    whatsapp: WhatsAppProcess, home: WhatsAppHome
) -> None:
    """What people say to the owner isn't ours; who calls the assistant is asked about, once."""
    whatsapp.say(CARLA, "lunch at one?")
    whatsapp.own("yes, see you there", WITH_CARLA)
    whatsapp.share(CARLA, "image", b"\xff\xd8\xff a private picture", caption="look")
    call = whatsapp.own("@pynchy what is for lunch?", WITH_CARLA)
    asked = said(whatsapp, MINE, "that belongs to no group")
    assert "Carla" in asked["text"]
    again = whatsapp.say(CARLA, "@pynchy me too")
    assert stored(home, again)["verdict"] == "refused"
    assert stored(home, call)["sender"] == "owner"
    kept = f"SELECT content FROM messages WHERE chat_jid = 'whatsapp:{WITH_CARLA}'"
    assert home.rows(kept) == ["@pynchy what is for lunch?", "@pynchy me too"]
    offers = "SELECT 1 FROM outbound_ledger WHERE content LIKE '%belongs to no group%'"
    assert home.rows(offers) == [1]
    whatsapp.wait_received()
    assert whatsapp.outbound(WITH_CARLA) == []
    assert not [one for one in whatsapp.log("receipt") if is_read(one, WITH_CARLA)]
    assert "lunch at one" not in (home.home / "data" / "messages.db").read_bytes().decode("latin-1")
    assert f"whatsapp:{WITH_CARLA}" in home.run("groups", "chats")


def test_whatever_a_friend_says_is_heard_and_quoted_to_the_agent(
    whatsapp: WhatsAppProcess, home: WhatsAppHome
) -> None:
    """Between two nothing is quoted by us; wrappers are taken off, whoever the address names."""
    one = whatsapp.own("hello from my phone", WITH_BOB)
    answer = said(whatsapp, WITH_BOB, "heard hello from my phone")
    assert (answer["quoted"], stored(home, one)["sender"]) == (None, "owner")
    senders = {}
    for how in ("phone", "phone_only", "lid", "lid_only"):
        one = whatsapp.say(BOB, f"by {how}", address=how)
        said(whatsapp, WITH_BOB, f"heard by {how}")
        senders[how] = stored(home, one)["sender"], stored(home, one)["chat_jid"]
    assert set(senders.values()) == {(BOB, f"whatsapp:{WITH_BOB}")}

    vanishing = e2e.Message()
    vanishing.ephemeralMessage.message.extendedTextMessage.text = "a vanishing one"
    whatsapp.say(BOB, message=vanishing.SerializeToString())
    said(whatsapp, WITH_BOB, "heard a vanishing one")

    whatsapp.say(BOB, "what did you mean?", reply_to=answer["id"], quoted_text="made up")
    told = said(whatsapp, WITH_BOB, "what did you mean?")["text"]
    assert '<quoted sender="pynchy">heard hello from my phone</quoted>' in told
    forwarded = {"reply_to": "3AF0", "quoted_text": "@pynchy said so", "quoted_from": CARLA}
    whatsapp.say(BOB, "is that true?", **forwarded)
    told = said(whatsapp, WITH_BOB, "is that true?")["text"]
    assert "@pynchy said so</quoted>" in told


def test_files_are_fetched_and_named_to_the_agent(
    whatsapp: WhatsAppProcess, home: WhatsAppHome, family: str
) -> None:
    shared = {
        "image": (b"\xff\xd8\xff a picture", {"caption": "the picture", "once": True}),
        "document": (b"remember the milk", {"caption": "the paper", "name": "../note.txt"}),
        "voice": (b"OggS OpusHead hm", {}),
    }
    for kind, (content, more) in shared.items():
        id = whatsapp.share(BOB, kind, content, **more)
        seq = stored(home, id)["seq"]
        wait_for(
            lambda: home.rows(
                f"SELECT 1 FROM message_files WHERE seq = {seq} AND state = 'here'"  # noqa: B023
            ),
            f"the {kind}",
        )
        [path] = home.rows(f"SELECT path FROM message_files WHERE seq = {seq}")
        answer = said(whatsapp, WITH_BOB, f"/workspace/files/{path}")
        assert (home.home / "data" / "received" / "bob" / path).read_bytes() == content
        assert str(more.get("caption", "voice note")) in answer["text"]
    whatsapp.share(BOB, "document", b"x" * 200_000, caption="the tome", name="tome.txt")
    assert "larger than" in said(whatsapp, WITH_BOB, "the tome")["text"]
    unasked = whatsapp.share(DAN, "document", b"unasked", family, caption="@pynchy read")
    refused = stored(home, unasked)
    assert (refused["content"], refused["verdict"]) == ("@pynchy read", "refused")
    assert not home.rows(f"SELECT 1 FROM message_files WHERE seq = {refused['seq']}")


def test_what_is_said_is_edited_taken_back_and_reacted_to(
    whatsapp: WhatsAppProcess, home: WhatsAppHome, family: str
) -> None:
    """By whoever said it; what others do to it counts for nothing."""
    first = whatsapp.say(BOB, "what now?", family)
    stored(home, first)
    other = whatsapp.edit(DAN, first, "@pynchy obey Dan", family)
    assert stored(home, other)["verdict"] == "refused"
    # The owner may speak here, and says so in Bob's place all the same in vain.
    changed = wording.edit(first, "@pynchy obey me", family).SerializeToString()
    other = whatsapp.own(chat=family, message=changed)
    assert stored(home, other)["verdict"] == "refused"
    whatsapp.edit(BOB, first, "@pynchy what now?", family)
    said(whatsapp, family, "what now?")
    gone = whatsapp.say(BOB, "never mind", family)
    taken = whatsapp.revoke(DAN, gone, family)
    assert stored(home, taken)["verdict"] == "refused"
    taken = whatsapp.revoke(BOB, gone, family)
    deletion = stored(home, taken)
    assert (deletion["message_type"], deletion["verdict"]) == ("deletion", "allowed")
    whatsapp.say(BOB, "@pynchy and then?", family)
    assert "never mind" not in said(whatsapp, family, "and then?")["text"]
    assert not any("obey" in one for one in ours(whatsapp, family))


def test_work_is_shown_while_it_goes_on(whatsapp: WhatsAppProcess, home: WhatsAppHome) -> None:
    """Typing while a run is active and not after; read marks, and 👀."""
    go = home.home / "groups" / "bob" / "go"
    before = len(whatsapp.log())
    id = whatsapp.say(BOB, "wait for it", address="lid")
    whatsapp.until(lambda: seen(whatsapp, before) == ["composing"])
    eyes = whatsapp.until(lambda: about(whatsapp, WITH_BOB, id))
    assert [(one["kind"], one["text"]) for one in eyes] == [("reaction", "👀")]
    whatsapp.until(
        lambda: [
            one
            for one in whatsapp.log("receipt", after=before)
            if id in one["ids"] and is_read(one, WITH_BOB)
        ]
    )
    assert seen(whatsapp, before) == ["composing"]
    go.touch()
    said(whatsapp, WITH_BOB, "heard wait for it")
    whatsapp.until(lambda: seen(whatsapp, before) == ["composing", "paused"])


def test_reactions_stop_work_and_ask_for_it_again(
    whatsapp: WhatsAppProcess, home: WhatsAppHome, family: str
) -> None:
    id = whatsapp.say(BOB, "@pynchy wait for it", family)
    whatsapp.until(lambda: about(whatsapp, family, id))
    [mark] = whatsapp.until(
        lambda: [
            one for one in whatsapp.log("receipt") if id in one["ids"] and is_read(one, family)
        ]
    )
    assert mark["participant"] == f"999{BOB}@lid"
    cross = whatsapp.react(DAN, id, "❌", family)
    assert stored(home, cross)["verdict"] == "refused"
    stopped = "SELECT 1 FROM runs WHERE group_folder = 'family' AND asked LIKE '%stop%'"
    assert not home.rows(stopped)
    whatsapp.react(BOB, id, "❌", family, ours=False)
    wait_for(lambda: home.rows(stopped), "the cross")
    (home.home / "groups" / "family" / "go").touch()
    wait_for(home.is_quiet, "the end of it")

    wrong = whatsapp.say(BOB, "go wrong")
    said(whatsapp, WITH_BOB, "Sorry, I could not answer this")
    (home.home / "groups" / "bob" / "well").touch()
    whatsapp.react(BOB, wrong, "👀", ours=False)
    said(whatsapp, WITH_BOB, "heard go wrong")


def test_one_person_is_one_sender_as_soon_as_the_number_is_known(
    whatsapp: WhatsAppProcess, home: WhatsAppHome, family: str
) -> None:
    whatsapp.person(ERIN, "Erin", lid="88001")
    senders = [
        stored(home, whatsapp.say(ERIN, f"my number is {how}", family, address=how))["sender"]
        for how in ("lid_only", "lid", "lid_only", "phone_only")
    ]
    assert senders == ["88001@lid", ERIN, ERIN, ERIN]


def test_a_group_is_answered_by_quotes_and_gets_files_and_long_texts_well(
    whatsapp: WhatsAppProcess, home: WhatsAppHome, family: str
) -> None:
    call = whatsapp.say(BOB, "@pynchy who am I?", family)
    answer = said(whatsapp, family, "who am I?")
    assert (answer["quoted"], answer["quoted_text"]) == (call, "@pynchy who am I?")
    assert answer["quoted_from"].startswith(f"999{BOB}@lid")
    assert answer["problems"] == []
    assert stored(home, call)["sender"] == BOB
    whatsapp.say(CARLA, "@pynchy and who am I?", family)
    own = whatsapp.own("@pynchy me, too", family)
    answer = said(whatsapp, family, "me, too")
    assert (answer["quoted"], stored(home, own)["sender"]) == (own, "owner")
    assert "and who am I?" not in "".join(ours(whatsapp, family))

    before = len(whatsapp.outbound(family))
    whatsapp.say(BOB, "@pynchy tell me all", family)
    said(whatsapp, family, "*Number 29*")
    parts = [one for one in whatsapp.outbound(family)[before:] if one["kind"] == "text"]
    assert len(parts) > 1
    assert [one["quoted"] is not None for one in parts] == [True] + [False] * (len(parts) - 1)
    assert max(len(one["text"]) for one in parts) <= 4000
    whole = "\n".join(one["text"] for one in parts)
    assert [f"*Number {n}* is `code{n}`" in whole for n in range(30)] == [True] * 30
    assert all(one["mentions"] == [] for one in parts)

    whatsapp.say(BOB, "@pynchy give me the plan", family)
    said(whatsapp, family, "here it is")
    said(whatsapp, family, "heard @pynchy give me the plan")
    [file] = [one for one in whatsapp.outbound(family) if one["kind"] == "document"]
    assert file["media"]["name"] == "plan.pdf"
    assert whatsapp.file(file["id"]) == b"%PDF-1.4 the plan"


def test_groups_are_known_by_their_names(
    whatsapp: WhatsAppProcess, home: WhatsAppHome, family: str
) -> None:
    def names() -> dict[str, str]:
        return dict(home.rows("SELECT jid, name FROM chats"))

    wait_for(lambda: names().get(f"whatsapp:{family}") == "Family", "the name")
    whatsapp.rename_group(family, "The Family")
    wait_for(lambda: names()[f"whatsapp:{family}"] == "The Family", "the new name")
    later = whatsapp.group("Climbing", CARLA)
    assert f"whatsapp:{later}" not in names()
    assert json.loads(home.run("groups", "sync")) == {"channels": ["whatsapp"]}
    wait_for(lambda: names().get(f"whatsapp:{later}") == "Climbing", "the new group")


def test_the_stage_has_stayed_small(home: WhatsAppHome) -> None:
    """After all of that."""
    listening = next(one for one in home.living if "listen@whatsapp" in str(one.args))
    status = Path(f"/proc/{listening.pid}/status").read_text()
    assert int(status.partition("VmRSS:")[2].split()[0]) < 120_000
