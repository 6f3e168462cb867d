"""Files that agents send: copied as they are, from their own group's folder and nowhere else."""

from __future__ import annotations

import contextlib
import hashlib
import os
import resource
import socket
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pynchy_cli.config.home import prepare
from pynchy_cli.config.paths import Home
from pynchy_cli.errors import RequestRefused
from pynchy_cli.ipc import attachments
from pynchy_cli.model import Attachment

ROOM = 1 << 40


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A home with a group's folder, in which lies `notes.txt`."""
    made = Home(tmp_path / "home")
    prepare(made)
    made.group("family").mkdir(mode=0o700)
    (made.group("family") / "notes.txt").write_text("mine")
    (made.root / "secret").write_text("not yours")
    return made


def take(home: Home, *paths: str, room: int = ROOM) -> tuple[Attachment, ...]:
    return attachments.take(home, home.group("family"), paths, os.getuid(), room)


def kept(home: Home) -> list[str]:
    """What lies in the folder of files."""
    return sorted(one.name for one in home.files.iterdir()) if home.files.exists() else []


def test_a_file_is_copied_under_what_is_in_it(home: Home) -> None:
    (home.group("family") / "a").mkdir()
    (home.group("family") / "a/same.txt").write_text("mine")
    inside = f"{attachments.INSIDE}/a/same.txt"
    here = str(home.group("family") / "a/same.txt")
    found = take(home, "notes.txt", "./a//same.txt", inside, here)
    digest = hashlib.sha256(b"mine").hexdigest()
    assert found == (
        Attachment("notes.txt", 4, digest),
        *[Attachment("same.txt", 4, digest)] * 3,
    )
    assert kept(home) == [digest]
    copy = home.files / digest
    assert copy.read_text() == "mine"
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert stat.S_IMODE(home.files.stat().st_mode) == 0o700
    (home.group("family") / "notes.txt").write_text("changed")
    assert copy.read_text() == "mine"


def a_link(folder: Path) -> None:
    (folder / "file").symlink_to(folder.parents[1] / "secret")


def a_link_to_its_own(folder: Path) -> None:
    (folder / "file").symlink_to("notes.txt")


def a_hard_link(folder: Path) -> None:
    os.link(folder.parents[1] / "secret", folder / "file")


def a_pipe(folder: Path) -> None:
    os.mkfifo(folder / "file")


def a_socket(folder: Path) -> None:
    with contextlib.chdir(folder), socket.socket(socket.AF_UNIX) as made:
        made.bind("file")


def a_folder(folder: Path) -> None:
    (folder / "file").mkdir()


def a_device(folder: Path) -> None:
    try:
        os.mknod(folder / "file", stat.S_IFCHR | 0o600, os.makedev(1, 5))
    except PermissionError:
        (folder / "file").symlink_to("/dev/zero")


@pytest.mark.parametrize(
    "make",
    [a_link, a_link_to_its_own, a_hard_link, a_pipe, a_socket, a_folder, a_device],
)
def test_what_is_no_plain_file_of_its_own_is_refused(
    home: Home, make: Callable[[Path], None]
) -> None:
    make(home.group("family"))
    with pytest.raises(RequestRefused, match="'file' can't be sent") as refused:
        take(home, "notes.txt", "file")
    assert refused.value.code == "file_unusable"
    assert kept(home) == []


@pytest.mark.parametrize("level", range(4))
def test_no_link_is_followed_at_any_level(home: Home, level: int) -> None:
    """The group's folder itself, a folder in it, one in that, and the file."""
    steps = ["family", "a", "b", "file"]
    place = home.groups
    (home.group("family") / "notes.txt").unlink()
    home.group("family").rmdir()
    for at, step in enumerate(steps):
        real = home.root / f"real-{step}" if at == level else place / step
        if step == "file":
            real.write_text("theirs")
        else:
            real.mkdir()
        if at == level:
            (place / step).symlink_to(real)
        place = real
    with pytest.raises(RequestRefused) as refused:
        take(home, "a/b/file")
    assert refused.value.code == "file_unusable"
    assert kept(home) == []


@pytest.mark.parametrize(
    "path",
    [
        *("../../secret", "a/../../../secret", "..", ".", "", "/", "/etc/passwd"),
        *(f"{attachments.INSIDE}/../../../secret", "/workspace/groupie/x", "/workspace/group"),
        *("missing", "notes.txt/more", "\x1b[2J", "x" * 300, "/".join("x" * 499)),
    ],
)
def test_a_path_that_leads_elsewhere_or_nowhere_is_refused(home: Home, path: str) -> None:
    with pytest.raises(RequestRefused) as refused:
        take(home, path)
    assert refused.value.code == "file_unusable"
    assert "\x1b" not in str(refused.value)
    assert str(home.root) not in str(refused.value)


@pytest.mark.parametrize("name", ["no\nline", "\x1b[2J", "turned\u202etxt", "tab\tbed", "c1\x85"])
def test_a_name_that_could_pass_for_something_else_is_refused(home: Home, name: str) -> None:
    (home.group("family") / name).touch()
    with pytest.raises(RequestRefused, match="control characters"):
        take(home, name)


def test_a_folder_whose_name_begins_like_the_groups_is_another(home: Home) -> None:
    (home.group("family") / "s.txt").touch()
    with pytest.raises(RequestRefused, match="not below /workspace/group"):
        take(home, "/workspace/groups.txt")


