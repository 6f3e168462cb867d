"""The file that came with a message of WhatsApp's."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from pynchy_cli.channels.base import NeverSent
from pynchy_cli.channels.seen import line
from pynchy_cli.channels.whatsapp.addresses import plain
from pynchy_cli.channels.whatsapp.media import Kind, Media, media_of
from pynchy_cli.model import SharedFile

if TYPE_CHECKING:
    from neonize.proto.waE2E.WAWebProtobufsE2E_pb2 import Message

KINDS: dict[str, Kind] = {
    "imageMessage": "image",
    "videoMessage": "video",
    "ptvMessage": "video",
    "audioMessage": "audio",
    "documentMessage": "document",
}
ENDINGS = {
    "application/pdf": ".pdf",
    "audio/aac": ".aac",
    "audio/mp4": ".m4a",
    "audio/mpeg": ".mp3",
    "audio/ogg": ".ogg",
    "image/gif": ".gif",
    "image/jpeg": ".jpg",
    "image/png": ".png",
    "image/webp": ".webp",
    "text/plain": ".txt",
    "video/3gpp": ".3gp",
    "video/mp4": ".mp4",
}
_LARGEST = 2**53
_ADDRESS = re.compile(r"https://[a-z0-9.-]+(/[!-~]+)", re.IGNORECASE)


def files(message: Message, timestamp: str) -> tuple[SharedFile, ...]:
    """What an unwrapped message brings; it has one at most. `timestamp` is when it was said."""
    for field, value in message.ListFields():
        if (kind := KINDS.get(field.name)) is not None:
            return (_file(kind, value, timestamp),)
    return ()


def _file(kind: Kind, one: Any, timestamp: str) -> SharedFile:
    size = one.fileLength if one.HasField("fileLength") else None
    size = size if size is None or size < _LARGEST else None
    mime = line(plain(one.mimetype))
    media = Media(kind, _path(one), size, one.fileEncSHA256, one.fileSHA256, one.mediaKey)
    remote_id, why = media.remote_id(), None
    try:
        media_of(remote_id)
    except NeverSent as error:
        remote_id, why = "", str(error)
    return SharedFile(
        remote_id=remote_id,
        name=_name(kind, one, mime, timestamp),
        mime=mime,
        size=size,
        state="failed" if why else "waiting",
        error=why,
    )


def _path(one: Any) -> str:
    if path := plain(one.directPath):
        return path
    found = _ADDRESS.fullmatch(plain(one.URL))
    return found[1] if found else ""


def _name(kind: Kind, one: Any, mime: str, timestamp: str) -> str:
    """As whoever shares it calls it; else by its kind and moment, such as
    `voice-20260131-080000.ogg`."""
    if kind == "document" and (name := line(plain(one.fileName or one.title))):
        return name
    called = "voice" if kind == "audio" and one.PTT else kind
    moment = re.sub(r"[-:]", "", timestamp[:19]).replace("T", "-")
    return f"{called}-{moment}{ENDINGS.get(mime.partition(';')[0].strip().lower(), '')}"
