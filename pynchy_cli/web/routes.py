"""The table of calls: method, path, who may, what it takes and gives. What isn't in it doesn't
exist; the OpenAPI document is made from it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import unquote

from pynchy_cli.web import doing, reading, shapes
from pynchy_cli.web.call import Answer, Call
from pynchy_cli.web.guard import Refused
from pynchy_cli.web.openapi import describe

TEXT = "text/plain"
STREAM = "text/event-stream"


@dataclass(frozen=True)
class Route:
    """One call. `gives` is the type of its answer, or what its text is; `refusals` are the
    statuses of its own besides those that all have."""

    method: Literal["GET", "POST", "DELETE"]
    path: str
    answer: Callable[[Call], Answer]
    summary: str
    gives: Any = shapes.Document
    takes: Any = None
    query: Any = None
    is_owners: bool = False
    refusals: tuple[int, ...] = ()
    statuses: tuple[int, ...] = (200,)


def read_openapi(call: Call) -> Answer:
    """This table as an OpenAPI document."""
    return Answer(describe(ROUTES))


def read_events(call: Call) -> Answer:
    """Answered by `stream`, piece by piece."""
    raise AssertionError("a stream has no single answer")


ROUTES = (
    Route("GET", "/status", reading.read_status, "How everything is"),
    Route(
        "GET",
        "/health",
        reading.read_health,
        "Whether all is well; 503 where it isn't",
        gives=shapes.Health,
        statuses=(200, 503),
    ),
    Route("GET", "/metrics", reading.read_metrics, "The same for Prometheus", gives=TEXT),
    Route("GET", "/openapi.json", read_openapi, "This document"),
    Route(
        "POST",
        "/deploy",
        doing.deploy,
        "Deploy what is new; not there yet",
        refusals=(501,),
        statuses=(),
    ),
    Route("GET", "/api/groups", reading.read_groups, "All groups", gives=list[shapes.Group]),
    Route(
        "GET",
        "/api/messages",
        reading.read_messages,
        "What was said last in a chat, oldest first",
        gives=list[shapes.Said],
        query=shapes.SaidQuery,
        refusals=(400, 404),
    ),
    Route(
        "POST",
        "/api/send",
        doing.send,
        "Say something in a group's chat; without the token it is never a command",
        gives=shapes.Sent,
        takes=shapes.Say,
        refusals=(400, 404, 413, 415),
    ),
    Route(
        "GET",
        "/api/events",
        read_events,
        "What happens, as it happens; goes on after Last-Event-ID",
        gives=STREAM,
        refusals=(400,),
    ),
    Route(
        "GET",
        "/api/approvals",
        reading.read_approvals,
        "What waits for a person",
        gives=list[shapes.Asked],
        query=shapes.AskedQuery,
        refusals=(400,),
    ),
    Route(
        "GET",
        "/api/approvals/{id}",
        reading.read_approval,
        "All of what is asked",
        gives=shapes.AskedWhole,
        refusals=(404,),
    ),
    Route(
        "POST",
        "/api/approvals/{id}",
        doing.decide,
        "Say yes or no",
        gives=shapes.Decided,
        takes=shapes.Decide,
        is_owners=True,
        refusals=(400, 404, 409, 413, 415),
    ),
    Route("GET", "/api/holds", reading.read_holds, "What is held", gives=list[shapes.Hold]),
    Route(
        "POST",
        "/api/holds",
        doing.hold,
        "Have a group, or all groups, begin nothing",
        gives=shapes.Held,
        takes=shapes.MakeHold,
        is_owners=True,
        refusals=(400, 404, 413, 415),
    ),
    Route(
        "DELETE",
        "/api/holds",
        doing.release,
        "Let all groups go on that were held together",
        gives=shapes.Hold,
        is_owners=True,
        refusals=(404,),
    ),
    Route(
        "DELETE",
        "/api/holds/{group}",
        doing.release,
        "Let a group go on",
        gives=shapes.Hold,
        is_owners=True,
        refusals=(404,),
    ),
    Route(
        "GET",
        "/api/periodic",
        reading.read_periodic,
        "What groups do by the clock",
        gives=list[shapes.Periodic],
    ),
)


def find(method: str, raw_path: str) -> tuple[Route, dict[str, str]]:
    """The call behind a method and a path as it was sent, and what varies in it. Raises Refused,
    with 404, or with 405 and the methods that there are."""
    there = list(_matching(raw_path.partition("?")[0]))
    for route, found in there:
        if route.method == method:
            return route, found
    if there:
        methods = ", ".join(route.method for route, _ in there)
        raise Refused(405, "method_unknown", methods)
    raise Refused(404, "path_unknown", "There is no such path; /openapi.json lists them all.")


def _matching(path: str) -> Iterator[tuple[Route, dict[str, str]]]:
    parts = path.split("/")
    for route in ROUTES:
        wanted = route.path.split("/")
        if len(wanted) != len(parts):
            continue
        pairs = list(zip(wanted, parts, strict=True))
        if all((part and name[:1] == "{") or name == part for name, part in pairs):
            yield route, {name[1:-1]: unquote(part) for name, part in pairs if name[:1] == "{"}
