"""The agent's site folder: whole or absent, in use or gone, and nobody's secret."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pynchy_cli import locks
from pynchy_cli.config.settings import Sandbox, Settings
from pynchy_cli.errors import PluginUnknown, SandboxUnavailable
from pynchy_cli.sandbox import choice, packages, site
from pynchy_cli.sandbox.base import Mount
from pynchy_cli.sandbox.unsafe import Unsafe


def test_it_holds_what_the_agent_needs(tmp_path: Path) -> None:
    made = site.make(tmp_path, print)
    there = {path.name for path in made.packages.iterdir()}
    assert {"agent_runner", "claude_agent_sdk", "msgspec", "asyncinotify", "mcp"} <= there
    assert not there & {"pynchy_cli", "pytest", "typer"}
    assert (made.packages / "claude_agent_sdk" / "_bundled" / "claude").stat().st_mode & 0o005 == 5
    made.lock.release()


def test_it_stands_alone(tmp_path: Path) -> None:
    """Its packages can be imported with nothing else on the path."""
    made = site.make(tmp_path, print)
    code = "import agent_runner.protocol as p, claude_agent_sdk; print(p.__file__)"
    done = subprocess.run(
        [sys.executable, "-S", "-P", "-c", code],
        env={"PYTHONPATH": str(made.packages), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == str(made.packages / "agent_runner" / "protocol" / "__init__.py")
    made.lock.release()


def test_every_uid_may_read_it_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        made = site.make(tmp_path, print)
    finally:
        os.umask(before)
    closed = [
        path
        for path in (made.root, *made.root.rglob("*"))
        if path.lstat().st_mode & (0o005 if path.is_dir() else 0o004)
        != (0o005 if path.is_dir() else 0o004)
    ]
    assert closed == []
    made.lock.release()


def test_agent_runner_is_a_copy_and_compiled(tmp_path: Path) -> None:
    made = site.make(tmp_path, print)
    copied = made.packages / "agent_runner"
    for source in copied.rglob("*.py"):
        assert source.stat().st_nlink == 1
        assert any((source.parent / "__pycache__").glob(f"{source.stem}.*.pyc"))
    made.lock.release()


def test_it_is_made_once(tmp_path: Path) -> None:
    first = site.make(tmp_path, print)
    inode = first.root.stat().st_ino
    first.lock.release()
    again = site.make(tmp_path, print)
    assert (again.root, again.root.stat().st_ino) == (first.root, inode)
    again.lock.release()


def test_copies_where_linking_fails(tmp_path: Path) -> None:
    """A file that not every uid may read is copied, so that every uid may."""
    source, target = tmp_path / "closed.py", tmp_path / "site" / "closed.py"
    source.write_text("x = 1\n")
    source.chmod(0o600)
    assert packages._put(source, target) is False
    assert target.stat().st_mode & 0o777 == 0o644
    source.chmod(0o644)
    assert packages._put(source, tmp_path / "site" / "open.py") is True


def test_old_ones_go_when_nobody_uses_them(tmp_path: Path) -> None:
    folder = tmp_path / site.FOLDER
    for name in ("used", "unused"):
        (folder / name / "packages").mkdir(parents=True)
        (folder / f"{name}.lock").touch(0o600)
    (folder / "half.gone" / "packages").mkdir(parents=True)
    user = locks.take(folder / "used.lock", shared=True)
    assert user is not None
    made = site.make(tmp_path, print)
    user.release()
    left = {path.name for path in folder.iterdir()}
    name = made.root.name
    assert left == {"used", "used.lock", name, f"{name}.lock"}
    made.lock.release()


def test_several_at_once(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from pynchy_cli.sandbox import site\n"
        "made = site.make(Path(sys.argv[1]), print)\n"
        "assert (made.packages / 'agent_runner' / '__init__.py').exists()\n"
        "assert (made.etc / 'passwd').exists()\n"
        "print(made.root.name)"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE)
        for _ in range(4)
    ]
    said = [process.communicate(timeout=60)[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * 4
    assert len({lines.split()[-1] for lines in said}) == 1
    drafts = [path for path in (tmp_path / site.FOLDER).iterdir() if "." in path.stem]
    assert drafts == []


def test_killed_while_building(tmp_path: Path) -> None:
    """What a killed builder left is taken away, and was never taken for whole."""
    code = (
        "import os, sys; from pathlib import Path; from pynchy_cli.sandbox import packages, site\n"
        "packages.compile_missing = lambda *_: os.kill(os.getpid(), 9)\n"
        "site.make(Path(sys.argv[1]), print)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path)]).returncode == -9
    assert any(".lock" not in path.name for path in (tmp_path / site.FOLDER).iterdir())
    made = site.make(tmp_path, print)
    assert {path.name for path in (tmp_path / site.FOLDER).iterdir()} == {
        made.root.name,
        f"{made.root.name}.lock",
    }
    made.lock.release()


def test_full_or_closed_disk_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / site.FOLDER).write_text("in the way")
    with pytest.raises(SandboxUnavailable, match="site folder"):
        site.make(tmp_path, print)


def test_choice_by_name() -> None:
    chosen = choice.choose(Settings(sandbox=Sandbox(runtime="unsafe")))
    assert (chosen.name, chosen.is_isolated) == ("unsafe", False)
    with pytest.raises(PluginUnknown, match="nothing"):
        choice.choose(Settings(sandbox=Sandbox(runtime="nothing")))


def test_choice_never_falls_back_to_unsafe(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SandboxUnavailable, match=r"apt install bubblewrap.*unsafe"):
        choice.choose(Settings())


def test_paths_inside_an_unsafe_one() -> None:
    mounts = (
        Mount(Path("/h/groups/main"), "/workspace/group", writable=True),
        Mount(Path("/h/ipc/s1/input"), "/workspace/ipc/input"),
        Mount(Path("/h/ipc/s1/output"), "/workspace/ipc/output", writable=True),
    )
    inside = Unsafe().inside
    assert inside("/workspace/group/a/b", mounts) == "/h/groups/main/a/b"
    assert inside("/workspace/ipc", mounts) == "/h/ipc/s1"
    assert inside("/workspace/ipc/output/log", mounts) == "/h/ipc/s1/output/log"
    assert inside("/workspace/groups", mounts) == "/workspace/groups"
