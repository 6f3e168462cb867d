"""Which headers pass, both ways. Towards the model only what is listed: so no credential,
cookie, host or hop-by-hop header of a sandbox gets through, whatever it is called."""

from __future__ import annotations

from collections.abc import Mapping

from multidict import CIMultiDict

from pynchy_cli.gateway.mask import masked
from pynchy_cli.gateway.mode import Credential

OAUTH_BETA = "oauth-2025-04-20"

_UP = frozenset(
    {"accept", "content-encoding", "content-length", "content-type", "user-agent", "x-app"}
)
_UP_BEGINNINGS = ("anthropic-", "x-stainless-", "x-claude-code-")
_NOT_DOWN = frozenset(
    {
        "alt-svc",
        "connection",
        "content-encoding",
        "content-length",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "set-cookie",
        "strict-transport-security",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)


def upward(sent: Mapping[str, str], credential: Credential) -> CIMultiDict[str]:
    """A sandbox's headers as the model gets them, with the real credential."""
    headers: CIMultiDict[str] = CIMultiDict()
    for name, value in sent.items():
        lower = name.lower()
        if lower in _UP or lower.startswith(_UP_BEGINNINGS):
            headers.add(name, value)
    # What is masked on its way back has to be readable.
    headers["Accept-Encoding"] = "identity"
    if credential.kind == "api_key":
        headers["x-api-key"] = credential.secret
    else:
        headers["Authorization"] = f"Bearer {credential.secret}"
        betas = [*headers.popall("anthropic-beta", []), OAUTH_BETA]
        headers["anthropic-beta"] = ",".join(dict.fromkeys(betas))
    return headers


def downward(received: Mapping[str, str], credential: Credential) -> CIMultiDict[str]:
    """The model's headers as the sandbox gets them."""
    headers: CIMultiDict[str] = CIMultiDict()
    for name, value in received.items():
        if name.lower() not in _NOT_DOWN:
            headers.add(name, masked(value, credential.secret))
    return headers
