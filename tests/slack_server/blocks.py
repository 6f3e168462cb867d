"""What blocks may be, and the ids that Slack gives to those that have none."""

from __future__ import annotations

import copy
import secrets
from typing import Any

from tests.slack_server.state import SlackError

MOST = 50
ALTOGETHER = 13_200
"""Characters of text in all blocks; found out, not documented."""
LIMITS = {"section": 3000, "header": 150, "markdown": 12_000}
KINDS = {"section", "header", "markdown", "divider", "actions", "context", "image", "rich_text",
         "input", "file", "video", "table", "context_actions"}  # fmt: skip

Block = dict[str, Any]


def checked(given: Any) -> list[Block]:
    """Blocks as they are stored. Raises invalid_blocks and its kin."""
    if not isinstance(given, list) or any(not isinstance(one, dict) for one in given):
        raise SlackError("invalid_blocks_format")
    if len(given) > MOST:
        _refuse("no more than 50 items allowed [json-pointer:/blocks]")
    kept = copy.deepcopy(given)
    for number, one in enumerate(kept):
        _check(one, f"[json-pointer:/blocks/{number}")
    if sum(_length(one) for one in kept) > ALTOGETHER:
        raise SlackError("msg_blocks_too_long")
    names = [one["block_id"] for one in kept]
    if len(set(names)) < len(names):
        _refuse("block_id must be unique [json-pointer:/blocks]")
    return kept


def _check(one: Block, at: str) -> None:
    kind = one.get("type")
    if kind not in KINDS:
        _refuse(f"unsupported type: {kind} {at}/type]")
    one.setdefault("block_id", secrets.token_urlsafe(4)[:5])
    if len(one["block_id"]) > 255:
        _refuse(f"must be less than 256 characters {at}/block_id]")
    if kind == "section":
        if not one.get("text") and not one.get("fields"):
            _refuse(f"missing required field: text {at}]")
        if one.get("text"):
            _text(one["text"], ("mrkdwn", "plain_text"), LIMITS["section"], f"{at}/text")
    elif kind == "header":
        _text(one.get("text"), ("plain_text",), LIMITS["header"], f"{at}/text")
    elif kind == "markdown":
        if not one.get("text"):
            _refuse(f"missing required field: text {at}]")
        if len(one["text"]) > LIMITS["markdown"]:
            raise SlackError("msg_too_long")
    elif kind in ("actions", "context"):
        _elements(one, at)


def _elements(one: Block, at: str) -> None:
    most = 25 if one["type"] == "actions" else 10
    elements = one.get("elements") or _refuse(f"missing required field: elements {at}]")
    if len(elements) > most:
        _refuse(f"no more than {most} items allowed {at}/elements]")
    for number, each in enumerate(elements):
        place = f"{at}/elements/{number}"
        if one["type"] == "context":
            if each.get("type") != "image":
                _text(each, ("mrkdwn", "plain_text"), 3000, place)
        elif each.get("type") == "button":
            _button(each, place)
    names = [each["action_id"] for each in elements if "action_id" in each]
    if len(set(names)) < len(names):
        _refuse(f"`action_id` must be unique {at}/elements]")


def _button(each: Block, at: str) -> None:
    _text(each.get("text"), ("plain_text",), 75, f"{at}/text")
    each.setdefault("action_id", secrets.token_urlsafe(4)[:5])
    for name, most in (("action_id", 255), ("value", 2000), ("url", 3000)):
        if len(each.get(name) or "") > most:
            _refuse(f"must be less than {most + 1} characters {at}/{name}]")
    if each.get("style", "primary") not in ("primary", "danger"):
        _refuse(f"must be a valid enum value {at}/style]")


def _text(text: Any, kinds: tuple[str, ...], most: int, at: str) -> None:
    if not isinstance(text, dict) or text.get("type") not in kinds:
        _refuse(f"must be a valid text object {at}]")
    if not text.get("text"):
        _refuse(f"must be more than 0 characters {at}/text]")
    if len(text["text"]) > most:
        _refuse(f"must be less than {most + 1} characters {at}/text]")


def _length(one: Any) -> int:
    if isinstance(one, dict):
        own = len(one["text"]) if isinstance(one.get("text"), str) else 0
        return own + sum(_length(each) for each in one.values() if not isinstance(each, str))
    return sum(_length(each) for each in one) if isinstance(one, list) else 0


def _refuse(why: str) -> Any:
    raise SlackError("invalid_blocks", errors=[why], response_metadata={"messages": [why]})
