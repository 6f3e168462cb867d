"""The chat networks that are configured: what each connection is called, and what can't be. A
workspace that is called `main` is the channel `slack`; one called `work` is `slack.work`. Of
WhatsApp there is one account, `main`."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from pynchy_cli.config import phones
from pynchy_cli.config.settings import NetworkRules, Settings, SlackRules, WhatsAppRules
from pynchy_cli.errors import ConfigInvalid, UsageWrong

MAIN = "main"
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
SLACK = "slack"
WHATSAPP = "whatsapp"
KINDS = (SLACK, WHATSAPP)
"""The networks that sections are for."""
ACCOUNT_OWNER = f"{WHATSAPP}:owner"
"""Whoever holds the phone of the WhatsApp account: its own messages come from nobody else."""
PLAIN_TOKENS = {"SLACK_BOT_TOKEN": "bot_token", "SLACK_APP_TOKEN": "app_token"}
"""Variables that other programs know too, and the setting that each fills where there is one
workspace."""


def called(kind: str, name: str) -> str:
    """The channel's name, of the section [channels.KIND.NAME]."""
    return kind if name == MAIN else f"{kind}.{name}"


def section_of(channel: str) -> tuple[str, str]:
    """The kind and the name of the section that configures a channel."""
    kind, _, name = channel.partition(".")
    return kind, name or MAIN


def configured(settings: Settings) -> dict[str, NetworkRules]:
    """All channels that a section is for, by their names."""
    kinds: dict[str, Mapping[str, NetworkRules]] = {
        SLACK: settings.channels.slack,
        WHATSAPP: settings.channels.whatsapp,
    }
    return {called(kind, name): rules for kind in kinds for name, rules in kinds[kind].items()}


def enabled(settings: Settings) -> list[str]:
    """The channels that are to be connected to."""
    return [name for name, rules in configured(settings).items() if rules.enabled]


def slack_rules(settings: Settings, channel: str) -> SlackRules:
    """What is configured for a Slack channel. Raises UsageWrong where nothing is."""
    kind, name = section_of(channel)
    rules = settings.channels.slack.get(name) if kind == SLACK else None
    if rules is None:
        raise _unknown(settings, channel)
    return rules


def whatsapp_rules(settings: Settings, channel: str) -> WhatsAppRules:
    """What is configured for the WhatsApp account. Raises UsageWrong where there is none."""
    rules = settings.channels.whatsapp.get(MAIN) if channel == WHATSAPP else None
    if rules is None:
        raise _unknown(settings, channel)
    return rules


def _unknown(settings: Settings, channel: str) -> UsageWrong:
    kind = section_of(channel)[0]
    if channel == WHATSAPP:
        return UsageWrong("No WhatsApp account is linked. `pynchy auth whatsapp` links one.")
    how = f"`pynchy auth {kind if kind in KINDS else SLACK}` tells how to begin"
    known = ", ".join(configured(settings))
    there = f"There is: {known}." if known else f"There is none; {how}."
    return UsageWrong(f"No channel {channel!r} is configured. {there}")


def resolved(settings: Settings, channel: str) -> str:
    """The channel that is meant by a kind alone, where only one of that kind is configured.
    Raises UsageWrong where several are."""
    known = configured(settings)
    if channel in known:
        return channel
    alike = [name for name in known if section_of(name)[0] == channel]
    if len(alike) > 1:
        raise UsageWrong(f"Which one? There are {', '.join(alike)}.")
    return alike[0] if alike else channel


def owners(settings: Settings) -> tuple[str, ...]:
    """Who the owner is on each network, as `kind:id`."""
    named = (
        phones.meant(f"{section_of(channel)[0]}:{rules.owner}")
        for channel, rules in configured(settings).items()
        if rules.owner
    )
    return (ACCOUNT_OWNER, *named)


def plain_workspace(
    variables: Mapping[str, str], found: Collection[str], own: Collection[str]
) -> str | None:
    """The section that the plain variables fill: the only workspace that is configured; where none
    is, one called `main`, if both tokens are given, or one among our `own` variables: those around
    us may be another program's."""
    there = [section for section in found if section.startswith(f"channels.{SLACK}.")]
    main = f"channels.{SLACK}.{MAIN}"
    if len(there) == 1 or main in there:
        return main if main in there else there[0]
    given = [name for name in PLAIN_TOKENS if variables.get(name, "").strip()]
    is_meant = len(given) == len(PLAIN_TOKENS) or any(name in own for name in given)
    return main if not there and is_meant else None


def require_channels(settings: Settings) -> None:
    """Raises ConfigInvalid where two workspaces have the same token, or one can't be called so."""
    for name in settings.channels.whatsapp:
        if name != MAIN:
            raise ConfigInvalid(
                f"[channels.whatsapp.{name}]: a home has one WhatsApp account, which is "
                f"[channels.whatsapp.{MAIN}]. For another account make another home."
            )
        _require_person(settings.channels.whatsapp[name].owner)
    of: dict[str, str] = {}
    for name, rules in settings.channels.slack.items():
        if not _NAME.fullmatch(name):
            raise ConfigInvalid(
                f"No workspace can be called {name!r}: letters, digits, '_' and '-' are allowed in "
                "[channels.slack.NAME]."
            )
        for key in PLAIN_TOKENS.values():
            token = getattr(rules, key)
            if token and of.setdefault(token, name) != name:
                raise ConfigInvalid(
                    f"[channels.slack.{name}] has the same {key} as [channels.slack.{of[token]}]. "
                    "One app serves one workspace here: two connections would take half of what is "
                    "said each."
                )


def _require_person(owner: str) -> None:
    if owner and phones.person(f"{phones.PREFIX}{owner}") in (None, ACCOUNT_OWNER):
        raise ConfigInvalid(
            f"[channels.whatsapp.{MAIN}] owner: {owner!r} is no phone number with its country's "
            f'code, such as "{phones.EXAMPLE}". Where the account is your own, leave it out.'
        )
