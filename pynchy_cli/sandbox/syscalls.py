"""Which calls of the kernel a sandbox may not make: a filter for seccomp, written out as a
classic BPF program. What is refused fails with EPERM; no program of ours notices.

The rest of the sandbox would hold without it. It takes away what namespaces don't cover (the
hypervisor's sockets, keyrings, the kernel's log) and what kernels were most often broken by.
"""

from __future__ import annotations

import errno
import platform
import struct
from collections.abc import Iterator
from dataclasses import dataclass

_LOAD, _JUMP_EQUAL, _JUMP_GREATER_EQUAL, _JUMP_ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16
"""Offsets in `struct seccomp_data`; of the argument its lower half, on little-endian machines."""
_ALLOW = 0x7FFF0000
_ERROR = 0x00050000
FAMILIES = (1, 2, 10, 16)
"""Kinds of sockets that may be made: unix, IPv4, IPv6, netlink. AF_VSOCK leads out of the
machine, and into no network namespace."""
NEW_NAMESPACE = 0x7E020080
"""All flags of `clone` and `unshare` that make a namespace; in `clone` the lowest is a part of
the signal's number that no signal has."""
X32 = 0x40000000
"""A third set of numbers on x86_64, by which a list of numbers could be gone around."""

SAME_EVERYWHERE = {
    "io_uring_setup": 425,  # Its sockets would pass by this filter.
    "io_uring_enter": 426,
    "io_uring_register": 427,
    "open_tree": 428,
    "move_mount": 429,
    "fsopen": 430,
    "fsconfig": 431,
    "fsmount": 432,
    "fspick": 433,
    "mount_setattr": 442,
    "quotactl_fd": 443,
    "open_tree_attr": 467,
}
"""Calls whose number is the same on every machine."""


@dataclass(frozen=True)
class Machine:
    """What a kind of machine calls its calls. `refused` has those that nobody may make."""

    audit: int
    clone: int
    unshare: int
    socket: int
    refused: dict[str, int]
    has_x32: bool = False
    clone3: int = 435


MACHINES = {
    "x86_64": Machine(
        audit=0xC000003E,
        clone=56,
        unshare=272,
        socket=41,
        has_x32=True,
        refused={
            "syslog": 103,
            "modify_ldt": 154,
            "pivot_root": 155,
            "chroot": 161,
            "acct": 163,
            "mount": 165,
            "umount2": 166,
            "swapon": 167,
            "swapoff": 168,
            "reboot": 169,
            "iopl": 172,
            "ioperm": 173,
            "init_module": 175,
            "delete_module": 176,
            "quotactl": 179,
            "kexec_load": 246,
            "add_key": 248,
            "request_key": 249,
            "keyctl": 250,
            "perf_event_open": 298,
            "fanotify_init": 300,
            "open_by_handle_at": 304,
            "setns": 308,
            "finit_module": 313,
            "kexec_file_load": 320,
            "bpf": 321,
            "userfaultfd": 323,
        },
    ),
    "aarch64": Machine(
        audit=0xC00000B7,
        clone=220,
        unshare=97,
        socket=198,
        refused={
            "umount2": 39,
            "mount": 40,
            "pivot_root": 41,
            "chroot": 51,
            "quotactl": 60,
            "acct": 89,
            "kexec_load": 104,
            "init_module": 105,
            "delete_module": 106,
            "syslog": 116,
            "reboot": 142,
            "add_key": 217,
            "request_key": 218,
            "keyctl": 219,
            "swapon": 224,
            "swapoff": 225,
            "perf_event_open": 241,
            "fanotify_init": 262,
            "open_by_handle_at": 265,
            "setns": 268,
            "finit_module": 273,
            "bpf": 280,
            "userfaultfd": 282,
            "kexec_file_load": 294,
        },
    ),
}


def here() -> Machine | None:
    """This machine, or None where no filter is known for it."""
    return MACHINES.get(platform.machine())


def program(machine: Machine) -> bytes:
    """The filter, as an array of `struct sock_filter`."""
    return b"".join(struct.pack("=HBBI", *one) for one in _instructions(machine))


Instruction = tuple[int, int, int, int]
"""Code, instructions to skip where its test is true and where it is false, operand."""


def _instructions(machine: Machine) -> Iterator[Instruction]:
    refuse = _returning(_ERROR | errno.EPERM)
    yield _loading(_ARCHITECTURE)
    yield (_JUMP_EQUAL, 1, 0, machine.audit)
    yield refuse  # A program of 32 bits, whose numbers are others.
    yield _loading(_NUMBER)
    if machine.has_x32:
        yield from ((_JUMP_GREATER_EQUAL, 0, 1, X32), refuse)
    for number in (*machine.refused.values(), *SAME_EVERYWHERE.values()):
        yield from ((_JUMP_EQUAL, 0, 1, number), refuse)
    # Its flags can't be read from here; without it the C library takes `clone`.
    yield from ((_JUMP_EQUAL, 0, 1, machine.clone3), _returning(_ERROR | errno.ENOSYS))
    for number in (machine.clone, machine.unshare):
        yield (_JUMP_EQUAL, 0, 4, number)
        yield _loading(_FIRST_ARGUMENT)
        yield from ((_JUMP_ANY_BIT, 0, 1, NEW_NAMESPACE), refuse, _returning(_ALLOW))
    yield (_JUMP_EQUAL, 0, 2 + len(FAMILIES), machine.socket)
    yield _loading(_FIRST_ARGUMENT)
    for left, family in zip(range(len(FAMILIES), 0, -1), FAMILIES, strict=True):
        yield (_JUMP_EQUAL, left, 0, family)
    yield from (refuse, _returning(_ALLOW))


def _loading(offset: int) -> Instruction:
    return (_LOAD, 0, 0, offset)


def _returning(what: int) -> Instruction:
    return (_RETURN, 0, 0, what)
