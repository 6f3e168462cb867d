"""What an agent in a bubblewrap sandbox tries, and must not be able to do; each attempt is made
from inside, with pynchy started by root and by a user."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from pynchy_cli import locks
from pynchy_cli.errors import SandboxUnavailable
from pynchy_cli.sandbox import control, limits, ownership, trial
from pynchy_cli.sandbox.base import Limits, Mount, Runtime
from pynchy_cli.sandbox.bubblewrap import Bubblewrap
from tests.sandboxes import CHECKOUT, UID, World, again_as_user, made

ROOT = os.geteuid() == 0
root_only = pytest.mark.skipif(not ROOT, reason="only root gives a sandbox a uid of its own")
PROCESSES = 40
MEANS = control.find(os.environ, is_root=ROOT)

TRY = """
def attempt(call):
    try:
        call()
    except OSError as error:
        import errno
        return errno.errorcode[error.errno]
    return "done"
"""


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Runtime:
    return made(Bubblewrap(), tmp_path_factory.mktemp("data"))


@pytest.fixture
def world(runtime: Runtime, tmp_path: Path) -> World:
    return World(runtime, tmp_path)


def test_kernel_settings_cannot_be_written(world: World) -> None:
    """Not even back to what they are: an open for writing is enough to be red."""
    code = TRY + textwrap.dedent("""
        names = ("kernel/core_pattern", "kernel/hostname", "user/max_user_namespaces")
        found = [attempt(lambda: open("/proc/sys/" + name, "w")) for name in names]
        print(json.dumps(found))
    """)
    assert set(world.ask(code)) <= {"EROFS", "EACCES", "EPERM"}


def test_fork_bomb_harms_only_itself(world: World) -> None:
    code = textwrap.dedent(f"""
        import os, sys
        children = 0
        for _ in range({PROCESSES * 4}):
            try:
                if os.fork() == 0:
                    sys.stdin.read()
                    os._exit(0)
                children += 1
            except BlockingIOError:
                break
        open("full.part", "w").write(str(children))
        os.rename("full.part", "full")
        sys.stdin.read()
    """)

    async def story() -> str:
        few = Limits(memory=256 << 20, processes=PROCESSES, file_size=1 << 20)
        async with world.started(code, limits=few) as place:
            await world.appears("full")
            subprocess.run(["true"], check=True)  # noqa: ASYNC221 - We can still fork.
            # Another sandbox of the same group isn't counted with it.
            other = World(world.runtime, world.root / "other")
            assert await other.finish("import os; os.fork() or os._exit(0)", limits=few) == 0
            await place.stop(0)
        return (world.group / "full").read_text()

    (world.root / "other").mkdir()
    assert PROCESSES // 2 < int(asyncio.run(story())) < PROCESSES


def test_a_lease_can_be_asked_whatever_its_agent_does_to_it(world: World) -> None:
    """The sandbox's first process holds it open, and may run with our own uid."""
    code = TRY + textwrap.dedent("""
        import os, sys
        for number in os.listdir("/proc/1/fd"):
            attempt(lambda: os.chmod("/proc/1/fd/" + number, 0))
        open("done", "w")
        sys.stdin.read()
    """)

    async def story() -> None:
        async with world.started(code):
            await world.appears("done")
            if not ROOT:
                assert world.lease.stat().st_mode & 0o777 == 0
            assert locks.is_held(world.lease)
        assert not locks.is_held(world.lease)

    asyncio.run(story())


def test_nothing_else_of_the_host_is_there(world: World) -> None:
    hidden = [CHECKOUT, world.root, world.given, Path(sys.prefix), Path(__file__), Path("/root")]
    hidden += [Path.home(), *map(Path, ("/etc/shadow", "/var", "/sys", "/srv", "/boot", "/mnt"))]
    code = f"import os; names = {[str(path) for path in hidden]}\n"
    assert world.ask(code + "print(json.dumps([n for n in names if os.path.exists(n)]))") == []


