"""From people to the linked device: what was said waits, is delivered, and comes again until its
receipt is there."""

from __future__ import annotations

import time
from typing import Any

from tests.whatsapp_server.nodes import Node
from tests.whatsapp_server.people import Contact, Published
from tests.whatsapp_server.protos import e2e
from tests.whatsapp_server.sender_keys import SenderKey
from tests.whatsapp_server.streams import Stream
from tests.whatsapp_server.world import GROUPS, SERVER, Waiting, World, new_id

CONFIRMS = ("", "inactive", "sender", "peer_msg", "hist_sync")
"""The receipts that say that a message has arrived."""


class Delivery:
    """One for the server; `stream` is where the device is now, or None."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.stream: Stream | None = None

    def say(self, message: Waiting) -> str:
        """Somebody says something: now, if the device is there, or else later."""
        self._world.messages[message.id] = message
        if self.stream is not None and self.stream.is_active:
            self.deliver(message)
        return message.id

    def deliver(self, message: Waiting, offline: int | None = None) -> None:
        """Sends a message; the second time as it was the first time."""
        if self.stream is None or self._world.bundle is None:
            return
        if message.node is None:
            message.node = self._encrypted(message, self._world.bundle)
        node = message.node
        attrs = node.attrs if offline is None else {**node.attrs, "offline": str(offline)}
        if message.broken > 0:
            message.broken -= 1
            node = _spoilt(node)
        message.sent = True
        self.stream.put(Node(node.tag, attrs, node.content))

    def catch_up(self) -> None:
        """What waits, for a device that has just logged in."""
        if self.stream is None:
            return
        waiting = self._world.waiting()
        count = str(len(waiting))
        preview = {"count": count, "message": count, "receipt": "0", "notification": "0"}
        server = {"from": SERVER}
        more = {"appdata": "0", "call": "0", "status": "0"}
        self.stream.put(Node("ib", server, [Node("offline_preview", {**preview, **more})]))
        for number, message in enumerate(waiting):
            self.deliver(message, number)
        self.stream.put(Node("ib", server, [Node("offline", {"count": count})]))

    def receipt(self, node: Node) -> None:
        """What the device says of messages: that they came, were read, or couldn't be read."""
        kind = node.attrs.get("type", "")
        ids = [node.attrs["id"]]
        for more in node.every("list"):
            ids += [item.attrs["id"] for item in more.every("item")]
        if kind in CONFIRMS and self._world.faults.receipts:
            self._world.faults.receipts -= 1
            self._world.books.note("lost", ids=ids)
            return
        place = {"chat": self._world.by_phone(node.attrs.get("to", SERVER))}
        who = {"participant": node.attrs.get("participant")}
        self._world.books.note("receipt", ids=ids, kind=kind or "delivered", **place, **who)
        for one in ids:
            message = self._world.messages.get(one)
            if message is not None and kind in CONFIRMS:
                message.confirmed = True
            elif message is not None and kind == "retry":
                self._again(message, node)

    def ack(self, node: Node) -> None:
        """What the device says of having got a node at all, readable or not."""
        attrs = node.attrs
        kind, one = attrs.get("class", ""), attrs.get("id", "")
        self._world.books.note("ack", kind=kind, id=one, error=attrs.get("error"))
        message = self._world.messages.get(one)
        if message is not None and message.node is not None and message.node.child("unavailable"):
            message.confirmed = True

    def _again(self, message: Waiting, receipt: Node) -> None:
        """The device couldn't read a message: it is encrypted anew, for it alone."""
        sender, published = self._world.contact(message.sender), self._world.bundle
        if published is None:
            return
        if (keys := receipt.child("keys")) is not None:
            sender.session.start(_retry_bundle(keys, receipt, published))
        elif not sender.session.is_begun or message.node is None:
            sender.begin(published)
        said = message.plain
        if message.chat.endswith(f"@{GROUPS}"):
            said = self._with_key(sender, message.chat, said)
        kind, sealed = sender.encrypt(said, published)
        count = receipt.within("retry").attrs.get("count", "1")
        part = Node("enc", {"v": "2", "type": kind, "count": count}, sealed)
        message.node = Node("message", message.attrs, [part])
        message.confirmed = False
        if self.stream is not None and self.stream.is_active:
            self.deliver(message)

    def _encrypted(self, message: Waiting, published: Published) -> Node:
        sender = self._world.contact(message.sender)
        if not message.chat.endswith(f"@{GROUPS}"):
            kind, sealed = sender.encrypt(message.plain, published)
            return Node("message", message.attrs, [_part(kind, sealed)])
        parts = []
        if message.chat not in sender.keys:
            said = self._with_key(sender, message.chat, b"")
            parts.append(_part(*sender.encrypt(said, published)))
        parts.append(_part("skmsg", sender.keys[message.chat].encrypt(message.plain)))
        return Node("message", message.attrs, parts)

    def _with_key(self, sender: Contact, group: str, plain: bytes) -> bytes:
        """A message, with the key that its sender writes to the group with."""
        key = sender.keys.setdefault(group, SenderKey())
        message = e2e.Message.FromString(plain)
        message.senderKeyDistributionMessage.groupID = group
        told = message.senderKeyDistributionMessage
        told.axolotlSenderKeyDistributionMessage = key.distribution()
        return bytes(message.SerializeToString())

    def compose(
        self, sender: Contact, chat: str, message: Any, *, address: str, id: str = "", at: int = 0
    ) -> Waiting:
        """A message as it waits: who said it where, with the attributes of its node."""
        attrs = {"id": id or new_id(), "t": str(at or int(time.time())), "notify": sender.name}
        attrs |= {"type": "reaction" if message.HasField("reactionMessage") else "text"}
        if any(message.HasField(name) for name in ("imageMessage", "documentMessage")):
            attrs["type"] = "media"
        attrs |= self._addresses(sender, chat, address)
        return Waiting(attrs["id"], sender.phone, chat, message.SerializeToString(), attrs)

    def _addresses(self, sender: Contact, chat: str, address: str) -> dict[str, str]:
        if chat.endswith(f"@{GROUPS}"):
            return _in_group(sender, chat, address, by_lid=self._world.group(chat).by_lid)
        if sender is self._world.owner:
            return _from_owner(sender, self._world.by_jid(chat), address)
        if address == "lid":
            return {"from": sender.lid_jid, "addressing_mode": "lid", "sender_pn": sender.jid}
        if address == "lid_only":
            return {"from": sender.lid_jid, "addressing_mode": "lid"}
        if address == "phone_only":
            return {"from": sender.jid}
        if address != "phone":
            raise ValueError(f"{address!r} is no way to address: phone, lid, lid_only, phone_only")
        return {"from": sender.jid, "sender_lid": sender.lid_jid}


