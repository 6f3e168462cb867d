"""A client for the contract of the tests' WhatsApp: the real neonize, driven line by line.

`python -P tests/contract/whatsapp_client.py DATABASE EVENTS`: it connects, appends what it hears
to the file EVENTS (JSON, one a line), and does what it reads on its input (JSON, one a line).
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import sys
from typing import Any

from neonize import events
from neonize.aioze.client import NewAClient
from neonize.exc import NeonizeError
from neonize.proto.waE2E.WAWebProtobufsE2E_pb2 import Message
from neonize.utils.enum import ChatPresence, ChatPresenceMedia, ReceiptType
from neonize.utils.jid import Jid2String, build_jid

KINDS = [
    "QREv",
    "PairStatusEv",
    "ConnectedEv",
    "DisconnectedEv",
    "LoggedOutEv",
    "StreamReplacedEv",
    "ConnectFailureEv",
    "OfflineSyncPreviewEv",
    "OfflineSyncCompletedEv",
    "KeepAliveTimeoutEv",
    "StreamErrorEv",
    "ReceiptEv",
    "TemporaryBanEv",
    "ClientOutdatedEv",
    "MessageEv",
    "UndecryptableMessageEv",
    "GroupInfoEv",
    "JoinedGroupEv",
    "ChatPresenceEv",
    "HistorySyncEv",
]


def jid(text: str) -> Any:
    user, _, server = text.partition("@")
    return build_jid(user, server)


class Client:
    def __init__(self, database: str, out: str) -> None:
        self.client = NewAClient(database)
        self.out = open(out, "a", encoding="utf-8")  # noqa: PTH123, SIM115
        self.heard: dict[str, Any] = {}

    def tell(self, what: str, **more: Any) -> None:
        self.out.write(json.dumps({"what": what, **more}) + "\n")
        self.out.flush()

    def listen(self) -> None:
        @self.client.qr
        async def shown(_: Any, code: bytes) -> None:
            self.tell("qr", code=code.decode())

        for name in KINDS:
            self._on(name)

    def _on(self, name: str) -> None:
        @self.client.event(getattr(events, name))
        async def came(_: Any, event: Any) -> None:
            if name == "MessageEv":
                self._message(event)
            else:
                self.tell(name.removesuffix("Ev"), event=str(event))

    def _message(self, event: Any) -> None:
        source, message = event.Info.MessageSource, event.Message
        self.heard[event.Info.ID] = event
        content = base64.b64encode(message.SerializeToString()).decode()
        text = message.conversation or message.extendedTextMessage.text
        who = {"chat": Jid2String(source.Chat), "sender": Jid2String(source.Sender)}
        who |= {"alt": Jid2String(source.SenderAlt), "mine": source.IsFromMe}
        more = {"group": source.IsGroup, "name": event.Info.Pushname, "once": event.IsViewOnce}
        self.tell("message", id=event.Info.ID, text=text, content=content, **who, **more)

    async def do(self, op: str, **a: Any) -> Any:
        client = self.client
        if op == "send":
            said = Message.FromString(base64.b64decode(a["message"]))
            return (await client.send_message(jid(a["to"]), said)).ID
        if op == "reply":
            return (await client.reply_message(a["text"], self.heard[a["id"]])).ID
        if op == "react":
            made = await client.build_reaction(jid(a["to"]), jid(a["sender"]), a["id"], a["emoji"])
            return (await client.send_message(jid(a["to"]), made)).ID
        if op == "edit":
            return (
                await client.edit_message(jid(a["to"]), a["id"], Message(conversation=a["text"]))
            ).ID
        if op == "revoke":
            return (await client.revoke_message(jid(a["to"]), jid(a["sender"]), a["id"])).ID
        if op == "typing":
            state = getattr(ChatPresence, f"CHAT_PRESENCE_{a['state'].upper()}")
            media = ChatPresenceMedia.CHAT_PRESENCE_MEDIA_TEXT
            return await client.send_chat_presence(jid(a["to"]), state, media)
        if op == "read":
            place = {"chat": jid(a["to"]), "sender": jid(a["sender"])}
            return await client.mark_read(a["id"], receipt=ReceiptType.READ, **place)
        if op == "document":
            content = base64.b64decode(a["content"])
            told = {"filename": a["name"], "caption": "see", "mimetype": "text/plain"}
            return (await client.send_document(jid(a["to"]), content, **told)).ID
        if op == "download":
            content = await client.download_any(self.heard[a["id"]].Message)
            return base64.b64encode(content).decode()
        if op == "group":
            found = await client.get_group_info(jid(a["to"]))
            return [found.GroupName.Name, len(found.Participants)]
        if op == "groups":
            return sorted(one.GroupName.Name for one in await client.get_joined_groups())
        if op == "phone":
            return await client.PairPhone(a["number"], False)
        if op == "logout":
            return await client.logout()
        if op == "state":
            return [await client.is_connected, await client.is_logged_in]
        raise ValueError(op)

    async def run(self) -> None:
        self.listen()
        await self.client.connect()
        reader = asyncio.StreamReader(limit=1 << 26)
        protocol = asyncio.StreamReaderProtocol(reader)
        await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, sys.stdin)
        doing = set()
        while line := await reader.readline():
            task = asyncio.ensure_future(self._one(json.loads(line)))
            doing.add(task)
            task.add_done_callback(doing.discard)
        os._exit(0)

    async def _one(self, asked: dict[str, Any]) -> None:
        number = asked.pop("number_of_call")
        try:
            found = await self.do(**asked)
        except (NeonizeError, LookupError, OSError, TypeError, ValueError) as error:
            self.tell("failed", number=number, error=f"{type(error).__name__}: {error}")
        else:
            self.tell(
                "done",
                number=number,
                result=str(found) if not isinstance(found, (str, list)) else found,
            )


if __name__ == "__main__":
    asyncio.run(Client(sys.argv[1], sys.argv[2]).run())
