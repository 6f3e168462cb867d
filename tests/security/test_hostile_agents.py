"""Agents that do their worst, driven by the real worker, in bubblewrap and in Docker: they print,
fork and write without end, put links and pipes where folders were, and look for a way out. The
others are answered meanwhile, and nothing is touched or left that isn't theirs."""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from pynchy_cli.channels import received
from pynchy_cli.config.paths import Home
from tests.engine import BASE, Engine
from tests.process.test_run_agent import Pipeline, wait_for
from tests.process.test_run_agent import sources as sources

pytestmark = pytest.mark.timeout(300)
"""Whoever comes first builds an image."""
SORRY = "Sorry, I could not answer this: "
MIB = 1 << 20
KEEP_ON = """
import pathlib
def is_over():
    return pathlib.Path("/workspace/group/go").exists()
"""


class Hostile:
    """Two groups of one home: `who` has the agent that does what it is told to, which is main
    at first, and the other's only counts."""

    def __init__(self, pipeline: Pipeline, engine: Engine | None) -> None:
        self.pipeline = pipeline
        self.engine = engine
        self.closing = contextlib.ExitStack()
        self.uid = 1_000_000 + 10 * os.getpid()
        pipeline.run("groups", "add", "club", "--chat", "local:club", "--trigger", "always")
        pipeline.environ |= {
            "PYNCHY_SANDBOX__CPUS": "0.5",
            "PYNCHY_QUEUE__MAX_RETRIES": "0",
            "PYNCHY_SANDBOX__UID_BASE": str(self.uid),
        }
        self.become("main")

    def become(self, who: str) -> None:
        """Let that group have the agent that obeys."""
        self.who = who
        self.group = self.pipeline.home / "groups" / who
        for name in ("main", "club"):
            core = "obeying" if name == who else "counting"
            self.pipeline.environ[f"PYNCHY_GROUPS__{name.upper()}__CORE"] = core

    def tell(self, code: str) -> None:
        """Say something to the group whose agent obeys, and does this then."""
        for name in ("go", "up", "do.py"):
            (self.group / name).unlink(missing_ok=True)
        (self.group / "do.py").write_text(code)
        self.pipeline.run("send", self.who, "do it")
        self.pipeline.run("route", "--once")

    def do(self, code: str, **env: str) -> str:
        """What it answers once it has done this."""
        self.tell(code)
        self.pipeline.settle("echo", **env)
        return self.replies(self.who)[-1]

    def ask(self, code: str, **env: str) -> Any:
        """The same, for code that leaves what can be JSON in `said`."""
        answer = self.do(f"{code}\nimport json\nsaid = json.dumps(said)", **env)
        assert not answer.startswith(SORRY), answer
        return json.loads(answer)

    def replies(self, group: str) -> list[str]:
        return self.pipeline.rows(
            "SELECT content FROM outbound_ledger WHERE is_final = 1 "
            f"AND group_folder = '{group}' ORDER BY id"
        )

    def state(self) -> str:
        """How it stands with its last run."""
        runs = self.pipeline.rows(
            f"SELECT state FROM runs WHERE group_folder = '{self.who}' ORDER BY id DESC LIMIT 1"
        )
        return str(runs[0])

    def do_warm(self, code: str) -> str:
        """What it answers, where a worker lives."""
        self.tell(code)
        return self.over()

    def another_is_answered(self, beside: str = "running") -> None:
        """Club gets its answer while main's agent is at work, or after it was."""
        before = len(self.replies("club"))
        self.pipeline.run("send", "club", "are you there?")
        self.pipeline.run("route", "--once")
        wait_for(lambda: len(self.replies("club")) > before, "the other group's answer")
        assert self.state() == beside

    def over(self) -> str:
        """Its answer, once there is one."""
        wait_for(lambda: self.state() not in ("queued", "running"), "the end of the run", 100)
        return self.replies(self.who)[-1]

    def processes(self) -> list[psutil.Process]:
        """All that live as one of the groups, if we are root."""
        ours = range(self.uid, self.uid + 10)
        found = psutil.process_iter(["uids", "status"])
        return [
            one
            for one in found
            if one.info["uids"].real in ours and one.info["status"] != psutil.STATUS_ZOMBIE
        ]

    def require_nothing_left(self) -> None:
        """No process, container or folder of a sandbox is there any more."""
        if os.geteuid() == 0:
            wait_for(lambda: not self.processes(), "the end of every process of a sandbox")
        if self.engine is not None:
            self.engine.await_empty()
        assert list((self.pipeline.home / "data/ipc").glob("*/*")) == []
        assert json.loads(self.pipeline.run("db", "check", "--json"))["ok"] is True


