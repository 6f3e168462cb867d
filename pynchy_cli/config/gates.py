"""Which requests may be named by `gate`: a name that is none would hold nothing up, unseen."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from pynchy_cli.config.sources import Given
from pynchy_cli.errors import ConfigInvalid

SERVICE = "service:"


def require_known(given: Given, names: Iterable[str]) -> None:
    """Raises ConfigInvalid where one is no type of request, naming the nearest. A service's name is
    its plugin's affair."""
    # Hardly any configuration has a gate, and the types take a while to load.
    from agent_runner.protocol import requests

    known = requests.types()
    for name in names:
        if name in known or name.startswith(SERVICE):
            continue
        near = get_close_matches(name, known, n=1)
        hint = f"Did you mean {near[0]}?" if near else "`pynchy rights` lists them."
        raise ConfigInvalid(f"{given.where} can't name {name!r}: no request is called so. {hint}")
