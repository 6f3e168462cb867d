"""`pynchy auth`: lets this home into chat networks. What Slack needs is checked, and told in plain
words; nothing is changed there, and no token is ever printed. A WhatsApp account is linked here."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from pynchy_cli.channels.slack import checks
from pynchy_cli.channels.slack.manifest import manifest
from pynchy_cli.channels.slack.report import Report
from pynchy_cli.channels.whatsapp import device, pairing, standing
from pynchy_cli.commands.app import Context, code_of, here
from pynchy_cli.commands.options import Json
from pynchy_cli.config.channels import MAIN, SLACK, called, configured, resolved, section_of
from pynchy_cli.config.channels import slack_rules as rules_of
from pynchy_cli.config.settings import SlackRules
from pynchy_cli.errors import EXIT_DONE, DatabaseMissing, UsageWrong
from pynchy_cli.output import print_json, print_line, print_text, wants_json
from pynchy_cli.supervise.again import start_again
from pynchy_cli.tui.ending import to_the_end
from pynchy_cli.tui.linking import Codes, forget, link, unlink

app = typer.Typer(help="Let this home into chat networks.\n\nExample: pynchy auth whatsapp")

HOW = (
    "To make the app: https://api.slack.com/apps, Create New App, From a manifest, and paste this"
    " as JSON. Then install it into the workspace, make an app-level token, and put both tokens"
    " into .env."
)
MARKS = {True: "ok     ", False: "WRONG  ", None: "?      "}


@app.callback()
def main() -> None:
    """Let this home into chat networks."""


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


@app.command()
def whatsapp(
    ctx: typer.Context,
    phone: Annotated[
        str | None,
        typer.Option(metavar="NUMBER", help="Get a code to be typed into this phone instead."),
    ] = None,
    png: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Also keep the code in a picture, while it is good."),
    ] = None,
    log_out: Annotated[
        bool, typer.Option("--logout", help="Take this device off the account.")
    ] = False,
    as_json: Json = False,
) -> int:
    """Link a WhatsApp account: show a code for its phone to read, or one to be typed into it.

    Where an account is linked, tell which, and whether it is connected; `listen whatsapp`, which
    ended because of it, is started again by the `pynchy up` that runs. Where no terminal reads
    along, each code is a line of JSON.

    Ends with 0 where the account is linked, 1 where no phone took a code, 100 where you must mend
    something, 111 where WhatsApp can't be reached.

    Example: pynchy auth whatsapp   or: pynchy auth whatsapp --phone "+49 151 23456789"
    """
    context = here(ctx)
    number = pairing.number_of(phone) if phone is not None else ""
    if log_out and (number or png):
        raise UsageWrong("--logout takes neither --phone nor --png.")
    said = partial(code_of, wants_json=as_json)
    as_json = wants_json(as_json)
    account = context.settings.channels.whatsapp.get(MAIN)
    owner = pairing.number_of(account.owner) if account and account.owner else ""
    database = context.home.whatsapp
    linked = device.paired(database, in_use=device.is_held(database))
    if log_out:
        if linked is None:
            forget(database)
            return _told({"state": "not_linked"}, ["No account is linked here."], as_json)
        to_the_end(partial(_log_out, context, linked, as_json), said)
    if linked is not None:
        return _standing(context, linked, owner, is_new=False, as_json=as_json)
    if not context.home.database.exists():
        raise DatabaseMissing(f"{context.home.database} does not exist. `pynchy init` makes it.")
    codes = Codes(as_json=as_json, png=png.absolute() if png else None)
    return to_the_end(partial(_link, context, codes, number, owner, as_json), said)


async def _link(context: Context, codes: Codes, phone: str, owner: str, as_json: bool) -> int:
    linked = await link(context.home.whatsapp, codes, phone)
    return _standing(context, linked, owner, is_new=True, as_json=as_json)


async def _log_out(context: Context, linked: device.Device, as_json: bool) -> int:
    was_there = await unlink(context.home.whatsapp)
    how = "is off the account" if was_there else "had been taken off the account on the phone"
    said = f"This device {how} of {linked.in_words()}. What was said in its chats stays here."
    return _told({"state": "not_linked", "number": linked.number}, [said], as_json)


def _standing(
    context: Context, linked: device.Device, owner: str, *, is_new: bool, as_json: bool
) -> int:
    """Tell of the account that is linked, and have its stage started again where that had ended."""
    found = standing.look(context.home, linked, owner)
    rules = context.settings.channels.whatsapp.get(MAIN)
    found.is_enabled = rules is None or rules.enabled
    if not found.listens:
        found.is_started = start_again(context.home.all_sockets(context.environ), standing.STAGE)
    return _told(found.document(is_new=is_new), found.words(is_new=is_new), as_json)


def _told(document: dict[str, Any], words: list[str], as_json: bool) -> int:
    """Print one or the other; the exit code of what went well."""
    if as_json:
        print_line({"ok": True, **document})
    for line in [] if as_json else words:
        print_text(line)
    return EXIT_DONE
