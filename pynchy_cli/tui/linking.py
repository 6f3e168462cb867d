"""What somebody sees who links a chat account by codes: on a terminal a code that is drawn anew in
its place, elsewhere a line of JSON for each."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

from pynchy_cli.channels.whatsapp import device, pairing
from pynchy_cli.channels.whatsapp.device import Device
from pynchy_cli.output import print_line, print_text, say
from pynchy_cli.tui.qr import Screen, write_png

HOW_TO_READ = (
    "On the phone: WhatsApp, Settings, Linked devices, Link a device. Then hold it before this"
    " code."
)
HOW_TO_TYPE = (
    "On the phone: WhatsApp, Settings, Linked devices, Link a device, Link with phone number"
    " instead; or tap the message that it shows. Then type this code:"
)
TOO_SMALL = (
    "This window has {columns} columns and {rows} lines; the code needs {wide} and {high}. Make it"
    " larger or its letters smaller, and the code appears; or stop by Ctrl-C, and use --png FILE or"
    " --phone NUMBER."
)


class Codes:
    """The codes of one linking. `png`: a file that always has the code which is good."""

    def __init__(self, *, as_json: bool, png: Path | None) -> None:
        self._as_json = as_json
        self._png = png
        self._screen = None if as_json else Screen()
        self._shown: tuple[str, str, str] | None = None
        self._is_drawn = False

    def begun(self) -> None:
        """Say what is waited for until there is a code."""
        if not self._as_json:
            print_text("Connecting to WhatsApp …")

    def logged_out(self) -> None:
        """Say that what had been linked here is no longer."""
        if self._as_json:
            print_line({"state": "logged_out"})
        else:
            print_text("The account that was linked here has been logged out. It is linked anew.")

    def read(self, code: str, seconds: int) -> None:
        """Show a code that a phone reads, which is good for so many seconds."""
        if self._png is not None:
            write_png(code, self._png)
            self._is_drawn = True
        if self._screen is None:
            png = {} if self._png is None else {"png": str(self._png)}
            print_line({"state": "code", "kind": "qr", "code": code, "seconds": seconds, **png})
            return
        where = "" if self._png is None else f" The same code is in {self._png}."
        until = f"Good for {seconds} s; then the next comes by itself. Ctrl-C stops."
        self._shown = code, HOW_TO_READ + where, until
        self.redraw()

    def typed(self, code: str, seconds: int, phone: str) -> None:
        """Show a code that is typed into the phone of this number."""
        if self._screen is None:
            facts = {"code": code, "seconds": seconds, "phone": phone}
            print_line({"state": "code", "kind": "typed", **facts})
            return
        self._screen.tell(HOW_TO_TYPE)
        print_text(f"\n    {code}\n")
        print_text(f"It is for +{phone}, and good for {seconds} s. Ctrl-C stops.")

    def redraw(self) -> None:
        """Draw the code that is shown once more, since the window has changed."""
        if self._screen is not None and self._shown is not None:
            self._screen.show(*self._shown, TOO_SMALL)

    def accepted(self) -> None:
        """A phone has taken the code: it is shown no longer."""
        self.over()
        if self._as_json:
            print_line({"state": "accepted"})
        else:
            print_text("The phone has agreed. Connecting …")

    def over(self) -> None:
        """No code is good any more; take away what shows one. Never fails."""
        if self._screen is not None and self._shown is not None:
            self._screen.clear()
        self._shown = None
        if self._png is not None and self._is_drawn:
            self._is_drawn = False
            try:
                self._png.unlink(missing_ok=True)
            except OSError as error:
                say(f"{self._png} can't be removed: {error.strerror}.")


async def link(database: Path, codes: Codes, phone: str) -> Device:
    """Link an account, of which `database` is to hold what it was linked with; with `phone` by a
    code to be typed into that one. Raises AlreadyRunning and what `pairing.pair` raises."""
    # The library writes into another file, which only takes its place once all is well.
    fresh = database.with_name("neonize.pairing.db")

    def show(code: pairing.Shown) -> None:
        if code.is_typed:
            codes.typed(code.code, code.seconds, phone)
        else:
            codes.read(code.code, code.seconds)

    with device.hold(database):
        if linked := device.paired(database):
            return linked
        if database.exists():
            codes.logged_out()
        codes.begun()
        asyncio.get_running_loop().add_signal_handler(signal.SIGWINCH, codes.redraw)
        try:
            linked = await pairing.pair(fresh, show, codes.accepted, phone)
            device.settle(fresh, database)
        finally:
            codes.over()
            _tidy(fresh)
    return linked


def _tidy(fresh: Path) -> None:
    """Leave no file behind that is linked with nothing. One that a phone has agreed to is kept, for
    the next time to finish."""
    if device.paired(fresh, in_use=True) is None:
        device.remove(fresh)
    else:
        say("The phone has agreed already: `pynchy auth whatsapp` goes on from there.")


async def unlink(database: Path) -> bool:
    """Take this device off its account, and remove what it was linked with; False where it had been
    taken off on the phone. Raises AlreadyRunning and what `pairing.unlink` raises."""
    with device.hold(database):
        was_there = await pairing.unlink(database)
        device.remove(database)
    return was_there


def forget(database: Path) -> None:
    """Remove what is left of an account that was logged out, if anything is, so that nothing is
    connected for it any more. Raises AlreadyRunning."""
    if database.exists():
        with device.hold(database):
            device.remove(database)
