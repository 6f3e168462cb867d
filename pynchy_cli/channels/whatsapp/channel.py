"""A WhatsApp account as a channel."""

from __future__ import annotations

from pynchy_cli.channels.base import Network
from pynchy_cli.config.settings import Settings
from pynchy_cli.errors import UsageWrong


def make(name: str, settings: Settings) -> Network:
    """The channel."""
    raise UsageWrong("It is being built.")
