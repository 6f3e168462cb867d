"""Folders and files in a sandbox that are people's and not pynchy's: what is said of them to
whoever mounts them, and how the sandbox looks, before the agent starts, whether it got these
and no others. Their files are never handed over."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path

from pynchy_cli.sandbox import trial
from pynchy_cli.sandbox.base import Spec

PATIENCE = 20.0
"""Seconds in which it must be found out whether a file system can map owners."""
CHECK = """
import os, sys

def is_empty(path):
    try:
        return os.listdir(path) == [] if path.endswith("/") else os.stat(path).st_size == 0
    except PermissionError:
        return True

def is_same(what, path):
    facts = os.stat(path)
    return what == f"{facts.st_dev}:{facts.st_ino}"

at = sys.argv.index("--")
for word in sys.argv[1:at]:
    what, path = word.split(" ", 1)
    if not (is_empty(path) if what == "hidden" else is_same(what, path)):
        sys.exit(f"{path} is not what was allowed to be seen there")
os.execvp(sys.argv[at + 1], sys.argv[at + 1:])
"""


def described(spec: Spec, places: Mapping[str, str]) -> str:
    """JSON for root's script: the number of each such source -> its identity, whether it is
    written to, and what is hidden below it. Empty where there is none."""
    numbers = {source: place.rpartition("/")[2] for source, place in places.items()}
    found = {
        numbers[str(mount.source)]: {
            "identity": [str(number) for number in mount.identity],
            "writable": any(one.writable for one in spec.mounts if one.source == mount.source),
            "masks": [
                path.removeprefix(f"{mount.target}/")
                for path in spec.masks
                if path.startswith(f"{mount.target}/")
            ],
        }
        for mount in spec.mounts
        if mount.identity is not None
    }
    return json.dumps(found) if found else ""


def checking(spec: Spec, python: str) -> list[str]:
    """The command that looks, inside, whether all such mounts are what they should be and all
    masks in place, and becomes whatever follows it. Nothing where there is none."""
    words = [
        f"{mount.identity[0]}:{mount.identity[1]} {mount.target}"
        for mount in spec.mounts
        if mount.identity is not None
    ]
    words += [f"hidden {path}" for path in spec.masks]
    return [python, "-I", "-S", "-c", CHECK, *words, "--"] if words else []


def unmappable(source: Path, uid: int) -> str | None:
    """Why root can't let `uid` write below a source as its owner, in words; None if it can.
    Blocks for some 30 ms."""
    if source.stat().st_uid == 0:
        return (
            f"{source} belongs to root, and an agent must write nothing that is root's: give it "
            "to the user whose files these are (chown), or mount it read-only"
        )
    try:
        done = subprocess.run(
            [*trial.script(), str(uid), "--try", str(source)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"it can't be tried whether {source} can be written by the agent ({error})"
    if done.returncode == 0:
        return None
    said = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
    return f"the file system of {source} can't be written by the agent as its owner ({said})"
