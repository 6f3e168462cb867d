"""What a Slack message says: its text, or where it has none what its blocks and attachments say.
What is attached may be other people's words, and is quoted, so that it commands nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pynchy_cli.channels.seen import line, whole
from pynchy_cli.channels.slack.text_in import LONGEST, Reader, link

DEEPEST = 8
"""How deep blocks are looked into."""


def content(message: Mapping[str, Any], reader: Reader) -> str:
    """What a message says, and where that is nothing, quoted, what is attached to it."""
    if said := own_words(message, reader):
        return said
    attached = "\n".join(_attached(message, reader)).strip()[:LONGEST]
    return "\n".join(f"> {one}" for one in attached.splitlines())


def own_words(message: Mapping[str, Any], reader: Reader) -> str:
    """What a message says itself, whatever is attached to it or unfolded under it."""
    raw = message.get("text")
    if isinstance(raw, str) and raw.strip():
        return reader.text(raw).strip()
    return "\n".join(_blocks(message.get("blocks"), reader)).strip()[:LONGEST]


def _blocks(blocks: object, reader: Reader) -> Iterator[str]:
    """The lines of blocks, as far as they hold words."""
    for block in _dicts(blocks):
        match block.get("type"):
            case "rich_text":
                yield from _rich(block.get("elements"), reader, 0)
            case "section":
                yield from _texts([block.get("text"), *_list(block.get("fields"))], reader)
            case "header":
                yield from _texts([block.get("text")], reader)
            case "context":
                yield from _texts(_list(block.get("elements")), reader)
            case "markdown" if isinstance(text := block.get("text"), str):
                yield whole(text)
            case "image" if isinstance(text := block.get("alt_text"), str):
                yield line(text)


def _rich(elements: object, reader: Reader, depth: int) -> Iterator[str]:
    if depth > DEEPEST:
        return
    for element in _dicts(elements):
        inner = element.get("elements")
        match element.get("type"):
            case "rich_text_list":
                yield from (f"- {one}" for one in _rich(inner, reader, depth + 1))
            case "rich_text_quote":
                yield from (f"> {one}" for one in _inline(inner, reader).splitlines())
            case "rich_text_preformatted":
                yield f"```\n{_inline(inner, reader)}\n```"
            case _:
                yield _inline(inner, reader)


def _inline(elements: object, reader: Reader) -> str:
    parts: list[str] = []
    is_first = True
    for one in _dicts(elements):
        is_first = is_first and not (parts and parts[-1].strip())
        match one:
            case {"type": "user", "user_id": str(id)}:
                parts.append(reader.user(id, may_call=is_first))
            case {"type": "channel", "channel_id": str(id)}:
                parts.append(reader.channel(id))
            case {"type": "usergroup", "usergroup_id": str(id)}:
                parts.append(reader.group(id, may_call=is_first))
            case {"type": "broadcast", "range": str(range)}:
                parts.append(f"@{line(range)}")
            case {"type": "emoji", "name": str(name)}:
                parts.append(f":{line(name)}:")
            case {"type": "link", "url": str(url)}:
                label = one.get("text")
                parts.append(link(whole(url), whole(label) if isinstance(label, str) else ""))
            case {"text": str(text)}:
                parts.append(whole(text))
    return "".join(parts)


def _texts(objects: Iterable[object], reader: Reader) -> Iterator[str]:
    for one in objects:
        match one:
            case {"type": "plain_text", "text": str(text)}:
                yield whole(text)
            case {"text": str(text)}:
                yield reader.text(text)


def _attached(message: Mapping[str, Any], reader: Reader) -> Iterator[str]:
    for one in _dicts(message.get("attachments")):
        author = one.get("author_name")
        if isinstance(author, str) and author:
            yield f"{line(author)}:"
        fields = [one.get("pretext"), one.get("title"), one.get("text")]
        words = [reader.text(each) for each in fields if isinstance(each, str) and each]
        words = words or list(_blocks(one.get("blocks"), reader))
        if not words and isinstance(fallback := one.get("fallback"), str):
            words = [reader.text(fallback)]
        yield from words


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _dicts(value: object) -> Iterator[dict[str, Any]]:
    return (one for one in _list(value) if isinstance(one, dict))
