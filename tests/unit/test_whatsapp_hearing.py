"""What the channel of WhatsApp does with each thing that comes: what concerns us is stored, and of
all else nothing but names is kept."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from pynchy_cli import clock
from pynchy_cli.channels.whatsapp.ear import Ignored
from pynchy_cli.channels.whatsapp.hearing import Hearing
from pynchy_cli.channels.whatsapp.names import Names
from pynchy_cli.channels.whatsapp.reading import Identity
from pynchy_cli.config.settings import WhatsAppRules
from pynchy_cli.delivery.host import LOST, StageHost
from pynchy_cli.errors import DatabaseBusy
from pynchy_cli.store import chats, groups
from tests.delivering import Delivering, delivering
from tests.whatsapp_events import (
    ANNA,
    ANNA_LID,
    GROUP,
    OWN,
    OWN_LID,
    e2e,
    event,
    jid,
    neonize,
    number,
    protocol,
    text,
)

HOME = f"whatsapp:{GROUP}"
SENT_AT = 1767225600
"""When the events' messages were said."""


class Heard(StageHost):
    """The stage's own host, which counts what it is given; while it is `busy` it stores nothing."""

    busy = False
    invited = 0

    def take(self, events: Any, kept: Any = ()) -> None:
        if self.busy:
            raise DatabaseBusy("locked")
        super().take(events, kept)

    def met(self, found: Any, *, invited: bool = False) -> None:
        self.invited += invited
        super().met(found, invited=invited)


class Listening:
    """A group in one of WhatsApp's groups, and who hears what comes."""

    def __init__(self, made: Delivering, **rules: Any) -> None:
        self.made = made
        made.network.name = "whatsapp"
        self.host = Heard(made.context, made.network, lambda: None)
        self.files = 0
        self.hearing = Hearing(
            self.host,
            WhatsAppRules(**rules),
            Names(),
            lambda: Identity(OWN, OWN_LID, "pynchy"),
            self.shared,
            wall=lambda: SENT_AT + 60,
        )
        with made.store.atomic() as db:
            groups.add(
                db,
                folder="family",
                name="Family",
                jid=HOME,
                is_admin=False,
                trigger_mode="mention",
                trigger_pattern=None,
                allowed_users=("owner", f"whatsapp:{ANNA}"),
                now=clock.now(),
            )

    def shared(self) -> None:
        self.files += 1

    def rows(self, query: str) -> list[Any]:
        return [tuple(row) for row in self.made.store.db.execute(query)]

    def stored(self) -> list[tuple[str, str, str]]:
        return self.rows("SELECT chat_jid, sender, content FROM messages WHERE NOT is_from_me")

    def told(self) -> list[Any]:
        return self.rows("SELECT chat_jid, content FROM outbound_ledger")


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Delivering]:
    with asyncio.Runner() as runner, ExitStack() as stack:

        async def move_in() -> Delivering:
            return stack.enter_context(delivering(tmp_path))

        yield runner.run(move_in())


@pytest.fixture
def listening(made: Delivering) -> Listening:
    return Listening(made)


def said(text: Any = "hello", chat: str = GROUP, **more: Any) -> Any:
    return event(text, chat=chat, sender=number(ANNA), **more)


def test_what_is_said_to_a_group_is_stored_once(listening: Listening) -> None:
    for _ in range(2):
        listening.hearing.heard("Message", said())
    assert listening.stored() == [(HOME, ANNA, "hello")]
    assert listening.rows("SELECT verdict, audience FROM messages") == [("allowed", "both")]


def test_of_chats_that_are_nobodys_only_names_are_kept(listening: Listening) -> None:
    for _ in range(2):
        listening.hearing.heard("Message", said("about marzipan", chat=number(ANNA)))
    assert listening.stored() == []
    assert "marzipan" not in "\n".join(listening.made.store.db.iterdump())
    found = chats.get(listening.made.store.db, f"whatsapp:{number(ANNA)}")
    assert found is not None
    assert found.name == "Anna"


def test_who_calls_the_assistant_anywhere_is_heard(listening: Listening) -> None:
    listening.hearing.heard("Message", said("@pynchy are you there?", chat=number(ANNA)))
    assert listening.stored() == [(f"whatsapp:{number(ANNA)}", ANNA, "@pynchy are you there?")]
    ((chat, content),) = listening.told()
    assert chat == "local:main"
    assert f"whatsapp:{number(ANNA)}" in content


