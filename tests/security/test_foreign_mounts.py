"""People's folders in a bubblewrap sandbox: what is seen of them, what stays hidden, whose the
files stay, and what exchanging things meanwhile achieves. With pynchy started by root and by a
user."""

from __future__ import annotations

import os
import subprocess
import textwrap
from pathlib import Path

import pytest

from pynchy_cli.errors import SandboxUnavailable
from pynchy_cli.sandbox import drop, foreign, ownership
from pynchy_cli.sandbox.base import Mount, Runtime
from pynchy_cli.sandbox.bubblewrap import Bubblewrap
from pynchy_cli.security import masks, sources
from tests.sandboxes import UID, World, again_as_user, made

ROOT = os.geteuid() == 0
root_only = pytest.mark.skipif(not ROOT, reason="only root can map owners")
PERSON = 4321 if ROOT else os.geteuid()
EXTRA = "/workspace/extra/papers"
TRY = """
import os
def attempt(call):
    try:
        return call()
    except OSError as error:
        import errno
        return errno.errorcode[error.errno]
def read(path):
    return attempt(lambda: open("/workspace/extra/papers/" + path).read())
def write(path):
    return attempt(lambda: open("/workspace/extra/papers/" + path, "w").write("agent"))
"""


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Runtime:
    return made(Bubblewrap(), tmp_path_factory.mktemp("data"))


@pytest.fixture
def world(runtime: Runtime, tmp_path: Path) -> World:
    return World(runtime, tmp_path)


@pytest.fixture
def papers(tmp_path: Path) -> Path:
    """A person's folder, closed to others."""
    folder = tmp_path / "papers"
    (folder / "deep" / ".ssh").mkdir(parents=True)
    (folder / "deep" / ".ssh" / "key").write_text("secret")
    (folder / "deep" / ".env").write_text("secret")
    (folder / "letter").write_text("dear agent")
    for path in (folder, *folder.rglob("*")):
        os.chown(path, PERSON, PERSON)
        path.chmod(0o700 if path.is_dir() else 0o600)
    return folder


def mount(path: Path, writable: bool = False) -> Mount:
    facts = path.stat()
    return Mount(path, EXTRA, writable, (facts.st_dev, facts.st_ino))


def owners(folder: Path) -> set[int]:
    return {path.lstat().st_uid for path in (folder, *folder.rglob("*"))}


@pytest.mark.parametrize("writable", [False, True])
def test_it_is_seen_as_its_owner_sees_it(world: World, papers: Path, writable: bool) -> None:
    code = TRY + "print(json.dumps([read('letter'), write('letter'), write('deep/new')]))"
    found = world.ask(code, mounts=(*world.mounts, mount(papers, writable)))
    assert found == ["dear agent", *([5, 5] if writable else ["EROFS", "EROFS"])]
    assert (papers / "deep/new").exists() == writable
    assert owners(papers) == {PERSON}


@pytest.mark.parametrize("writable", [False, True])
def test_what_is_masked_is_hidden(world: World, papers: Path, writable: bool) -> None:
    hidden = (f"{EXTRA}/deep/.ssh/", f"{EXTRA}/deep/.env")
    code = TRY + textwrap.dedent("""
        at = "/workspace/extra/papers/"
        print(json.dumps([
            read("deep/.env"), os.listdir(at + "deep/.ssh"), read("letter"),
            attempt(lambda: os.unlink(at + "deep/.env")),
            attempt(lambda: os.rename(at + "deep/.ssh", at + "deep/other")),
            attempt(lambda: os.rename(at + "deep/.env", at + "deep/other")),
            attempt(lambda: os.link(at + "deep/.env", at + "deep/other")),
            write("deep/.env"), write("deep/.ssh/key"),
        ]))
    """)
    found = world.ask(code, mounts=(*world.mounts, mount(papers, writable)), masks=hidden)
    assert found[:3] == ["", [], "dear agent"]
    assert set(found[3:]) <= {"EBUSY", "EXDEV", "EROFS", "EACCES", "EPERM"}
    assert (papers / "deep/.env").read_text() == "secret"
    assert (papers / "deep/.ssh/key").read_text() == "secret"