def test_the_root_holds_only_what_was_made(world: World) -> None:
    found = world.ask("import os; print(json.dumps(os.listdir('/')))")
    made_here = {"bin", "dev", "etc", "home", "lib", "lib32", "lib64", "libx32", "opt", "proc"}
    assert set(found) <= made_here | {"run", "sbin", "tmp", "usr", "workspace"}
    assert world.ask("import os; print(json.dumps(os.listdir('/run')))") == []


def test_other_processes_cannot_be_seen(world: World) -> None:
    code = "import os; print(json.dumps([int(n) for n in os.listdir('/proc') if n.isdigit()]))"
    assert len(world.ask(code)) <= 3


def test_read_only_places(world: World) -> None:
    code = TRY + textwrap.dedent("""
        places = ["/", "/usr", "/etc", "/opt/site", "/proc", "/dev"]
        places += ["/workspace", "/workspace/given"]
        print(json.dumps({p: attempt(lambda: open(p + "/new", "w")) for p in places}))
    """)
    found = world.ask(code)
    assert set(found.values()) <= {"EROFS", "EACCES", "ENOENT"}
    assert found["/workspace/given"] == found["/opt/site"] == found["/etc"] == "EROFS"
    assert not (world.given / "new").exists()


def test_network_is_out_of_reach(world: World) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_UNIX) as local:
        name = f"\0pynchy-test-{os.getpid()}"
        local.bind(name)
        local.listen()
        code = TRY + textwrap.dedent(f"""
            import socket
            abstract = socket.socket(socket.AF_UNIX)
            print(json.dumps([
                [interface for _, interface in socket.if_nameindex()],
                attempt(lambda: socket.create_connection({server.getsockname()!r}, 5)),
                attempt(lambda: socket.create_connection(("192.0.2.1", 80), 5)),
                attempt(lambda: abstract.connect({name!r})),
            ]))
        """)
        assert world.ask(code) == [["lo"], "ECONNREFUSED", "ENETUNREACH", "ECONNREFUSED"]


def test_a_socket_in_a_private_folder_can_be_reached(world: World) -> None:
    """The way that the gateway's socket comes in, though its folder is closed to others."""
    folder = world.root / "gateway"
    folder.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(folder / "gateway.sock"))
        (folder / "gateway.sock").chmod(0o666)
        server.listen()
        code = TRY + textwrap.dedent("""
            import os, socket
            here = socket.socket(socket.AF_UNIX)
            print(json.dumps([
                attempt(lambda: here.connect("/run/pynchy/gateway.sock")),
                attempt(lambda: os.unlink("/run/pynchy/gateway.sock")),
            ]))
        """)
        mounts = (*world.mounts, Mount(folder, "/run/pynchy"))
        assert world.ask(code, mounts=mounts) == ["done", "EROFS"]


def test_no_rights_and_none_to_be_gained(world: World) -> None:
    code = textwrap.dedent("""
        import subprocess
        status = open("/proc/self/status").read().splitlines()
        lines = dict(line.split(":\\t", 1) for line in status)
        names = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs")
        made = subprocess.run(["unshare", "--user", "true"], capture_output=True).returncode
        print(json.dumps([[lines[name] for name in names], made]))
    """)
    assert world.ask(code) == [["0000000000000000"] * 5 + ["1"], 1]


@root_only
def test_set_uid_programs_give_nothing(world: World) -> None:
    program = world.given / "id"
    shutil.copy("/usr/bin/id", program)
    program.chmod(0o4755)
    code = "import subprocess; words = subprocess.check_output(['/workspace/given/id', '-u'])\n"
    assert world.ask(code + "print(words.decode().strip())") == 1000


@root_only
def test_who_it_is_on_the_host(world: World) -> None:
    async def story() -> str:
        code = "import sys; open('up', 'w').close(); sys.stdin.read()"
        async with world.started(code) as place:
            await world.appears("up")
            return Path(f"/proc/{place.pid}/status").read_text()  # type: ignore[attr-defined]

    assert f"Uid:\t{UID}\t{UID}\t{UID}\t{UID}" in asyncio.run(story())
    assert (world.group / "up").stat().st_uid == UID


