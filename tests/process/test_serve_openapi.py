"""The OpenAPI document: it is one, every call is in it, and what it says of each is what the server
answers."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from pynchy_cli.web.openapi import describe
from pynchy_cli.web.routes import ROUTES
from tests.http_house import House, Reply
from tests.process.test_serve import housed

OBJECT = {"type": "object"}
NAMED = {"type": "string", "minLength": 1}
CONTENT = {
    "type": "object",
    "minProperties": 1,
    "propertyNames": {"pattern": r"^[a-z]+/[a-z0-9.+-]+$"},
    "additionalProperties": {
        "type": "object",
        "required": ["schema"],
        "properties": {"schema": OBJECT},
        "additionalProperties": False,
    },
}
PARAMETER = {
    "type": "object",
    "required": ["name", "in", "schema"],
    "properties": {
        "name": NAMED,
        "in": {"enum": ["query", "header", "path", "cookie"]},
        "required": {"type": "boolean"},
        "schema": OBJECT,
    },
    "additionalProperties": False,
    "if": {"properties": {"in": {"const": "path"}}},
    "then": {"required": ["required"], "properties": {"required": {"const": True}}},
}
OPERATION = {
    "type": "object",
    "required": ["operationId", "responses"],
    "properties": {
        "operationId": NAMED,
        "summary": NAMED,
        "description": NAMED,
        "parameters": {"type": "array", "items": PARAMETER},
        "requestBody": {
            "type": "object",
            "required": ["content"],
            "properties": {"content": CONTENT, "required": {"type": "boolean"}},
            "additionalProperties": False,
        },
        "responses": {
            "type": "object",
            "minProperties": 1,
            "propertyNames": {"pattern": "^([1-5][0-9][0-9]|default)$"},
            "additionalProperties": {
                "type": "object",
                "required": ["description"],
                "properties": {"description": NAMED, "content": CONTENT},
                "additionalProperties": False,
            },
        },
        "security": {
            "type": "array",
            "items": {"type": "object", "additionalProperties": {"type": "array"}},
        },
    },
    "additionalProperties": False,
}
OPENAPI = {
    "type": "object",
    "required": ["openapi", "info", "paths"],
    "properties": {
        "openapi": {"type": "string", "pattern": r"^3\.1\.\d+$"},
        "info": {
            "type": "object",
            "required": ["title", "version"],
            "properties": {"title": NAMED, "version": NAMED, "description": NAMED},
            "additionalProperties": False,
        },
        "servers": {"type": "array", "items": {"type": "object", "required": ["url"]}},
        "paths": {
            "type": "object",
            "propertyNames": {"pattern": "^/"},
            "additionalProperties": {
                "type": "object",
                "properties": dict.fromkeys(("get", "post", "delete"), OPERATION),
                "additionalProperties": False,
            },
        },
        "components": {
            "type": "object",
            "properties": {
                "schemas": {
                    "type": "object",
                    "propertyNames": {"pattern": r"^[a-zA-Z0-9._-]+$"},
                    "additionalProperties": OBJECT,
                },
                "securitySchemes": {
                    "type": "object",
                    "additionalProperties": {"type": "object", "required": ["type", "scheme"]},
                },
            },
            "additionalProperties": False,
        },
    },
    "additionalProperties": False,
}
"""What OpenAPI 3.1 asks of the parts that we use; and nothing else may be there."""
CALLS = {
    "post_api_send": ("/api/send", {"jid": "local:team", "content": "hi"}),
    "get_api_messages": ("/api/messages?jid=local:team", None),
    "get_api_approvals_id": ("/api/approvals/k7m2", None),
    "post_api_approvals_id": ("/api/approvals/k7m2", {"decision": "deny"}),
    "post_api_holds": ("/api/holds", {"group": "team"}),
    "delete_api_holds_group": ("/api/holds/team", None),
}
"""How each call is made that needs more than its path."""


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    made = housed(tmp_path_factory.mktemp("openapi"))
    try:
        made.gated("k7m2", "local:main", folder="main")
        made.start()
        yield made
    finally:
        made.close()


def schemas(found: object) -> Iterator[dict[str, Any]]:
    """All schemas in a document, wherever they stand."""
    if isinstance(found, dict):
        for name, value in found.items():
            if name == "schema" and isinstance(value, dict):
                yield value
            elif name == "schemas":
                yield from value.values()
            yield from schemas(value)
    elif isinstance(found, list):
        for value in found:
            yield from schemas(value)


def references(found: object) -> Iterator[str]:
    text = json.dumps(found)
    yield from re.findall(r'"\$ref": "([^"]*)"', text)


def require(document: dict[str, Any], schema: dict[str, Any], value: object) -> None:
    """The value is as the schema in the document says."""
    whole = {**schema, "components": document["components"]}
    Draft202012Validator(whole).validate(value)


def test_the_document_is_one_and_every_call_is_in_it(house: House) -> None:
    document = house.get("/openapi.json").document
    Draft202012Validator(OPENAPI).validate(document)
    for schema in schemas(document):
        Draft202012Validator.check_schema(schema)
    known = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert set(references(document)) <= known
    found = {
        (method.upper(), path) for path, calls in document["paths"].items() for method in calls
    }
    assert found == {(route.method, route.path) for route in ROUTES}
    names = [one["operationId"] for calls in document["paths"].values() for one in calls.values()]
    assert len(set(names)) == len(names)


def test_path_parameters_are_those_of_the_path(house: House) -> None:
    document = house.get("/openapi.json").document
    for path, calls in document["paths"].items():
        for call in calls.values():
            named = [one["name"] for one in call["parameters"] if one["in"] == "path"]
            assert named == re.findall(r"{(\w+)}", path)


def answers(document: dict[str, Any], call: dict[str, Any], reply: Reply) -> None:
    """The reply is one that the document tells of."""
    content = call["responses"][str(reply.status)]["content"]
    kind = reply.headers["Content-Type"].partition(";")[0]
    value = reply.document if kind == "application/json" else reply.text
    require(document, content[kind]["schema"], value)


def test_every_call_answers_as_the_document_says(house: House) -> None:
    """As the owner, as anybody, and where what is asked isn't there."""
    document = house.get("/openapi.json").document
    statuses: dict[str, set[int]] = {}
    for route in ROUTES:
        call = document["paths"][route.path][route.method.lower()]
        name = call["operationId"]
        if name == "get_api_events":
            continue
        path, body = CALLS.get(name, (route.path, None))
        if body is not None:
            require(document, call["requestBody"]["content"]["application/json"]["schema"], body)
        replies = [house.call(route.method, path, body), house.owner(route.method, path, body)]
        replies.append(house.owner(route.method, path, {"wrong": True}))
        if "{" in route.path:
            replies.append(house.owner(route.method, re.sub("{.*}", "none", route.path), body))
        replies.append(house.call(route.method, path, body, {"Host": "evil.example"}))
        for reply in replies:
            answers(document, call, reply)
        statuses[name] = {reply.status for reply in replies}
    assert statuses["post_api_send"] == {200, 400, 403}
    assert statuses["post_api_approvals_id"] == {401, 200, 400, 404, 403}
    assert statuses["post_deploy"] == {501, 403}


def test_the_stream_is_told_of_as_it_is(house: House) -> None:
    call = house.get("/openapi.json").document["paths"]["/api/events"]["get"]
    assert list(call["responses"]["200"]["content"]) == ["text/event-stream"]
    (header,) = call["parameters"]
    assert (header["name"], header["in"]) == ("Last-Event-ID", "header")
    house.say(("owner", "hello"))
    following = house.events("0-0-0")
    try:
        assert re.match(header["schema"]["pattern"], following.next()[0])
    finally:
        following.close()


def test_a_call_that_nobody_described_is_noticed(tmp_path: Path) -> None:
    """Else the checks above could not fail."""
    document = describe(ROUTES[:-1])
    assert ROUTES[-1].path not in document["paths"]
    del document["info"]["version"]
    assert list(Draft202012Validator(OPENAPI).iter_errors(document))