@pytest.fixture(params=["bubblewrap", "docker"])
def hostile(
    request: pytest.FixtureRequest, tmp_path: Path, environment: dict[str, str], sources: Path
) -> Iterator[Hostile]:
    engine: Engine | None = None
    environ = {**environment, "PYTHONPATH": str(sources)}
    environ["PYNCHY_SANDBOX__RUNTIME"] = request.param
    if request.param == "docker":
        engine = request.getfixturevalue("engine")
        assert engine is not None
        environ |= {
            "DOCKER_HOST": engine.host,
            "PYNCHY_SANDBOX__BASE_IMAGE": BASE,
            "PYNCHY_SANDBOX__IMAGE": "pynchy-hostile:test",
            "PYNCHY_SANDBOX__START_TIMEOUT": "150",
        }
    pipeline = Pipeline(tmp_path, environ)
    pipeline.run("init", "--yes")
    made = Hostile(pipeline, engine)
    try:
        yield made
    finally:
        made.closing.close()
        _stop(pipeline)
    made.require_nothing_left()


def _stop(pipeline: Pipeline) -> None:
    """End the stages as they like to be, so that nothing is left to be swept."""
    (pipeline.home / "groups/main/go").touch()
    for child in pipeline.living:
        child.terminate()
        child.wait(60)
    pipeline.close()


def most_memory(pid: int) -> int:
    """The most bytes of memory that a process ever had."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no VmHWM")


def test_what_it_prints_without_end_is_bounded(hostile: Hostile) -> None:
    worker = hostile.pipeline.start("run-agent")
    hostile.tell(
        KEEP_ON
        + """
import os
printed = 0
while printed < 200_000_000 or not is_over():
    printed += os.write(1 + printed % 2, b"x" * 99 + b"\\n")
said = printed >= 200_000_000
"""
    )
    hostile.another_is_answered()
    (hostile.group / "go").touch()
    assert hostile.over() == "True"
    assert most_memory(worker.pid) < 200 * MIB
    kept = list((hostile.pipeline.home / "data/ipc").glob("main/*/stderr"))
    if hostile.engine is not None:
        kept = list((hostile.engine.root / "data/containers").glob("*/*-json.log*"))
    assert 0 < sum(path.stat().st_size for path in kept) < 6 * MIB


def test_forks_without_end_harm_nobody_else(hostile: Hostile) -> None:
    limits = {"PYNCHY_SANDBOX__ACTIVITY_TIMEOUT": "15", "PYNCHY_SANDBOX__MAX_PROCESSES": "64"}
    hostile.pipeline.start("run-agent", **limits)
    hostile.tell("""
import os
while True:
    try:
        os.fork()
    except OSError:
        pass
""")
    hostile.another_is_answered()
    assert hostile.over() == SORRY + "the agent gave no sign of life for 15 s"
    hostile.another_is_answered(beside="failed")
    if os.geteuid() == 0:
        (warm,) = hostile.pipeline.rows(
            "SELECT number FROM registered_groups WHERE folder = 'club'"
        )
        wait_for(
            lambda: all(one.uids().real == hostile.uid + warm for one in hostile.processes()),
            "the end of all that was forked",
        )


@pytest.mark.parametrize("place", ["/workspace/group", "/workspace/ipc/requests"])
def test_who_fills_the_disk_is_stopped_alone(hostile: Hostile, place: str) -> None:
    hostile.pipeline.start("run-agent", PYNCHY_SANDBOX__FOLDER_LIMIT="4000000")
    hostile.tell(
        KEEP_ON
        + f"""
import time
with open("{place}/large", "ab", buffering=0) as file:
    while not is_over():
        file.write(b"z" * 200_000)
        time.sleep(0.2)
"""
    )
    hostile.another_is_answered()
    assert hostile.over() == SORRY + "the group's folder holds more than 3.815 MiB"
    hostile.another_is_answered(beside="failed")


def test_files_in_memory_are_bounded(hostile: Hostile) -> None:
    places = ["/tmp", "/home/agent", "/dev/shm"]
    full = hostile.ask(
        f"""
