"""What people and groups on WhatsApp are called, and whose LID is whose."""

from __future__ import annotations

from typing import Any

import pytest

from pynchy_cli.channels.whatsapp import addresses
from pynchy_cli.channels.whatsapp.addresses import Address
from pynchy_cli.channels.whatsapp.names import Names
from pynchy_cli.model import Chat
from tests.whatsapp_events import ANNA, ANNA_LID, GROUP, jid, neonize, number


def joined(address: str, name: str) -> Any:
    """A group that we are in, with one participant."""
    info = neonize.GroupInfo()
    info.JID.CopyFrom(jid(address))
    info.GroupName.Name = name
    there = info.Participants.add()
    there.JID.CopyFrom(jid(f"{ANNA_LID}@lid"))
    there.LID.CopyFrom(jid(f"{ANNA_LID}@lid"))
    there.PhoneNumber.CopyFrom(jid(number(ANNA)))
    return info


def changed(address: str, name: str | None) -> Any:
    """Something about a group that was changed."""
    event = neonize.GroupInfoEvent()
    event.JID.CopyFrom(jid(address))
    if name is not None:
        event.Name.Name = name
    return event


def test_groups_tell_their_name_and_whose_lids_are_whose() -> None:
    names = Names()
    assert names.joined(joined(GROUP, "Fam\nily")) == Chat(f"whatsapp:{GROUP}", "Fam ily")
    assert names.number_of(ANNA_LID) == ANNA
    assert names.called(GROUP) == "Fam ily"


def test_group_without_a_name() -> None:
    assert Names().joined(joined(GROUP, "\u200b")) == Chat(f"whatsapp:{GROUP}", None)
    assert Names().joined(joined(number(ANNA), "Anna")) is None
    assert Names().joined(neonize.GroupInfo()) is None


def test_groups_that_change() -> None:
    names = Names()
    assert names.changed(changed(GROUP, "New")) == Chat(f"whatsapp:{GROUP}", "New")
    assert names.called(GROUP) == "New"
    assert names.changed(changed(GROUP, None)) is None
    assert names.changed(changed(GROUP, "")) is None
    assert names.changed(changed(number(ANNA), "No group")) is None


def test_only_so_many_are_remembered() -> None:
    names = Names(most=2)
    for one in ("a", "b", "a", "a"):
        names.learn(one, one)
    assert [names.called(one) for one in "ab"] == ["a", "b"]
    names.learn("c", "c")
    assert [names.called(one) for one in "abc"] == ["a", None, "c"]


def test_the_library_is_asked_once() -> None:
    asked: list[str] = []

    def ask(lid: str) -> str | None:
        asked.append(lid)
        return ANNA if len(asked) == 2 else None

    names = Names(ask)
    assert [names.number_of(ANNA_LID) for _ in range(3)] == [None, ANNA, ANNA]
    assert asked == [ANNA_LID] * 2


@pytest.mark.parametrize(
    ("written", "address"),
    [
        (number(ANNA), Address(ANNA, "s.whatsapp.net")),
        (f"{ANNA}:12@s.whatsapp.net", Address(ANNA, "s.whatsapp.net")),
        (f"{ANNA}.0:12@s.whatsapp.net", Address(ANNA, "s.whatsapp.net")),
        (f"{ANNA}@c.us", Address(ANNA, "s.whatsapp.net")),
        (f"{ANNA_LID}@hosted.lid", Address(ANNA_LID, "lid")),
        (GROUP, Address(GROUP.removesuffix("@g.us"), "g.us")),
        ("4912345-1612345678@g.us", Address("4912345-1612345678", "g.us")),
        (ANNA, None),
        ("status@broadcast", None),
        ("13135550002@s.whatsapp.net", None),
        (f"{ANNA}@s.whatsapp.net\n", None),
        (f"{ANNA}@s.whatsapp.net@lid", None),
    ],
)
def test_addresses_that_are_written_out(written: str, address: Address | None) -> None:
    assert addresses.written(written) == address
