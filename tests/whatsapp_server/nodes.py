"""The tree of nodes that WhatsApp's frames carry, and its binary form.

A node is a tag, attributes and either children or bytes. How its strings are written, addresses
above all, is told in node_strings.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field

from tests.whatsapp_server.node_strings import (
    BINARY8,
    BINARY20,
    BINARY32,
    EMPTY,
    LIST8,
    LIST16,
    StringReader,
    of_bytes,
    of_string,
    of_value,
)


@dataclass(frozen=True)
class Node:
    """One node; `content` is children, or bytes, or nothing."""

    tag: str
    attrs: dict[str, str] = field(default_factory=dict)
    content: list[Node] | bytes | None = None

    @property
    def children(self) -> list[Node]:
        """The nodes inside, none where the content is bytes."""
        return self.content if isinstance(self.content, list) else []

    @property
    def data(self) -> bytes:
        """The bytes inside; empty where there are children or nothing."""
        return self.content if isinstance(self.content, bytes) else b""

    @property
    def text(self) -> str:
        """The bytes inside as text."""
        return self.data.decode()

    def child(self, tag: str) -> Node | None:
        """The first node inside with that tag."""
        return next((node for node in self.children if node.tag == tag), None)

    def every(self, tag: str) -> list[Node]:
        """All nodes directly inside with that tag."""
        return [node for node in self.children if node.tag == tag]

    def within(self, *tags: str) -> Node:
        """The node at the end of a path of tags; ValueError where a step is missing."""
        node = self
        for tag in tags:
            found = node.child(tag)
            if found is None:
                raise ValueError(f"<{node.tag}> has no <{tag}>")
            node = found
        return node


def encode(node: Node) -> bytes:
    """A frame's content: the byte of flags, then the node, not compressed."""
    return b"\0" + _node(node)


def decode(frame: bytes) -> Node:
    """The node that a frame's content holds; ValueError where it is none."""
    plain = zlib.decompress(frame[1:]) if frame[0] & 2 else frame[1:]
    try:
        return _Reader(plain).node()
    except IndexError:
        raise ValueError(f"a node of {len(plain)} bytes ends too early") from None


def _node(node: Node) -> bytes:
    parts = [_size(1 + 2 * len(node.attrs) + (node.content is not None)), of_string(node.tag)]
    for name, value in node.attrs.items():
        parts += [of_string(name), of_value(value)]
    if isinstance(node.content, bytes):
        parts.append(of_bytes(node.content))
    elif node.content is not None:
        parts += [_size(len(node.content)), *map(_node, node.content)]
    return b"".join(parts)


def _size(count: int) -> bytes:
    if not count:
        return bytes([EMPTY])
    return bytes([LIST8, count]) if count < 256 else bytes([LIST16]) + count.to_bytes(2, "big")


class _Reader(StringReader):
    def node(self) -> Node:
        size = self._list(self.byte())
        tag = self.string()
        if not size or not tag:
            raise ValueError("a node without a tag")
        attrs = {self.string(): self.string() for _ in range((size - 1) // 2)}
        return Node(tag, attrs, None if size % 2 else self._content())

    def _content(self) -> list[Node] | bytes:
        form = self.data[self.at]
        if form in (EMPTY, LIST8, LIST16):
            return [self.node() for _ in range(self._list(self.byte()))]
        if form in (BINARY8, BINARY20, BINARY32):
            return self.binary(self.byte())
        return self.string().encode()

    def _list(self, form: int) -> int:
        if form not in (EMPTY, LIST8, LIST16):
            raise ValueError(f"no list begins with {form}")
        return 0 if form == EMPTY else self.number(1 if form == LIST8 else 2)
