"""A tool of the host's that a plugin offers to agents. The host says who calls it, and nothing that
an agent writes can; what its schema doesn't allow never comes to it."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from agent_runner.protocol import requests

Rule = Literal["allow", "gate", "admin"]
NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
MOST_PATIENCE = 3600.0
"""Seconds that a tool may be given at most."""
SHOWN = 500
"""Characters of a fault that an agent is told."""


@dataclass(frozen=True)
class Caller:
    """Who calls a tool, as the host knows it: the group's folder, whether that is an admin group,
    in which lane its agent works, and on which run, if on any."""

    group: str
    is_admin: bool
    lane: str
    run: int | None


Run = Callable[[dict[str, Any], Caller], Awaitable[Mapping[str, Any]]]


@dataclass(frozen=True)
class Tool:
    """A tool: its name, what it does in words for a model, the JSON Schema (draft 2020-12, of an
    object) of its arguments, and what does it.

    `run` is awaited in the process that carries out everybody's requests: it must not block. It
    gives an object that JSON can hold; what it raises is told to the agent. With the rule `allow`
    any group may use it that has the plugin, with `gate` a person must approve each call, with
    `admin` only admin groups have it. `patience` is in seconds. Where the host was killed in the
    middle of it, it is run again if `is_idempotent`, and else its end is unknown.

    Raises ValueError where it can't be.
    """

    name: str
    description: str
    schema: Mapping[str, Any]
    run: Run
    rule: Rule = "allow"
    is_idempotent: bool = False
    patience: float = 60.0

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise ValueError(f"{self.name!r} can't be a tool's name: it must match {NAME.pattern}")
        if self.name in requests.types():
            raise ValueError(f"{self.name!r} can't be a tool's name: it is a request's")
        if self.rule not in ("allow", "gate", "admin"):
            raise ValueError(f"{self.name}: the rule must be allow, gate or admin")
        if not 0 < self.patience <= MOST_PATIENCE:
            raise ValueError(f"{self.name}: the patience must be at most {MOST_PATIENCE:g} s")
        _require_schema(self.name, self.schema)

    def fault(self, arguments: Mapping[str, Any]) -> str | None:
        """Why the arguments aren't what the schema allows, or None where they are."""
        from jsonschema import Draft202012Validator  # a twentieth of a second to load
        from jsonschema.exceptions import best_match
        from referencing import Registry
        from referencing.exceptions import Unresolvable

        # An empty registry fetches nothing, whatever a schema refers to.
        checker = Draft202012Validator(self.schema, registry=Registry())
        try:
            found = best_match(checker.iter_errors(dict(arguments)))
        except (Unresolvable, RecursionError) as error:
            return f"the tool's own schema can't be used: {error}"[:SHOWN]
        if found is None:
            return None
        where = "/".join(str(step) for step in found.absolute_path)
        return f"{where}: {found.message}"[:SHOWN] if where else found.message[:SHOWN]


def _require_schema(name: str, schema: Mapping[str, Any]) -> None:
    from jsonschema import Draft202012Validator  # a twentieth of a second to load
    from jsonschema.exceptions import SchemaError

    if not isinstance(schema, Mapping) or schema.get("type") != "object":
        raise ValueError(f"{name}: the schema must be an object's")
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        raise ValueError(f"{name}: the schema can't be: {error.message}") from error
    for reference in _references(schema):
        if not str(reference).startswith("#"):
            raise ValueError(f"{name}: the schema refers to {reference!r}, outside of itself")


def _references(schema: object) -> Iterator[object]:
    if isinstance(schema, Mapping):
        for key, value in schema.items():
            if key in ("$ref", "$dynamicRef") and isinstance(value, str):
                yield value
            yield from _references(value)
    elif isinstance(schema, list | tuple):
        for one in schema:
            yield from _references(one)
