"""What tests ask of the owner's phone, and of people and groups as such."""

from __future__ import annotations

from typing import Any

from tests.whatsapp_server import peers, wording
from tests.whatsapp_server.desk_base import Base, given
from tests.whatsapp_server.nodes import Node
from tests.whatsapp_server.queries import group_node
from tests.whatsapp_server.service import own_jid
from tests.whatsapp_server.world import GROUPS, SERVER, Group


class OfOwner(Base):
    """The phone: it links devices, and writes itself."""

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

    def history(self, phone: str, texts: list[str], chat: str) -> str:
        piece = peers.past(self._hosting, self._world.contact(phone), chat, texts)
        return peers.tell(self._world, self._service.delivery, piece)

    def app_state(self, name: str) -> None:
        attrs = {"from": SERVER, "type": "server_sync", "id": self._world.stanza(), "t": "1"}
        changed = Node("collection", {"name": name, "version": "1"})
        self._service.send(Node("notification", attrs, [changed]))

    def qr_codes(self, number: int) -> None:
        self._world.qr_codes = number

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

    def own(
        self,
        text: str,
        chat: str,
        message: str,
        id: str,
        address: str,
        peer: bool,
        device: int,
    ) -> str:
        owner = self._world.owner
        place = chat or owner.jid
        said = given(message) or wording.text(text)
        if not peer and not place.endswith(f"@{GROUPS}"):
            said = wording.sent_by_owner(said, place)
        delivery = self._service.delivery
        made = delivery.compose(owner, place, said, address=address, id=id)
        if peer:
            made.attrs |= {"category": "peer"}
        if device:
            made.attrs["from"] = made.attrs["from"].replace("@", f":{device}@")
        return delivery.say(made)


class OfGroups(Base):
    """Who is there, and in which groups."""

    def person(self, phone: str, name: str, lid: str) -> str:
        one = self._world.contact(phone)
        one.name, one.lid = name or one.name, lid or one.lid
        return one.jid

    def group(self, name: str, phones: list[str], by_lid: bool) -> str:
        jid = self._world.group_jid()
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
