"""Which model answers, and with which credential. The credential is told to the upstream and
to nobody else: it has no place in a log line, an error or a row."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from pynchy_cli.config.settings import Settings
from pynchy_cli.errors import ConfigInvalid

Mode = Literal["anthropic", "rehearsal"]

HOW_TO_GET_A_MODEL = (
    "put ANTHROPIC_API_KEY (a key of the Anthropic API) or CLAUDE_CODE_OAUTH_TOKEN "
    "(a Claude login, from `claude setup-token`) into .env"
)


@dataclass(frozen=True)
class Credential:
    """What the upstream is shown. `secret` stays out of every printed form."""

    kind: Literal["api_key", "oauth"]
    secret: str = field(repr=False)


def credential_of(settings: Settings) -> Credential | None:
    """The credential in force; an API key goes before a login."""
    key = settings.secrets.anthropic_api_key.strip()
    if key:
        return Credential("api_key", key)
    token = settings.secrets.claude_code_oauth_token.strip()
    return Credential("oauth", token) if token else None


def mode_of(settings: Settings) -> Mode:
    """Who answers. Raises ConfigInvalid where a key is missing, or can't be one."""
    credential = credential_of(settings)
    if settings.gateway.mode == "rehearsal":
        return "rehearsal"
    if credential is None:
        if settings.gateway.mode == "anthropic":
            raise ConfigInvalid(
                f"[gateway] mode is anthropic, but there is no key: {HOW_TO_GET_A_MODEL}, "
                "or set the mode to auto or rehearsal."
            )
        return "rehearsal"
    if not all("!" <= letter <= "~" for letter in credential.secret):
        raise ConfigInvalid(
            "The key for the model holds a blank or a character that no key has. Copy it again."
        )
    return "anthropic"


def described(settings: Settings) -> str:
    """The mode as a sentence, for the log and for `status`."""
    if mode_of(settings) == "rehearsal":
        return f"A script answers (rehearsal), no model. For a real one, {HOW_TO_GET_A_MODEL}."
    credential = credential_of(settings)
    how = "an API key" if credential and credential.kind == "api_key" else "a Claude login"
    return f"Agents ask the model at {settings.gateway.upstream}, with {how}."
