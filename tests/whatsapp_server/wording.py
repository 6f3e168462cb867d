"""What people's phones put into a message: end-to-end contents, built from what a test says."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from tests.whatsapp_server.media import Sealed
from tests.whatsapp_server.protos import e2e

TYPES = {
    "image": ("imageMessage", "image/jpeg"),
    "video": ("videoMessage", "video/mp4"),
    "audio": ("audioMessage", "audio/mpeg"),
    "voice": ("audioMessage", "audio/ogg; codecs=opus"),
    "document": ("documentMessage", "application/octet-stream"),
    "sticker": ("stickerMessage", "image/webp"),
}
"""The field of a message for each kind of file, and the type unless another is said."""


def text(
    said: str,
    *,
    reply_to: str = "",
    quoted_text: str = "",
    quoted_from: str = "",
    mentions: Sequence[str] = (),
) -> Any:
    """A text; one that quotes or mentions is an extended one. Persons are JIDs here."""
    if not reply_to and not mentions:
        return e2e.Message(conversation=said)
    message = e2e.Message()
    message.extendedTextMessage.text = said
    context = message.extendedTextMessage.contextInfo
    context.mentionedJID.extend(mentions)
    if reply_to:
        context.stanzaID = reply_to
        context.participant = quoted_from
        context.quotedMessage.conversation = quoted_text
    return message


def _key(place: Any, target: str, chat: str, ours: bool, participant: str) -> None:
    place.ID = target
    place.remoteJID = chat
    place.fromMe = ours
    if participant:
        place.participant = participant


def edit(target: str, said: str, chat: str) -> Any:
    """A message of one's own, changed."""
    message = e2e.Message()
    change = message.protocolMessage
    change.type = e2e.ProtocolMessage.MESSAGE_EDIT
    _key(change.key, target, chat, True, "")
    change.editedMessage.conversation = said
    change.timestampMS = int(time.time() * 1000)
    return message


def revoke(target: str, chat: str) -> Any:
    """A message of one's own, taken back."""
    message = e2e.Message()
    message.protocolMessage.type = e2e.ProtocolMessage.REVOKE
    _key(message.protocolMessage.key, target, chat, True, "")
    return message


def reaction(target: str, emoji: str, chat: str, own: bool, author: str) -> Any:
    """An emoji on a message: one's `own`, or the `author`'s (given in groups)."""
    message = e2e.Message()
    message.reactionMessage.text = emoji
    message.reactionMessage.senderTimestampMS = int(time.time() * 1000)
    _key(message.reactionMessage.key, target, chat, own, author)
    return message


def file(
    kind: str, sealed: Sealed, *, mimetype: str = "", name: str = "", caption: str = "", size: int
) -> Any:
    """A file that lies on the media host. Raises ValueError for a kind that isn't."""
    if kind not in TYPES:
        raise ValueError(f"{kind!r} is none of {', '.join(TYPES)}")
    field, usual = TYPES[kind]
    message = e2e.Message()
    part = getattr(message, field)
    part.mimetype = mimetype or usual
    part.URL = f"https://mmg.whatsapp.net{sealed.path}"
    part.directPath = sealed.path
    part.mediaKey = sealed.key
    part.fileSHA256 = sealed.plain_hash
    part.fileEncSHA256 = sealed.hash
    part.fileLength = size
    part.mediaKeyTimestamp = int(time.time())
    if kind == "voice":
        part.PTT, part.seconds = True, 3
    if kind == "document":
        part.fileName = part.title = name
    if caption and kind in ("image", "video", "document"):
        part.caption = caption
    return message


def once(message: Any) -> Any:
    """The same, to be seen once."""
    return e2e.Message(viewOnceMessage=e2e.FutureProofMessage(message=message))


def sent_by_owner(message: Any, chat: str) -> Any:
    """What the owner's phone sends to its linked devices of a message that it sent."""
    wrapped = e2e.Message()
    wrapped.deviceSentMessage.destinationJID = chat
    wrapped.deviceSentMessage.message.CopyFrom(message)
    return wrapped
