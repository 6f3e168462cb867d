"""Links this home to a WhatsApp account as one more device, by a code that a phone reads or that
is typed into it; and takes it off again. The library's threads can't be ended while nobody has
agreed: who calls this ends the process by `os._exit` afterwards."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pynchy_cli import log
from pynchy_cli.channels.whatsapp import device, library
from pynchy_cli.channels.whatsapp.device import Device
from pynchy_cli.channels.whatsapp.noise import kept_off
from pynchy_cli.channels.whatsapp.reach import obstacle
from pynchy_cli.channels.whatsapp.states import CLIENT_OUTDATED, fatal
from pynchy_cli.config import phones
from pynchy_cli.errors import (
    ChannelBroken,
    LoggedOut,
    NetworkAway,
    PairingFailed,
    PynchyError,
    UsageWrong,
)

if TYPE_CHECKING:
    from pynchy_cli.channels.whatsapp.talk import Talk

FIRST_LIFE, LATER_LIFE = 60, 20
"""Seconds for which a code is good that a phone reads: the first one, and each later one."""
ALL_LIVES = FIRST_LIFE + 5 * LATER_LIFE
"""Seconds after which there are no more codes, and one that is typed is no longer good either."""
DIALLING = 60.0
"""Seconds in which WhatsApp must let the device in."""
PATIENCE = 60.0
"""Seconds in which it must give a code when one is due."""
STILL = "err-scanned-without-multidevice"
"""The library's word for a phone that is too old: others may still read the code."""
AGAIN = "`pynchy auth whatsapp` shows new codes."


@dataclass(frozen=True)
class Shown:
    """A code for a phone. `is_typed`: one to be typed into it; else one that it reads. `seconds`:
    how long it is good."""

    code: str
    seconds: int
    is_typed: bool = False


def number_of(text: str) -> str:
    """A phone number as people write it, as digits alone. Raises UsageWrong where it has no
    country's code, or is none."""
    digits = phones.digits(text)
    if digits is None:
        raise UsageWrong(
            f"{text!r} is no phone number with its country's code, such as {phones.EXAMPLE}."
        )
    return digits


Show = Callable[[Shown], None]
Accepted = Callable[[], None]


async def pair(fresh: Path, show: Show, accepted: Accepted, phone: str = "") -> Device:
    """Have a phone link a device that this fresh file is for; with `phone`, digits alone, by a code
    that is typed into that one. A file that was linked and not finished is finished. Raises
    PairingFailed, NetworkAway, ChannelBroken."""
    try:
        async with _talking(fresh) as talk:
            if not talk.is_paired:
                await _agreed(talk, show, phone)
            accepted()
            await talk.connected(DIALLING)
            await talk.part()
    except LoggedOut as error:
        raise PairingFailed(f"The phone linked this device and took it off again. {AGAIN}") from (
            error
        )
    linked = device.paired(fresh, in_use=True)
    if linked is None:
        raise PairingFailed(f"WhatsApp took the device off as soon as it was linked. {AGAIN}")
    return linked


async def unlink(database: Path) -> bool:
    """Take this device off the account; False where the phone had done so before. Raises
    NetworkAway, ChannelBroken."""
    try:
        async with _talking(database) as talk:
            await talk.connected(DIALLING)
            await talk.log_out()
    except LoggedOut:
        return False
    return True


@contextlib.asynccontextmanager
async def _talking(database: Path) -> AsyncIterator[Talk]:
    """A connection with the device of this file, or with one that is to be linked."""
    library.load()
    if (why := await obstacle()) is not None:
        raise NetworkAway(f"WhatsApp can't be reached: {why}. Try again later.")
    asyncio.get_running_loop().set_default_executor(library.DaemonThreads())
    device.prepare(database)
    # It imports neonize, which isn't there before it was asked for.
    from pynchy_cli.channels.whatsapp.talk import Talk

    said = log.get("whatsapp")
    with kept_off(lambda line: said.debug("neonize", said=line)):
        talk = Talk(database, is_paired=device.paired(database) is not None)
        talk.begin()
        yield talk


async def _agreed(talk: Talk, show: Show, phone: str) -> None:
    """Show codes until a phone takes one. Raises PairingFailed, NetworkAway, ChannelBroken."""
    clock = asyncio.get_running_loop().time
    life, ends_at = 0, 0.0
    while True:
        kind, said = await talk.next(life + PATIENCE)
        if kind == "code":
            if not phone:
                show(Shown(said, LATER_LIFE if life else FIRST_LIFE))
            elif not life:
                show(Shown(await talk.code_for(phone), ALL_LIVES, is_typed=True))
            life = LATER_LIFE if life else FIRST_LIFE
            ends_at = clock() + life
        elif kind == "status" and said == "success":
            return
        elif kind == "status" and said != STILL:
            raise ended(said, is_over=clock() > ends_at - 1, why=talk.complaint)


def ended(status: str, *, is_over: bool, why: str) -> PynchyError:
    """What the library's word for the end of the codes means. `is_over`: the last code's time
    was; `why`: what the library complained of last."""
    if status == "timeout" and is_over:
        return PairingFailed(f"No phone took a code in time. {AGAIN}")
    if status == "timeout":
        return NetworkAway(f"WhatsApp has closed the connection. {AGAIN}")
    if status == "err-client-outdated":
        return fatal(CLIENT_OUTDATED, None) or ChannelBroken(status)
    more = f": {why.rstrip('.')}" if why else ""
    return PairingFailed(f"WhatsApp did not let the device in ({status}{more}). {AGAIN}")