@root_only
def test_owner_of_what_a_link_leads_to_stays(world: World) -> None:
    """Handing over a group's folder changes nothing outside of it, and nothing shared."""
    outside = world.root / "outside"
    outside.mkdir()
    secret, shared = outside / "secret", outside / "shared"
    secret.write_text("ours")
    shared.write_text("ours")
    (world.group / "folder").symlink_to(outside)
    (world.group / "file").symlink_to(secret)
    (world.group / "name").hardlink_to(shared)
    (world.group / "deep").mkdir()
    (world.group / "deep" / "notes").write_text("the group's")
    assert world.run("open('deep/notes', 'a').write('!')") == 0, world.log.read_text()
    assert [path.stat().st_uid for path in (secret, shared, outside)] == [0, 0, 0]
    assert (world.group / "deep" / "notes").stat().st_uid == UID


@root_only
def test_what_root_adds_later_is_handed_over_too(world: World) -> None:
    assert world.run("pass") == 0
    (world.group / "late").write_text("")
    assert world.run("open('late', 'w').write('x')") == 0, world.log.read_text()


@root_only
def test_other_things_go_on_while_much_is_handed_over(world: World) -> None:
    for number in range(20_000):
        (world.group / str(number)).touch()
    first, *_, last = world.group.iterdir()

    async def story() -> list[tuple[int, ...]]:
        seen = []
        ending = asyncio.ensure_future(world.finish("pass"))
        while not ending.done():
            seen.append((first.stat().st_uid, last.stat().st_uid))
            await asyncio.sleep(0)
        assert await ending == 0
        return seen

    assert (UID, 0) in asyncio.run(story())


def test_a_source_that_became_a_link_is_refused(world: World) -> None:
    (world.root / "secrets").mkdir()
    world.given.rename(world.root / "was")
    world.given.symlink_to(world.root / "secrets")
    with pytest.raises(SandboxUnavailable, match="link"):
        world.run("pass")


@root_only
def test_a_source_that_became_a_link_meanwhile_is_refused(world: World) -> None:
    """Between our look at it and the binding."""
    link = world.root / "link"
    link.symlink_to(world.given)
    command = [*trial.dropping(UID, "", [str(link)]), "/bin/true"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr.strip().endswith("is a link")) == (125, True)


def test_the_agent_cannot_exchange_what_is_mounted(world: World) -> None:
    code = TRY + textwrap.dedent("""
        import os
        print(json.dumps([
            attempt(lambda: os.rename("/workspace/given", "/workspace/other")),
            attempt(lambda: os.rmdir("/workspace/group")),
            attempt(lambda: os.symlink("/etc", "/workspace/given/link")),
            attempt(lambda: os.unlink("/workspace/given/letter.txt")),
        ]))
    """)
    assert set(world.ask(code)) <= {"EROFS", "EBUSY"}


