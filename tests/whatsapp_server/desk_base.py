"""What the desks share."""

from __future__ import annotations

import base64
from typing import Any

from tests.whatsapp_server.hosting import Hosting
from tests.whatsapp_server.protos import e2e
from tests.whatsapp_server.service import Service
from tests.whatsapp_server.world import World


class Base:
    """One server's parts. Raises ValueError for what can't be."""

    def __init__(self, service: Service, hosting: Hosting) -> None:
        self._service = service
        self._hosting = hosting
        self._world: World = service.world


def given(message: str) -> Any:
    """A whole message that a test has built, if it has."""
    return e2e.Message.FromString(base64.b64decode(message)) if message else None
