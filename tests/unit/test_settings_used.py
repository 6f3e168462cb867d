"""No setting is there for show: each is read by code that does something with it. Who has which
section is told by annotations, assignments and loops, as far as they say it plainly."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import msgspec
import pytest

import pynchy_cli
from pynchy_cli.config import sections, settings, tiers

PACKAGE = Path(pynchy_cli.__file__).parent
ANSWERING = ("channels.py", "timed.py", "phones.py")
"""Modules of `config` that answer questions of others; all else of it only reads and shows."""
KINDS = {
    name: kind
    for name, kind in inspect.getmembers(settings, inspect.isclass)
    if issubclass(kind, settings.Section) and kind not in (settings.Section, settings.Settings)
}
SAME = {"Rules": "GroupRules", "Wanted": "Log"}
"""What sections are called where more, or less, is known of them."""
MERGED = ["GroupRules", "Sandbox", "Agent"]
USED_UP = {("GroupRules", "profile")}
"""What the tiers alone need."""
NAMED = {
    **{section: kind.__name__ for section, kind in sections.plain().items()},
    **{family.rpartition(".")[2]: kind.__name__ for family, kind in sections.FAMILIES.items()},
}
"""What an attribute of such a name holds."""
GOING_ON = ("items", "values", "get")


@cache
def trees() -> tuple[ast.Module, ...]:
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        inside = path.relative_to(PACKAGE)
        if inside.parts[0] != "config" or inside.name in ANSWERING:
            found.append(ast.parse(path.read_text(encoding="utf-8")))
    return tuple(found)


def named_in(annotation: ast.expr | None) -> set[str]:
    """The kinds of section that an annotation names."""
    found = set()
    for node in ast.walk(annotation) if annotation is not None else ():
        name = next(
            (getattr(node, of) for of in ("id", "attr", "value") if hasattr(node, of)), None
        )
        for part in str(name).replace("|", " ").split() if isinstance(name, str) else ():
            if SAME.get(part, part) in KINDS:
                found.add(SAME.get(part, part))
    return found


@cache
def returned() -> dict[str, set[str]]:
    """Functions that give a section, by their names."""
    everywhere = [ast.parse(path.read_text("utf-8")) for path in (PACKAGE / "config").glob("*.py")]
    return {
        node.name: kind
        for tree in (*trees(), *everywhere)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if (kind := named_in(node.returns))
    }


Names = dict[str, set[str]]


class Reader:
    """What a module reads of sections. Of what is an object's, others tell, too."""

    def __init__(self, tree: ast.Module, attributes: Names) -> None:
        self.tree = tree
        self.attributes = attributes
        self.names: Names = {}
        for _ in range(3):  # what is assigned may be said only further below
            for node in ast.walk(tree):
                self._learn(node)

    def read(self) -> Iterator[tuple[str, str]]:
        """Kind and setting, of each that is read here."""
        nodes = [*ast.walk(self.tree)]
        words = {str(node.value) for node in nodes if isinstance(node, ast.Constant)}
        for node in nodes:
            if isinstance(node, ast.Attribute):
                yield from ((kind, node.attr) for kind in self.kinds_of(node.value))
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "getattr":
                kinds = self.kinds_of(node.args[0])
                yield from ((kind, word) for kind in kinds for word in words)

    def _learn(self, node: ast.AST) -> None:
        if isinstance(node, ast.arg):
            self._bind(ast.Name(node.arg), named_in(node.annotation))
        elif isinstance(node, ast.AnnAssign):
            self._bind(node.target, named_in(node.annotation))
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                for one, value in _pairs(target, node.value):
                    self._bind(one, self.kinds_of(value))
        elif isinstance(node, ast.NamedExpr):
            self._bind(node.target, self.kinds_of(node.value))
        elif isinstance(node, ast.For | ast.comprehension):
            for target in ast.walk(node.target):
                self._bind(target, self.kinds_of(node.iter))
        elif isinstance(node, ast.FunctionDef) and [one.arg for one in node.args.args] == ["self"]:
            self._bind(ast.Attribute(attr=node.name), named_in(node.returns))  # maybe a property

    def _bind(self, target: ast.AST, kinds: set[str]) -> None:
        if kinds and isinstance(target, ast.Name):
            self.names.setdefault(target.id, set()).update(kinds)
        if kinds and isinstance(target, ast.Attribute | ast.Name):
            self.attributes.setdefault(str(_name(target)), set()).update(kinds)

    def kinds_of(self, node: ast.AST) -> set[str]:
        """The kinds of section that an expression may give; none where that isn't known."""
        if isinstance(node, ast.Attribute):
            named = {NAMED[node.attr]} if node.attr in NAMED else set()
            return named | self.attributes.get(node.attr, set())
        if isinstance(node, ast.Name):
            return self.names.get(node.id, set())
        if isinstance(node, ast.Subscript | ast.Await):
            return self.kinds_of(node.value)
        if isinstance(node, ast.Tuple | ast.List):
            return set().union(*map(self.kinds_of, node.elts))
        if isinstance(node, ast.Call):
            return self._of_call(node)
        return set()

    def _of_call(self, node: ast.Call) -> set[str]:
        called = str(_name(node.func))
        if called == "replace" and node.args:
            return self.kinds_of(node.args[0])
        if called in GOING_ON and isinstance(node.func, ast.Attribute):
            return self.kinds_of(node.func.value)
        return {called} if called in KINDS else returned().get(called, set())


def _pairs(target: ast.expr, value: ast.expr) -> list[tuple[ast.expr, ast.expr]]:
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
        return [*zip(target.elts, value.elts, strict=True)]
    return [(target, value)]


def _name(node: ast.AST) -> str | None:
    if isinstance(node, ast.Name):
        return node.id
    return node.attr if isinstance(node, ast.Attribute) else None


@cache
def used() -> frozenset[tuple[str, str]]:
    attributes: Names = {}
    readers = [Reader(tree, attributes) for tree in trees()]
    return frozenset(pair for reader in readers for pair in reader.read())


def is_used(kind: str, name: str) -> bool:
    """Whether somebody reads it: as it is, or as the tiers merge it into what holds for a group."""
    related = [
        one
        for one in KINDS
        if issubclass(KINDS[one], KINDS[kind]) or issubclass(KINDS[kind], KINDS[one])
    ]
    merged = (*tiers.FROM_SANDBOX, *tiers.FROM_AGENT)
    if kind in MERGED and name in merged:
        related += MERGED
    return (kind, name) in USED_UP or any((one, name) in used() for one in related)


def fields(kind: str) -> list[str]:
    return [field.name for field in msgspec.structs.fields(KINDS[kind])]


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"Channels"}))
def test_every_setting_is_used(kind: str) -> None:
    assert [name for name in fields(kind) if not is_used(kind, name)] == []
