"""Events as the WhatsApp library hands them on, built of its own protobuf messages. Importing the
library would load its Go part; its definitions are enough."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from tests.whatsapp_server import protos

e2e = protos.e2e
neonize: Any = import_module("Neonize_pb2")
common: Any = import_module("waCommon.WACommon_pb2")

OWN, OWN_LID = "4911111", "99911"
ANNA, ANNA_LID = "4912345", "88001"
GROUP = "120363041234567890@g.us"
AT = 1_767_225_600
"""2026-01-01 00:00 UTC."""
FLAGS = {
    "IsEphemeral": False,
    "IsViewOnce": False,
    "IsViewOnceV2": False,
    "IsViewOnceV2Extension": False,
    "IsDocumentWithCaption": False,
    "IsLottieSticker": False,
    "IsEdit": False,
    "UnavailableRequestID": "",
    "RetryCount": 0,
}


def jid(written: str = "", device: int = 0) -> Any:
    """An address of the library's; none where nothing is written."""
    user, _, server = written.rpartition("@")
    return neonize.JID(
        User=user, RawAgent=0, Device=device, Integrator=0, Server=server, IsEmpty=not written
    )


def number(digits: str) -> str:
    """A phone number's address."""
    return f"{digits}@s.whatsapp.net"


def event(
    said: Any = "hello",
    *,
    sender: str = number(ANNA),
    chat: str | None = None,
    id: str = "3EB0AA",
    sender_alt: str = "",
    recipient_alt: str = "",
    from_me: bool = False,
    name: str = "Anna",
    at: int = AT * 1000,
    category: str = "",
    device: int = 0,
) -> Any:
    """A message, of which `said` is the text or all that stands in it."""
    inside = e2e.Message(conversation=said) if isinstance(said, str) else said
    there = sender if chat is None else chat
    source = neonize.MessageSource(
        Chat=jid(there),
        Sender=jid(sender, device),
        IsFromMe=from_me,
        IsGroup=there.endswith(("@g.us", "@broadcast")),
        SenderAlt=jid(sender_alt),
        RecipientAlt=jid(recipient_alt),
        BroadcastListOwner=jid(),
    )
    info = neonize.MessageInfo(
        MessageSource=source,
        ID=id,
        ServerID=0,
        Type="text",
        Pushname=name,
        Timestamp=at,
        Category=category,
        Multicast=False,
        MediaType="",
        Edit="",
    )
    return neonize.Message(Info=info, Message=inside, Raw=inside, **FLAGS)


def wrapped(kind: str, inside: Any) -> Any:
    """A message in a wrapper, such as `ephemeralMessage`."""
    return e2e.Message(**{kind: {"message": inside}})


def text(words: str, **context: Any) -> Any:
    """A text that quotes or mentions."""
    return e2e.Message(extendedTextMessage={"text": words, "contextInfo": context})


def protocol(kind: str, target: str, edited: Any = None) -> Any:
    """What is done to a message: REVOKE or MESSAGE_EDIT."""
    inside = e2e.ProtocolMessage(key={"ID": target, "remoteJID": GROUP}, type=kind)
    if edited is not None:
        inside.editedMessage.CopyFrom(edited)
    return e2e.Message(protocolMessage=inside)


def reaction(emoji: str, target: str) -> Any:
    """An emoji under a message."""
    return e2e.Message(reactionMessage={"key": {"ID": target}, "text": emoji})
