"""One call, as those see it who answer it, and their answer. Nothing here knows of sockets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec

from pynchy_cli.web.guard import Refused, Who
from pynchy_cli.web.site import Site

T = TypeVar("T")
JSON = "application/json"


@dataclass(frozen=True)
class Answer:
    """What is answered: a document, or text of the type that is named."""

    document: Any
    status: int = 200
    content_type: str = JSON

    def encoded(self) -> bytes:
        """The bytes of the body."""
        if self.content_type == JSON:
            return msgspec.json.encode(self.document) + b"\n"
        return str(self.document).encode()


@dataclass(frozen=True)
class Call:
    """Who asks, and what: the parts of the path that vary, the query, and the body's bytes."""

    site: Site
    who: Who
    path: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    last_event: str | None = None
    """The id of the event that whoever follows the news saw last."""

    def asked(self, kind: type[T]) -> T:
        """The query as this type. Raises Refused, with 400."""
        return _taken(lambda: msgspec.convert(dict(self.query), kind, strict=False), "The query")

    def said(self, kind: type[T]) -> T:
        """The body as this type. Raises Refused, with 400."""
        return _taken(lambda: msgspec.json.decode(self.body, type=kind), "The body")


def _taken(read: Callable[[], T], what: str) -> T:
    try:
        return read()
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        reason = str(error).rstrip(".")
        raise Refused(400, "input_wrong", f"{what} can't be used: {reason}.") from error
