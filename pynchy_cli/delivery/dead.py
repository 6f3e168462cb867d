"""What never gets to its chat: it is kept as dead, and blocks nobody."""

from __future__ import annotations

from pynchy_cli.model import Delivery
from pynchy_cli.store import outbox
from pynchy_cli.store.connection import Connection


def bury(db: Connection, delivery: Delivery, why: str, now: str) -> None:
    """Give a delivery up."""
    outbox.bury(db, delivery, why)
