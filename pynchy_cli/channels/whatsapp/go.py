"""How neonize's Go library is had to dial, and how to read what it then calls us with. Only
`library.load` makes this module importable."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

from google.protobuf.message import DecodeError
from neonize.events import INT_TO_EVENT
from neonize.proto.Neonize_pb2 import LogEntry
from neonize.proto.waCompanionReg.WAWebProtobufsCompanionReg_pb2 import DeviceProps

Calls = tuple[Any, Any, Any, Any]
"""What Go calls us with: codes to be read, how linking goes, events, and lines for the log."""


def dial(code: Any, database: Path, name: bytes, level: bytes, calls: Calls, wanted: bytes) -> str:
    """Dial with the device of a file, or a new one, and go on until the client ends: the error with
    which it does, or nothing. `code` is the shared object, `level` that of the lines for the log,
    and `wanted` are the numbers of the events that are handed on."""
    props = DeviceProps(os="Pynchy", platformType=DeviceProps.DESKTOP).SerializeToString()
    numbers = (ctypes.c_char * len(wanted)).from_buffer(bytearray(wanted))
    error = code.Neonize(
        str(database).encode(),
        name,
        b"",  # no JID: the device that is there
        0,
        0,  # no further device
        level,
        *calls,
        numbers,
        len(wanted),
        props,
        len(props),
        b"",  # no code for a phone, which is asked for later
        0,
        None,  # the proxy of the environment
    )
    return bytes(error or b"").decode(errors="replace")


def event(number: int, data: int, size: int) -> Any:
    """The event at an address; None where it is of a kind, or has a value, that neonize doesn't
    know."""
    kind = INT_TO_EVENT.get(number)
    try:
        return kind.FromString(ctypes.string_at(data, size)) if kind is not None else None
    except DecodeError:
        return None


def entry(data: int, size: int) -> LogEntry | None:
    """The line for the log at an address, where there is one."""
    if not data or size <= 0:
        return None
    try:
        return LogEntry.FromString(ctypes.string_at(data, size))
    except DecodeError:
        return None
