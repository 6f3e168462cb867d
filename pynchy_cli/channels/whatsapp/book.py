"""Which phone number goes with which LID, as far as the library has noted it in the file of the
device; here that is only looked up."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

from pynchy_cli import log

_PHONE = "SELECT pn FROM whatsmeow_lid_map WHERE lid = ?"


def phone_of(database: Path, lid: str) -> str | None:
    """The phone number of a LID, digits both; None where it isn't known."""
    try:
        # As it lies there: see `device`.
        address = f"{database.absolute().as_uri()}?mode=ro&immutable=1"
        with contextlib.closing(sqlite3.connect(address, uri=True)) as db:
            row = db.execute(_PHONE, (lid,)).fetchone()
    except sqlite3.Error as error:
        log.get("whatsapp").debug("not looked up", error=str(error))
        return None
    return str(row[0]) if row is not None else None
