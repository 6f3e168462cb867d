"""From the bytes of a file to a request of a known type. It believes nothing: what is not exactly a
request is refused with a reason, and no input makes it fail in any other way."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from typing import Any

import msgspec

from agent_runner.protocol import requests as protocol
from agent_runner.protocol.requests import REQUEST_LIMIT, Request
from pynchy_cli.errors import RequestRefused

DEPTH = 20
"""Levels of lists and objects in a request."""
VALUES = 10_000
"""Values in a request, those in lists and objects counted one by one."""
DIGITS = 40
"""Digits of a number."""
_CUT = re.compile(
    r"t|tr|tru|f|fa|fal|fals|n|nu|nul|-"
    r"|\.|[eE][+-]?"
    r"|\\?u?[0-9a-fA-F]{0,4}"
)
"""What may be left of a word, a number or a character by its number, at the end of a text."""


class Truncated(RequestRefused):
    """It ends before it is whole: perhaps somebody is still writing."""


def parse(data: bytes, request_id: str | None = None) -> Request:
    """The request that a file holds, whose name gives `request_id`. Raises RequestRefused with the
    code `invalid` or `too_large`; Truncated where it may just not be whole yet."""
    if len(data) > REQUEST_LIMIT:
        raise RequestRefused("too_large", f"A request is at most {REQUEST_LIMIT} bytes.")
    return _request(data, request_id)


def stored(payload: str) -> Request:
    """A request that we have stored ourselves, in our words, which may be longer than they were.
    Raises RequestRefused where it is of a type that there isn't any more."""
    return _request(payload.encode(), None)


def _request(data: bytes, request_id: str | None) -> Request:
    document = _document(data)
    if not isinstance(document, dict):
        raise _invalid("A request is a JSON object.")
    _require_bounds(document)
    if not isinstance(document.get("type"), str):
        raise _invalid("A request needs a type, such as send_message.")
    if document["type"] not in protocol.types():
        raise RequestRefused("type_unknown", f"There is no request {document['type'][:80]!r}.")
    try:
        request: Request = msgspec.convert(document, Request, strict=True)
    except (msgspec.ValidationError, ValueError, OverflowError) as error:
        raise _invalid(str(error)[:500]) from error
    if None not in (request.request_id, request_id) and request.request_id != request_id:
        raise _invalid("Its request_id is not the one in its file's name.")
    if not is_whole(request):
        raise _invalid("A task for an agent has a prompt; one for the host a command, and no more.")
    return request


def is_whole(request: Request) -> bool:
    """Whether a request says all that its kind needs, and nothing of another kind: what may be
    asked as the one must not be carried out as the other."""
    if not isinstance(request, protocol.ScheduleTask):
        return True
    if request.task_type == "host":
        return request.command is not None and request.prompt is None
    return request.prompt is not None and request.command is None and request.cwd is None


def payload(request: Request) -> str:
    """A request as it is stored, and shown: what it says, without its id, in a fixed order."""
    said = msgspec.to_builtins(request)
    said.pop("request_id", None)
    defaults = {field.name: field.default for field in msgspec.structs.fields(type(request))}
    kept = {
        name: value
        for name, value in said.items()
        if name == "type" or getattr(request, name) != defaults.get(name, msgspec.NODEFAULT)
    }
    return json.dumps(kept, ensure_ascii=False)


def excerpt(data: bytes, limit: int = 4096) -> str:
    """The beginning of what could not be read, as text that a row can hold."""
    return data[:limit].decode("utf-8", "replace").replace("\0", "\N{REPLACEMENT CHARACTER}")


def _document(data: bytes) -> Any:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        kind = Truncated if error.reason == "unexpected end of data" else RequestRefused
        raise kind("invalid", "It is not UTF-8.") from error
    try:
        return json.loads(text, object_pairs_hook=_once, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        kind = Truncated if _is_cut(text, error) else RequestRefused
        raise kind("invalid", f"It is not JSON: {error.msg}.") from error
    except RecursionError as error:
        raise _invalid(f"It has more than {DEPTH} levels.") from error
    except ValueError as error:
        raise _invalid(str(error)[:500]) from error


def _is_cut(text: str, error: json.JSONDecodeError) -> bool:
    """Whether what is missing is the end of a text that has begun."""
    if error.msg.startswith("Unterminated string") or error.pos >= len(text.rstrip()):
        return True
    return _CUT.fullmatch(text, error.pos) is not None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("An object names a field twice.")
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number.")


def _require_bounds(document: Any) -> None:
    """Raises RequestRefused for what has too many levels or values, or holds what no row can."""
    level, count = [document], 0
    for _ in range(DEPTH):
        if not level:
            return
        count += len(level)
        if count > VALUES:
            raise _invalid(f"It holds more than {VALUES} values.")
        level = [inner for value in level for inner in _checked(value)]
    if level:
        raise _invalid(f"It has more than {DEPTH} levels.")


def _checked(value: Any) -> Iterable[Any]:
    match value:
        case str():
            _require_text(value)
        case float() if not math.isfinite(value):
            raise _invalid("It holds a number that is too large.")
        case int() if abs(value) >= 10**DIGITS:
            raise _invalid(f"It holds a number of more than {DIGITS} digits.")
        case list():
            return value
        case dict():
            return [*value.keys(), *value.values()]
    return ()


def _require_text(text: str) -> None:
    if "\0" in text:
        raise _invalid("It holds the character NUL.")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise _invalid("It holds half of a character.") from error


def _invalid(message: str) -> RequestRefused:
    return RequestRefused("invalid", message)
