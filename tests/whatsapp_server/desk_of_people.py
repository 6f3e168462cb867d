"""What tests have people do."""

from __future__ import annotations

import base64
import time
from collections.abc import Sequence
from hashlib import sha256
from typing import Any

from tests.whatsapp_server import media, wording
from tests.whatsapp_server.describing import file_of
from tests.whatsapp_server.desk_base import Base, given
from tests.whatsapp_server.nodes import Node


class OfPeople(Base):
    """They say, share, change, take back."""

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
        said = given(message) or wording.text(
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

    def cannot_read(self, phone: str, id: str, chat: str) -> None:
        one, now = self._world.contact(phone), str(int(time.time()))
        sent = self._world.outbound[id]
        who = {"from": chat, "participant": one.jid} if chat else {"from": sent["to"]}
        retry = Node("retry", {"count": "1", "id": id, "t": now, "v": "1"})
        number = Node("registration", {}, one.person.registration.to_bytes(4, "big"))
        attrs = {**who, "id": id, "type": "retry", "t": now}
        self._service.send(Node("receipt", attrs, [retry, number]))

    def unavailable(self, phone: str, chat: str, kind: str) -> str:
        delivery, one = self._service.delivery, self._world.contact(phone)
        said = wording.text("for the phone alone")
        message = delivery.compose(one, self._place(chat), said, address="phone")
        message.node = Node("message", message.attrs, [Node("unavailable", {"type": kind})])
        return delivery.say(message)

    def again(self, id: str, anew: bool) -> None:
        message = self._world.messages[id]
        message.confirmed = False
        if anew:
            message.node = None
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