@given(st.text(max_size=40).map(lambda text: text.replace("a", "../").replace("b", "/")))
def test_no_path_leaves_the_folder(path: str) -> None:
    folder = Path("/pynchy/groups/family")
    try:
        found = attachments.parts(path, folder)
    except RequestRefused:
        return
    assert found
    assert all(one not in ("", ".", "..") and "/" not in one for one in found)


def test_another_ones_file_is_refused(home: Home) -> None:
    if os.getuid() != 0:
        pytest.skip("only root can make another one's file")
    os.chown(home.group("family"), 7001, 7001)
    with pytest.raises(RequestRefused, match="another one's file"):
        attachments.take(home, home.group("family"), ["notes.txt"], 7002, ROOM)
    for owner in (7001, 7002):
        os.chown(home.group("family") / "notes.txt", owner, owner)
        assert attachments.take(home, home.group("family"), ["notes.txt"], 7002, ROOM)


def test_what_is_too_large_is_refused_before_a_byte_is_read(home: Home) -> None:
    with (home.group("family") / "sparse").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(RequestRefused, match="larger than 25 MiB") as refused:
        take(home, "notes.txt", "sparse")
    assert refused.value.code == "file_too_large"
    assert kept(home) == []


def test_there_must_be_room_for_all(home: Home) -> None:
    (home.group("family") / "more").write_text("5 and")
    assert take(home, "notes.txt", "more", room=9)
    with pytest.raises(RequestRefused) as refused:
        take(home, "notes.txt", "more", room=8)
    assert refused.value.code == "files_too_large"


@contextlib.contextmanager
def source(home: Home) -> Iterator[attachments.Source]:
    """`notes.txt`, open, and not yet read."""
    folder = home.group("family")
    home.files.mkdir()
    root = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with attachments.opened(root, folder, "notes.txt", {os.getuid()}) as found:
            yield found
    finally:
        os.close(root)


def grown(path: Path) -> None:
    with path.open("a") as file:
        file.write(" and more")


def endless(path: Path) -> None:
    os.truncate(path, 1 << 40)


def cut(path: Path) -> None:
    os.truncate(path, 1)


def rewritten(path: Path) -> None:
    path.write_text("your")
    os.utime(path, ns=(1, 1))


@pytest.mark.parametrize("change", [grown, endless, cut, rewritten])
def test_what_changes_while_it_is_read_is_refused(
    home: Home, change: Callable[[Path], None]
) -> None:
    with source(home) as found:
        change(home.group("family") / "notes.txt")
        with (
            pytest.raises(RequestRefused) as refused,
            attachments.copied(found, home.files),
        ):
            pass
    assert refused.value.code == "file_changed"
    assert kept(home) == []


def test_what_is_removed_while_it_is_read_is_copied_as_it_was(home: Home) -> None:
    with source(home) as found:
        (home.group("family") / "notes.txt").unlink()
        (home.group("family") / "notes.txt").symlink_to(home.root / "secret")
        with attachments.copied(found, home.files) as (draft, made):
            assert draft.read_text() == "mine"
    assert made.size == 4
    assert kept(home) == []


def test_a_sweep_takes_what_no_reply_names_and_is_not_new(home: Home) -> None:
    assert attachments.sweep(home, set(), 0.0) == 0
    (named,) = take(home, "notes.txt")
    for name in ("unnamed", f"{attachments.DRAFT}1", "new"):
        (home.files / name).write_text(name)
    now = (home.files / "new").stat().st_mtime + 1
    for name in (named.sha256, "unnamed", f"{attachments.DRAFT}1"):
        os.utime(home.files / name, (now - 4000, now - 4000))
    assert attachments.sweep(home, {named.sha256}, now) == 2
    assert kept(home) == sorted([named.sha256, "new"])


def test_what_is_sent_again_is_new_again(home: Home) -> None:
    (first,) = take(home, "notes.txt")
    os.utime(home.files / first.sha256, (1, 1))
    take(home, "notes.txt")
    assert attachments.sweep(home, set(), (home.group("family") / "notes.txt").stat().st_mtime) == 0


def test_folders_in_folders_cost_no_more_open_files(home: Home) -> None:
    """The host has a certain number of them for all that it does."""
    at = os.open(home.group("family"), os.O_RDONLY)
    for _ in range(400):
        os.mkdir("d", dir_fd=at)
        at, above = os.open("d", os.O_RDONLY, dir_fd=at), at
        os.close(above)
    for number in range(10):
        os.close(os.open(f"f{number}", os.O_CREAT, dir_fd=at))
    os.close(at)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.open("/", os.O_RDONLY)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free + 40, before[1]))
    try:
        assert len(take(home, *(f"{'d/' * 400}f{number}" for number in range(10)))) == 10
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_who_swaps_folders_for_links_meanwhile_gains_nothing(home: Home) -> None:
    folder, theirs = home.group("family"), home.root / "theirs"
    for place, content in ((folder / "real", "mine"), (theirs, "secret")):
        place.mkdir()
        (place / "file").write_text(content)
    (folder / "link").symlink_to(theirs)
    over = threading.Event()

    def swap() -> None:
        while not over.is_set():
            for name in ("real", "link"):
                (folder / name).rename(folder / "a")
                (folder / "a").rename(folder / name)

    swapping = threading.Thread(target=swap)
    swapping.start()
    try:
        for _ in range(3000):
            with contextlib.suppress(RequestRefused):
                take(home, "a/file")
    finally:
        over.set()
        swapping.join()
    assert set(kept(home)) <= {hashlib.sha256(b"mine").hexdigest()}
