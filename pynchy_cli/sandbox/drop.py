"""Runs as root just before bubblewrap: binds a sandbox's sources where the group's uid can
reach them, in a mount namespace of its own, then becomes that uid for good. A script of the
standard library alone, started without site packages, because every cold start waits for it.

    drop.py UID PARENT CGROUP STAGE SOURCE... [+ FOREIGN] -- COMMAND...
    drop.py UID --try SOURCE

The n-th SOURCE (from 0) is bound at STAGE/<n>; STAGE is a folder that is covered by an empty
file system for this. CGROUP is the name of a control group into which we are put meanwhile
by whoever started this, or empty. FOREIGN is JSON about the sources that are people's: number ->
{"identity", "writable", "masks"}. Such a one is seen as its owner sees it, its files staying
whose they are; `--try` tells whether that can be had. It must never follow a link at the end of
a SOURCE, nor below a foreign one, nor go on when anything fails.
"""

from __future__ import annotations

import ctypes
import os
import stat
import sys
import time

FAILED = 125
PATIENCE = 10.0
"""Seconds in which we must have been put into the control group."""
EMPTY = "empty"

_NEWNS, _NEWUSER = 0x00020000, 0x10000000
_RDONLY, _NOSUID, _NODEV = 0x1, 0x2, 0x4
_BIND, _REC, _PRIVATE = 0x1000, 0x4000, 0x40000
_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38
_SIGKILL = 9
_OPEN_TREE, _MOVE_MOUNT, _MOUNT_SETATTR = 428, 429, 442
_CLONE, _EMPTY_PATH = 0x80001, 0x1000
_HERE = -100
_IDMAP = 0x00100000
_libc = ctypes.CDLL(None, use_errno=True)


def _must(result: int, what: str) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")
    return result


def _mount(source: str, target: str, kind: str, flags: int, data: str = "") -> None:
    texts = (os.fsencode(source), os.fsencode(target), os.fsencode(kind))
    _must(_libc.mount(*texts, ctypes.c_ulong(flags), os.fsencode(data)), f"mount {source} {target}")


def bind(
    stage: str, sources: list[str], foreign: dict[str, dict[str, list[str]]], uid: int
) -> None:
    """Bind the sources below the stage, in a mount namespace that only we and our children see."""
    _must(_libc.unshare(_NEWNS), "unshare")
    _mount("none", "/", "none", _REC | _PRIVATE)
    opened = [os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC) for path in sources]
    _mount("none", stage, "tmpfs", _NOSUID | _NODEV, "mode=0755,size=1m")
    _make_file(f"{stage}/{EMPTY}")
    for number, fd in enumerate(opened):
        mode = os.fstat(fd).st_mode
        target = f"{stage}/{number}"
        if stat.S_ISLNK(mode):
            raise OSError(f"{sources[number]} is a link")
        if stat.S_ISDIR(mode):
            os.mkdir(target)  # noqa: PTH102 - pathlib takes longer to load than all this.
        else:
            _make_file(target)
        if (about := foreign.get(str(number))) is None:
            _mount(f"/proc/self/fd/{fd}", target, "none", _BIND | _REC)
        else:
            _bind_foreign(fd, target, sources[number], about, uid)
            for path in about["masks"]:
                _hide(target, path, f"{stage}/{EMPTY}")
        os.close(fd)


def _make_file(path: str) -> None:
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o444))


def _bind_foreign(fd: int, target: str, source: str, about: dict[str, list[str]], uid: int) -> None:
    """Bind what is people's, seen as its owner sees it, without other file systems below it.
    Where that can't be had it can be read if everybody may read it, and not be written."""
    facts = os.fstat(fd)
    if [str(facts.st_dev), str(facts.st_ino)] != about["identity"]:
        raise OSError(f"{source} was exchanged")
    try:
        tree = mapped(fd, uid)
        _must(
            _libc.syscall(_MOVE_MOUNT, tree, b"", _HERE, os.fsencode(target), 4),
            f"move_mount {target}",
        )
        os.close(tree)
    except OSError:
        if about["writable"]:
            raise
        _mount(f"/proc/self/fd/{fd}", target, "none", _BIND)


