"""Every event that the code logs, found in its syntax: who calls a log, itself or by a function of
its module that hands the event on."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

LEVELS = ("debug", "info", "warning", "error", "exception")
LOGS = ("log", "_log")
MAYBE = re.compile(rf"log\s*\.\s*({'|'.join(LEVELS)})\b")
ROOT = Path(__file__).parent.parent
ANY = "…"
"""In an event: what is put in when it is logged."""


@dataclass(frozen=True)
class Logged:
    """One place that logs. `event` is None where the code doesn't say what."""

    module: str
    line: int
    level: str
    event: str | None


def everywhere() -> list[Logged]:
    """All of pynchy's own."""
    found: list[Logged] = []
    for path in sorted((ROOT / "pynchy_cli").rglob("*.py")):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        text = path.read_text()
        if MAYBE.search(text):  # most modules log nothing, and parsing takes a while
            found += in_module(name, text)
    return [one for one in found if one.module != "pynchy_cli.log"]


def in_module(name: str, text: str) -> list[Logged]:
    """What one module logs."""
    return [Logged(name, *rest) for rest in sorted(_found(ast.parse(text)), key=str)]


def _found(tree: ast.Module) -> Iterator[tuple[int, str, str | None]]:
    handed: dict[str, tuple[int, str]] = {}
    functions = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    for scope in (tree, *functions):
        aliases = _aliases(scope)
        names = [one.arg for one in scope.args.args] if not isinstance(scope, ast.Module) else []
        for node in _own(scope):
            if not isinstance(node, ast.Call):
                continue
            if (level := _level(node.func, aliases)) is None:
                yield from _partial(node, aliases)
                continue
            first = node.args[0] if node.args else None
            if isinstance(first, ast.Name) and first.id in names:
                assert not isinstance(scope, ast.Module)
                at = names.index(first.id) - (names[0] == "self")
                handed[scope.name] = (at, level)
            else:
                said = _assigned(scope, first.id) if isinstance(first, ast.Name) else first
                yield from ((node.lineno, level, event) for event in _texts(said))
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and (name := _called(node.func)) in handed:
            at, level = handed[name]
            wanted = node.args[at] if len(node.args) > at else None
            yield from ((node.lineno, level, event) for event in _texts(wanted))


def _own(scope: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a scope, without those of functions in it."""
    waiting = list(ast.iter_child_nodes(scope))
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            waiting += ast.iter_child_nodes(node)


def _aliases(scope: ast.AST) -> dict[str, str]:
    """Names that are a log's methods, such as `tell = log.debug if once else log.info`."""
    found = {}
    for node in _own(scope):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            value = node.value
            either = (value.body, value.orelse) if isinstance(value, ast.IfExp) else (value,)
            levels = [level for one in either if (level := _level(one, {}))]
            if levels:
                found[node.targets[0].id] = "/".join(levels)
    return found


def _assigned(scope: ast.AST, name: str) -> ast.AST | None:
    """What a name of a scope stands for, where it is said once."""
    found = [
        node.value
        for node in _own(scope)
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and node.targets[0].id == name
    ]
    return found[0] if len(found) == 1 else None


def _level(node: ast.AST, aliases: dict[str, str]) -> str | None:
    if isinstance(node, ast.Name):
        return aliases.get(node.id)
    if not isinstance(node, ast.Attribute) or node.attr not in LEVELS:
        return None
    of = node.value
    name = of.attr if isinstance(of, ast.Attribute) else of.id if isinstance(of, ast.Name) else ""
    return node.attr if name in LOGS else None


def _partial(node: ast.Call, aliases: dict[str, str]) -> Iterator[tuple[int, str, None]]:
    """A log's method that is handed to others, who say what the event is."""
    for one in (*node.args, *(keyword.value for keyword in node.keywords)):
        if (level := _level(one, aliases)) is not None:
            yield node.lineno, level, None


def _called(node: ast.AST) -> str:
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def _texts(node: ast.AST | None) -> list[str | None]:
    """What an expression says: one text, or either of two."""
    if isinstance(node, ast.IfExp):
        return [*_texts(node.body), *_texts(node.orelse)]
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return [node.value]
    if isinstance(node, ast.JoinedStr):
        parts = (one.value if isinstance(one, ast.Constant) else ANY for one in node.values)
        return ["".join(map(str, parts))]
    return [None]
