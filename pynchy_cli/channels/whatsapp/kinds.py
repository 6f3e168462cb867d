"""What kind of file something is, by its first bytes: phones show few kinds by themselves, and what
only says that it is one of those by its name would be shown as broken."""

from __future__ import annotations

import mimetypes

from pynchy_cli.channels.whatsapp.media import Kind

HEAD = 64
"""Bytes that tell."""
SHOWN = 16 * 1024**2
"""Bytes of a file that is shown in the chat; larger ones are sent as documents."""
_BRANDS = {b"M4A ": "audio/mp4", b"M4B ": "audio/mp4", b"3gp": "video/3gpp", b"qt  ": ""}


def kind_of(name: str, head: bytes, size: int) -> tuple[Kind, str]:
    """How a file is sent, and its MIME type."""
    mime = _shown(head) if size <= SHOWN else ""
    if mime.startswith("image/"):
        return "image", mime
    if mime.startswith("video/"):
        return "video", mime
    if mime.startswith("audio/"):
        return "audio", mime
    return "document", mimetypes.guess_type(name)[0] or "application/octet-stream"


def _shown(head: bytes) -> str:
    """The MIME type, where phones show such by themselves."""
    if head.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if head.startswith(b"OggS"):
        return "audio/ogg; codecs=opus" if b"OpusHead" in head else ""
    if head.startswith(b"#!AMR"):
        return "audio/amr"
    if head.startswith(b"ID3") or head[:2] in (b"\xff\xfb", b"\xff\xf3", b"\xff\xf2"):
        return "audio/mpeg"
    if head[4:8] == b"ftyp":
        brands = (mime for brand, mime in _BRANDS.items() if head[8:12].startswith(brand))
        return next(brands, "video/mp4" if head[8:11] in (b"iso", b"mp4", b"avc") else "")
    return ""
