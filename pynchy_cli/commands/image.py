"""`pynchy image`: builds the agents' image, and tells how it stands."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from pynchy_cli.agent import cores
from pynchy_cli.commands.app import Context, here
from pynchy_cli.errors import EXIT_DONE, EXIT_FAILED, SandboxUnavailable
from pynchy_cli.output import print_facts, print_json, print_text, say, wants_json
from pynchy_cli.sandbox import engine, image

app = typer.Typer(
    help="Build the image of the docker runtime's sandboxes, or tell how it stands.\n\n"
    "Example: pynchy image info"
)

Base = Annotated[
    str,
    typer.Option("--base", metavar="IMAGE", help="The base, where it isn't that of base_image."),
]
Fresh = Annotated[
    bool, typer.Option("--fresh", help="Take nothing from the cache: the newest packages.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, on a terminal too.")]


@app.command()
def build(
    ctx: typer.Context, base: Base = "", fresh: Fresh = False, as_json: AsJson = False
) -> None:
    """Build the image, whether it needs to be or not.

    What is unchanged comes from the cache, even where programs were left out because there was
    no network: then build it --fresh.

    The engine is the one that DOCKER_HOST names, or the first of Docker's and Podman's sockets.
    No registry is needed where the base is there and has this machine's Python.

    Example: pynchy image build --base python:3.13-slim
    """
    choice = _choice(here(ctx), base)
    with _connected(here(ctx)) as connected:
        say(f"Building {choice.image} on {choice.base} …")
        facts = image.build(connected, choice, say, fresh=fresh)
        document = _document(connected, choice, facts)
    if wants_json(as_json):
        print_json(document)
    else:
        print_text(f"Built {choice.image}: {document['id']}, {document['megabytes']} MB.")


@app.command()
def info(ctx: typer.Context, base: Base = "", as_json: AsJson = False) -> int:
    """Tell whether the image is there and of today's sources; 1 where it isn't.

    Example: pynchy image info --json | jq .state
    """
    choice = _choice(here(ctx), base)
    with _connected(here(ctx)) as connected:
        document = _document(connected, choice, image.find(connected, choice.image))
    print_facts(document, as_json)
    return EXIT_DONE if document["state"] in ("current", "own") else EXIT_FAILED


def _choice(context: Context, base: str) -> image.Choice:
    settings = context.settings.sandbox
    found = cores.packages(cores.chosen(context.settings))
    return image.Choice(settings.image, base or settings.base_image, found)


def _connected(context: Context) -> engine.Engine:
    """The engine. Raises SandboxUnavailable."""
    address = engine.find(context.environ)
    if address is None:
        raise SandboxUnavailable(f"No container engine was found. {engine.INSTALL}")
    if (problem := address.problem()) is not None:
        raise SandboxUnavailable(problem)
    return engine.connect(address)


def _document(
    connected: engine.Engine, choice: image.Choice, facts: image.Facts | None
) -> dict[str, Any]:
    """`state` is current, outdated, missing, or own: somebody's own image, never built over."""
    document: dict[str, Any] = {
        "image": choice.image,
        "base": choice.base,
        "engine": connected.address.url,
        "state": "missing",
        "id": None,
        "created": None,
        "megabytes": None,
        "sources": None,
        "wanted": image.wanted(connected, choice),
    }
    if facts is None:
        return document
    built_of = image.sources(facts)
    is_current = built_of == document["wanted"]
    return document | {
        "state": "own" if built_of is None else "current" if is_current else "outdated",
        "id": facts["Id"].removeprefix("sha256:")[:12],
        "created": facts.get("Created"),
        "megabytes": facts.get("Size", 0) // 10**6,
        "sources": built_of,
    }