def test_of_who_calls_from_a_chat_of_nobodys_no_others_words_are_kept(listening: Listening) -> None:
    for chat, kept in ((number(ANNA), 0), (GROUP, 1)):
        quoting = text("@pynchy look", stanzaID="A", quotedMessage={"conversation": "marzipan"})
        listening.hearing.heard("Message", said(quoting, chat=chat))
        assert "\n".join(listening.made.store.db.iterdump()).count("marzipan") == kept


def test_what_cannot_be_stored_yet_is_not_lost(listening: Listening) -> None:
    listening.host.busy = True
    with pytest.raises(DatabaseBusy):
        listening.hearing.heard("Message", said())
    listening.host.busy = False
    listening.hearing.heard("Message", said())
    assert len(listening.stored()) == 1


def test_what_is_old_is_not_answered_any_more(listening: Listening) -> None:
    listening.hearing._wall = lambda: SENT_AT + 2 * 86_400
    listening.hearing.heard("Message", said("@pynchy hello"))
    assert listening.rows("SELECT audience FROM messages WHERE NOT is_from_me") == [("chat",)]
    assert "too old" in listening.told()[0][1]


def test_a_message_that_cannot_be_read_again_is_told_of_once(listening: Listening) -> None:
    lost = Ignored("3EB0LOST", number(ANNA), GROUP)
    for _ in range(2):
        listening.hearing.heard("Ignored", lost)
    assert listening.told() == [(HOME, LOST)]


@pytest.mark.parametrize(("sender", "told"), [(ANNA, 10), (OWN, 10), ("4977777", 0)])
def test_nobody_has_a_chat_be_told_of_losses_without_end(
    listening: Listening, sender: str, told: int
) -> None:
    for one in range(30):
        listening.hearing.heard(
            "Ignored", Ignored(f"3EB0{one}", f"{sender}:3@s.whatsapp.net", GROUP)
        )
    assert len(listening.told()) == told


@pytest.mark.parametrize("why", ["stored", "edit", "nobody's", "odd"])
def test_what_is_stored_or_is_nobodys_is_not_lost(listening: Listening, why: str) -> None:
    id, chat = "3EB0AA", GROUP
    if why == "stored":
        listening.hearing.heard("Message", said(id=id))
    elif why == "edit":
        edited = protocol("MESSAGE_EDIT", "3EB0BB", e2e.Message(conversation="x"))
        listening.hearing.heard("Message", said(edited, id=id))
        assert len(listening.stored()) == 1
    else:
        chat = number(ANNA) if why == "nobody's" else "status@broadcast"
    ignored = Ignored(id, number(ANNA), chat)
    assert listening.hearing.has(ignored) == (why in ("stored", "edit"))
    listening.hearing.heard("Ignored", ignored)
    assert listening.told() == []


@pytest.mark.parametrize("owner", ["", ANNA])
def test_groups_are_called_as_they_are(made: Delivering, owner: str) -> None:
    listening = Listening(made, owner=owner)
    info = neonize.GroupInfo(JID=jid(GROUP), GroupName=neonize.GroupName(Name="Family"))
    listening.hearing.heard("JoinedGroup", neonize.JoinedGroup(GroupInfo=info))
    assert listening.host.invited == bool(owner), "into groups of one's own nobody invites"
    renamed = neonize.GroupInfoEvent(JID=jid(GROUP), Name=neonize.GroupName(Name="Us"))
    listening.hearing.heard("GroupInfo", renamed)
    listening.hearing.heard("GroupInfo", neonize.GroupInfoEvent(JID=jid(GROUP)))
    found = chats.get(made.store.db, HOME)
    assert found is not None
    assert found.name == "Us"


def test_unreadable_messages_harm_nobody(listening: Listening) -> None:
    listening.hearing.heard("UndecryptableMessage", neonize.UndecryptableMessage())
    assert (listening.stored(), listening.told()) == ([], [])


def test_a_chat_that_became_a_groups_by_its_lid_stays_so(listening: Listening) -> None:
    lid = f"{ANNA_LID}@lid"
    with listening.made.store.atomic() as db:
        groups.link(db, "family", f"whatsapp:{lid}", clock.now())
    listening.hearing.heard("Message", event("one", sender=lid, id="3EB0A1"))
    listening.hearing.heard(
        "Message", event("two", sender=lid, sender_alt=number(ANNA), id="3EB0A2")
    )
    listening.hearing.heard("Message", event("three", sender=number(ANNA), id="3EB0A3"))
    assert [(chat, text) for chat, _, text in listening.stored()] == [
        (f"whatsapp:{lid}", text) for text in ("one", "two", "three")
    ]
