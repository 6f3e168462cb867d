"""What tests ask for, each by its name: the methods of `control.Control`, on the server's side."""

from __future__ import annotations

import base64
import itertools
import time
from collections.abc import Sequence
from hashlib import sha256
from typing import Any

from tests.whatsapp_server import media, wording
from tests.whatsapp_server.describing import file_of, unwrapped
from tests.whatsapp_server.hosting import Hosting
from tests.whatsapp_server.nodes import Node
from tests.whatsapp_server.protos import e2e
from tests.whatsapp_server.queries import group_node
from tests.whatsapp_server.service import Service, own_jid
from tests.whatsapp_server.world import GROUPS, Group, World


class Desk:
    """One for a server. Raises ValueError for what can't be."""

    def __init__(self, service: Service, hosting: Hosting) -> None:
        self._service = service
        self._hosting = hosting
        self._world: World = service.world
        self._numbers = itertools.count(120363000000000001)

    # The phone

    def scan(self, qr: str) -> None:
        if self._service.pairing is None:
            raise ValueError("no device wants to be linked")
        self._service.pairing.scan(qr)

    def code_asked(self) -> bool:
        return self._service.pairing is not None and self._service.pairing.waits_for_code

    def type_code(self, code: str) -> None:
        if self._service.pairing is None:
            raise ValueError("no device wants to be linked")
        self._service.pairing.type_code(code)

    def unlink(self) -> None:
        self._world.unlink()
        self._world.books.note("logout", by="phone")
        conflict = Node("conflict", {"type": "device_removed"})
        self._service.end_stream(Node("stream:error", {"code": "401"}, [conflict]))

    def linked(self) -> dict[str, Any] | None:
        one = self._world.linked
        if one is None:
            return None
        lid = f"{self._world.owner.lid}:{one.number}@lid"
        told = {"jid": own_jid(self._world), "lid": lid}
        return {**told, "device": one.number, "platform": one.platform}

    def own(self, text: str, chat: str, message: str, id: str, address: str) -> str:
        owner = self._world.owner
        place = chat or owner.jid
        said = _given(message) or wording.text(text)
        if not place.endswith(f"@{GROUPS}"):
            said = wording.sent_by_owner(said, place)
        delivery = self._service.delivery
        return delivery.say(delivery.compose(owner, place, said, address=address, id=id))

    # People and groups

    def person(self, phone: str, name: str, lid: str) -> str:
        one = self._world.contact(phone)
        one.name, one.lid = name or one.name, lid or one.lid
        return one.jid

    def group(self, name: str, phones: list[str], by_lid: bool) -> str:
        jid = f"{next(self._numbers)}@{GROUPS}"
        members = [self._world.owner_phone, *phones]
        for phone in members:
            self._world.contact(phone)
        self._world.groups[jid] = Group(
            jid, name, members, by_lid, phones[0] if phones else members[0]
        )
        return jid

    def rename_group(self, group: str, name: str) -> None:
        one = self._world.group(group)
        one.name = name
        self._notify(
            one, Node("subject", {"subject": name, "s_t": str(one.created), "s_o": self._by(one)})
        )

    def leave_group(self, group: str, phone: str) -> None:
        one = self._world.group(group)
        one.members.remove(phone)
        who = self._world.contact(phone)
        gone = Node("participant", {"jid": who.lid_jid if one.by_lid else who.jid})
        self._notify(one, Node("remove", {}, [gone]))

    def invite(self, group: str) -> None:
        """The owner is in a group since now; a client that is online is told."""
        one = self._world.group(group)
        if self._world.owner_phone not in one.members:
            one.members.append(self._world.owner_phone)
        self._notify(one, Node("create", {"type": "new"}, [group_node(self._world, one)]))

    def _by(self, group: Group) -> str:
        who = self._world.contact(group.creator)
        return who.lid_jid if group.by_lid else who.jid

    def _notify(self, group: Group, what: Node) -> None:
        if self._service.delivery.stream is None:
            return
        attrs = {"from": group.jid, "type": "w:gp2", "id": self._world.stanza()}
        attrs |= {"participant": self._by(group), "t": str(group.created)}
        self._service.send(Node("notification", attrs, [what]))

    # What people do

    def say(
        self,
        phone: str,
        text: str,
        chat: str,
        reply_to: str,
        quoted_text: str,
        quoted_from: str,
        mentions: list[str],
        message: str,
        address: str,
        id: str,
        at: int,
    ) -> str:
        said = _given(message) or wording.text(
            text,
            reply_to=reply_to,
            quoted_text=quoted_text,
            quoted_from=self._jid(quoted_from),
            mentions=[self._jid(one) for one in mentions],
        )
        return self._say(phone, said, chat, address=address, id=id, at=at)

    def flood(self, phone: str, texts: list[str], chat: str) -> list[str]:
        return [self._say(phone, wording.text(one), chat) for one in texts]

    def edit(self, phone: str, target: str, text: str, chat: str) -> str:
        return self._say(phone, wording.edit(target, text, self._place(chat)), chat)

    def revoke(self, phone: str, target: str, chat: str) -> str:
        return self._say(phone, wording.revoke(target, self._place(chat)), chat)

    def react(self, phone: str, target: str, emoji: str, chat: str, ours: bool) -> str:
        author = ""
        if chat:
            author = self._world.owner.jid if ours else self._world.contact(phone).jid
        own = not ours
        return self._say(
            phone, wording.reaction(target, emoji, self._place(chat), own, author), chat
        )

    def share(
        self,
        phone: str,
        kind: str,
        content: str,
        chat: str,
        mimetype: str,
        name: str,
        caption: str,
        once: bool,
        said_size: int,
        wrong_hash: bool,
    ) -> str:
        plain = base64.b64decode(content)
        sealed = media.seal(kind, plain)
        size = len(plain) if said_size < 0 else said_size
        said = wording.file(kind, sealed, mimetype=mimetype, name=name, caption=caption, size=size)
        if wrong_hash:
            file = file_of(said)
            assert file is not None
            file[1].fileSHA256 = sha256(plain + b"!").digest()
        self._hosting.keep(sealed.path, sealed.content)
        return self._say(phone, wording.once(said) if once else said, chat)

    def unreadable(self, phone: str, chat: str, times: int) -> str:
        delivery, one = self._service.delivery, self._world.contact(phone)
        said = wording.text("it was hard to read")
        message = delivery.compose(one, chat or self._world.owner.jid, said, address="phone")
        message.broken = times
        return delivery.say(message)

    def typing(self, phone: str, chat: str, on: bool) -> None:
        one = self._world.contact(phone)
        attrs = {"from": chat, "participant": one.jid} if chat else {"from": one.jid}
        self._service.send(Node("chatstate", attrs, [Node("composing" if on else "paused")]))

    def read(self, phone: str, ids: Sequence[str], kind: str, chat: str) -> None:
        one = self._world.contact(phone)
        who = {"from": chat, "participant": one.jid} if chat else {"from": one.jid}
        kinds = {"type": kind} if kind != "delivered" else {}
        for number in ids:
            attrs = {**who, **kinds, "id": number, "t": str(int(time.time()))}
            self._service.send(Node("receipt", attrs))

    def again(self, id: str) -> None:
        message = self._world.messages[id]
        message.confirmed = False
        self._service.delivery.deliver(message)

    def _place(self, chat: str) -> str:
        return chat or self._world.owner.jid

    def _jid(self, who: str) -> str:
        return who if "@" in who or not who else self._world.contact(who).jid

    def _say(
        self, phone: str, said: Any, chat: str, *, address: str = "phone", id: str = "", at: int = 0
    ) -> str:
        delivery, one = self._service.delivery, self._world.contact(phone)
        place = chat or self._world.owner.jid
        return delivery.say(delivery.compose(one, place, said, address=address, id=id, at=at))

    # Books

    def log(self) -> list[dict[str, Any]]:
        return self._world.books.rows

    def waiting(self) -> list[str]:
        return [one.id for one in self._world.waiting()]

    def online(self) -> bool:
        stream = self._service.delivery.stream
        return stream is not None and stream.is_active

    def file(self, id: str) -> str:
        row = self._world.outbound.get(id)
        if row is None:
            raise ValueError(f"there is no message {id}")
        file = file_of(unwrapped(e2e.Message.FromString(base64.b64decode(row["proto"]))))
        if file is None:
            raise ValueError(f"there is no file in the message {id}")
        kind, part = file
        sealed = self._hosting.content(part.directPath)
        if sha256(sealed).digest() != part.fileEncSHA256:
            raise ValueError("what was uploaded isn't what the message tells")
        plain = media.unseal(kind, part.mediaKey, sealed)
        if sha256(plain).digest() != part.fileSHA256 or len(plain) != part.fileLength:
            raise ValueError("the file isn't what the message tells")
        return base64.b64encode(plain).decode()

    # Faults

    def drop(self) -> None:
        self._service.reset()

    def refuse(self, on: bool) -> None:
        assert self._service.proxy is not None
        self._service.proxy.refuses = on

    def stall(self, on: bool) -> None:
        self._world.faults.stalls = on

    def slow(self, seconds: float) -> None:
        self._world.faults.seconds = seconds

    def lose_acks(self, number: int, accepted: bool) -> None:
        self._world.faults.acks += [("lose" if accepted else "lose_before", "")] * number

    def drop_at(self, number: int, accepted: bool) -> None:
        self._world.faults.acks += [("drop" if accepted else "drop_before", "")] * number

    def nack(self, code: int, number: int) -> None:
        self._world.faults.acks += [("nack", str(code))] * number

    def hold_acks(self, on: bool) -> None:
        self._world.faults.holds = on
        if on:
            return
        held, self._service.arrivals.held = self._service.arrivals.held, []
        for ack in held:
            if self._service.delivery.stream is not None:
                self._service.arrivals.acked(ack)
                self._service.send(ack)

    def fail_login(self, reason: int, number: int, code: int, expire: int) -> None:
        attrs = {"reason": str(reason)}
        if code:
            attrs |= {"code": str(code), "expire": str(expire)}
        faults = self._world.faults
        if number < 0:
            faults.login_always = attrs
        else:
            faults.logins += [attrs] * number

    def stream_error(self, code: str, conflict: str) -> None:
        attrs = {"code": code} if code else {}
        inside = [Node("conflict", {"type": conflict})] if conflict else None
        self._service.end_stream(Node("stream:error", attrs, inside))

    def fail_query(self, name: str, code: int, number: int) -> None:
        self._world.faults.queries[name, code] += number

    def fail_media(self, kind: str, number: int, where: str) -> None:
        self._world.faults.set_media(kind, number, where)

    def mend(self) -> None:
        self._world.faults.mend()
        self._hosting.release()
        if self._service.proxy is not None:
            self._service.proxy.refuses = False
        self.hold_acks(False)


def _given(message: str) -> Any:
    return e2e.Message.FromString(base64.b64decode(message)) if message else None
