"""The channel of Slack workspaces, over Socket Mode and the Web API."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pynchy_cli.plugins import hookimpl

if TYPE_CHECKING:
    from pynchy_cli.channels.base import Network
    from pynchy_cli.config.settings import Settings


class _Plugin:
    @hookimpl
    def pynchy_channel(self, name: str, settings: Settings) -> Network | None:
        """The workspace that is configured as this channel. Raises UsageWrong where none is."""
        if name != "slack" and not name.startswith("slack."):
            return None
        # Loaded when it is chosen: slack_sdk takes a quarter of a second.
        from pynchy_cli.channels.slack.channel import SlackChannel

        return SlackChannel(name, settings)


plugin = _Plugin()
