"""`pynchy send`: says one thing to a group, and waits for the answer where asked to."""

from __future__ import annotations

import asyncio
import sys
from typing import Annotated, Any

import typer

from pynchy_cli.channels.stdin import LINE_LIMIT
from pynchy_cli.commands.app import here, open_store
from pynchy_cli.errors import EXIT_DONE, EXIT_FAILED, EXIT_REFUSED, UsageWrong
from pynchy_cli.model import Message
from pynchy_cli.output import print_json, print_text, say
from pynchy_cli.routing import telling
from pynchy_cli.routing.answers import Outcome, outcome
from pynchy_cli.store import groups, waiting
from pynchy_cli.tui.follow import follow, missing, not_running
from pynchy_cli.tui.lines import as_row
from pynchy_cli.tui.talk import Talk


def command(
    ctx: typer.Context,
    group: Annotated[str, typer.Argument(metavar="GROUP", help="The group's name.")],
    text: Annotated[
        str | None, typer.Argument(metavar="TEXT|-", help="What to say; - is standard input.")
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the answer and print it.")] = False,
    timeout: Annotated[
        float | None,
        typer.Option(min=0, metavar="SECONDS", help="Wait for the answer, but no longer."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> int:
    """Say something to a group.

    Example: pynchy send main "What is in my folder?" --wait
    """
    context = here(ctx)
    with open_store(context) as store:
        talk = Talk(store, context.home, context.settings, groups.get(store.db, group))
        said = _said(text)
        message = talk.say(said).message
        if message.verdict == "refused":
            say(f"{group} does not listen to you: its list of users has no `owner`.")
        elif hint := talk.hint(said):
            say(hint)
        elif held := talk.held(said):
            say(held)
        waits = wait or timeout is not None
        answer = asyncio.run(_answer(talk, message, timeout)) if waits else None
    return _report(message, answer, as_json)


def _said(text: str | None) -> str:
    if text is None or text == "-":
        if sys.stdin is None or (text is None and sys.stdin.isatty()):
            raise UsageWrong('There is nothing to say: pynchy send GROUP "TEXT".')
        data = sys.stdin.buffer.read(LINE_LIMIT + 1)
        if len(data) > LINE_LIMIT:
            raise UsageWrong(f"A message can't be longer than {LINE_LIMIT} bytes.")
        text = data.decode("utf-8", "replace").rstrip("\r\n")
    if not text.strip():
        raise UsageWrong("An empty message can't be sent.")
    return text


async def _answer(talk: Talk, message: Message, timeout: float | None) -> Outcome:
    """What became of the message when it is settled, or when the time is up."""

    told: set[str] = set()

    def is_settled() -> bool:
        for one in waiting.of_work(talk.store.db, talk.group.folder):
            if one.id not in told:
                told.add(one.id)
                say(telling.asked(one))
        return outcome(talk.store.db, message).is_settled

    if not is_settled() and (absent := missing(talk.store, talk.home)):
        say(f"Waiting: {not_running(absent)}.")
    await follow(talk.home, talk.store, is_settled, timeout=timeout)
    return outcome(talk.store.db, message)


def _report(message: Message, answer: Outcome | None, as_json: bool) -> int:
    replies = answer.replies if answer else ()
    if as_json:
        document: dict[str, Any] = {"ok": True, "message": as_row(message)}
        if answer:
            document["state"] = answer.state
            document["replies"] = [
                {"content": one.content, "source": one.source, "run": one.run_id} for one in replies
            ]
        print_json(document)
    else:
        for reply in replies:
            print_text(reply.content)
    if message.verdict == "refused":
        return EXIT_REFUSED
    if answer and not answer.is_settled:
        say("There is no answer yet. The message stays stored, and is not lost.")
    failed = answer is not None and answer.state in ("waiting", "failed", "cancelled", "set_aside")
    return EXIT_FAILED if failed else EXIT_DONE
