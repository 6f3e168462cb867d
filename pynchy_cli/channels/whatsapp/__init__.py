"""The channel of a WhatsApp account, as one of its linked devices, over neonize."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pynchy_cli.plugins import hookimpl

if TYPE_CHECKING:
    from pynchy_cli.channels.base import Network
    from pynchy_cli.config.settings import Settings


class _Plugin:
    @hookimpl
    def pynchy_channel(self, name: str, settings: Settings) -> Network | None:
        """The account of this home. Raises UsageWrong where none is configured."""
        if name != "whatsapp" and not name.startswith("whatsapp."):
            return None
        # Loaded when it is chosen: it is large, and neonize may not be there.
        from pynchy_cli.channels.whatsapp.channel import WhatsAppChannel

        return WhatsAppChannel(name, settings)


plugin = _Plugin()
