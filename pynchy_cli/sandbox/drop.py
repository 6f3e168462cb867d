"""Runs as root just before bubblewrap: binds a sandbox's sources where the group's uid can
reach them, in a mount namespace of its own, then becomes that uid for good. A script of the
standard library alone, started without site packages, because every cold start waits for it.

    drop.py UID PARENT CGROUP STAGE SOURCE... -- COMMAND...

The n-th SOURCE (from 0) is bound at STAGE/<n>; STAGE is a folder that is covered by an empty
file system for this. CGROUP is the name of a control group into which we are put meanwhile
by whoever started this, or empty. It must never follow a link at the end of a SOURCE, nor go
on when anything fails.
"""

import ctypes
import os
import stat
import sys
import time

FAILED = 125
PATIENCE = 10.0
"""Seconds in which we must have been put into the control group."""

_NEWNS = 0x00020000
_BIND, _REC, _PRIVATE = 0x1000, 0x4000, 0x40000
_NOSUID, _NODEV = 0x2, 0x4
_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38
_SIGKILL = 9
_libc = ctypes.CDLL(None, use_errno=True)


def _must(result: int, what: str) -> None:
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")


def _mount(source: str, target: str, kind: str, flags: int, data: str = "") -> None:
    texts = (os.fsencode(source), os.fsencode(target), os.fsencode(kind))
    _must(_libc.mount(*texts, ctypes.c_ulong(flags), os.fsencode(data)), f"mount {source} {target}")


def bind(stage: str, sources: list[str]) -> None:
    """Bind the sources below the stage, in a mount namespace that only we and our children see."""
    _must(_libc.unshare(_NEWNS), "unshare")
    _mount("none", "/", "none", _REC | _PRIVATE)
    opened = [os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC) for path in sources]
    _mount("none", stage, "tmpfs", _NOSUID | _NODEV, "mode=0755,size=1m")
    for number, fd in enumerate(opened):
        mode = os.fstat(fd).st_mode
        target = f"{stage}/{number}"
        if stat.S_ISLNK(mode):
            raise OSError(f"{sources[number]} is a link")
        if stat.S_ISDIR(mode):
            os.mkdir(target)  # noqa: PTH102 - pathlib takes longer to load than all this.
        else:
            os.close(os.open(target, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC))
        _mount(f"/proc/self/fd/{fd}", target, "none", _BIND | _REC)
        os.close(fd)


def wait_for(cgroup: str) -> None:
    """Go on once we are in the control group. Joining takes the kernel some 10 ms, in which
    this Python has started."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        with open("/proc/self/cgroup") as file:  # noqa: PTH123
            if any(line.rstrip().endswith("/" + cgroup) for line in file):
                return
        time.sleep(0.0005)
    raise OSError(f"nobody put us into the control group {cgroup}")


def become(uid: int, parent: int) -> None:
    """Be that uid and nobody else, without a way back, and die with the parent."""
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    _must(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")
    _must(_libc.prctl(_PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0), "pdeathsig")
    if os.getppid() != parent:
        raise OSError("whoever started this has ended")


def main(arguments: list[str]) -> None:
    """Do all of it and turn into the command."""
    split = arguments.index("--")
    (uid, parent, cgroup, stage, *sources), command = arguments[:split], arguments[split + 1 :]
    try:
        bind(stage, sources)
        if cgroup:
            wait_for(cgroup)
        become(int(uid), int(parent))
        os.execv(command[0], command)
    except OSError as error:
        sys.stderr.write(f"The sandbox can't be prepared: {error}\n")
        sys.exit(FAILED)


if __name__ == "__main__":
    main(sys.argv[1:])
