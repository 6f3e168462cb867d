"""From the linked device to people: messages are decrypted, noted, and acknowledged or not."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from tests.whatsapp_server.chains import Undecryptable
from tests.whatsapp_server.describing import describe
from tests.whatsapp_server.nodes import Node, encode
from tests.whatsapp_server.protos import e2e
from tests.whatsapp_server.sender_keys import HeardKeys
from tests.whatsapp_server.world import GROUPS, World, device


class Arrivals:
    """Messages of the client's. What was accepted once is accepted again, and isn't said twice."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.peer: Callable[[dict[str, Any], bytes], None] = lambda row, plain: None
        """Called with what the device sends to its own phone alone."""
        self._plain: dict[bytes, tuple[bytes, list[str]]] = {}
        self.held: list[Node] = []
        """Acks that wait."""

    def message(self, node: Node) -> tuple[Node | None, bool]:
        """The answer to a message, if it gets one; and whether the line is to be reset."""
        fault, code = self._world.faults.next_ack()
        one = node.attrs["id"]
        answer = {"class": "message", "id": one, "from": node.attrs["to"]}
        ack = Node("ack", {**answer, "t": str(int(time.time()))})
        if fault == "nack" and one in self._world.outbound:
            fault = ""  # it was accepted, and the client only hasn't heard of it
        if fault == "nack":
            self._note(node, accepted=False, error=int(code))
            return Node("ack", {**ack.attrs, "error": code}), False
        if not self._may(node.attrs["to"]):
            self._note(node, accepted=False, error=403)
            return Node("ack", {**ack.attrs, "error": "403"}), False
        before = fault.endswith("_before")
        self._note(node, accepted=not before, acked=not fault and not self._world.faults.holds)
        if fault:
            return None, fault.startswith("drop")
        if self._world.faults.holds:
            self.held.append(ack)
            return None, False
        return ack, False

    def _may(self, to: str) -> bool:
        """Whether the owner may write there: not to a group that they are not in."""
        group = self._world.groups.get(to)
        if group is None:
            return not to.endswith(f"@{GROUPS}")
        return self._world.owner_phone in group.members

    def acked(self, ack: Node) -> None:
        """An ack that was held has gone out."""
        self._world.outbound[ack.attrs["id"]]["acked"] = True

    def _note(self, node: Node, *, accepted: bool, acked: bool = False, error: int = 0) -> None:
        one, to = node.attrs["id"], node.attrs["to"]
        repeats = one in self._world.outbound
        content = encode(Node("", {}, node.content))
        if content not in self._plain:  # the same once more can't be decrypted once more
            self._plain[content] = self._decrypt(node)
        plain, problems = self._plain[content]
        if node.attrs.get("category") == "peer":
            self.peer(self._world.books.note("peer", id=one, **describe(plain)), plain)
            return
        row = {"id": one, "to": to, "chat": self._world.by_phone(to), "accepted": accepted}
        row |= {"acked": acked, "error": error, "repeats": repeats, "attrs": node.attrs}
        row |= {"accepted": accepted and not repeats, "problems": problems, **describe(plain)}
        row = self._world.books.note("message", **row)
        if accepted and not repeats:
            self._world.outbound[one] = row

    def _decrypt(self, node: Node) -> tuple[bytes, list[str]]:
        """What the message says to people, and what was wrong with it for somebody."""
        to, problems = node.attrs.get("participant", node.attrs["to"]), []
        said: dict[str, bytes] = {}
        parts = {to: node.every("enc")} if not to.endswith(f"@{GROUPS}") else {}
        for place in node.every("participants"):
            parts |= {one.attrs["jid"]: one.every("enc") for one in place.every("to")}
        for jid, encs in parts.items():
            for enc in encs:
                try:
                    plain = self._one(jid, enc)
                except ValueError as error:
                    problems.append(f"{jid}: {error}")
                    continue
                said[jid] = plain
        if to.endswith(f"@{GROUPS}"):
            return self._group(node, said, problems)
        owner = self._world.owner
        others = [jid for jid in said if self._world.by_jid(jid) is not owner]
        own = [jid for jid in said if jid not in others]
        chosen = [*others, *own]
        if not chosen:
            return b"", [*problems, "there is nothing in it for anybody"]
        return said[chosen[0]], problems

    def _one(self, jid: str, enc: Node) -> bytes:
        if device(jid):
            raise Undecryptable("it is for a device that isn't a phone")
        return self._world.by_jid(jid).session.decrypt(enc.attrs["type"], enc.data)

    def _group(
        self, node: Node, said: dict[str, bytes], problems: list[str]
    ) -> tuple[bytes, list[str]]:
        """A message for a group: each member gets the key for it, if they hadn't got it."""
        group = self._world.groups.get(node.attrs["to"])
        if group is None:
            return b"", [*problems, "there is no such group"]
        for jid, plain in said.items():
            told = e2e.Message.FromString(plain)
            inner = told.deviceSentMessage.message if told.HasField("deviceSentMessage") else told
            key = inner.senderKeyDistributionMessage.axolotlSenderKeyDistributionMessage
            if key:
                contact = self._world.by_jid(jid)
                contact.told.setdefault(group.jid, HeardKeys()).hear(key)
        plain = b""
        for enc in node.every("enc"):
            for member in group.members:
                keys = self._world.contact(member).told.get(group.jid)
                try:
                    if keys is None:
                        raise Undecryptable("was never told the key")
                    plain = keys.decrypt(enc.data)
                except ValueError as error:
                    problems.append(f"{member}: {error}")
        return plain, problems


def chat_state(world: World, node: Node) -> None:
    """Notes that the client's owner types, or does no more."""
    [state] = node.children or [Node("paused")]
    chat = world.by_phone(node.attrs["to"])
    world.books.note("chatstate", chat=chat, state=state.tag, media=state.attrs.get("media", ""))


def presence(world: World, node: Node) -> None:
    """Notes whether the client's owner is there."""
    attrs: dict[str, Any] = dict(node.attrs)
    world.books.note("presence", kind=attrs.get("type", ""), to=attrs.get("to"))
