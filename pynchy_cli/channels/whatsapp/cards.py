"""What people share on WhatsApp that is neither text nor file, in a few words in brackets."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from typing import Any

from pynchy_cli.channels.seen import line
from pynchy_cli.channels.whatsapp.addresses import plain

MOST = 20
"""Contacts, and choices of a poll, that are shown."""
_PHONE = re.compile(r"^(?:item\d+\.)?TEL[^:\r\n]{0,200}:([^\r\n]{1,40})", re.MULTILINE)


def lasting(what: str, one: Any) -> str:
    """Something that lasts for some seconds."""
    minutes, seconds = divmod(min(one.seconds, 359_999), 60)
    return f"[{what}, {minutes}:{seconds:02}]" if one.seconds else f"[{what}]"


def sticker(one: Any) -> str:
    """A sticker; what it shows, where it is said."""
    return _card("sticker", one.emojis or one.accessibilityLabel)


def location(one: Any) -> str:
    """A place."""
    kind = "live location" if one.isLive else "location"
    where = (one.name, one.address, _degrees(one), one.URL)
    return _card(kind, *where) + _below(one.comment)


def live_location(one: Any) -> str:
    """Where somebody is just now."""
    return _card("live location", _degrees(one)) + _below(one.caption)


def contact(one: Any) -> str:
    """Somebody's name and phone numbers."""
    numbers = _PHONE.findall(plain(one.vcard)[:20_000])
    return _card("contact", one.displayName, *numbers[:5])


def contacts(one: Any) -> str:
    """Several of these."""
    return "\n".join(contact(each) for each in one.contacts[:MOST]) or _card("contacts")


def poll(one: Any) -> str:
    """A poll; votes are not told."""
    choices = " / ".join(_shown(each.optionName) for each in one.options[:MOST])
    return _card("poll", one.name, choices)


def chosen(text: str | bytes) -> str:
    """What stands on a button that somebody pressed: the words of whoever made it."""
    return _card("chosen", text)


def invitation(one: Any) -> str:
    """An invitation to a group."""
    return _card("invitation to a group", one.groupName) + _below(one.caption)


def event(one: Any) -> str:
    """Something that people are to come to."""
    kind = "cancelled event" if one.isCanceled else "event"
    where = (one.location.name, one.joinLink)
    return _card(kind, one.name, _moment(one.startTime), *where) + _below(one.description)


def _card(kind: str, *facts: str | bytes) -> str:
    told = ", ".join(filter(None, map(_shown, facts)))
    return f"[{kind}: {told}]" if told else f"[{kind}]"


def _below(text: str | bytes) -> str:
    return f"\n{plain(text)}" if text else ""


def _shown(fact: str | bytes) -> str:
    return line(plain(fact))


def _degrees(one: Any) -> str:
    degrees = one.degreesLatitude, one.degreesLongitude
    is_place = all(map(math.isfinite, degrees)) and any(degrees)
    return f"{degrees[0]:.6f} {degrees[1]:.6f}" if is_place else ""


def _moment(seconds: int) -> str:
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC") * bool(seconds)
    except (ValueError, OverflowError, OSError):
        return ""
