"""Kills a restore before each of its calls that change something in the file system, and lets what
comes next finish it. Run as a program, in a process that has loaded all of it and forks for each
kill; it prints a JSON object a kill: whether it was killed, and what is there then."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from shutil import copytree, rmtree

from pynchy_cli.config.home import open_home
from pynchy_cli.config.paths import Home
from pynchy_cli.config.swap import READY
from tests.kept import brought_back, tree

CHANGES = frozenset(
    {
        *("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.symlink"),
        *("os.chmod", "os.chown", "os.utime", "os.truncate", "shutil.copyfile", "sqlite3.connect"),
    }
)
KILLED = 137
STRIDE = 12


def main(snapshot: str, home: str, archive: str) -> None:
    """Sweep, in copies of `snapshot` at `home`: of the calls before the one that decides every
    `STRIDE`-th, and from there on each."""
    calls = Path(f"{home}.calls")
    copytree(snapshot, home, symlinks=True)
    forked(lambda: restore(home, archive, 0, calls))
    decides, last = json.loads(calls.read_text())
    for number in (*range(1, decides, STRIDE), *range(decides, last + 2)):
        rmtree(home)
        copytree(snapshot, home, symlinks=True)
        code = forked(lambda at=number: restore(home, archive, at))  # type: ignore[misc]
        healed = forked(lambda: open_home(home, {}) and None)
        # What was begun and never decided on is nobody's; the next restore removes it.
        there = {k: v for k, v in tree(Path(home)).items() if not k.startswith(".restore")}
        told = {"at": number - decides, "code": code, "healed": healed, "there": there}
        print(json.dumps(told), flush=True)


def restore(home: str, archive: str, kill_at: int, calls: Path | None = None) -> None:
    """Restore, and be killed before the call of this number; in `calls` the number of the call that
    decides is noted, and of the last one."""
    count = decides = 0

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal count, decides
        if event in CHANGES:
            count += 1
            if event == "os.rename" and str(arguments[1]).endswith(READY):
                decides = count
            if count == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)
    brought_back(Home(Path(home)), Path(archive), force=True)
    if calls is not None:
        calls.write_text(json.dumps([decides, count]))


def forked(work: Callable[[], None]) -> int:
    """Do it in a child; its exit code."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    return KILLED if code == -signal.SIGKILL else code


if __name__ == "__main__":
    main(*sys.argv[1:])