import errno
said = []
for place in {places}:
    try:
        with open(place + "/large", "ab", buffering=0) as file:
            for _ in range(200):
                file.write(b"z" * 1_000_000)
    except OSError as error:
        said.append(errno.errorcode[error.errno])
""",
        PYNCHY_SANDBOX__MEMORY=str(256 * MIB),
    )
    assert full == ["ENOSPC"] * 3


SWAPPING = """
import contextlib, itertools, os, shutil, socket
OUTSIDE = {outside!r}
PLACES = ["/workspace/group/swapped", "/workspace/group/deep/swapped",
    "/workspace/ipc/requests/swapped", "/workspace/ipc/output/swapped",
    *("/home/agent/.claude/" + one for one in ("projects", "settings.json", "swapped"))]

def folder(place):
    os.mkdir(place)
    open(place + "/file", "w").close()

def bound(place):
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(place)

KINDS = [folder, bound, os.mkfifo, *(
    lambda place, to=to: os.symlink(to, place)
    for to in (OUTSIDE, OUTSIDE + "/letter", "/etc/passwd", "/", "nowhere", "../../../..")
)]

def swap(number):
    for place, shift in zip(PLACES, itertools.count(number)):
        with contextlib.suppress(OSError):
            os.makedirs(os.path.dirname(place), exist_ok=True)
            shutil.rmtree(place) if os.path.isdir(place) and not os.path.islink(place) \
                else os.path.lexists(place) and os.unlink(place)
            KINDS[shift % len(KINDS)](place)
"""


def seen(folder: Path) -> list[tuple[str, int, int, int, int]]:
    """All that could be changed of a folder and what is in it."""
    return [
        (str(path), facts.st_mode, facts.st_uid, facts.st_nlink, facts.st_mtime_ns)
        for path in (folder, *sorted(folder.iterdir()))
        for facts in [path.lstat()]
    ]


def test_what_it_swaps_for_links_leads_the_host_nowhere(hostile: Hostile, tmp_path: Path) -> None:
    """One child of the agent goes on with it from the first turn to the end, in and between the
    turns; what it leaves behind is there when the next sandbox starts."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "letter").write_text("ours")
    before = seen(outside)
    swapping = SWAPPING.format(outside=str(outside))
    hostile.pipeline.start("run-agent")
    hostile.tell(
        swapping
        + """
if os.fork() == 0:
    for number in itertools.count():
        swap(number)
"""
    )
    assert hostile.over() == "done"
    for _ in range(3):
        assert hostile.do_warm("said = 'again'") == "again"
    hostile.another_is_answered(beside="done")
    _stop(hostile.pipeline)
    for number in range(9):
        assert hostile.do(swapping + f"swap({number})") == "done"
    assert seen(outside) == before
    assert (outside / "letter").read_text() == "ours"


LOG = """
import os, pathlib, socket, time
log = "/workspace/ipc/output/log"
pathlib.Path("/workspace/group/up").touch()
while not is_over():
    time.sleep(0.02)
if KIND == "shorter":
    os.truncate(log, 0)
else:
    os.unlink(log)
if KIND == "link":
    os.symlink("/workspace/group/do.py", log)
elif KIND == "fifo":
    os.mkfifo(log)
elif KIND == "socket":
    socket.socket(socket.AF_UNIX).bind(log)
elif KIND == "folder":
    os.mkdir(log)
time.sleep(600)
"""


def test_a_log_that_became_something_else_ends_the_sandbox(hostile: Hostile) -> None:
    hostile.pipeline.start("run-agent")
    for kind in ("link", "fifo", "socket", "folder", "shorter", "missing"):
        hostile.tell(KEEP_ON + LOG.replace("KIND", repr(kind)))
        read = "SELECT 1 FROM sessions WHERE group_folder = 'main' AND output_offset > 0"
        wait_for((hostile.group / "up").exists, "the agent")
        wait_for(partial(hostile.pipeline.rows, read), "the first record")
        (hostile.group / "go").touch()
        assert hostile.over() == SORRY + "the agent cut or replaced its output log"
    assert hostile.do_warm("said = 'well again'") == "well again"


