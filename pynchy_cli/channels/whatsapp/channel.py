"""A WhatsApp account as a channel: this home is one of the account's linked devices."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import partial
from typing import Any

from pynchy_cli.channels.base import (
    Away,
    Host,
    NeverSent,
    NotSent,
    Outgoing,
    OutgoingFile,
    Piece,
    Place,
    Working,
)
from pynchy_cli.channels.fetching import Files
from pynchy_cli.channels.together import together
from pynchy_cli.channels.whatsapp import book, device, states, text
from pynchy_cli.channels.whatsapp.device import Device
from pynchy_cli.channels.whatsapp.files import WhatsAppFiles
from pynchy_cli.channels.whatsapp.hearing import Hearing
from pynchy_cli.channels.whatsapp.link import Link
from pynchy_cli.channels.whatsapp.names import Names
from pynchy_cli.channels.whatsapp.presence import Presence
from pynchy_cli.channels.whatsapp.reading import Identity
from pynchy_cli.channels.whatsapp.sending import Sending
from pynchy_cli.channels.whatsapp.uploading import Uploads
from pynchy_cli.config import phones
from pynchy_cli.config.channels import whatsapp_rules
from pynchy_cli.config.settings import Settings
from pynchy_cli.model import Chat

DATABASE = "neonize.db"
NO_HISTORY = "WhatsApp can't be asked what was sent."


class WhatsAppChannel:
    """The account of this home. Raises UsageWrong where none is configured."""

    title = "WhatsApp"
    capabilities = frozenset({"files", "names", "presence", "quotes"})
    limit = text.LIMIT
    at_once = 1
    edit_interval = 0.0
    settle = 0.0

    def __init__(self, name: str, settings: Settings) -> None:
        self.name = name
        self.rules = whatsapp_rules(settings, name)
        self.on_unknown: str = self.rules.on_unknown
        self._agent = settings.agent
        self._link: Link | None = None
        self._names = Names()
        self._sending = Sending(self)
        self._uploads = Uploads(self, self._sending, self.rules.max_upload)
        self._presence = Presence(self._sending, self.rules)

    async def run(self, host: Host) -> None:
        """Hold the connection until cancelled. Raises LoggedOut and ChannelBroken where only a
        person can mend it, and AlreadyRunning where another process has the account."""
        database = host.folder / DATABASE
        with device.hold(database):
            account = device.paired(database)
            if account is None:
                raise states.unpaired()
            device.prepare(database)
            files = Files(WhatsAppFiles(self.rules.max_file), host, "whatsapp")
            self._names = Names(partial(book.phone_of, database))
            hearing = Hearing(host, self.rules, self._names, lambda: self._who(account), files.stir)
            self._link = Link(database, hearing)
            try:
                await together(self._link.hold(), self._presence.run(), files.run())
            finally:
                self._link = None

    def require(self) -> Any:
        """The library's client, which is connected. Raises Away where there is none."""
        if self._link is None:
            raise Away("WhatsApp isn't connected.")
        return self._link.require()

    def renew(self, why: str) -> None:
        """Have the connection be made anew."""
        if self._link is not None:
            self._link.renew(why)

    def render(self, reply: Outgoing) -> list[Piece]:
        """The messages by which a reply is shown."""
        return text.render(reply, self.limit)

    async def post(self, place: Place, piece: Piece, mark: str) -> str:
        """Post a message; its id. Raises NotSent, NeverSent, Unsure, Away."""
        return await self._sending.post(place, piece.text)

    async def edit(self, place: Place, remote_id: str, piece: Piece) -> None:
        """What was sent stays as it is. Raises NeverSent."""
        raise NeverSent("What was sent to WhatsApp isn't changed.")

    async def remove(self, place: Place, remote_id: str) -> None:
        """What was sent stays where it is. Raises NotSent."""
        raise NotSent("What was sent to WhatsApp isn't taken back.")

    async def find(self, place: Place, mark: str, after_id: str | None, since: str) -> str | None:
        """There is no history to look into. Raises NeverSent."""
        raise NeverSent(NO_HISTORY)

    async def find_file(
        self,
        place: Place,
        file: OutgoingFile,
        sent: Collection[str],
        after_id: str | None,
        since: str,
    ) -> str | None:
        """There is no history to look into. Raises NeverSent."""
        raise NeverSent(NO_HISTORY)

    async def send_file(self, place: Place, file: OutgoingFile) -> str:
        """Post a file; its id. Raises NotSent, NeverSent, Unsure, Away."""
        return await self._uploads.send_file(place, file)

    def at_work(self, working: Sequence[Working]) -> None:
        """In these chats, and in no others, runs are under way now."""
        self._presence.at_work(working)

    async def names(self) -> list[Chat]:
        """The groups that the account is in. Raises NotSent, Away."""
        client = self.require()
        from neonize.exc import NeonizeError

        try:
            found = await client.get_joined_groups()
        except NeonizeError as error:
            raise NotSent(f"WhatsApp doesn't tell its groups: {error}.") from error
        return [chat for one in found if (chat := self._names.joined(one)) is not None]

    def _who(self, account: Device) -> Identity:
        """Who we are; the connection knows it better than the file."""
        me = self._link.me if self._link is not None else None
        return Identity(
            number=me.JID.User if me is not None else account.number,
            lid=me.LID.User if me is not None else account.lid.partition("@")[0].partition(":")[0],
            agent_name=self._agent.name,
            waking=self._agent.trigger_aliases,
            is_assistants=bool(self.rules.owner),
            device=me.JID.Device if me is not None else account.number_of_device,
            called=account.name,
            owner=phones.digits(self.rules.owner) or "",
        )
