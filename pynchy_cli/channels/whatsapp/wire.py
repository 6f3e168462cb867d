"""One client of neonize's Go library, from dialling to its end, on a thread of its own: what Go
calls us with, and how its connection is cut. Only `library.load` makes this module importable."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Event as ThreadEvent
from threading import Thread
from typing import Any, Protocol

from google.protobuf.message import DecodeError
from neonize._binder import func_callback_bytes, func_callback_bytes2, func_string
from neonize.events import INT_TO_EVENT
from neonize.proto.Neonize_pb2 import LogEntry
from neonize.proto.waCompanionReg.WAWebProtobufsCompanionReg_pb2 import DeviceProps

from pynchy_cli import log
from pynchy_cli.channels.whatsapp.ear import Ignored
from pynchy_cli.channels.whatsapp.gate import Gate
from pynchy_cli.channels.whatsapp.states import CONNECTED, DISCONNECTED

DEVICE = 0
MESSAGE, JOINED_GROUP, GROUP_INFO, UNDECRYPTABLE = 17, 21, 22, 44
WANTED = bytes(
    (*range(CONNECTED, DISCONNECTED + 1), MESSAGE, JOINED_GROUP, GROUP_INFO, UNDECRYPTABLE)
)
"""The events that Go hands on to us; the device it tells of unasked."""
KEYS = frozenset({"senderKeyDistributionMessage", "messageContextInfo"})
"""What comes first in a group, as an event of its own with the id of the message behind it."""


@dataclass(frozen=True)
class Heard:
    """An event: its number, and what it says, None where that can't be read. Go waits until
    `dealt_with` is called."""

    code: int
    event: Any
    dealt_with: Callable[[], None]


class Listener(Protocol):
    """Who is told, on threads of Go's."""

    def heard(self, heard: Heard) -> None:
        """An event came; returns at once."""

    def ignored(self, message: Ignored) -> None:
        """A message was ignored; returns at once."""

    def unpaired(self) -> None:
        """There is no device in the database: a QR code would have to be scanned."""

    def ended(self, why: str) -> None:
        """The client has ended, with this error where there is one."""


class Wire:
    """A client. `code` is the shared object; `name` is what Go knows the client by."""

    def __init__(self, code: Any, name: str, database: Path, listener: Listener) -> None:
        self._code = code
        self._name = name.encode()
        self._database = database
        self._listener = listener
        self._log = log.get("whatsapp")
        self.gate = Gate()
        # Go calls these for as long as it likes: they go when the process does.
        self._calls = (
            func_string(self._qr),
            func_string(lambda name, state: None),
            func_callback_bytes(self._came),
            func_callback_bytes2(self._logged),
        )
        self._wanted = bytearray(WANTED)

    def start(self) -> None:
        """Dial, and go on in a thread."""
        Thread(target=self._run, name="whatsapp", daemon=True).start()

    def cut(self) -> None:
        """Cut the connection; blocks while it is being made. What has come is still handed on."""
        self._code.Disconnect(self._name)

    def end(self) -> None:
        """End the client. Nothing may be asked of it afterwards."""
        self.gate.open()
        self._code.Stop(self._name)

    def _run(self) -> None:
        props = DeviceProps(os="Pynchy", platformType=DeviceProps.DESKTOP).SerializeToString()
        wanted = (ctypes.c_char * len(self._wanted)).from_buffer(self._wanted)
        error = self._code.Neonize(
            str(self._database).encode(),
            self._name,
            b"",  # no JID: the device that is there
            0,
            0,  # no new device
            b"DEBUG",  # for the gate
            *self._calls,
            wanted,
            len(self._wanted),
            props,
            len(props),
            b"",  # no pairing code
            0,
            None,  # the proxy of the environment
        )
        self._listener.ended(bytes(error or b"").decode(errors="replace"))

    def _came(self, name: bytes, data: int, size: int, code: int) -> None:
        """Called by Go with an event; it hands on the next one when this returns."""
        event = _read(code, ctypes.string_at(data, size))
        done = ThreadEvent()
        self.gate.began()
        self._listener.heard(Heard(code, event, done.set))
        done.wait()
        self.gate.ended(_whole(code, event))

    def _logged(self, data: int, size: int) -> None:
        """Called by Go with a line for the log, by whoever writes it."""
        if not data or size <= 0:
            return
        try:
            entry = LogEntry.FromString(ctypes.string_at(data, size))
        except DecodeError:
            return
        if entry.Name in ("Client/Recv", "Client/Send"):
            self.gate.frame(entry.Name == "Client/Recv", entry.Message)
        elif entry.Level != "DEBUG":
            self._log.debug(entry.Message, level=entry.Level.lower(), of=entry.Name)
            if (ignored := self.gate.ignored(entry.Message)) is not None:
                self._listener.ignored(Ignored(*ignored))

    def _qr(self, name: int, code: int) -> None:
        self._listener.unpaired()


def _read(code: int, data: bytes) -> Any:
    """The event; None where it is of a kind, or has a value, that neonize doesn't know."""
    kind = INT_TO_EVENT.get(code)
    try:
        return kind.FromString(data) if kind is not None else None
    except DecodeError:
        return None


def _whole(code: int, event: Any) -> str | None:
    """The id of a message of which nothing more is to come."""
    if event is None or code not in (MESSAGE, UNDECRYPTABLE):
        return None
    has_more = code == MESSAGE and {one.name for one, _ in event.Message.ListFields()} <= KEYS
    return None if has_more else str(event.Info.ID)
