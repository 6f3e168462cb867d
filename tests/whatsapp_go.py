"""Stands where neonize's shared object does, and calls back as that does: events one after the
other from a queue, on the thread that dialled; lines for the log from whoever writes them, before
it goes on. What whatsmeow does in between is done here in its order: a frame is logged, decrypted,
put into the queue, and acknowledged by a thread of its own, whatever the queue's reader does."""

from __future__ import annotations

import ctypes
import subprocess
import time
import warnings
from collections.abc import Callable
from queue import SimpleQueue
from threading import Event, Thread
from typing import Any

from pynchy_cli.channels.whatsapp import library

library.load()
with warnings.catch_warnings():
    # neonize asks `uname`, and leaves that process to whoever begins the next one.
    warnings.simplefilter("ignore", ResourceWarning)
    while getattr(subprocess, "_active", None):
        getattr(subprocess, "_cleanup")()  # noqa: B009 - types know nothing of it

from neonize.events import EVENT_TO_INT  # noqa: E402
from neonize.proto import Neonize_pb2 as events  # noqa: E402
from neonize.proto.waE2E.WAWebProtobufsE2E_pb2 import Message as Said  # noqa: E402

NUMBER, LID = "4915550001", "9994915550001"


def jid(user: str = "", server: str = "") -> events.JID:
    return events.JID(
        User=user, Server=server, RawAgent=0, Device=0, Integrator=0, IsEmpty=not (user or server)
    )


def message(message_id: str, text: str = "hello", sender: str = "4915550100") -> events.Message:
    """An event of somebody's message to us."""
    who = jid(sender, "s.whatsapp.net")
    source = events.MessageSource(
        Chat=who,
        Sender=who,
        IsFromMe=False,
        IsGroup=False,
        SenderAlt=jid(),
        RecipientAlt=jid(),
        BroadcastListOwner=jid(),
    )
    info = events.MessageInfo(
        MessageSource=source,
        ID=message_id,
        ServerID=0,
        Type="text",
        Pushname="Bob",
        Timestamp=int(time.time()),
        Category="",
        Multicast=False,
        MediaType="",
        Edit="",
    )
    return events.Message(
        Info=info,
        Message=Said(conversation=text),
        Raw=Said(conversation=text),
        IsEphemeral=False,
        IsViewOnce=False,
        IsViewOnceV2=False,
        IsViewOnceV2Extension=False,
        IsDocumentWithCaption=False,
        IsLottieSticker=False,
        IsEdit=False,
        UnavailableRequestID="",
        RetryCount=0,
    )


class Go:
    """The shared object. Of the first dials each ends with an error of `refused`; with `is_slow`
    dialling takes until `door` is set."""

    def __init__(self, *refused: str, is_slow: bool = False, is_paired: bool = True) -> None:
        self.refused = list(refused)
        self.is_paired = is_paired
        self.door = Event()
        if not is_slow:
            self.door.set()
        self.dialled: list[str] = []
        self.stopped: list[str] = []
        self.decrypted: list[str] = []
        self.receipts: list[str] = []
        self.acknowledged: Callable[[str], None] = self.receipts.append
        self.is_cut = self._is_reading = False
        self._events: SimpleQueue[Any] = SimpleQueue()
        self._frames: SimpleQueue[events.Message] = SimpleQueue()
        self._call: Any = None
        self._log: Any = None

    # What is called from Python.

    def Neonize(self, database: bytes, name: bytes, *rest: Any) -> bytes:  # noqa: N802
        self.dialled.append(name.decode())
        self.is_cut = False
        self._events = SimpleQueue()
        qr, _, self._call, self._log = rest[4:8]
        self.door.wait()
        if self.refused:
            return self.refused.pop(0).encode()
        if not self.is_paired:
            qr(name, ctypes.cast(ctypes.create_string_buffer(b"2@code"), ctypes.c_void_p))
        else:
            self._hand_on(name, self._device())
            self.tell(events.Connected(status=True))
        if not self._is_reading:
            self._is_reading = True
            Thread(target=self._read, daemon=True).start()
        while (event := self._events.get()) is not None:
            self._hand_on(name, event)
        return b""

    def Disconnect(self, name: bytes) -> None:  # noqa: N802
        self.door.wait()
        self.is_cut = True

    def Stop(self, name: bytes) -> None:  # noqa: N802
        self.Disconnect(name)
        self.stopped.append(name.decode())
        if self.stopped[-1] == self.dialled[-1]:
            self._events.put(None)

    # What the other side does.

    def tell(self, event: Any) -> None:
        """Something happened."""
        self._events.put(event)

    def deliver(self, *messages: events.Message) -> None:
        """Frames with these messages come."""
        for one in messages:
            self._frames.put(one)

    def acknowledge(self, name: str) -> Thread:
        """A message is acknowledged, by a thread of its own."""
        thread = Thread(target=self._acknowledge, args=(name,), daemon=True)
        thread.start()
        return thread

    def log(self, name: str, text: str, level: str = "DEBUG") -> None:
        """A line of whatsmeow's."""
        data = events.LogEntry(Name=name, Level=level, Message=text).SerializeToString()
        buffer = ctypes.create_string_buffer(data, len(data))
        self._log(ctypes.addressof(buffer), len(data))

    def _read(self) -> None:
        while True:
            event = self._frames.get()
            name = event.Info.ID
            where = f'from="4915550100@s.whatsapp.net" id="{name}" type="text"'
            self.log("Client/Recv", f'<message {where}><enc type="msg" v="2"/></message>')
            self.decrypted.append(name)
            self.tell(event)
            self.acknowledge(name)

    def _acknowledge(self, name: str) -> None:
        where = f'id="{name}" to="4915550100@s.whatsapp.net" type="inactive"'
        connection = self.dialled[-1]
        self.log("Client/Send", f"<receipt {where}/>")
        if connection == self.dialled[-1] and not self.is_cut:
            self.acknowledged(name)

    def _device(self) -> events.Device:
        return events.Device(
            JID=jid(NUMBER, "s.whatsapp.net"),
            LID=jid(LID, "lid"),
            Platform="android",
            BussinessName="",
            PushName="",
            Initialized=True,
        )

    def _hand_on(self, name: bytes, event: Any) -> None:
        data = event.SerializePartialToString()
        buffer = ctypes.create_string_buffer(data, len(data))
        self._call(name, ctypes.addressof(buffer), len(data), EVENT_TO_INT[type(event)])