@root_only
def test_masks_lie_where_the_agent_cannot_go(world: World, papers: Path) -> None:
    (papers / "deep").chmod(0o700)
    os.chown(papers / "deep", 0, 0)
    code = TRY + "print(json.dumps([read('deep/.env'), read('letter')]))"
    found = world.ask(code, mounts=(*world.mounts, mount(papers)), masks=(f"{EXTRA}/deep/.env",))
    assert found == ["EACCES", "dear agent"]


@root_only
def test_other_file_systems_below_are_hidden(world: World, papers: Path) -> None:
    below = papers / "odd name\\"
    below.mkdir()
    subprocess.run(["mount", "--bind", "/proc", below], check=True)
    try:
        with sources.opened(papers) as (_, source):
            found = masks.Search(()).below(source)
        code = TRY + "print(json.dumps(os.listdir('/workspace/extra/papers/odd name\\\\')))"
        extra = (*world.mounts, mount(papers))
        assert world.ask(code, mounts=extra, masks=masks.inside(EXTRA, found)) == []
        assert world.ask(code, mounts=extra) == []
    finally:
        subprocess.run(["umount", below], check=True)
    assert found == ("odd name\\/",)


def test_a_link_that_leads_outside_leads_nowhere(world: World, papers: Path) -> None:
    (papers / "home").symlink_to(world.root)
    (papers / "relative").symlink_to("../group")
    (papers / "passwd").symlink_to("/etc/passwd")
    (world.root / "secret").write_text("of the host")
    code = TRY + textwrap.dedent("""
        print(json.dumps([
            read("home/secret"), read("relative/../secret"), "root:x" in read("passwd"),
            read("passwd") == open("/etc/passwd").read(),
        ]))
    """)
    found = world.ask(code, mounts=(*world.mounts, mount(papers)))
    assert found == ["ENOENT", "ENOENT", True, True]


def test_another_folder_in_its_place_is_refused(world: World, papers: Path) -> None:
    allowed = mount(papers)
    papers.rename(world.root / "was")
    papers.mkdir()
    with pytest.raises(SandboxUnavailable, match="no longer what was allowed"):
        world.run("pass", mounts=(*world.mounts, allowed))


@pytest.mark.parametrize("how", ["link", "folder"])
def test_exchanged_at_the_last_moment_is_refused(
    world: World, papers: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """After all checks of ours, just before it is bound."""
    allowed = mount(papers)
    check = ownership.check

    def exchange(mounts: object) -> None:
        check(mounts)  # type: ignore[arg-type]
        papers.rename(world.root / "was")
        if how == "link":
            papers.symlink_to(world.root / "elsewhere")
        else:
            papers.mkdir()

    (world.root / "elsewhere").mkdir()
    monkeypatch.setattr(ownership, "check", exchange)
    code = "open('ran', 'w')"
    assert world.run(code, mounts=(*world.mounts, allowed)) not in (0, None)
    assert not (world.group / "ran").exists()
    said = world.log.read_text()
    found = ("exchanged", "is a link") if ROOT else ("not what was allowed",)
    assert any(words in said for words in found), said


def test_a_mask_that_cannot_be_laid_stops_the_sandbox(world: World, papers: Path) -> None:
    (papers / "deep/.env").unlink()
    (papers / "deep/.env").symlink_to("../letter")
    code = "open('ran', 'w')"
    mounts = (*world.mounts, mount(papers))
    assert world.run(code, mounts=mounts, masks=(f"{EXTRA}/deep/.nothing",)) != 0
    assert world.run(code, mounts=mounts, masks=(f"{EXTRA}/deep/.env/",)) != 0
    assert not (world.group / "ran").exists()


def test_a_file_by_itself(world: World, papers: Path) -> None:
    code = "print(json.dumps(open('/workspace/extra/papers').read()))"
    found = world.ask(code, mounts=(*world.mounts, mount(papers / "letter")))
    assert found == "dear agent"


@root_only
def test_root_s_own_is_not_written(world: World, papers: Path) -> None:
    assert foreign.unmappable(papers, UID) is None
    os.chown(papers, 0, 0)
    assert "belongs to root" in str(foreign.unmappable(papers, UID))


@root_only
def test_where_owners_cannot_be_mapped_it_is_said() -> None:
    fd = os.open("/proc", os.O_PATH)
    with pytest.raises(OSError, match="mount_setattr"):
        drop.mapped(fd, UID)
    os.close(fd)


def test_all_of_it_as_a_user() -> None:
    again_as_user(__file__)
