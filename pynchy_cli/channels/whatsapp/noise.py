"""Keeps what Go prints off our standard output. On standard error it prints one line, and what it
has to say when it breaks down: that stays."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from threading import Thread
from typing import TextIO

STDOUT = 1
PATIENCE = 1.0
"""Seconds in which what was printed last is told."""


@contextlib.contextmanager
def kept_off(tell: Callable[[str], None]) -> Iterator[None]:
    """Tell what is printed on the process's standard output, line by line, while this lasts.
    `sys.stdout` goes on writing where it did; where that is somewhere else, nothing is done."""
    before = sys.stdout
    if not _is_standard(before):
        yield
        return
    before.flush()
    real = os.dup(STDOUT)
    reading, writing = os.pipe()
    os.dup2(writing, STDOUT)
    os.close(writing)
    reader = Thread(target=_read, args=(reading, tell), name="whatsapp-noise", daemon=True)
    reader.start()
    try:
        with os.fdopen(os.dup(real), "w", encoding=before.encoding, buffering=1) as ours:
            sys.stdout = ours
            try:
                yield
            finally:
                sys.stdout = before
    finally:
        os.dup2(real, STDOUT)
        os.close(real)
        reader.join(PATIENCE)


def _is_standard(stream: TextIO | None) -> bool:
    try:
        return stream is not None and stream.fileno() == STDOUT
    except (OSError, ValueError):  # closed, or no file
        return False


def _read(reading: int, tell: Callable[[str], None]) -> None:
    with open(reading, encoding="utf-8", errors="replace") as lines:
        for line in lines:
            tell(line.rstrip())