def mapped(fd: int, uid: int) -> int:
    """A mount of what the descriptor names, as yet nowhere, in which the owner of its files is
    that uid: what the uid makes there belongs to the owner."""
    facts = os.fstat(fd)
    tree = _must(_libc.syscall(_OPEN_TREE, fd, b"", _CLONE | _EMPTY_PATH), "open_tree")
    if (facts.st_uid, facts.st_gid) == (uid, uid):
        return tree
    namespace = _namespace(facts.st_uid, facts.st_gid, uid)
    wanted = (ctypes.c_uint64 * 4)(_IDMAP | _NOSUID | _NODEV, 0, 0, namespace)
    size = ctypes.c_size_t(32)
    _must(_libc.syscall(_MOUNT_SETATTR, tree, b"", _EMPTY_PATH, wanted, size), "mount_setattr")
    os.close(namespace)
    return tree


def _namespace(owner: int, group: int, uid: int) -> int:
    """A user namespace in which the owner and its group are that uid."""
    ready, tell = os.pipe()
    waits, release = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(release)
        made = _libc.unshare(_NEWUSER)
        os.write(tell, b"1" if made == 0 else b"0")
        os.read(waits, 1)  # Until it is told, or nobody is left to tell it.
        os._exit(0)
    os.close(waits)
    try:
        if os.read(ready, 1) != b"1":
            raise OSError("no user namespace can be made")
        for name, host in (("uid", owner), ("gid", group)):
            with open(f"/proc/{child}/{name}_map", "w") as file:  # noqa: PTH123
                file.write(f"{host} {uid} 1\n")
        return os.open(f"/proc/{child}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        for end in (ready, tell, release):
            os.close(end)
        os.waitpid(child, 0)


def _hide(target: str, path: str, empty: str) -> None:
    """Cover a path below a target, going there without following any link. Where owners are
    mapped, not even root comes into a third person's closed folder, and nor will the agent."""
    at = os.open(target, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    for part in path.rstrip("/").split("/"):
        try:
            inner = os.open(part, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=at)
        except PermissionError:
            os.close(at)
            return
        os.close(at)
        at = inner
    mode = os.fstat(at).st_mode
    if stat.S_ISLNK(mode) or stat.S_ISDIR(mode) != path.endswith("/"):
        raise OSError(f"{path} was exchanged")
    if stat.S_ISDIR(mode):
        flags = _RDONLY | _NOSUID | _NODEV
        _mount("none", f"/proc/self/fd/{at}", "tmpfs", flags, "mode=0555,size=4k")
    else:
        _mount(empty, f"/proc/self/fd/{at}", "none", _BIND)
    os.close(at)


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


def _foreign(sources: list[str]) -> dict[str, dict[str, list[str]]]:
    """What is said of people's sources at the end of the list, taken off it."""
    if "+" not in sources:
        return {}
    import json  # Loaded only where it is needed: it takes 3 ms.

    text = sources.pop()
    sources.pop()
    found: dict[str, dict[str, list[str]]] = json.loads(text)
    return found


def main(arguments: list[str]) -> None:
    """Do all of it and turn into the command."""
    try:
        if arguments[1] == "--try":
            mapped(os.open(arguments[2], os.O_PATH | os.O_NOFOLLOW), int(arguments[0]))
            return
        split = arguments.index("--")
        (uid, parent, cgroup, stage, *sources), command = arguments[:split], arguments[split + 1 :]
        bind(stage, sources, _foreign(sources), int(uid))
        if cgroup:
            wait_for(cgroup)
        become(int(uid), int(parent))
        os.execv(command[0], command)
    except OSError as error:
        sys.stderr.write(f"The sandbox can't be prepared: {error}\n")
        sys.exit(FAILED)


if __name__ == "__main__":
    main(sys.argv[1:])
