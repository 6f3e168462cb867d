"""How long the gateway waits for the model. It is longer than any healthy answer is silent,
and never for ever."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Patience:
    """Seconds until an upstream is given up."""

    connect: float = 15.0
    """For a connection to be made."""
    silence: float = 600.0
    """Without a byte, before an answer begins or in one that comes as a whole."""
    stream: float = 300.0
    """Without a byte in a stream; a healthy one sends signs of life."""


PATIENCE = Patience()
