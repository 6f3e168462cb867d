"""Reads a file that a person wrote, and turns what can be wrong with one into a sentence."""

from __future__ import annotations

import stat
from pathlib import Path

from pynchy_cli.errors import ConfigInvalid

MAX_BYTES = 1024**2


def read_text(path: Path) -> str | None:
    """The file's text without a byte order mark, or None where there is no file.

    Raises ConfigInvalid where it can't be read, is no file, or is not UTF-8.
    """
    try:
        found = path.stat()
        if stat.S_ISDIR(found.st_mode):
            raise ConfigInvalid(f"{path} is a folder; it must be a file.")
        if not stat.S_ISREG(found.st_mode):
            raise ConfigInvalid(f"{path} is not a plain file.")
        if found.st_size > MAX_BYTES:
            raise ConfigInvalid(f"{path} is larger than {MAX_BYTES} bytes; is it the right file?")
        data = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise ConfigInvalid(f"{path} can't be read: {error.strerror}.") from error
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigInvalid(f"{path}, line {line}: not UTF-8 text.") from error
