"""What the owner's phone and its linked device send each other about messages: pieces of history,
and messages that the device couldn't read, once more."""

from __future__ import annotations

import time
import zlib
from collections.abc import Sequence
from typing import Any

from tests.whatsapp_server import media
from tests.whatsapp_server.delivery import Delivery
from tests.whatsapp_server.hosting import Hosting
from tests.whatsapp_server.people import Contact
from tests.whatsapp_server.protos import e2e, history, web
from tests.whatsapp_server.world import GROUPS, Waiting, World, new_id

REQUEST = e2e.ProtocolMessage.PEER_DATA_OPERATION_REQUEST_MESSAGE
RESPONSE = e2e.ProtocolMessage.PEER_DATA_OPERATION_REQUEST_RESPONSE_MESSAGE


def tell(world: World, delivery: Delivery, message: Any) -> str:
    """The phone tells the device something that isn't in any chat; gives the id."""
    owner = world.owner
    made = delivery.compose(owner, owner.jid, message, address="phone")
    made.attrs |= {"category": "peer"}
    return delivery.say(made)


def past(hosting: Hosting, sender: Contact, chat: str, texts: Sequence[str]) -> Any:
    """A message that tells of a piece of history, in which somebody has said this yesterday."""
    piece = history.HistorySync(syncType=history.HistorySync.RECENT, chunkOrder=1, progress=100)
    place = piece.conversations.add(ID=chat or sender.jid)
    for text in texts:
        one = place.messages.add().message
        one.key.remoteJID, one.key.ID, one.key.fromMe = chat or sender.jid, new_id(), False
        one.message.conversation = text
        one.messageTimestamp = int(time.time()) - 86400
    sealed = media.seal("history", zlib.compress(piece.SerializeToString()))
    hosting.keep(sealed.path, sealed.content)
    message = e2e.Message()
    message.protocolMessage.type = e2e.ProtocolMessage.HISTORY_SYNC_NOTIFICATION
    told = message.protocolMessage.historySyncNotification
    told.directPath, told.mediaKey = sealed.path, sealed.key
    told.fileSHA256, told.fileEncSHA256 = sealed.plain_hash, sealed.hash
    told.fileLength, told.syncType, told.chunkOrder = sealed.size, e2e.RECENT, 1
    return message


def answer(world: World, delivery: Delivery, row: dict[str, Any], plain: bytes) -> None:
    """The device has asked its phone for messages by their ids: the phone sends those it has."""
    asked = e2e.Message.FromString(plain).protocolMessage
    if asked.type != REQUEST:
        return
    message = e2e.Message()
    message.protocolMessage.type = RESPONSE
    response = message.protocolMessage.peerDataOperationRequestResponseMessage
    request = asked.peerDataOperationRequestMessage
    response.peerDataOperationRequestType = request.peerDataOperationRequestType
    response.stanzaID = row["id"]
    for each in request.placeholderMessageResendRequest:
        found = world.messages.get(each.messageKey.ID)
        if found is not None and not _is_hidden(found):
            result = response.peerDataOperationResult.add().placeholderMessageResendResponse
            result.webMessageInfoBytes = _resent(world, found, each.messageKey)
    tell(world, delivery, message)


def _is_hidden(found: Waiting) -> bool:
    """Whether only the phone may ever see it."""
    hidden = found.node.child("unavailable") if found.node is not None else None
    return hidden is not None and hidden.attrs["type"] == "view_once"


def _resent(world: World, found: Waiting, key: Any) -> bytes:
    sender = world.contact(found.sender)
    info = web.WebMessageInfo(messageTimestamp=int(found.attrs["t"]), pushName=sender.name)
    info.key.CopyFrom(key)
    info.message.ParseFromString(found.plain)
    if found.chat.endswith(f"@{GROUPS}"):
        info.participant = sender.jid
    return bytes(info.SerializeToString())
