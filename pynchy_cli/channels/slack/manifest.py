"""What the Slack app must be like: its manifest, and what each of its scopes is for."""

from __future__ import annotations

from typing import Any

SCOPES = {
    "app_mentions:read": "hear that somebody mentions it",
    "channels:history": "hear and read what is said in public channels that it is in",
    "channels:read": "know the public channels that it is in",
    "chat:write": "answer",
    "commands": "be asked by /pynchy",
    "files:read": "be given files",
    "files:write": "send files",
    "groups:history": "hear and read what is said in private channels that it is in",
    "groups:read": "know the private channels that it is in",
    "im:history": "hear and read direct messages to it",
    "im:read": "know its direct messages",
    "mpim:history": "hear and read what is said in group direct messages that it is in",
    "mpim:read": "know the group direct messages that it is in",
    "reactions:read": "be stopped and asked again by a reaction",
    "reactions:write": "react to a message",
    "users:read": "know what people are called",
}
"""What the bot's token must be allowed to, and what it is for."""
USEFUL = {"usergroups:read": "know what groups of users are called that are mentioned"}
"""What it may do without."""
APP_SCOPE = "connections:write"
EVENTS = (
    "app_mention",
    "member_joined_channel",
    "message.channels",
    "message.groups",
    "message.im",
    "message.mpim",
    "reaction_added",
)
COMMAND = "/pynchy"


def manifest(name: str) -> dict[str, Any]:
    """The manifest of an app of this name, as Slack takes it when an app is made from one."""
    return {
        "display_information": {
            "name": name,
            "description": "A personal assistant that runs on your own machine.",
        },
        "features": {
            "app_home": {
                "home_tab_enabled": False,
                "messages_tab_enabled": True,
                "messages_tab_read_only_enabled": False,
            },
            "bot_user": {"display_name": name, "always_online": True},
            "slash_commands": [
                {
                    "command": COMMAND,
                    "description": f"Ask {name} something",
                    "usage_hint": "status",
                    "should_escape": True,
                }
            ],
        },
        "oauth_config": {"scopes": {"bot": sorted([*SCOPES, *USEFUL])}},
        "settings": {
            "event_subscriptions": {"bot_events": list(EVENTS)},
            "interactivity": {"is_enabled": True},
            "org_deploy_enabled": False,
            "socket_mode_enabled": True,
            "token_rotation_enabled": False,
        },
    }
