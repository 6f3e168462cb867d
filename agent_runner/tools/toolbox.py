"""The tools that one agent is offered: their calls become requests, and the host's answers text
that a model reads. What is offered is for its eyes; the host decides each time."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Any

import msgspec

from agent_runner.protocol import Answer, Error, Offer
from agent_runner.protocol.requests import Request, Service
from agent_runner.requests import Requests
from agent_runner.tools import catalogue

SERVER = "pynchy"
"""What the server of these tools is called."""
KEPT = ("LD_LIBRARY_PATH",)


class Tool(msgspec.Struct, frozen=True):
    """What a model is told of a tool. `schema` is the JSON Schema of an object."""

    name: str
    description: str
    schema: dict[str, Any]


class Said(msgspec.Struct, frozen=True):
    """What a call gave, as the model reads it."""

    text: str
    is_error: bool = False


class Toolbox:
    """The tools of an offer, carried out by the host at the other end of `requests`. A service
    can't take a request's name. A core serves them in its own process, or has `command` serve
    them to its client."""

    def __init__(self, offer: Offer, requests: Requests) -> None:
        self._requests = requests
        self._tools = {
            name: Tool(name, entry.description, catalogue.schema(name))
            for name, entry in catalogue.ENTRIES.items()
            if name in offer.requests
        }
        self._services = {one.name for one in offer.services} - set(catalogue.ENTRIES)
        for one in offer.services:
            if one.name in self._services:
                self._tools[one.name] = Tool(one.name, one.description, one.schema)

    @property
    def tools(self) -> tuple[Tool, ...]:
        """All of them, none twice."""
        return tuple(self._tools.values())

    @property
    def command(self) -> tuple[str, ...]:
        """A command that serves these tools as an MCP server on its standard input and output,
        within this sandbox."""
        python = (sys.executable, "-P", "-S", "-m", "agent_runner.tools")
        return (*python, "--ipc", str(self._requests.ipc))

    @property
    def variables(self) -> dict[str, str]:
        """What that command must find in its environment; clients give their servers little. Where
        libraries are looked for belongs to it: a Python may come with its own."""
        kept = {name: os.environ[name] for name in KEPT if name in os.environ}
        return {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path), **kept}

    async def call(self, name: str, arguments: Mapping[str, Any]) -> Said:
        """Ask the host, and wait for its answer; arguments that don't fit are refused here."""
        if name not in self._tools:
            return Said(f"There is no tool {name!r}. Nothing was asked of the host.", True)
        try:
            request = self._request(name, arguments)
        except (ValueError, OverflowError, RecursionError) as error:
            return Said(f"The arguments don't fit: {error}. Nothing was asked of the host.", True)
        return _said(name, await self._requests.ask(request))

    def _request(self, name: str, arguments: Mapping[str, Any]) -> Request:
        """Raises ValueError, OverflowError or RecursionError."""
        if name in self._services:
            return msgspec.convert({"tool": name, "arguments": arguments}, Service, strict=True)
        for hidden in ("type", "request_id"):
            if hidden in arguments:
                raise ValueError(f"Object contains unknown field `{hidden}`")
        return msgspec.convert(arguments, catalogue.TYPES[name], strict=True)


def _said(name: str, answer: Answer) -> Said:
    if not answer.ok:
        error = answer.error or Error("refused", "no reason was given")
        return Said(f"{error.message} ({error.code})", True)
    done = catalogue.ENTRIES[name].done if name in catalogue.ENTRIES else ""
    result = "" if answer.result in (None, {}) else msgspec.json.encode(answer.result).decode()
    return Said("\n".join(part for part in (done, result) if part) or "The host has done it.")