def test_secrets_are_on_no_command_line_and_in_no_environment(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-host-only")
    value = "token-of-this-sandbox"

    async def story() -> list[str]:
        code = textwrap.dedent("""
            import glob, os, sys
            everything = b"".join(open(p, "rb").read() for p in glob.glob("/proc/*/environ") if
                                  os.access(p, os.R_OK))
            open("seen", "wb").write(everything)
            os.rename("seen", "environments")
            sys.stdin.read()
        """)
        async with world.started(code, environment={"TOKEN": value}):
            await world.appears("environments")
            return _everywhere("cmdline")

    assert not [line for line in asyncio.run(story()) if value in line]
    seen = (world.group / "environments").read_bytes()
    assert value.encode() in seen
    assert b"sk-host-only" not in seen


def _everywhere(name: str) -> list[str]:
    found = []
    for path in Path("/proc").glob(f"[0-9]*/{name}"):
        try:
            found.append(path.read_bytes().decode(errors="replace"))
        except OSError:
            continue
    return found


def test_no_descriptor_of_ours_is_left_inside(world: World) -> None:
    code = textwrap.dedent("""
        import os
        def lead(name):
            try:
                return os.readlink("/proc/self/fd/" + name)
            except OSError:
                return None  # The one by which the folder was listed.
        names = os.listdir("/proc/self/fd")
        print(json.dumps([lead(name) for name in names if int(name) > 2 and lead(name)]))
    """)
    assert world.ask(code) == []


def test_memory_for_files_is_bounded(world: World) -> None:
    small = Limits(memory=64 << 20, processes=64, file_size=1 << 30)
    code = TRY + textwrap.dedent("""
        def fill(folder):
            with open(folder + "/fill", "wb", buffering=0) as file:
                for _ in range(48):
                    if file.write(bytes(1 << 20)) < 1 << 20:
                        raise OSError(28, "full")
        found = {}
        for folder in ("/tmp", "/dev/shm", "/run", "/home/agent"):
            import os
            found[folder] = attempt(lambda: fill(folder))
            if os.path.exists(folder + "/fill"):
                os.unlink(folder + "/fill")
        print(json.dumps(found))
    """)
    assert set(world.ask(code, limits=small).values()) == {errno.errorcode[errno.ENOSPC]}


@pytest.mark.skipif("memory" not in MEANS.kinds, reason="no control groups for memory here")
def test_memory_is_bounded(world: World) -> None:
    little = Limits(memory=64 << 20, processes=64, file_size=1 << 20)
    assert world.run("held = bytearray(256 << 20)", limits=little) == 128 + 9
    assert world.run("held = bytearray(16 << 20)", limits=little) == 0, world.log.read_text()


@pytest.mark.skipif("memory" not in MEANS.kinds, reason="no control groups for memory here")
def test_control_groups_go_with_their_sandbox(world: World) -> None:
    some = Limits(memory=64 << 20, processes=64, file_size=1 << 20, cpus=1.0)
    group = control.group(MEANS, some)
    assert group is not None
    for path in group.paths:
        path.rmdir()
    assert world.run("pass", limits=some) == 0
    for path in group.paths:
        assert list(path.parent.glob(f"{control.PREFIX}{os.getpid()}-*")) == []


@pytest.mark.skipif(not {"cpu", "pids"} <= MEANS.kinds, reason="no such control groups here")
def test_processors_and_processes_are_bounded_together(world: World) -> None:
    little = Limits(memory=256 << 20, processes=64, file_size=1 << 20, cpus=0.1)
    code = textwrap.dedent("""
        import time
        began, used = time.monotonic(), time.process_time()
        while time.process_time() - used < 0.1:
            pass
        print(json.dumps((time.process_time() - used) / (time.monotonic() - began)))
    """)
    assert world.ask(code, limits=little) < 0.3
    group = control.group(MEANS, little)
    assert group is not None
    try:
        (limit,) = [path / "pids.max" for path in group.paths if (path / "pids.max").exists()]
        assert limit.read_text() == "64\n"
    finally:
        asyncio.run(group.remove())


def test_limits_cannot_be_raised(world: World) -> None:
    code = textwrap.dedent("""
        import resource
        kinds = (resource.RLIMIT_CORE, resource.RLIMIT_NPROC, resource.RLIMIT_FSIZE,
                 resource.RLIMIT_NOFILE)
        print(json.dumps([resource.getrlimit(kind) for kind in kinds]))
    """)
    core, processes, size, files = world.ask(code)
    assert (core, processes, size) == ([0, 0], [64, 64], [8 << 20] * 2)
    assert files[1] <= limits.OPEN_FILES


def test_hand_over_refuses_what_is_missing(world: World) -> None:
    with pytest.raises(SandboxUnavailable, match="nowhere"):
        ownership.check([Mount(world.root / "nowhere", "/workspace/group")])


@pytest.mark.parametrize("program", [None, "/bin/false"])
def test_why_it_cannot_be_used(program: str | None) -> None:
    problem = trial.judge(program).problem
    assert problem is not None
    assert problem.endswith(".")
    assert ("apt install bubblewrap" in problem) == (program is None)


def test_all_of_it_as_a_user() -> None:
    again_as_user(__file__)
