"""Markdown as plain text, for terminals and networks that know no marks."""

from __future__ import annotations

from pynchy_cli.channels.markdown import Notation, written


class _Plain(Notation):
    def block(self, text: str) -> str:
        return "\n".join(f"    {line}" if line else line for line in text.split("\n"))


def plain_text(text: str) -> str:
    """A text in Markdown, without its marks; the addresses of links stand behind their names."""
    return written(text, _Plain())
