"""Settings as they may be kept where credentials may not: a person's own file may have some, though
they belong into .env."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from pynchy_cli.config.paths import Home
from pynchy_cli.keeping.contents import SETTINGS

SHORTEST = 8
"""Bytes of a credential that is looked for; anything may have what is shorter."""


def blanked(home: Home, drafts: Path, credentials: Sequence[str]) -> dict[str, Path]:
    """Name of a file that has some of these credentials -> a copy in `drafts` where nothing stands
    in their places. Raises OSError where that can't be written."""
    # The longest first: one may begin as another does.
    known = sorted((one.encode() for one in credentials), key=len, reverse=True)
    found: dict[str, Path] = {}
    for name in SETTINGS:
        text = b""
        with suppress(OSError):  # whoever copies it tells what is wrong with it
            text = (home.root / name).read_bytes()
        without = text
        for one in known:
            without = without.replace(one, b"") if len(one) >= SHORTEST else without
        if without != text:
            found[name] = drafts / name
            found[name].write_bytes(without)
    return found
