"""One call of the Web API: its arguments as they came, who calls, and what the app may do."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.slack_server.state import PREFIX, Chat, Message, SlackError, User
from tests.slack_server.workspace import Workspace

if TYPE_CHECKING:
    from tests.slack_server.backend import Backend

Answer = dict[str, Any]


@dataclass
class Call:
    """A call that was let in."""

    back: Backend
    method: str
    args: dict[str, Any]
    actor: User
    scopes: set[str]

    @property
    def work(self) -> Workspace:
        """The workspace it is about."""
        return self.back.work

    def text(self, name: str, default: str = "") -> str:
        """An argument as text."""
        value = self.args.get(name)
        return default if value is None else str(value)

    def flag(self, name: str) -> bool:
        """An argument as yes or no, as forms and JSON write it."""
        return self.text(name).lower() in ("1", "true")

    def number(self, name: str, default: int) -> int:
        """An argument as a number."""
        try:
            return int(self.text(name) or default)
        except ValueError:
            raise SlackError("invalid_arguments") from None

    def structure(self, name: str, wrong: str) -> Any:
        """An argument that is JSON, in a form or in a body; None if it isn't there."""
        value = self.args.get(name)
        if value is None or value == "":
            return None
        if not isinstance(value, str):
            return value
        try:
            return json.loads(value)
        except ValueError:
            raise SlackError(wrong) from None

    def need(self, *scopes: str) -> None:
        """Refuses unless the app has all of these."""
        if lacking := [one for one in scopes if one not in self.scopes]:
            provided = ",".join(sorted(self.scopes))
            raise SlackError("missing_scope", needed=",".join(lacking), provided=provided)

    def chat(self, name: str = "channel", scope: str = "", member: bool = True) -> Chat:
        """The chat that is meant, if the app may see it. Ids only, as Slack has it for most."""
        place = self.work.chats.get(self.text(name))
        if place is None or (place.is_private and self.actor.id not in place.members):
            if scope:
                self.need(f"channels:{scope}")
            raise SlackError("channel_not_found")
        if scope:
            self.need(f"{PREFIX[place.kind]}:{scope}")
        if member and self.actor.id not in place.members:
            raise SlackError("not_in_channel")
        return place

    def message(self, place: Chat, name: str = "ts") -> Message:
        """The message that is meant."""
        found = place.messages.get(self.text(name))
        if found is None:
            raise SlackError("message_not_found")
        return found

    def page(self, items: list[Any], most: int, default: int = 100) -> tuple[list[Any], Answer]:
        """One page of these, and what tells of the next."""
        limit = self.number("limit", default) or default
        if not 0 < limit <= most:
            raise SlackError("invalid_limit")
        start = 0
        if cursor := self.text("cursor"):
            if not cursor.startswith("bmV4dDo") or not cursor[7:].isdigit():
                raise SlackError("invalid_cursor")
            start = int(cursor[7:])
        end = start + min(limit, self.back.options.page_size)
        follows = f"bmV4dDo{end}" if end < len(items) else ""
        return items[start:end], {"response_metadata": {"next_cursor": follows}}
