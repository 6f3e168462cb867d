"""`pynchy auth`: checks what chat networks need to let us in, and tells in plain words what is
missing. Nothing is changed, and no token is ever printed."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from pynchy_cli.channels.slack import checks
from pynchy_cli.channels.slack.manifest import manifest
from pynchy_cli.channels.slack.report import Report
from pynchy_cli.commands.app import Context, here
from pynchy_cli.commands.options import Json
from pynchy_cli.config.channels import MAIN, SLACK, called, configured, resolved, section_of
from pynchy_cli.config.channels import slack_rules as rules_of
from pynchy_cli.config.settings import SlackRules
from pynchy_cli.output import print_json, print_text, wants_json

app = typer.Typer(help="Check what chat networks need.\n\nExample: pynchy auth slack")

HOW = (
    "To make the app: https://api.slack.com/apps, Create New App, From a manifest, and paste this"
    " as JSON. Then install it into the workspace, make an app-level token, and put both tokens"
    " into .env."
)
MARKS = {True: "ok     ", False: "WRONG  ", None: "?      "}


@app.callback()
def main() -> None:
    """Check what chat networks need."""


@app.command()
def slack(
    ctx: typer.Context,
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME", help="The workspace, of [channels.slack.NAME]."),
    ] = None,
    only_manifest: Annotated[
        bool, typer.Option("--manifest", help="Print the app's manifest, and nothing else.")
    ] = False,
    as_json: Json = False,
) -> int:
    """Check a Slack workspace: both tokens, scopes, Socket Mode; tell what to do where it fails.

    Where something is wrong, the manifest is printed from which Slack makes an app as it must be.
    Ends with 0 where all is well, 100 where you must mend something, 111 where Slack can't be
    reached. Nothing is changed; while the app is connected from here, no second connection is made.

    Example: pynchy auth slack
    """
    context = here(ctx)
    wanted = manifest(context.settings.agent.name)
    if only_manifest:
        print_json(wanted)
        return 0
    report = _checked(context, name)
    if wants_json(as_json):
        document = report.document()
        print_json(document if report.is_ok else {**document, "manifest": wanted})
        return report.exit_code
    for one in report.findings:
        print_text(MARKS[one.ok] + one.message)
        if one.fix is not None:
            print_text(f"       {one.fix}")
    if not report.is_ok and not report.is_away:
        print_text(f"\n{HOW}\n")
        print_json(wanted)
    return report.exit_code


def _checked(context: Context, name: str | None) -> Report:
    """What is found of a workspace. Raises UsageWrong where it isn't known which one is meant."""
    settings = context.settings
    known = configured(settings)
    if name is None or name == SLACK:
        channel = resolved(settings, SLACK)
    else:
        channel = called(SLACK, name.removeprefix(f"{SLACK}."))
    # Who has configured nothing yet is told how to begin.
    is_new = channel == SLACK and channel not in known
    rules = SlackRules() if is_new else rules_of(settings, channel)
    section = section_of(channel)[1] if not is_new else MAIN
    is_only = len(known) <= 1
    return asyncio.run(checks.check(channel, section, rules, context.environ, is_only=is_only))
