"""What Slack makes of a text: entities stay, the rest is escaped, links marked, emoji named."""

from __future__ import annotations

import re

ENTITY = re.compile(
    r"<(?:@[UWB][A-Z0-9]+|#[CDG][A-Z0-9]+|!(?:here|channel|everyone|subteam\^[A-Z0-9]+|date\^[^>|]+)"
    r"|(?:https?://|mailto:|tel:)[^>|\s]+)(?:\|[^>]*)?>|&(?:amp|lt|gt);"
)
URL = re.compile(r"https?://[^\s<>|`]+[^\s<>|`.,;:!?)'\"*_~]")
BARE = re.compile(
    r"(?<![\w@./:-])(?:(?P<mail>[\w.+-]+@(?:[\w-]+\.)+[a-z]{2,})"
    r"|(?:[A-Za-z0-9-]+\.)+(?:com|org|net|io|ai|dev|co|uk|de|md|sh|py|rs)(?:/[^\s<>|`]*)?)(?![\w-])"
)
"""What looks like an address to Slack: `README.md` becomes `<http://README.md|README.md>`."""
CODE = re.compile(r"```.*?```|`[^`\n]+`", re.DOTALL)
EMOJI = {
    "👀": "eyes",
    "❌": "x",
    "✅": "white_check_mark",
    "👍": "+1",
    "🎉": "tada",
    "❤️": "heart",
    "🔥": "fire",
    "🚀": "rocket",
    "⚠️": "warning",
    "😀": "grinning",
    "🙂": "slightly_smiling_face",
    "⏳": "hourglass_flowing_sand",
    "🤖": "robot_face",
    "📎": "paperclip",
}


def by_app(text: str) -> str:
    """A text that an app sent, as it is stored: what is no entity is escaped and linked."""
    return _between(ENTITY, text, _plain, keep=lambda found: found)


def by_person(text: str, names: dict[str, str]) -> str:
    """What a person typed, as it is stored; `@name` of somebody known becomes a mention."""
    known = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))
    if known:
        pattern = rf"(?<![\w<])@({known})\b"
        text = re.sub(pattern, lambda found: f"<@{names[found[1]]}>", text)
    return _between(ENTITY, text, _plain, keep=_as_typed)


def _as_typed(found: str) -> str:
    """A person who types `&amp;` means it."""
    return "&amp;" + found[1:] if found.startswith("&") else found


def _plain(text: str) -> str:
    return _between(CODE, text, _linked, keep=escape)


def _linked(text: str) -> str:
    return _between(URL, _named(text), _bare, keep=lambda found: f"<{escape(found)}>")


def _bare(text: str) -> str:
    return _between(BARE, text, escape, keep=_addressed)


def _addressed(found: str) -> str:
    said = escape(found)
    is_mail = "@" in found.partition("/")[0]
    return f"<{'mailto:' if is_mail else 'http://'}{said}|{said}>"


def _named(text: str) -> str:
    for sign, name in EMOJI.items():
        text = text.replace(sign, f":{name}:")
    return text


def escape(text: str) -> str:
    """The three signs that mean something."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _between(pattern, text, between, keep) -> str:  # type: ignore[no-untyped-def]
    parts = []
    at = 0
    for found in pattern.finditer(text):
        parts += [between(text[at : found.start()]), keep(found[0])]
        at = found.end()
    return "".join([*parts, between(text[at:])])
