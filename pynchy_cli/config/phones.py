"""WhatsApp's people and chats as somebody types them: a phone number with blanks, brackets and a
plus, or an address. The file holds what the network calls them, and what is typed becomes that."""

from __future__ import annotations

import re

from pynchy_cli.errors import UsageWrong

PREFIX = "whatsapp:"
OWNER = f"{PREFIX}owner"
EXAMPLE = "+49 151 23456789"
_SPARE = re.compile(r"\(0\)|[\s()./\u2010-\u2015\u202a-\u202e-]")
_DIGITS = re.compile(r"[1-9][0-9]{6,14}")
_ADDRESS = re.compile(r"([^@]+)@(s\.whatsapp\.net|c\.us|lid|g\.us)", re.IGNORECASE)
_GROUP = re.compile(r"[0-9]{16,24}|[1-9][0-9]{9,14}-1[0-9]{9}")
"""Groups' ids: of today, and those that began with the number of whoever made them."""
_ID = re.compile(r"[1-9][0-9]{3,19}")
"""What WhatsApp may call somebody."""


def digits(text: str) -> str | None:
    """A phone number as people write it, as digits alone; None where it is none, or has no
    country's code."""
    bare = _SPARE.sub("", text)
    bare = bare.removeprefix("+") if bare.startswith("+") else bare.removeprefix("00")
    return bare if _DIGITS.fullmatch(bare) and bare.isascii() else None


def person(name: str) -> str | None:
    """Whom a name that begins with `whatsapp:` means, as the channel gives senders; None where it
    means nobody."""
    text = name.removeprefix(PREFIX).strip()
    if name == OWNER:
        return name
    found = _ADDRESS.fullmatch(text)
    if found is not None:
        user, server = found[1].partition(":")[0], found[2].lower()
        if server == "lid":
            return f"{PREFIX}{user}@lid" if _ID.fullmatch(user) else None
        if server != "g.us" and _ID.fullmatch(user):
            return f"{PREFIX}{user}"
        text = user if server != "g.us" else ""
    number = digits(text)
    return f"{PREFIX}{number}" if number is not None else None


def meant(name: str) -> str:
    """The same of any name; what isn't WhatsApp's, or means nobody there, stays as it is."""
    return person(name) or name if name.startswith(PREFIX) else name


def require_user(name: str) -> str:
    """The same. Raises UsageWrong where it means nobody on WhatsApp."""
    if name.startswith(PREFIX) and person(name) is None:
        raise UsageWrong(
            f"{name!r} is nobody: people on WhatsApp go by their phone numbers with the country's "
            f'code, such as "{PREFIX}{EXAMPLE}".'
        )
    return meant(name)


def chat(jid: str) -> str:
    """A chat, as its channel calls it; what isn't WhatsApp's stays as it is. Raises UsageWrong
    where there can be no such chat."""
    if not jid.startswith(PREFIX):
        return jid
    text = jid.removeprefix(PREFIX).strip()
    found = _ADDRESS.fullmatch(text)
    is_group = found[2].lower() == "g.us" if found is not None else True
    id = found[1] if found is not None else text
    if is_group and _GROUP.fullmatch(id):
        return f"{PREFIX}{id}@g.us"
    user = person(jid)
    if user is None or user == OWNER:
        raise UsageWrong(
            f'{jid!r} is no chat on WhatsApp: "{PREFIX}{EXAMPLE}" is the one with that number, and '
            f"{PREFIX}120363041234567890@g.us a group. `pynchy groups chats` lists those known."
        )
    return user if user.endswith("@lid") else f"{user}@s.whatsapp.net"
