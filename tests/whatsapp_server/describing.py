"""What the client has sent, in words that tests compare: one row of the log for each message."""

from __future__ import annotations

import base64
from typing import Any

from tests.whatsapp_server.protos import e2e

FILES = {
    "imageMessage": "image",
    "videoMessage": "video",
    "audioMessage": "audio",
    "documentMessage": "document",
    "stickerMessage": "sticker",
}
WRAPPERS = (
    "ephemeralMessage",
    "viewOnceMessage",
    "viewOnceMessageV2",
    "documentWithCaptionMessage",
)


def describe(plain: bytes) -> dict[str, Any]:
    """`kind`, `text`, `quoted`, `mentions`, `target`, `media` and `proto` of a message."""
    message = e2e.Message.FromString(plain)
    row: dict[str, Any] = {"kind": "other", "text": "", "quoted": None, "quoted_from": None}
    row |= {"quoted_text": None, "mentions": [], "target": None, "media": None}
    row |= {"proto": base64.b64encode(plain).decode()}
    return {**row, **_content(unwrapped(message))}


def unwrapped(message: Any) -> Any:
    """What is in the wrappers, of which a message may have several."""
    while True:
        inner = message
        if message.HasField("deviceSentMessage"):
            inner = message.deviceSentMessage.message
        for name in WRAPPERS:
            if inner.HasField(name):
                inner = getattr(inner, name).message
        if inner is message:
            return message
        message = inner


def file_of(message: Any) -> tuple[str, Any] | None:
    """The kind of the file in a message, and the part that tells of it."""
    for field, kind in FILES.items():
        if message.HasField(field):
            return kind, getattr(message, field)
    return None


def _content(message: Any) -> dict[str, Any]:
    if message.HasField("conversation"):
        return {"kind": "text", "text": message.conversation}
    if message.HasField("extendedTextMessage"):
        part = message.extendedTextMessage
        return {"kind": "text", "text": part.text, **_context(part.contextInfo)}
    if message.HasField("reactionMessage"):
        part = message.reactionMessage
        return {"kind": "reaction", "text": part.text, **_target(part.key)}
    if message.HasField("protocolMessage"):
        return _protocol(message.protocolMessage)
    if message.HasField("editedMessage"):
        return _protocol(message.editedMessage.message.protocolMessage)
    if (file := file_of(message)) is not None:
        kind, part = file
        text = part.caption if hasattr(part, "caption") else ""
        return {"kind": kind, "text": text, "media": _media(part), **_context(part.contextInfo)}
    return {}


def _protocol(part: Any) -> dict[str, Any]:
    if part.type == e2e.ProtocolMessage.REVOKE:
        return {"kind": "revoke", **_target(part.key)}
    if part.type == e2e.ProtocolMessage.MESSAGE_EDIT:
        inner = _content(part.editedMessage)
        return {"kind": "edit", "text": inner.get("text", ""), **_target(part.key)}
    return {"kind": "protocol", "text": e2e.ProtocolMessage.Type.Name(part.type)}


def _target(key: Any) -> dict[str, Any]:
    """The message that this one is about, and who wrote that."""
    return {"target": key.ID, "target_ours": key.fromMe, "target_from": key.participant or None}


def _context(context: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"mentions": list(context.mentionedJID)}
    if context.stanzaID:
        quoted = _content(unwrapped(context.quotedMessage))
        found |= {"quoted": context.stanzaID, "quoted_from": context.participant}
        found |= {"quoted_text": quoted.get("text", "")}
    return found


def _media(part: Any) -> dict[str, Any]:
    return {
        "mimetype": part.mimetype,
        "name": part.fileName if hasattr(part, "fileName") else "",
        "size": part.fileLength,
        "sha256": part.fileSHA256.hex(),
        "voice": bool(part.PTT) if hasattr(part, "PTT") else False,
    }
