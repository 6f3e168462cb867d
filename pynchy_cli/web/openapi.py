"""The table of calls as an OpenAPI 3.1 document. Types become schemas by themselves, so that what
is described is what is checked and written."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, get_args

import msgspec

from pynchy_cli import __version__
from pynchy_cli.web import shapes

if TYPE_CHECKING:
    from pynchy_cli.web.routes import Route

REFUSALS = {
    400: "What was asked can't be understood.",
    401: "The token is needed, or is wrong.",
    403: "Not for whoever asks like that.",
    404: "There is no such thing.",
    409: "It was decided before, or its time is over.",
    413: "The body is too large.",
    415: "The body must be application/json.",
    501: "Not there yet.",
    503: "Not possible just now; try again.",
}
OF_ALL = (401, 403, 503)
"""What any call may be answered."""
FAILURE = {"$ref": "#/components/schemas/Failure"}
ABOUT = (
    "On this machine reading needs nothing, and what is said without the token comes from `api`, "
    "who is never obeyed. The unix socket and the token speak as the owner."
)
EVENT = (
    "Each `data:` is an object with a `type`: message, agent_activity, agent_trace or "
    "chat_cleared. Each has an `id:`; the last of them, sent as Last-Event-ID, is where it goes on."
)


def describe(routes: Sequence[Route]) -> shapes.Document:
    """The document."""
    paths: dict[str, dict[str, Any]] = {}
    schemas = _schemas(routes)
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": "pynchy", "version": __version__, "description": ABOUT},
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(route: Route, schemas: Mapping[str, Any]) -> shapes.Document:
    described = inspect.getdoc(route.answer) or ""
    operation: shapes.Document = {
        "operationId": _id(route),
        "summary": route.summary,
        "description": EVENT if route.gives == "text/event-stream" else described,
        "parameters": _parameters(route),
        "responses": {
            **{str(status): _answer(route) for status in route.statuses},
            **{str(one): _refusal(one) for one in sorted({*OF_ALL, *route.refusals})},
        },
        "security": [{"token": []}] if route.is_owners else [{}, {"token": []}],
    }
    if route.takes is not None:
        operation["requestBody"] = {"required": True, "content": _json(_schema(route.takes))}
    if 503 in route.statuses:
        # Its own answer, where it has one; else it says why there is none.
        either = [_schema(route.gives), FAILURE]
        operation["responses"]["503"] = {
            "description": "Not well, or it can't be told.",
            "content": _json({"anyOf": either}),
        }
    return operation


def _parameters(route: Route) -> list[shapes.Document]:
    found: list[shapes.Document] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"{(\w+)}", route.path)
    ]
    if route.query is not None:
        whole = msgspec.json.schema(route.query)["$defs"][route.query.__name__]
        for name, schema in whole["properties"].items():
            is_needed = name in whole.get("required", ())
            found.append({"name": name, "in": "query", "required": is_needed, "schema": schema})
    if route.gives == "text/event-stream":
        place = {"type": "string", "pattern": r"^\d+-\d+-\d+$"}
        found.append({"name": "Last-Event-ID", "in": "header", "required": False, "schema": place})
    return found


def _answer(route: Route) -> shapes.Document:
    if isinstance(route.gives, str):
        return {
            "description": route.summary,
            "content": {route.gives: {"schema": {"type": "string"}}},
        }
    return {"description": route.summary, "content": _json(_schema(route.gives))}


def _refusal(status: int) -> shapes.Document:
    return {"description": REFUSALS[status], "content": _json(FAILURE)}


def _json(schema: shapes.Document) -> shapes.Document:
    return {"application/json": {"schema": schema}}


def _schema(kind: Any) -> shapes.Document:
    if kind is shapes.Document:
        return {"type": "object"}
    if items := get_args(kind):
        return {"type": "array", "items": _schema(items[0])}
    return {"$ref": f"#/components/schemas/{kind.__name__}"}


def _schemas(routes: Sequence[Route]) -> shapes.Document:
    named: dict[str, Any] = {"Failure": shapes.Failure}
    for route in routes:
        for kind in (route.gives, route.takes):
            one = (get_args(kind) or (kind,))[0] if kind is not shapes.Document else None
            if isinstance(one, type):
                named[one.__name__] = one
    _, schemas = msgspec.json.schema_components(
        named.values(), ref_template="#/components/schemas/{name}"
    )
    return schemas


def _id(route: Route) -> str:
    """A name of the call, such as `get_api_groups`."""
    return re.sub(r"\W+", "_", f"{route.method.lower()}{route.path}").strip("_")
