"""What becomes of a connection, as WhatsApp tells it: what only a person can mend, and what to do
then; and what passes."""

from __future__ import annotations

import re
from typing import Any

from pynchy_cli.errors import ChannelBroken, LoggedOut, PynchyError

LOGGED_OUT, STREAM_REPLACED, TEMPORARY_BAN, CONNECT_FAILURE = 6, 7, 8, 9
CLIENT_OUTDATED, STREAM_ERROR, DISCONNECTED = 10, 11, 12
CONNECTED, KEEPALIVE_TIMEOUT, KEEPALIVE_RESTORED = 3, 4, 5
AUTH = "pynchy auth whatsapp"
_BEGIN = f"then `{AUTH}` has it started again."
_BANS = {
    1: "too many people who don't know this number were written to",
    2: "too many people have blocked it",
    3: "too many groups were made with people who don't know it",
    4: "too many people were sent the same",
    5: "too much was sent to a broadcast list",
}
_MAIN_DEVICE_GONE = 4
_CODES = {
    "LoggedOut": LOGGED_OUT,
    "StreamReplaced": STREAM_REPLACED,
    "TemporaryBan": TEMPORARY_BAN,
    "ClientOutdated": CLIENT_OUTDATED,
}
_UNSAID = re.compile(rf"\bneonize\.({'|'.join(_CODES)})\b")


def fatal(code: int, event: Any) -> PynchyError | None:
    """The error that an event means, where only a person can mend it. The event may be unreadable:
    None."""
    if code == LOGGED_OUT:
        return _logged_out(event)
    if code == TEMPORARY_BAN:
        return ChannelBroken(
            f"WhatsApp has banned this account for a while{_ban(event)}. Wait until that is over,"
            f" and write less at once; {_BEGIN}"
        )
    if code == CLIENT_OUTDATED:
        return ChannelBroken(
            "WhatsApp takes this version of neonize no more. Get a newer one: pip install --upgrade"
            f" neonize; {_BEGIN}"
        )
    if code == STREAM_REPLACED:
        return ChannelBroken(
            "Another program has connected with the same device, perhaps from a copy of"
            f" data/neonize.db. Stop that one; {_BEGIN}"
        )
    return None


def unsaid(why: str) -> PynchyError | None:
    """The same, where neonize has broken down over the event, because it says something that
    neonize doesn't know, such as a new reason: then its name is in the error."""
    found = _UNSAID.search(why)
    return fatal(_CODES[found[1]], None) if found is not None else None


def unpaired() -> PynchyError:
    """There is no device."""
    return LoggedOut(f"No WhatsApp account is linked. `{AUTH}` links one.")


def passing(code: int, event: Any) -> str | None:
    """Why the connection doesn't stand just now; None where the event says no such thing."""
    if code == DISCONNECTED:
        return "the connection was lost"
    if code == KEEPALIVE_TIMEOUT:
        return "WhatsApp doesn't answer"
    if code == STREAM_ERROR:
        return f"WhatsApp ended the connection: {event.Code if event is not None else 'unknown'}"
    return None


def unkept(said: str) -> PynchyError | None:
    """The error of what Go says of a file that it couldn't write; None where it says something
    else."""
    if not said.startswith("failed to upgrade database"):
        return None
    why = said.rpartition(": ")[2]
    return ChannelBroken(
        f"The linked device's file can't be written: {why}. Mend it and try again."
    )


def undialled(said: str) -> str:
    """Why there is no connection, of what Go says: one error within another, the last of which is
    the reason. What doesn't come of dialling stays as it is."""
    return said.rpartition(": ")[2] if said.startswith("failed to dial") else said


def refusal(event: Any) -> str:
    """Why WhatsApp let us in no more, as its event ConnectFailure says."""
    if event is None:
        return "WhatsApp refused the connection"
    kind = event.DESCRIPTOR.fields_by_name["Reason"].enum_type.values_by_number[event.Reason].name
    said = f": {event.Message}" if event.Message else ""
    return f"WhatsApp refused the connection ({kind.lower().replace('_', ' ')}{said})"


def _logged_out(event: Any) -> PynchyError:
    gone = event is not None and event.Reason == _MAIN_DEVICE_GONE
    why = ": the account was banned, deleted or moved to another phone" if gone else ""
    return LoggedOut(
        f"WhatsApp has logged this device out{why}. Its keys are gone; `{AUTH}` links it anew."
    )


def _ban(event: Any) -> str:
    if event is None or not event.HasField("Code"):
        return ""
    why = _BANS.get(event.Code)
    return f": {why}" if why is not None else ""
