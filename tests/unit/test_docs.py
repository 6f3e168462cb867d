"""The documents say what the code does: made from it, or compared with it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pynchy_cli.cli import VERBS
from tests import docs

CHECKOUT = Path(__file__).parent.parent.parent


@pytest.mark.parametrize("name", sorted(docs.documents()))
def test_what_is_made_from_the_code_is_up_to_date(name: str) -> None:
    assert (docs.DOCS / name).read_text(encoding="utf-8") == docs.documents()[name], "make fix"


def test_every_link_of_a_document_leads_somewhere() -> None:
    broken = []
    for page in [*CHECKOUT.glob("*.md"), *docs.DOCS.glob("*.md")]:
        for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
            if target.startswith(("https://", "#")):
                continue
            if not (page.parent / target.partition("#")[0]).exists():
                broken.append(f"{page.name}: {target}")
    assert not broken


def test_every_command_has_an_example() -> None:
    text = docs.documents()["commands.md"]
    for name in VERBS:
        section = text.partition(f"### pynchy {name}\n")[2].partition("\n### ")[0]
        assert "Example:" in section, f"pynchy {name} --help has no example"


def test_every_module_of_the_architecture_is_there() -> None:
    page = (docs.DOCS / "architecture.md").read_text(encoding="utf-8")
    block = page.partition("## Where things are in the code")[2].partition("```")[2]
    block = block.partition("```")[0]
    named = re.findall(r"(?:^  |  )([a-z_]+(?:/|\.py))", block, re.MULTILINE)
    assert len(named) > 15
    for name in named:
        assert (CHECKOUT / "pynchy_cli" / name).exists(), name


def test_commands_that_documents_name_exist() -> None:
    for page in [*CHECKOUT.glob("*.md"), *docs.DOCS.glob("*.md")]:
        text = page.read_text(encoding="utf-8")
        for name in re.findall(r"`pynchy ([a-z-]+)", text):
            assert name in VERBS, f"{page.name}: pynchy {name}"
