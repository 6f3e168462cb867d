"""How long somebody who calls is waited for. Whoever is slower is ended, and others are heard."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Patience:
    """Seconds each."""

    idle: float = 15.0
    """In which a call must have come, and the next one after it."""
    body: float = 20.0
    """In which its body must have come."""
    taken: float = 30.0
    """In which somebody who follows must have taken what was written."""
    heartbeat: float = 15.0
    """Between signs of life for those."""
    linger: float = 2.0
    """That are spent on reading what nobody wants."""


PATIENCE = Patience()
