"""Stub."""

from __future__ import annotations

from typing import Any

from pynchy_cli.channels.base import Outgoing, Piece


def pieces(reply: Outgoing, limit: int) -> list[Piece]:
    """Pieces."""
    return [Piece(reply.content[:limit], reply.buttons)]


def arguments(piece: Piece) -> dict[str, Any]:
    """Arguments."""
    return {"text": piece.text}
