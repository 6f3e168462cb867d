"""What the kernel refuses to whoever is in a sandbox; asked of it from inside, because a filter
that isn't in force looks like one that is."""

from __future__ import annotations

import os
import platform
import struct
import textwrap
from pathlib import Path

import pytest

from pynchy_cli.sandbox import syscalls, trial
from pynchy_cli.sandbox.base import Runtime
from pynchy_cli.sandbox.bubblewrap import Bubblewrap
from tests.sandboxes import World, again_as_user, made

ASK = """
import ctypes, errno
libc = ctypes.CDLL(None, use_errno=True)
def ask(number, *arguments):
    ctypes.set_errno(0)
    given = [ctypes.c_ulong(one) for one in (*arguments, *[0] * (6 - len(arguments)))]
    result = libc.syscall(ctypes.c_long(number), *given)
    return "done" if result >= 0 else errno.errorcode[ctypes.get_errno()]
"""


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Runtime:
    made_runtime = made(Bubblewrap(), tmp_path_factory.mktemp("data"))
    if any("filter of system calls" in lack for lack in made_runtime.missing()):
        say = pytest.fail if os.environ.get("CI") else pytest.skip
        say("there is no filter of system calls here")
    return made_runtime


@pytest.fixture
def world(runtime: Runtime, tmp_path: Path) -> World:
    return World(runtime, tmp_path)


def machine() -> syscalls.Machine:
    found = syscalls.here()
    assert found is not None
    return found


def test_refused_calls(world: World) -> None:
    numbers = {**machine().refused, **syscalls.SAME_EVERYWHERE}
    code = ASK + f"print(json.dumps({{n: ask(at) for n, at in {numbers!r}.items()}}))"
    assert world.ask(code) == dict.fromkeys(numbers, "EPERM")


def test_sockets_that_lead_out_of_the_machine(world: World) -> None:
    """AF_VSOCK leads to the hypervisor, whatever the network namespace is."""
    code = ASK + textwrap.dedent("""
        import socket
        def make(family, kind=socket.SOCK_STREAM):
            try:
                socket.socket(family, kind).close()
            except OSError as error:
                return errno.errorcode[error.errno]
            return "done"
        refused = [make(family) for family in (socket.AF_VSOCK, socket.AF_PACKET, 38, 31)]
        allowed = [make(family) for family in (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6)]
        print(json.dumps([refused, allowed, make(socket.AF_NETLINK, socket.SOCK_RAW)]))
    """)
    refused, allowed, netlink = world.ask(code)
    assert refused == ["EPERM"] * 4
    assert set(allowed) <= {"done", "EAFNOSUPPORT"}
    assert (allowed[0], netlink) == ("done", "done")


def test_high_bits_of_a_family_hide_nothing(world: World) -> None:
    """The kernel reads 32 bits of it."""
    code = ASK + f"print(json.dumps(ask({machine().socket}, 40 | 1 << 32, 1)))"
    assert world.ask(code) == "EPERM"


def test_namespaces_by_any_call(world: World) -> None:
    user, time = 0x10000000, 0x80
    code = ASK + textwrap.dedent(f"""
        import os, signal, subprocess
        new = [ask({machine().unshare}, flag) for flag in ({user}, {time}, 0x20000)]
        new += [ask({machine().clone}, flag | signal.SIGCHLD) for flag in ({user}, 0x20000)]
        harmless = ask({machine().unshare}, 0x400)
        ran = subprocess.run(["true"]).returncode
        print(json.dumps([new, ask({machine().clone3}), harmless, ran]))
    """)
    assert world.ask(code) == [["EPERM"] * 5, "ENOSYS", "done", 0]


@pytest.mark.skipif(platform.machine() != "x86_64", reason="only x86_64 has other numberings")
def test_other_numberings_go_nowhere(world: World) -> None:
    """By x32's numbers, and by those of 32 bits (`int 0x80`), with a call that is harmless."""
    code = ASK + textwrap.dedent("""
        import mmap
        page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        page.write(b"\\xb8\\x14\\x00\\x00\\x00\\xcd\\x80\\xc3")  # mov eax, 20; int 0x80; ret
        at = ctypes.addressof(ctypes.c_char.from_buffer(page))
        old = ctypes.CFUNCTYPE(ctypes.c_int)(at)
        print(json.dumps([ask(0x40000000 | 39), old()]))
    """)
    assert world.ask(code) == ["EPERM", -1]


@pytest.mark.parametrize("name", syscalls.MACHINES)
def test_every_jump_stays_in_the_program(name: str) -> None:
    code = syscalls.program(syscalls.MACHINES[name])
    lines = list(struct.iter_unpack("=HBBI", code))
    for at, (kind, when, otherwise, _) in enumerate(lines):
        if kind & 0x07 == 0x05:
            assert at + 1 + max(when, otherwise) < len(lines)
    assert [kind for kind, *_ in lines][-1] == 0x06


def test_without_a_filter_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    runtime = Bubblewrap()
    if (problem := runtime.problem()) is not None:
        pytest.skip(problem)
    assert trial.judge("/usr/bin/bwrap").filter is None
    assert [lack for lack in runtime.missing() if "system calls" in lack]


def test_all_of_it_as_a_user() -> None:
    again_as_user(__file__)
