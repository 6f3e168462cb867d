"""Turns what was given for one setting into its type, strictly, and says in plain words what
was wanted. A secret, and what looks like one, is never repeated."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from difflib import get_close_matches
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec

from pynchy_cli.config import sections
from pynchy_cli.config.settings import ADDRESS, ASKED, LINES, SPOKEN
from pynchy_cli.config.sources import Given
from pynchy_cli.errors import ConfigInvalid
from pynchy_cli.log import masked

_LARGEST = 2**63 - 1
_BOOLEANS = {"true": True, "yes": True, "on": True, "1": True}
_BOOLEANS |= {"false": False, "no": False, "off": False, "0": False}
_NAMES = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}


def convert(given: Given, kind: Any) -> Any:
    """The value in the setting's type. Raises ConfigInvalid."""
    kind = _required(kind)
    value = _from_text(given.value, kind) if given.is_text else given.value
    try:
        made = msgspec.convert(value, kind, strict=not given.is_text)
    except msgspec.ValidationError as error:
        raise ConfigInvalid(_refusal(given, kind) + _nearest_field(error, kind)) from error
    if not _is_sound(made, _may_have_lines(kind)) or (_is_secret(given) and re.search(r"\s", made)):
        raise ConfigInvalid(_refusal(given, kind))
    return made


def toml_reason(error: Exception) -> str:
    """What a TOML reader found wrong, as a sentence with the line."""
    if isinstance(error, RecursionError):
        return "it is nested too deeply."
    return masked(str(error)).rstrip(".") + "."


def wanted(kind: Any) -> str:
    """In words what a setting takes, such as `a whole number of at least 1`."""
    kind = _required(kind)
    if get_origin(kind) is Annotated:
        base, *metas = get_args(kind)
        if get_origin(base) is tuple:
            return f"a list of at least one, each of it {wanted(get_args(base)[0])}"
        return wanted(base) + "".join(_limits(meta) for meta in metas)
    if get_origin(kind) is Literal:
        choices = get_args(kind)
        return f"{', '.join(choices[:-1])} or {choices[-1]}"
    if get_origin(kind) is tuple:
        return "a list, each of it " + wanted(get_args(kind)[0])
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        fields = [f"{field.name} ({wanted(field.type)})" for field in msgspec.structs.fields(kind)]
        return f"a table of {', '.join(fields)}"
    return _NAMES[kind]


def as_toml(value: Any) -> str:
    """A value as TOML writes it, on one line; a number as short as it can be."""
    if isinstance(value, tuple | list):
        return "[" + ", ".join(as_toml(one) for one in value) + "]"
    if isinstance(value, dict):
        fields = (f"{name} = {as_toml(one)}" for name, one in value.items() if one is not None)
        return "{ " + ", ".join(fields) + " }"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return msgspec.json.encode(value).decode()


def _limits(meta: msgspec.Meta) -> str:
    words = ""
    if meta.min_length:
        words += " that is not empty"
    if meta.max_length:
        words += f" of at most {meta.max_length} characters"
    if meta.ge is not None:
        words += f" of at least {meta.ge}"
    if meta.gt is not None:
        words += f" above {meta.gt}"
    if meta.le is not None:
        words += f" and at most {meta.le}"
    if meta.pattern == ADDRESS:
        words += " that is an address beginning with https:// or http://, without a login"
    elif meta.pattern == SPOKEN:
        words += " that is a word of at most 40 characters, beginning with neither @ nor !"
    elif meta.pattern == ASKED:
        words += " such as send_message or service:NAME"
    elif meta.pattern is not None and meta.pattern.startswith(r"^(\*|"):
        words += " of letters, digits, '_', '.' and '-', or *"
    elif meta.pattern is not None:
        words += " of letters, digits, '_', '.' and '-'"
    return words


def _from_text(text: str, kind: Any) -> Any:
    text = text.strip()
    while get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    if kind is bool:
        return _BOOLEANS.get(text.lower(), text)
    if get_origin(kind) is not tuple:
        return text
    if text.startswith("["):
        try:
            return msgspec.json.decode(text)
        except msgspec.DecodeError:
            return text
    return [part.strip() for part in text.split(",") if part.strip()]


def _may_have_lines(kind: Any) -> bool:
    metas = get_args(kind)[1:] if get_origin(kind) is Annotated else ()
    return any(meta.extra == LINES for meta in metas)


def _is_sound(value: Any, may_have_lines: bool = False) -> bool:
    """Neither infinite, nor too large for the kernel, nor holding bytes that are no text or control
    characters, but for those of lines where it may have several."""
    if isinstance(value, str) and may_have_lines:
        return not re.search(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]", value)
    if isinstance(value, msgspec.Struct):
        return _is_sound(msgspec.structs.astuple(value))
    if isinstance(value, tuple):
        return all(_is_sound(one) for one in value)
    if isinstance(value, str):
        return not re.search(r"[\x00-\x1f\x7f\ud800-\udfff]", value)
    return not isinstance(value, int | float) or abs(value) <= _LARGEST


def _is_secret(given: Given) -> bool:
    return sections.is_secret(given.section, given.key)


def _required(kind: Any) -> Any:
    """The type that a setting has where it is set at all."""
    if get_origin(kind) in (Union, UnionType):
        return next(one for one in get_args(kind) if one is not NoneType)
    return kind


def _nearest_field(error: msgspec.ValidationError, kind: Any) -> str:
    """For a table with a field that it hasn't: the name that may have been meant."""
    unknown = re.search(r"unknown field `([^`]*)`", str(error))
    near = get_close_matches(unknown[1], _table_fields(kind), n=1) if unknown else []
    return f" Did you mean {near[0]}?" if near else ""


def _table_fields(kind: Any) -> Iterator[str]:
    for one in (kind, *get_args(kind)):
        if isinstance(one, type) and issubclass(one, msgspec.Struct):
            yield from one.__struct_fields__


def _refusal(given: Given, kind: Any) -> str:
    hint = ""
    if get_origin(kind) is Literal and isinstance(given.value, str):
        near = get_close_matches(given.value, get_args(kind), n=1)
        hint = f" Did you mean {near[0]}?" if near else ""
    if wanted(kind).startswith("text") and isinstance(given.value, int | float | date):
        hint = " Put it in quotes."
    wants = f"it must be {wanted(kind)}"
    if _is_secret(given):
        return f"{given.where} can't be used: {wants} without spaces."
    return f"{given.where} can't be {_repeat(given.value)}: {wants}.{hint}"


def _repeat(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list) and any(isinstance(one, dict) for one in value):
        return "a list of tables"
    text = masked(value if isinstance(value, str) else str(value))
    text = text if len(text) <= 60 else text[:57] + "..."
    return repr(text) if isinstance(value, str) else text