TRYING = """
import ctypes, errno, os, pathlib, socket
libc = ctypes.CDLL(None, use_errno=True)
said = {"done": []}

def attempt(name, step):
    try:
        step()
        said["done"].append(name)
    except (OSError, ValueError):
        pass

def call(name, number, *arguments):
    def step():
        if libc.syscall(number, *arguments) < 0:
            raise OSError(ctypes.get_errno(), name)
    attempt(name, step)

if os.uname().machine == "x86_64":
    call("mount", 165, b"none", b"/tmp", b"tmpfs", 0, 0)
    call("umount", 166, b"/workspace/group", 2)
    call("unshare", 272, 0x10000000)
    call("setns", 308, os.open("/proc/self/ns/mnt", os.O_RDONLY), 0)
    call("chroot", 161, b"/")
    call("pivot_root", 155, b"/", b"/")
    call("bpf", 321, 0, 0, 0)
    call("keyctl", 250, 0, -3, 1)
    call("perf", 298, 0, 0, -1, -1, 0)
    call("init_module", 175, 0, 0, b"")
    call("open_by_handle", 304, -100, b"\\0" * 32, 0)
    call("userfaultfd", 323, 0)
    call("setuid", 105, 0)
    call("mknod", 133, b"/tmp/disk", 0o60666, 0x800)
for path in ("/proc/sysrq-trigger", "/proc/sys/kernel/core_pattern", "/proc/kcore", "/dev/mem",
        "/dev/kmsg", "/sys/kernel/uevent_helper", "/proc/sys/vm/drop_caches", "/etc/passwd",
        "/usr/x", "/bin/x", "/x", "/run/pynchy/x", "/workspace/x", "/workspace/ipc/x",
        "/workspace/files/x", "/workspace/files/7-note.txt",
        "/workspace/ipc/input/x", "/workspace/ipc/responses/x", "/home/agent/.claude/skills/x",
        "/home/agent/.claude/skills/memory-notes/SKILL.md", "/sys/fs/cgroup/x",
        "/sys/fs/cgroup/cgroup.procs", "/proc/1/mem"):
    attempt(path, lambda: open(path, "ab").close())
for path in ("/proc/1/root/etc/shadow", "/etc/shadow", "/var/run/docker.sock", "/boot"):
    attempt(path, lambda: os.stat(path) and os.listdir(path) or open(path).close())
for step in (os.unlink, os.rmdir, lambda path: os.rename(path, "/home/agent/.claude/s")):
    attempt("skills", lambda: step("/home/agent/.claude/skills"))
attempt("raw", lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW))
attempt("ping", lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1))
for where in (("192.0.2.1", 80), ("127.0.0.1", 22), ("169.254.169.254", 80)):
    attempt(str(where), lambda: socket.create_connection(where, 1))
"""
LOOKING = """
status = dict(line.split(":\\t") for line in open("/proc/self/status") if ":\\t" in line)
said["capabilities"] = sorted({status[name].strip() for name in status if name[:3] == "Cap"})
said["no_new_privileges"] = status["NoNewPrivs"].strip()
said["seccomp"] = status["Seccomp"].strip()
said["interfaces"] = [name for _, name in socket.if_nameindex()]
said["groups"] = [one for one in os.getgroups() if one == 0]
known = []
for one in pathlib.Path("/proc").glob("[0-9]*"):
    for name in ("environ", "cmdline"):
        try:
            known.append((one / name).read_text(errors="replace"))
        except OSError:
            pass
known.append(str(os.environ))
said["canaries"] = sorted({word for word in CANARIES for text in known if word in text})
found, writable = [], []
for top, folders, files in os.walk("/"):
    writable += [top] if os.access(top, os.W_OK) else []
    if top == "/":
        folders[:] = [one for one in folders if one not in ("proc", "sys", "usr", "opt", "lib")]
    found += [os.path.join(top, one) for one in (*folders, *files)]
said["foreign"] = sorted(one for one in found if os.path.basename(one) in (
    "club", "clubs.txt", "messages.db", "config.toml", "bell", "docker.sock", "outside"))
said["sockets"] = [one for one in found if pathlib.Path(one).is_socket()]
said["devices"] = sorted(one for one in found if pathlib.Path(one).is_block_device())
said["writable"] = sorted(one for one in writable if not one.startswith(
    ("/home/agent/", "/workspace/group/", "/dev/pts", "/dev/mqueue")))
said["received"] = pathlib.Path("/workspace/files/7-note.txt").read_text()
said["skills"] = sorted(os.listdir("/home/agent/.claude/skills"))
"""
OWN = ["/home/agent/.claude/clubs.txt", "/workspace/group/clubs.txt"]
SECRETS = {
    "ANTHROPIC_API_KEY": "sk-ant-canary-of-the-model",
    "SOME_SECRET": "canary-of-the-shell",
    "PYNCHY_SECRETS__GH_TOKEN": "canary-of-github",
}


