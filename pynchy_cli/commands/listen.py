"""`pynchy listen`: becomes the stage that takes messages in from one channel."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from pynchy_cli.commands.app import become, here
from pynchy_cli.config.channels import resolved
from pynchy_cli.store.outbound import INBOXES


def command(
    ctx: typer.Context,
    channel: Annotated[
        str,
        typer.Argument(metavar="CHANNEL", help="stdin, whatsapp, slack, or slack.NAME of several."),
    ],
    chat: Annotated[
        str, typer.Option(metavar="CHAT", help="channel:name, or a group's name.")
    ] = "local:main",
    sender: Annotated[str, typer.Option(metavar="ID", help="Who says it.")] = "owner",
    line_format: Annotated[
        Literal["auto", "text", "json"],
        typer.Option(
            "--format", help="What a line is; auto: JSON from the first that begins with a brace."
        ),
    ] = "auto",
    wait: Annotated[
        bool, typer.Option("--wait", help="Print the replies as NDJSON, until all have come.")
    ] = False,
    timeout: Annotated[
        float | None,
        typer.Option(min=0, metavar="SECONDS", help="Wait no longer after the last message."),
    ] = None,
) -> None:
    """Hold a channel: what is said there comes in, and answers go out.

    A chat network is connected to until Ctrl-C; `pynchy up` does that for all of them, and
    `pynchy auth` does or tells what is needed first. A pipe is read to its end.

    A line of standard input is a message: plain text, or a JSON object with `text` (or
    `content`) and, where wanted, `id`, `sender`, `sender_name`, `chat` and `timestamp`. The same
    id in the same chat is one message, however often it comes. A line that can't be read is told
    of and left out, and the exit code is then 1.

    An object may name any sender and chat. Where others write the lines, say --format text.

    Example: echo '{"id": "1", "text": "hello"}' | pynchy listen stdin --wait
    """
    context = here(ctx)
    if channel not in INBOXES:
        channel = resolved(context.settings, channel)
        become(f"listen@{channel}", context, {"channel": channel})
    options = {
        "channel": channel,
        "chat": chat,
        "sender": sender,
        "format": line_format,
        "wait": wait or timeout is not None,
        "timeout": timeout,
        "once": True,
    }
    become(f"listen@{channel}", context, options)
