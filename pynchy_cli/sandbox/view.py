"""What a sandbox sees, as bubblewrap's arguments: a pure function of what is asked for and of
a few facts about the host. The order matters: what comes later covers what came before."""

from __future__ import annotations

import re
import sys
import sysconfig
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pynchy_cli.sandbox.base import Spec
from pynchy_cli.sandbox.site import Site

HOME = "/home/agent"
PYTHON = "/opt/python"
SITE = "/opt/site"
UID = "1000"
"""The agent's uid as it sees it itself."""
SMALL = str(16 * 1024**2)
"""Bytes in each of /dev/shm and /run."""
WITH_SIZE = (0, 7)
WITH_DISABLE_USERNS = (0, 8)
EMPTY_FILE = "resolv.conf"
"""The file of the site's `etc` that lies over what is hidden: there is no name server inside."""
TOP_FOLDERS = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
ETC = ("ssl", "pki", "ca-certificates", "alternatives", "ld.so.cache")


@dataclass(frozen=True)
class Base:
    """What all sandboxes of this host share, as bubblewrap finds it. `python` is None where
    it lies below /usr."""

    version: tuple[int, ...]
    site: str
    etc: str
    python: str | None

    @classmethod
    def of(cls, version: tuple[int, ...], own: Site, places: Mapping[str, str]) -> Base:
        """From the site folder, where `places` says where a host path is found."""
        python = python_to_bind()
        return cls(
            version,
            places[str(own.packages)],
            places[str(own.etc)],
            places[str(python)] if python is not None else None,
        )


def isolation(version: tuple[int, ...]) -> list[str]:
    """Everything unshared, nothing that could be got back, dead with its parent."""
    found = ["--unshare-all", "--unshare-user", "--uid", UID, "--gid", UID]
    if version >= WITH_DISABLE_USERNS:
        found += ["--disable-userns"]
    return [*found, "--cap-drop", "ALL", "--die-with-parent", "--new-session", "--clearenv"]


def system() -> list[str]:
    """The host's programs and libraries, read-only, and fresh /proc and /dev."""
    found = ["--ro-bind", "/usr", "/usr"]
    for name in TOP_FOLDERS:
        path = Path("/", name)
        if path.is_symlink():
            found += ["--symlink", str(path.readlink()), str(path)]
        elif path.is_dir():
            found += ["--ro-bind", str(path), str(path)]
    return [*found, "--proc", "/proc", "--dev", "/dev"]


def arguments(spec: Spec, base: Base, places: Mapping[str, str]) -> list[str]:
    """Bubblewrap's arguments for a sandbox; `places` says where each source is."""
    found = [*isolation(base.version), "--hostname", re.sub(r"[^\w.-]", "-", spec.name)[:63]]
    for name, value in _environment(spec, base).items():
        found += ["--setenv", name, value]
    found += [*system(), "--ro-bind", base.etc, "/etc"]
    for name in ETC:
        found += ["--ro-bind-try", f"/etc/{name}", f"/etc/{name}"]
    found += ["--ro-bind", base.site, SITE]
    if base.python is not None:
        found += ["--ro-bind", base.python, PYTHON]
    for target, mode, size in _scratch(spec):
        limit = ["--size", size] if base.version >= WITH_SIZE else []
        found += [*limit, "--perms", mode, "--tmpfs", target]
    for mount in sorted(spec.mounts, key=lambda mount: mount.target.count("/")):
        found += [
            "--bind" if mount.writable else "--ro-bind",
            places[str(mount.source)],
            mount.target,
        ]
    found += hiding(spec.masks, base)
    for target in ("/proc", "/dev", "/"):
        found += ["--remount-ro", target]
    return [*found, "--chdir", spec.workdir, "--sync-fd", str(spec.lease)]


def hiding(masks: Iterable[str], base: Base) -> list[str]:
    """The arguments that lay an empty folder or file over each path."""
    found = []
    for path in masks:
        if path.endswith("/"):
            limit = ["--size", "4096"] if base.version >= WITH_SIZE else []
            found += [*limit, "--perms", "0555", "--tmpfs", path, "--remount-ro", path]
        else:
            found += ["--ro-bind", f"{base.etc}/{EMPTY_FILE}", path]
    return found


def command(spec: Spec) -> list[str]:
    """What is started inside; `python` means the sandbox's own.

    Without `site` and its .pth files Python starts in a fifth of the time, and without the
    working folder on its path no file of the group's stands in for a module.
    """
    program, *rest = spec.command
    if program != "python":
        return [program, *rest]
    return [python(), "-P", "-S", *rest]


def python() -> str:
    """Our Python's program, as it is found inside."""
    own = interpreter()
    if (prefix := python_to_bind()) is not None:
        own = Path(PYTHON, own.relative_to(prefix))
    return str(own)


def _environment(spec: Spec, base: Base) -> dict[str, str]:
    folders = [f"{PYTHON}/bin"] if base.python is not None else []
    path = ":".join([*folders, "/usr/local/bin", "/usr/bin", "/bin"])
    own = {"PATH": path, "HOME": HOME, "LANG": "C.UTF-8", "PYTHONPATH": SITE}
    if base.python is not None and sysconfig.get_config_var("Py_ENABLE_SHARED"):
        # A library's place is often written into the interpreter, and here it is another.
        own["LD_LIBRARY_PATH"] = f"{PYTHON}/lib"
    return {**own, **spec.environment}


def _scratch(spec: Spec) -> list[tuple[str, str, str]]:
    """Folders in memory: target, mode, bytes. What is mounted needs none."""
    large = str(max(spec.limits.memory // 4, int(SMALL)))
    folders = [
        ("/dev/shm", "1777", SMALL),
        ("/tmp", "1777", large),
        ("/run", "0755", SMALL),
        (HOME, "0700", large),
    ]
    taken = {mount.target for mount in spec.mounts}
    return [one for one in folders if one[0] not in taken]


def interpreter() -> Path:
    """The Python that runs us, outside of any virtual environment."""
    return Path(sys.base_prefix) / "bin" / f"python{sys.version_info[0]}.{sys.version_info[1]}"


def python_to_bind() -> Path | None:
    """The folder of that Python, where it isn't part of the system anyway."""
    prefix = Path(sys.base_prefix)
    return None if prefix.is_relative_to("/usr") else prefix
