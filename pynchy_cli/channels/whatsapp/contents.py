"""What stands in a message of WhatsApp's: its wrappers taken off, its text, and for what is no text
a few words in brackets, so that nothing is passed over in silence. What one program tells another
is no content."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from pynchy_cli.channels.seen import line, whole
from pynchy_cli.channels.whatsapp import cards
from pynchy_cli.channels.whatsapp.addresses import plain

if TYPE_CHECKING:
    from neonize.proto.waE2E.WAWebProtobufsE2E_pb2 import ContextInfo, Message

LONGEST = 200_000
"""Characters of a text that are read; WhatsApp's are shorter."""
DEEPEST = 20
"""Wrappers that are taken off one another."""
OPAQUE = "[a message of a kind that can't be shown here{which}]"
NOISE = frozenset(
    {
        "conversation",
        "senderKeyDistributionMessage",
        "fastRatchetKeySenderKeyDistributionMessage",
        "messageContextInfo",
        "protocolMessage",
        "reactionMessage",
        "encReactionMessage",
        "pollUpdateMessage",
        "pollAddOptionMessage",
        "encEventResponseMessage",
        "encCommentMessage",
        "secretEncryptedMessage",
        "keepInChatMessage",
        "pinInChatMessage",
        "albumMessage",
        "placeholderMessage",
        "call",
        "callLogMesssage",
        "bcallMessage",
        "chat",
        "stickerSyncRmrMessage",
        "messageHistoryBundle",
        "messageHistoryNotice",
        "groupRootKeyShare",
        "rootSecretDistributeMessage",
        "limitSharingMessage",
        "statusNotificationMessage",
        "statusMentionMessage",
        "groupStatusMentionMessage",
        "groupStatusMessage",
        "groupStatusMessageV2",
        "acp2SettingMessage",
        "botPlatformRegistrationSuccessMessage",
    }
)
"""Fields by which nobody says anything, or nothing that we could read."""
SILENT = frozenset(
    {
        "extendedTextMessage",
        "imageMessage",
        "videoMessage",
        "ptvMessage",
        "audioMessage",
        "documentMessage",
    }
)
"""Fields that need no words: without any, they are but a file, or nothing."""
TEXTS: Mapping[str, Callable[[Any], str | bytes]] = {
    "extendedTextMessage": lambda one: one.text,
    "imageMessage": lambda one: one.caption,
    "documentMessage": lambda one: one.caption if one.caption != one.fileName else "",
    "videoMessage": lambda one: one.caption or cards.lasting("video", one),
    "ptvMessage": lambda one: one.caption or cards.lasting("video note", one),
    "audioMessage": lambda one: cards.lasting("voice note" if one.PTT else "audio", one),
    "stickerMessage": cards.sticker,
    "locationMessage": cards.location,
    "liveLocationMessage": cards.live_location,
    "contactMessage": cards.contact,
    "contactsArrayMessage": cards.contacts,
    "groupInviteMessage": cards.invitation,
    "eventMessage": cards.event,
    "buttonsResponseMessage": lambda one: cards.chosen(one.selectedDisplayText),
    "templateButtonReplyMessage": lambda one: cards.chosen(one.selectedDisplayText),
    "listResponseMessage": lambda one: cards.chosen(one.title or one.description),
    "interactiveResponseMessage": lambda one: cards.chosen(one.body.text),
    "interactiveMessage": lambda one: one.body.text,
    "buttonsMessage": lambda one: one.contentText,
    "listMessage": lambda one: one.description or one.title,
    "templateMessage": lambda one: one.hydratedTemplate.hydratedContentText,
}


def unwrapped(message: Message) -> Message:
    """The message inside of whatever it is wrapped in: vanishing, to be seen once, edited, sent by
    another device, or a kind of wrapper that comes later."""
    for _ in range(DEEPEST):
        inner = next(_inner(message), None)
        if inner is None:
            break
        message = inner
    return message


def content(message: Message) -> str:
    """What an unwrapped message says; empty where nobody says anything by it."""
    if message.conversation:
        return _text(message.conversation)
    kinds = [field.name for field, _ in message.ListFields() if field.name not in NOISE]
    said = [_said(kind, getattr(message, kind)) for kind in kinds]
    if any(said) or not kinds:
        return next(filter(None, said), "") or _unknown(message)
    return "" if set(kinds) & SILENT else OPAQUE.format(which=f": {kinds[0]}")


def context(message: Message) -> ContextInfo | None:
    """What an unwrapped message says of whom it mentions and what it quotes."""
    for field, value in message.ListFields():
        if field.message_type is None or field.is_repeated:
            continue
        inside = field.message_type.fields_by_name.get("contextInfo")
        if inside is not None and value.HasField("contextInfo"):
            found: ContextInfo = value.contextInfo
            return found
    return None


def _inner(message: Message) -> Iterator[Message]:
    for field, value in message.ListFields():
        kind = field.message_type.name if field.message_type is not None else ""
        wraps = kind in ("FutureProofMessage", "DeviceSentMessage", "CommentMessage")
        if wraps and field.name not in NOISE and value.HasField("message"):
            yield value.message


def _said(kind: str, value: Any) -> str:
    if kind.startswith("pollCreationMessage"):
        return cards.poll(value) if hasattr(value, "options") else ""
    read = TEXTS.get(kind)
    return _text(read(value)) if read is not None else ""


def _unknown(message: Message) -> str:
    """What is said of something that this version of the library doesn't know."""
    from google.protobuf.unknown_fields import UnknownFieldSet

    is_known = bool(message.ListFields()) or not len(UnknownFieldSet(message))
    return "" if is_known else OPAQUE.format(which="")


def _text(text: str | bytes) -> str:
    return whole(plain(text))[:LONGEST]


def shown(text: str | bytes) -> str:
    """A short text in one line."""
    return line(plain(text))
