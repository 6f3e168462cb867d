"""What a container is made of: the engine's own words for a specification, with every protection
that it has. A pure function of what is asked for and of a few facts about image and host."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pynchy_cli.sandbox import foreign
from pynchy_cli.sandbox.base import Mount, Spec
from pynchy_cli.sandbox.limits import OPEN_FILES

HOME = "/home/agent"
PREFIX = "pynchy."
"""What our labels begin with."""
SMALL = 16 << 20
"""Bytes in each of /dev/shm and /run."""
LOG = {"max-size": "2m", "max-file": "2"}
"""What the engine keeps of what a sandbox prints; as JSON a line takes some more."""
OF_IMAGE = frozenset({"PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "LANG"})
"""Variables of the image that programs need to start; the rest of its environment goes."""


@dataclass(frozen=True)
class Host:
    """What is to be known of image and host. `user` is `uid:gid`; `passwd` and `group` are
    files that give this uid its name; `empty_file` and `empty_folder` lie over what is masked.
    `is_podman` engines have other words for giving a folder in memory to the user."""

    image: str
    image_environment: tuple[str, ...]
    user: str
    passwd: Path
    group: Path
    empty_file: Path
    empty_folder: Path
    processors: float
    userns: str = ""
    is_podman: bool = False


def container(spec: Spec, host: Host) -> dict[str, Any]:
    """The body of the call that creates a container."""
    return {
        "Image": host.image,
        "Entrypoint": list(command(spec)),
        "Cmd": [],
        "WorkingDir": spec.workdir,
        "User": host.user,
        "Hostname": re.sub(r"[^A-Za-z0-9-]", "-", spec.name)[:63].strip("-"),
        "Env": list(_environment(spec, host)),
        "Labels": labels(spec.labels),
        "OpenStdin": False,
        "Tty": False,
        "HostConfig": _host_config(spec, host),
    }


def labels(given: Mapping[str, str]) -> dict[str, str]:
    """Our labels, as containers bear them."""
    return {f"{PREFIX}{name}": value for name, value in given.items()}


def names(spec: Spec) -> Iterator[str]:
    """The plain name; with the home, where another installation has it; with the session, where
    our own sandbox that ended a moment ago still has it."""
    plain = re.sub(r"[^A-Za-z0-9_.-]", "-", spec.name)
    yield plain
    home, session = spec.labels.get("home", ""), spec.labels.get("session", "")
    yield f"{plain}-{home[:8]}"
    yield f"{plain}-{home[:8]}-{session}"


def command(spec: Spec) -> tuple[str, ...]:
    """What is started; `python` means the image's own, without `site`, which takes its time,
    and without the working folder on its path. The engine finds a mount's source by its path, so
    what is people's is looked at from inside before anything else happens there."""
    program, *rest = spec.command
    own = ("-P", "-S") if program == "python" else ()
    return (*foreign.checking(spec, "python"), program, *own, *rest)


def _environment(spec: Spec, host: Host) -> Iterable[str]:
    given = {"HOME": HOME, "LANG": "C.UTF-8", **spec.environment}
    for name in (*host.image_environment, "HOSTNAME"):
        if name not in OF_IMAGE and name not in given:
            yield name  # Without a value it is taken away.
    for name, value in given.items():
        yield f"{name}={value}"


def _host_config(spec: Spec, host: Host) -> dict[str, Any]:
    limits = spec.limits
    config: dict[str, Any] = {
        "NetworkMode": "none",
        "ReadonlyRootfs": True,
        "CapDrop": ["ALL"],
        "SecurityOpt": ["no-new-privileges"],
        "Privileged": False,
        "IpcMode": "private",
        "Init": True,
        "PidsLimit": limits.processes,
        "Memory": limits.memory,
        "MemorySwap": limits.memory,
        "ShmSize": SMALL,
        "Ulimits": [
            _ulimit("core", 0),
            _ulimit("fsize", limits.file_size),
            _ulimit("nofile", OPEN_FILES),
        ],
        "Tmpfs": _scratch(spec, host),
        "Mounts": [*map(_bind, _names(host)), *map(_bind, spec.mounts), *_masks(spec, host)],
        "LogConfig": {"Type": "json-file", "Config": LOG},
        "RestartPolicy": {"Name": "no"},
        "AutoRemove": False,
    }
    if limits.cpus is not None:
        config["NanoCpus"] = int(min(limits.cpus, host.processors) * 1e9)
    if host.userns:
        config["UsernsMode"] = host.userns
    return config


def _ulimit(name: str, value: int) -> dict[str, Any]:
    return {"Name": name, "Soft": value, "Hard": value}


def _scratch(spec: Spec, host: Host) -> dict[str, str]:
    """Folders in memory, and how they are mounted. What is mounted needs none."""
    large = max(spec.limits.memory // 4, SMALL)
    uid, gid = host.user.split(":")
    own = "mode=0700,U" if host.is_podman else f"mode=0700,uid={uid},gid={gid}"
    folders = {
        "/tmp": f"rw,exec,nosuid,nodev,size={large},mode=1777",
        "/run": f"rw,noexec,nosuid,nodev,size={SMALL},mode=0755",
        HOME: f"rw,exec,nosuid,nodev,size={large},{own}",
    }
    taken = {mount.target for mount in spec.mounts}
    return {target: options for target, options in folders.items() if target not in taken}


def _names(host: Host) -> tuple[Mount, Mount]:
    return Mount(host.passwd, "/etc/passwd"), Mount(host.group, "/etc/group")


def _bind(mount: Mount) -> dict[str, Any]:
    """A bind. What may only be read brings no further file system with it: below a read-only
    mount, those of the host would stay writable."""
    return {
        "Type": "bind",
        "Source": str(mount.source),
        "Target": mount.target,
        "ReadOnly": not mount.writable,
        "BindOptions": {"Propagation": "rprivate", "NonRecursive": not mount.writable},
    }


def _masks(spec: Spec, host: Host) -> Iterable[dict[str, Any]]:
    for path in spec.masks:
        empty = host.empty_folder if path.endswith("/") else host.empty_file
        yield _bind(Mount(empty, path.rstrip("/")))
