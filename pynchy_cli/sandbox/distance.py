"""How far away a container engine is. Sandboxes need folders of this machine, and a socket of it,
behind which somebody listens: an engine elsewhere has neither, one in a virtual machine hardly
the socket."""

from __future__ import annotations

import os

from pynchy_cli.sandbox.engine import Address, Engine

DESKTOP = "Docker Desktop"


def elsewhere(address: Address) -> str | None:
    """Why an engine there can't be used, in a sentence that says what to do, or None."""
    if address.socket is not None:
        return None
    return (
        f"The container engine at {address.url} may be on another machine, where sandboxes see "
        "none of this one's folders. Name a unix socket in DOCKER_HOST."
    )


def desktop(engine: Engine) -> str | None:
    """Why it can't be used where it is Docker Desktop, in such a sentence.

    Raises EngineAway and Refused.
    """
    if not str(engine.facts.get("OperatingSystem")).startswith(DESKTOP):
        return None
    return (
        f"The container engine at {engine.address.url} is {DESKTOP}: its sandboxes live in a "
        "virtual machine, into which no socket of this machine leads, so agents would have no way "
        "to a model. Use the runtime apple (macOS), or an engine on this machine itself (Linux: "
        "`apt install docker.io`)."
    )


def is_virtual(engine: Engine) -> bool:
    """Whether its containers have another kernel than we. Raises EngineAway and Refused."""
    return engine.facts.get("KernelVersion") not in (None, os.uname().release)
