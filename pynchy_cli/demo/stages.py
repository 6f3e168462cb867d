"""The demo's processes: with which environment its commands run, and all stages under `up`,
which end when the demo does, however it ends."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from pynchy_cli import output

FOLDER = Path(__file__).parent.parent.parent / ".demo"
KEYS = ("ANTHROPIC_API_KEY", "CLAUDE_CODE_OAUTH_TOKEN")
START_SECONDS, ANSWER_SECONDS, STOP_SECONDS = 60, 300, 60
PYNCHY = [sys.executable, "-m", "pynchy_cli"]


class Unlucky(Exception):
    """The demo can't go on; the text says why."""


def environment(given: Mapping[str, str], problem: str | None) -> dict[str, str]:
    """What the commands are started with. Where there is no real sandbox (`problem` says why),
    agents are plain processes, a script answers, and no key is handed on."""
    environ = {name: value for name, value in given.items() if not name.startswith("PYNCHY_")}
    environ |= {"PYNCHY_HOME": str(FOLDER)}
    if problem is None:
        if not any(environ.get(name) for name in KEYS) and (token := login(environ)):
            environ["CLAUDE_CODE_OAUTH_TOKEN"] = token
        return environ | {"PYNCHY_SANDBOX__RUNTIME": "bubblewrap"}
    output.say(f"Warning: {problem}")
    output.say("The demo goes on WITHOUT A SANDBOX: the agent is a plain process of this machine.")
    output.say("Therefore no model answers, but a script, and no key is used.\n")
    for name in KEYS:
        environ.pop(name, None)
        environ[f"PYNCHY_SECRETS__{name}"] = ""
    return environ | {"PYNCHY_SANDBOX__RUNTIME": "unsafe", "PYNCHY_GATEWAY__MODE": "rehearsal"}


def login(environ: Mapping[str, str]) -> str | None:
    """The token of a Claude login on this machine, where there is one that is still good."""
    folder = environ.get("CLAUDE_CONFIG_DIR") or Path(environ.get("HOME", "~")) / ".claude"
    with suppress(OSError, ValueError, KeyError, TypeError):
        found = json.loads((Path(folder) / ".credentials.json").read_text(encoding="utf-8"))
        kept = found["claudeAiOauth"]
        if kept["expiresAt"] / 1000 > time.time() + ANSWER_SECONDS:
            return str(kept["accessToken"])
    return None


def start(log: Path, environ: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """`pynchy up`, its output in a file, once all its stages run. Raises Unlucky."""
    with log.open("wb") as lines:
        up = subprocess.Popen(
            [*PYNCHY, "up"],
            stdin=subprocess.DEVNULL,
            stdout=lines,
            stderr=lines,
            env=dict(environ),
            start_new_session=True,
            preexec_fn=partial(_end_with_parent, os.getpid()),
        )
    until = time.monotonic() + START_SECONDS
    try:
        while not _all_run(status(environ)):
            if up.poll() is not None or time.monotonic() > until:
                tail = "\n".join(log.read_text(errors="replace").splitlines()[-8:])
                raise Unlucky(f"the stages don't come up. From {log}:\n{tail}")
            time.sleep(0.1)
    except BaseException:
        stop(up)
        raise
    return up


def stop(up: subprocess.Popen[bytes]) -> None:
    """Have the supervisor stop all stages, in reverse, and wait until they have."""
    if up.poll() is None:
        up.terminate()
    try:
        up.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        up.kill()
        up.wait()


def run(*arguments: str, environ: Mapping[str, str]) -> str:
    """A command's standard output. Raises Unlucky where the command failed."""
    done = subprocess.run(
        [*PYNCHY, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=dict(environ),
        check=False,
        preexec_fn=partial(_end_with_parent, os.getpid()),
    )
    if done.returncode != 0:
        raise Unlucky(f"`pynchy {arguments[0]}` ended with {done.returncode}.\n{done.stderr}")
    return done.stdout


def status(environ: Mapping[str, str]) -> dict[str, Any]:
    """What `pynchy status` tells."""
    done = subprocess.run(
        [*PYNCHY, "status", "--json"], capture_output=True, env=dict(environ), check=False
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _all_run(told: dict[str, Any]) -> bool:
    stages = told["stages"].values()
    has_told = told["sandbox"]["runtime"] not in (None, "auto")
    return has_told and all(stage["running"] for stage in stages)


def _end_with_parent(parent: int) -> None:
    """In the child: be asked to stop by the kernel, should the demo be killed."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(1)
