"""How things stand with the account that is linked: whether its stage runs and is connected, and
what is to be done next."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Any

from pynchy_cli import locks
from pynchy_cli.channels.whatsapp import device
from pynchy_cli.channels.whatsapp.device import Device
from pynchy_cli.config.channels import MAIN, WHATSAPP
from pynchy_cli.config.paths import Home
from pynchy_cli.model import Group
from pynchy_cli.store import groups, processes
from pynchy_cli.store.connection import Store

STAGE = f"listen@{WHATSAPP}"


@dataclass
class Standing:
    """What is known. `is_own`: the account is a person's own; else it is the assistant's alone.
    `is_enabled`: the configuration lets it be connected. `is_started`: the supervisor that runs was
    asked to start the stage."""

    account: Device
    chat: str
    is_own: bool = True
    is_enabled: bool = True
    listens: bool = False
    connected: bool = False
    trouble: str | None = None
    group: Group | None = None
    admin: Group | None = None
    is_up: bool = False
    is_started: bool = False

    def document(self, *, is_new: bool) -> dict[str, Any]:
        """The same as plain values; `is_new`: it was linked just now."""
        account = self.account
        return {
            "state": "linked" if is_new else "linked_before",
            "number": account.number,
            "name": account.name or None,
            "jid": account.jid,
            "lid": account.lid or None,
            "chat": self.chat,
            "group": self.group.folder if self.group else None,
            "listening": self.listens,
            "connected": self.connected,
            "error": self.trouble,
            "next": [command for command, _ in self.steps()],
        }

    def words(self, *, is_new: bool) -> list[str]:
        """The same for a person, line by line."""
        account = self.account.in_words()
        said = [f"Linked: {account}." if is_new else f"This home is linked already: {account}."]
        if not is_new:
            said.append(
                "For another account take this one off first: pynchy auth whatsapp --logout"
            )
        said.append(self._stage())
        if steps := self.steps():
            said += ["", "Next:"]
            for command, why in steps:
                said += [f"  {command}", f"      {why}"]
        return said

    def steps(self) -> list[tuple[str, str]]:
        """Commands that are to be given next, and what each is for."""
        found = []
        if self.group is None:
            where = "with yourself" if self.is_own else "with its owner"
            found.append((self._join(), f"so that it answers in the chat {where}"))
        if not self.is_up and self.is_enabled:
            found.append(("pynchy up", "connects"))
        return found

    def _join(self) -> str:
        if self.admin is None:
            return f"pynchy groups add {self.chat} --folder whatsapp"
        return f"pynchy groups link {self.admin.folder} {self.chat}"

    def _stage(self) -> str:
        if self.listens:
            away = f"isn't connected: {self.trouble or 'not yet.'}"
            return f"`listen whatsapp` runs and {'is connected.' if self.connected else away}"
        if not self.is_enabled:
            section = f"[channels.{WHATSAPP}.{MAIN}]"
            return f"{section} has enabled = false: nothing connects until that is true."
        if self.is_started:
            return "`pynchy up` starts `listen whatsapp` now."
        if self.is_up:
            return "`pynchy up` runs, and began without WhatsApp: stop it, and start it again."
        return "`listen whatsapp` doesn't run."


def look(home: Home, account: Device, owner: str) -> Standing:
    """How things stand; `owner` is the number with which the assistant talks, where the account is
    its own. Raises what `Store.open` raises."""
    found = Standing(account, f"{WHATSAPP}:{owner or account.number}@s.whatsapp.net", not owner)
    found.is_up = locks.is_held(home.locks / "up.lock")
    with contextlib.closing(Store.open(home.database)) as store:
        found.group = groups.by_chat(store.db, found.chat)
        found.admin = next((one for one in groups.all(store.db) if one.is_admin), None)
        alive = [one for one in processes.alive(store.db, home.locks) if one.stage == STAGE]
    # One that is just ending stands there, too: who has the account counts.
    found.listens = bool(alive) and device.is_held(home.whatsapp)
    if found.listens:
        found.connected, found.trouble = bool(alive[-1].connected), alive[-1].error
    return found
