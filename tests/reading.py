"""Finds which sections of the configuration a stage's code can read: from its module's names to
whatever they name, and so on. What no name leads to, such as plugins, is given as seeds."""

from __future__ import annotations

import ast
from collections import defaultdict
from functools import cache
from pathlib import Path

from pynchy_cli.config.settings import Settings

ROOT = Path(__file__).parent.parent
SECTIONS = set(Settings.__struct_fields__)
WHOLE = "pynchy_cli.config.load"
"""It reads everything, to see whether it is well; what comes of it is what a stage was given."""
TOP = ""
"""What a module does when it is imported."""

Place = tuple[str, str]
"""A module, and a name in it."""


class Module:
    """A module's names: what each is made of, and where those that are imported come from."""

    def __init__(self, name: str) -> None:
        self.name = name
        tree = ast.parse(file_of(name).read_text())  # type: ignore[union-attr]
        self.parts: dict[str, list[ast.AST]] = defaultdict(list)
        self.imported: dict[str, Place] = {}
        for node in tree.body:
            defined = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
            self.parts[node.name if defined else TOP].append(node)  # type: ignore[attr-defined]
            for target in getattr(node, "targets", [getattr(node, "target", None)]):
                if isinstance(target, ast.Name):
                    self.parts[target.id].append(node)
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("pynchy_cli"):
                for alias in node.names:
                    self.imported[alias.asname or alias.name] = _place(node.module, alias.name)

    def leads_to(self, name: str) -> set[Place]:
        """What a name of it names."""
        found: set[Place] = {(self.name, TOP)}
        for node in (inner for part in self.parts[name] for inner in ast.walk(part)):
            if isinstance(node, ast.Name):
                found |= self._named(node.id)
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                module, inside = self.imported.get(node.value.id, ("", "-"))
                if inside == TOP and module:
                    found.add((module, node.attr))
        return found

    def reads(self, name: str) -> set[str]:
        """The sections that are read there, as attributes of settings."""
        return {
            node.attr
            for part in self.parts[name]
            for node in ast.walk(part)
            if isinstance(node, ast.Attribute) and node.attr in SECTIONS
            if ast.unparse(node.value).rpartition(".")[2].strip("_") == "settings"
        }

    def _named(self, name: str) -> set[Place]:
        if name in self.imported:
            return {self.imported[name]}
        return {(self.name, name)} if name in self.parts else set()


def sections_read(seeds: list[str]) -> set[str]:
    """The sections that can be read from anything in these modules on."""
    waiting = {(name, part) for name in seeds for part in _module(name).parts}
    seen: set[Place] = set()
    found: set[str] = set()
    while waiting:
        module, name = place = waiting.pop()
        seen.add(place)
        if module == WHOLE or file_of(module) is None:
            continue
        found |= _module(module).reads(name)
        waiting |= _module(module).leads_to(name) - seen
    return found


def modules_below(package: str) -> list[str]:
    """All modules of a package."""
    files = (ROOT / Path(*package.split("."))).rglob("*.py")
    names = (".".join(file.relative_to(ROOT).with_suffix("").parts) for file in files)
    return sorted(name.removesuffix(".__init__") for name in names)


def file_of(module: str) -> Path | None:
    """The module's file, if it is one of ours."""
    path = ROOT / Path(*module.split("."))
    files = (path.with_suffix(".py"), path / "__init__.py")
    return next((file for file in files if file.exists()), None)


def _place(module: str | None, name: str) -> Place:
    inner = f"{module}.{name}"
    return (inner, TOP) if file_of(inner) else (str(module), name)


@cache
def _module(name: str) -> Module:
    return Module(name)
