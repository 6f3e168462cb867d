"""What must hold of [serve]: an address that others can reach needs a token, and networks are
networks. Whoever loads the configuration asks here, so that it is said before anything starts."""

from __future__ import annotations

import re

from pynchy_cli.config.settings import Settings
from pynchy_cli.errors import ConfigInvalid

_LOOPBACK = re.compile(r"localhost|::1|127(\.(25[0-5]|2[0-4]\d|1?\d?\d)){3}", re.IGNORECASE)


def require_serve(settings: Settings) -> None:
    """Raises ConfigInvalid where the HTTP interface would be open to others, or can't be made."""
    serve = settings.serve
    if serve.port and not is_loopback(serve.host) and not settings.secrets.api_token:
        raise ConfigInvalid(
            f"[serve] host: {serve.host} can be reached from elsewhere, which needs a token: put "
            "PYNCHY_SECRETS__API_TOKEN into .env (`openssl rand -hex 32` prints one), or leave "
            "host at 127.0.0.1."
        )
    for network in serve.trusted_networks:
        _require_network(network)


def is_loopback(host: str) -> bool:
    """Whether an address is this machine's alone. A name that isn't known may be anybody's."""
    return _LOOPBACK.fullmatch(host) is not None


def _require_network(text: str) -> None:
    from ipaddress import ip_network  # takes its time, and is hardly ever needed

    try:
        ip_network(text)
    except ValueError as error:
        raise ConfigInvalid(
            f"[serve] trusted_networks: {text!r} is no network, such as 100.64.0.0/10 or fd00::/8 "
            f"({error})."
        ) from error
