"""The keys by which people's messages are read, in the library's file. Where they are forgotten,
the next message can't be read, and the library asks its sender for it once more, as any WhatsApp
does whose keys are out of step: the phone sends it again, with keys that are new."""

from __future__ import annotations

import contextlib
import re
import sqlite3
import time
from collections.abc import Iterable
from pathlib import Path

from pynchy_cli.channels.whatsapp.ear import Ignored

PATIENCE, PAUSE = 5.0, 0.02
"""Seconds for which it waits while the library writes, and between two looks whether it does."""
_USER = re.compile(r"[^@:.]*")
# A person is known by phone number, by LID, or both. The ids of keys are USER:DEVICE, of which a
# LID's USER ends with _1.
_ALIASES = "SELECT pn FROM whatsmeow_lid_map WHERE lid = ? UNION "
_ALIASES += "SELECT lid FROM whatsmeow_lid_map WHERE pn = ?"
_OF_PERSON = "{0} GLOB ? || ':*' OR {0} GLOB ? || '_[0-9]*:*'"
_FORGET = "DELETE FROM whatsmeow_sessions WHERE " + _OF_PERSON.format("their_id")
_FORGET_IN_GROUP = "DELETE FROM whatsmeow_sender_keys WHERE chat_id = ? AND ("
_FORGET_IN_GROUP += _OF_PERSON.format("sender_id") + ")"


def forget(database: Path, messages: Iterable[Ignored], patience: float = PATIENCE) -> None:
    """Forget the keys that the senders of these have used. No client may be at work on the file;
    one that is still ending is waited for. Raises sqlite3.Error."""
    _wait(database.with_name(f"{database.name}-journal"), patience)
    address = f"{database.absolute().as_uri()}?mode=rw"
    with contextlib.closing(sqlite3.connect(address, uri=True, timeout=PATIENCE)) as db, db:
        for message in messages:
            user = user_of(message.sender)
            others = [str(row[0]) for row in db.execute(_ALIASES, (user, user))]
            for one in filter(str.isalnum, {user, *others}):
                db.execute(_FORGET, (one, one))
                db.execute(_FORGET_IN_GROUP, (message.chat, one, one))


def _wait(journal: Path, patience: float) -> None:
    """Ours would take back what the library is writing: see `device`."""
    end = time.monotonic() + patience
    while journal.exists():
        if time.monotonic() >= end:
            raise sqlite3.OperationalError("the library is still writing")
        time.sleep(PAUSE)


def user_of(jid: str) -> str:
    """What stands before the device and the server in a JID."""
    return _USER.match(jid)[0]  # type: ignore[index]  # it matches anything
