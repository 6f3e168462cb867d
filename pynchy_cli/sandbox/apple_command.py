"""What Apple's `container` command is told for a specification: its command line, which others on
this machine can read, and the environment that it hands on, which they can't."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import PurePath

from pynchy_cli.errors import SandboxUnavailable
from pynchy_cli.sandbox import recipe
from pynchy_cli.sandbox.base import Mount, Spec

MIB = 1 << 20
SCRATCH = ("/tmp", "/run", recipe.HOME)
"""Folders in memory."""
OWN = ("PATH", "HOME", "USER", "TMPDIR")
"""Variables that the command itself needs."""


def arguments(spec: Spec, name: str, image: str) -> list[str]:
    """The command line of a container, without the values of its environment.

    Raises SandboxUnavailable for what can't be said on it.
    """
    limits = spec.limits
    found = ["run", "--rm", "--interactive", "--progress", "none", "--name", name]
    found += ["--init", "--read-only", "--cap-drop", "ALL", "--network", "none", "--no-dns"]
    found += ["--user", f"{os.geteuid()}:{os.getegid()}", "--workdir", spec.workdir]
    found += ["--memory", f"{max(limits.memory // MIB, 1)}M", "--shm-size", "16M"]
    if limits.cpus is not None:
        found += ["--cpus", str(max(1, round(limits.cpus)))]
    for kind, value in (("core", 0), ("fsize", limits.file_size), ("nproc", limits.processes)):
        found += ["--ulimit", f"{kind}={value}:{value}"]
    for label, text in recipe.labels(spec.labels).items():
        found += ["--label", f"{label}={text}"]
    for path in (*_scratch(spec), *(mask.rstrip("/") for mask in spec.masks)):
        found += ["--tmpfs", path]
    for mount in spec.mounts:
        found += _mounted(mount)
    for variable in spec.environment:
        found += ["--env", variable]
    found += ["--env", f"HOME={recipe.HOME}"]
    # What is people's can't be told by its numbers in there, but what is hidden can be.
    program, *rest = recipe.command(replace(spec, mounts=()))
    return [*found, "--entrypoint", program, image, *rest]


def environment(spec: Spec) -> dict[str, str]:
    """The environment that the command hands on."""
    return {name: value for name, value in spec.environment.items() if name not in OWN}


def own_environment() -> dict[str, str]:
    """What the command itself gets of ours."""
    return {name: os.environ[name] for name in OWN if name in os.environ}


def _scratch(spec: Spec) -> Iterator[str]:
    """Folders in memory, but for those that are mounted, or that could cover a socket."""
    taken = {mount.target for mount in spec.mounts}
    for mount in spec.mounts:
        if mount.sockets:
            taken |= {str(above) for above in PurePath(mount.target).parents}
    return (path for path in SCRATCH if path not in taken)


def _mounted(mount: Mount) -> list[str]:
    """The words for a mount. A socket only passes into the virtual machine, as a relay that
    connects to its path anew for each connection, where it is named itself, by `--volume`, and
    by a path without links; `--mount` takes nothing but folders."""
    if mount.sockets:
        folder = mount.source.resolve()
        pairs = [(f"{folder / name}", f"{mount.target}/{name}") for name in mount.sockets]
        return [word for pair in pairs for word in ("--volume", ":".join(_plain(":", *pair)))]
    if not mount.source.is_dir():
        end = [] if mount.writable else ["ro"]
        words = _plain(":", str(mount.source.resolve()), mount.target)
        return ["--volume", ":".join([*words, *end])]
    source, target = _plain(",", str(mount.source), mount.target)
    end = [] if mount.writable else ["readonly"]
    return ["--mount", ",".join(["type=bind", f"source={source}", f"target={target}", *end])]


def _plain(sign: str, *paths: str) -> tuple[str, ...]:
    """The paths, none of which holds the sign that parts them."""
    for path in paths:
        if sign in path:
            raise SandboxUnavailable(
                f"The runtime apple can't mount {path}: there is a '{sign}' in its name."
            )
    return paths
