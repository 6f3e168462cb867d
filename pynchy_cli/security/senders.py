"""Who may speak to a group's assistant. Asked once, when a message comes in; the verdict is
stored with the message and never asked again. What can't be decided is refused. Who may decide
what is asked is a list of names of the same kind."""

from __future__ import annotations

from pynchy_cli.model import Group, Verdict

OWNER = "owner"
"""Whoever has the shell: what the channels of the shell call their sender."""
SHELL_CHANNELS = frozenset({"local", "stdin"})
EVERYONE = "*"


def verdict(group: Group | None, channel: str, sender: str) -> Verdict:
    """Whether `sender` of `channel` may speak to the group. A chat of no group takes nobody.

    `allowed_users` holds `*`, `owner`, ids as the channel gives them, or `channel:id`.
    """
    if group is None or not sender:
        return "refused"
    return "allowed" if _names(group.allowed_users, channel, sender) else "refused"


def is_one_of(names: tuple[str, ...], channel: str, sender: str) -> bool:
    """Whether whoever is called `sender` on a channel is among some names, which are written as
    in `allowed_users`."""
    return bool(sender) and _names(names, channel, sender)


def name_of(channel: str, sender: str) -> str:
    """What a sender is called in notes of who decided what: `owner`, or `channel:id`."""
    is_owner = sender == OWNER and channel in SHELL_CHANNELS
    return OWNER if is_owner else f"{channel}:{sender}"


def _names(allowed: tuple[str, ...], channel: str, sender: str) -> bool:
    if EVERYONE in allowed or f"{channel}:{sender}" in allowed:
        return True
    if sender == OWNER:
        # A network's user who calls himself so is not the owner.
        return channel in SHELL_CHANNELS and OWNER in allowed
    # An id with a colon in it could pass for another channel's.
    return ":" not in sender and sender != EVERYONE and sender in allowed