def _in_group(sender: Contact, chat: str, address: str, *, by_lid: bool) -> dict[str, str]:
    """As the group addresses its members, unless one of them alone is to be told."""
    if by_lid and address != "phone_only":
        number = {"participant_pn": sender.jid} if address != "lid_only" else {}
        return {"from": chat, "addressing_mode": "lid", "participant": sender.lid_jid, **number}
    lid = {"participant_lid": sender.lid_jid} if address != "phone_only" else {}
    return {"from": chat, "participant": sender.jid, **lid}


def _from_owner(owner: Contact, other: Contact, address: str) -> dict[str, str]:
    """What the owner's phone wrote to somebody, or to itself."""
    if address == "lid":
        to = {"recipient": other.lid_jid, "peer_recipient_pn": other.jid}
        return {"from": owner.lid_jid, "addressing_mode": "lid", "sender_pn": owner.jid, **to}
    to = {"recipient": other.jid, "peer_recipient_lid": other.lid_jid}
    return {"from": owner.jid, "sender_lid": owner.lid_jid, **to}


def _part(kind: str, sealed: bytes) -> Node:
    return Node("enc", {"v": "2", "type": kind}, sealed)


def _spoilt(node: Node) -> Node:
    """The same, with ciphertexts of which one byte, of the code or signature at the end, is
    another."""
    parts = []
    for part in node.children:
        sealed = part.data[:-6] + bytes([part.data[-6] ^ 1]) + part.data[-5:]
        parts.append(Node(part.tag, part.attrs, sealed))
    return Node(node.tag, node.attrs, parts)


def _retry_bundle(keys: Node, receipt: Node, published: Published) -> Any:
    """The keys that come with a request to encrypt anew, or the next of those that we have."""
    bundle = published.take
    if keys.child("key") is None or keys.child("skey") is None:
        return bundle()
    one = Published(
        int.from_bytes(receipt.within("registration").data, "big"),
        keys.within("identity").data,
        int.from_bytes(keys.within("skey", "id").data, "big"),
        keys.within("skey", "value").data,
        keys.within("skey", "signature").data,
    )
    number = int.from_bytes(keys.within("key", "id").data, "big")
    one.prekeys[number] = keys.within("key", "value").data
    return one.take()