@pytest.mark.parametrize("group", ["main", "club"])
def test_nothing_that_it_tries_leads_out(hostile: Hostile, group: str, tmp_path: Path) -> None:
    home = hostile.pipeline.home
    (tmp_path / "outside").mkdir()
    for folder in (home / "groups/club", home / "data/claude/club"):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "clubs.txt").touch()
    if group == "club":
        hostile.become("club")
    note = received.place(Home(home), group, 7, "note.txt")
    note.write_text(f"for {group}")
    note.chmod(0o600)
    received.share(Home(home), group, note.name)
    code = TRYING + LOOKING.replace("CANARIES", repr(list(SECRETS.values())))
    said = hostile.ask(code, **SECRETS)
    assert said == {
        "done": [],
        "received": f"for {group}",
        "capabilities": ["0000000000000000"],
        "no_new_privileges": "1",
        "seccomp": "2",
        "interfaces": ["lo"],
        "groups": [],
        "canaries": ["canary-of-github"] if group == "main" else [],
        "foreign": [] if group == "main" else OWN,
        "sockets": [],
        "devices": [],
        "writable": [
            *("/dev/shm", "/home/agent"),
            *(() if hostile.engine is not None else ("/run",)),
            *("/tmp", "/workspace/group"),
            *("/workspace/ipc/output", "/workspace/ipc/requests"),
        ],
        "skills": ["memory-notes", "read-documents"],
    }


def test_of_people_s_folders_it_sees_what_is_allowed_and_no_secret(
    hostile: Hostile, tmp_path: Path
) -> None:
    person = Path(hostile.pipeline.environ["HOME"])
    notes, outside = person / "notes", tmp_path / "outside"
    (notes / "deep/.ssh").mkdir(parents=True)
    outside.mkdir()
    for path in (notes / "letter", notes / "deep/.env", notes / "deep/.ssh/id_rsa", outside / "x"):
        path.write_text(f"canary {path.name}")
    (notes / "link").symlink_to(outside)
    (person / "aside").symlink_to(hostile.pipeline.home)
    server = hostile.closing.enter_context(socket.socket(socket.AF_UNIX))
    server.bind(str(notes / "deep/server.sock"))
    server.listen()
    for path in (notes, *notes.rglob("*")):
        os.chown(path, 4321, 4321, follow_symlinks=False)
    notes.chmod(0o777)  # Containers can't see it as its owner does.
    rules = person / ".config/pynchy/mount-allowlist.toml"
    rules.parent.mkdir(parents=True)
    rules.write_text('allowed_roots = [{path = "~", allow_read_write = true}]')
    asked = [
        *("~/notes", "~/aside", "~/aside/data", "~/notes/../aside/groups/club", "/proc/1", "~"),
        *("~/.config/pynchy", "~/notes/deep/.SSH", "~/notes/deep/.env", "~/notes/deep/server.sock"),
        *("/run/docker.sock", "/etc/shadow", "~/notes/link"),
    ]
    mounts = [
        {"host_path": path, "container_path": f"m{number}", "readonly": False}
        for number, path in enumerate(asked)
    ]
    hostile.pipeline.environ["PYNCHY_GROUPS__MAIN__MOUNTS"] = json.dumps(mounts)
    said = hostile.ask("""
import os, socket
top, said = "/workspace/extra", {}
for folder, folders, files in os.walk(top):
    for name in (*folders, *files):
        path = os.path.join(folder, name)
        try:
            said[path[len(top) + 1:]] = open(path).read() if os.path.isfile(path) else None
        except OSError as error:
            said[path] = error.strerror
with open(top + "/m0/answer", "w") as file:
    file.write("dear person")
door = socket.socket(socket.AF_UNIX)
said["connects"] = door.connect_ex(top + "/m0/deep/server.sock") == 0
""")
    assert said == {
        "m0": None,
        "m0/letter": "canary letter",
        "m0/deep": None,
        "m0/deep/.env": "",
        "m0/deep/.ssh": None,
        "m0/deep/server.sock": "",
        "m0/link": None,
        "connects": False,
    }
    assert (notes / "answer").read_text() == "dear person"
    assert (notes / "deep/.env").read_text() == "canary .env"
    refused = "SELECT count(*) FROM failures WHERE subject LIKE 'mount:main:%'"
    assert hostile.pipeline.rows(refused) == [len(asked) - 1]
