"""What may be mounted: the rules, asked with real files and with paths made to deceive."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pynchy_cli.security import allowlist, masks, mounts, sources
from pynchy_cli.security.mounts import Asked, Places, Verdict


class Machine:
    """A person's home with an allowlist, a pynchy's home, and folders in and out of reach."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.person = root / "person"
        self.desk = self.person / "desk"
        self.papers = self.person / "papers"
        self.home = root / "home"
        for folder in (self.desk / "notes", self.papers, self.home / "data"):
            folder.mkdir(parents=True)
        (self.home / "data/messages.db").touch()
        self.places = Places(self.person, self.home)
        self.list = allowlist.place({}, self.person)
        self.list.parent.mkdir(parents=True)
        self.write("")

    def write(self, more: str) -> None:
        self.list.write_text(
            f'{more}\n[[allowed_roots]]\npath = "~/desk"\nallow_read_write = true\n'
            f'[[allowed_roots]]\npath = {json.dumps(str(self.papers))}\ndescription = "papers"\n'
        )
        self.list.chmod(0o644)

    def ask(self, path: Path | str, inside: str | None = "x", **more: bool) -> Verdict:
        asked = Asked(str(path), inside, **more)
        return mounts.ask(asked, allowlist.read(self.list), self.places)

    def refused(self, path: Path | str, inside: str | None = "x") -> str:
        verdict = self.ask(path, inside)
        assert not verdict.allowed, verdict
        assert (verdict.target, verdict.source, verdict.readonly) == (None, None, True)
        assert verdict.reason.endswith(".")
        return verdict.reason


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_what_lies_at_or_below_a_root_is_allowed(machine: Machine) -> None:
    for path in (machine.desk, machine.desk / "notes", "~/desk/notes/", "desk//notes", "~/desk/."):
        verdict = machine.ask(path, "deep/notes")
        assert verdict.allowed, verdict.reason
        assert (verdict.readonly, verdict.target) == (True, "/workspace/extra/deep/notes")
        assert verdict.source is not None
        assert verdict.source.real == (
            machine.desk if "notes" not in str(path) else machine.desk / "notes"
        )


def test_without_a_container_path_the_name_is_kept(machine: Machine) -> None:
    assert machine.ask(machine.desk / "notes", None).target == "/workspace/extra/notes"


@pytest.mark.parametrize(
    ("folder", "is_admin", "limit", "readonly"),
    [
        ("desk", True, "", False),
        ("desk", False, "", True),
        ("desk", False, "non_admin_read_only = false", False),
        ("papers", True, "non_admin_read_only = false", True),
    ],
)
def test_writing_must_be_allowed_by_all(
    machine: Machine, folder: str, is_admin: bool, limit: str, readonly: bool
) -> None:
    machine.write(limit)
    path = machine.person / folder
    verdict = machine.ask(path, readonly=False, is_admin=is_admin)
    assert (verdict.allowed, verdict.readonly) == (True, readonly)
    assert ("read-only" in verdict.reason) == readonly
    assert machine.ask(path, readonly=True, is_admin=is_admin).readonly


def test_of_nested_roots_the_innermost_counts(machine: Machine) -> None:
    machine.write('[[allowed_roots]]\npath = "desk/notes"')
    assert machine.ask("~/desk", readonly=False, is_admin=True).readonly is False
    assert machine.ask("~/desk/notes", readonly=False, is_admin=True).readonly is True


@pytest.mark.parametrize("name", [*mounts.BLOCKED, ".SSH", "Id_RSA", ".ENV", ".env"])
def test_blocked_names(machine: Machine, name: str) -> None:
    (machine.desk / name / "below").mkdir(parents=True)
    assert "is blocked" in machine.refused(machine.desk / name)
    assert "is blocked" in machine.refused(machine.desk / name / "below")
    # What isn't there is refused in the same words, so that nobody learns what is.
    assert "is blocked" in machine.refused(machine.papers / name / "nowhere")
    (machine.desk / f"not{name}").mkdir()
    assert machine.ask(machine.desk / f"not{name}").allowed
    # By a link the name is in what it really is, and the other way in what was given.
    (machine.papers / "link").symlink_to(machine.desk / name)
    assert "is blocked" in machine.refused(machine.papers / "link")
    (machine.papers / name).symlink_to(machine.desk / "notes")
    assert "is blocked" in machine.refused(machine.papers / name)


def test_own_patterns_come_on_top(machine: Machine) -> None:
    machine.write('blocked_patterns = ["*.key", "private"]')
    for name in ("Private", "a.key", ".ssh"):
        (machine.desk / name).mkdir()
        assert "is blocked" in machine.refused(machine.desk / name)
    for name in ("privately", "a.keys"):
        (machine.desk / name).mkdir()
        assert machine.ask(machine.desk / name).allowed


def test_links_out_of_a_root_lead_nowhere(machine: Machine) -> None:
    (machine.desk / "out").symlink_to(machine.root)
    (machine.desk / "etc").symlink_to("/etc")
    (machine.desk / "dangling").symlink_to("nowhere")
    (machine.desk / "round").symlink_to("round")
    for name in ("out", "out/person", "etc", "etc/ssl", "dangling", "round", "out/../../.."):
        machine.refused(machine.desk / name)
    machine.refused(str(machine.desk) + "/../.config")


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/proc",
        "/proc/self",
        "/sys",
        "/dev",
        "/dev/null",
        "/run",
        "/etc",
        "/etc/ssl",
        "/var/run",
    ],
)
def test_the_system_is_never_mounted(machine: Machine, path: str) -> None:
    machine.write('[[allowed_roots]]\npath = "/"\nallow_read_write = true')
    assert ("ever" in machine.refused(path)) or not Path(path).exists()


def test_homes_and_the_list_are_never_mounted(machine: Machine) -> None:
    machine.write('[[allowed_roots]]\npath = "/"\nallow_read_write = true')
    other = machine.desk / "pynchy"
    (other / "data").mkdir(parents=True)
    (other / "data/messages.db").symlink_to("elsewhere")
    (machine.home / "groups/main").mkdir(parents=True)
    for path in (
        *(machine.person, machine.root, machine.root.parent, machine.list, machine.list.parent),
        *(machine.home, machine.home / "data", machine.home / "data/messages.db"),
        *(machine.home / "groups", machine.home / "groups/main"),
        *(other, other / "data", other / "data/messages.db"),
    ):
        machine.refused(path)
    assert machine.ask(machine.person / "desk/notes").allowed


def test_sockets_and_pipes_are_refused(machine: Machine) -> None:
    os.mkfifo(machine.desk / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(machine.desk / "docker.sock"))
        assert "socket" in machine.refused(machine.desk / "docker.sock")
    assert "plain file" in machine.refused(machine.desk / "pipe")


@pytest.mark.parametrize(
    "path",
    [
        *("", "/", "/x", "..", "../x", "x/..", "x/../y", ".", "x//y", "x/", "./x", "..."),
        *("x\0", "x\n", "x\x1b[m", "x\u202e", "\udcff", " x", "x ", "a:b", "a,b", 'a"b', "a\\b"),
        *("．．", "．．/x", "x／y", "a" * 256, "b/" * 600 + "b", "x\u200b", "x\u2028y"),
    ],
)
def test_container_paths_are_clean(machine: Machine, path: str) -> None:
    machine.refused(machine.desk, path)


@pytest.mark.parametrize("path", ["x", "x/y", "Grüße", "日本", "x.y-z_1", "a b", "..x"])
def test_clean_container_paths(machine: Machine, path: str) -> None:
    assert machine.ask(machine.desk, path).target == f"/workspace/extra/{path}"


def test_no_mount_lies_in_another() -> None:
    taken = ["/workspace/extra/a", "/workspace/extra/b/c"]
    for target in ("a", "a/x", "b", "b/c", "b/c/d"):
        assert mounts.collision(f"/workspace/extra/{target}", taken) in taken
    for target in ("ab", "b/cc", "b/d", "c"):
        assert mounts.collision(f"/workspace/extra/{target}", taken) is None


@pytest.mark.parametrize(
    ("text", "mode", "word"),
    [
        ("allowed_roots = [", 0o644, "understood"),
        ("allowed_roots = [{path = 3}]", 0o644, "understood"),
        ('allowed_root = [{path = "/"}]', 0o644, "understood"),
        ('allowed_roots = [{path = "/", readwrite = true}]', 0o644, "understood"),
        ('allowed_roots = [{path = ""}]', 0o644, "no path"),
        ('blocked_patterns = ["a/b"]', 0o644, "name of a file"),
        ('non_admin_read_only = "no"', 0o644, "understood"),
        ("", 0o666, "chmod"),
        ("", 0o620, "chmod"),
        ("#" * (allowlist.LARGEST + 1), 0o644, "larger"),
        ("\udcff", 0o644, "understood"),
    ],
)
def test_a_list_that_cannot_be_trusted_allows_nothing(
    machine: Machine, text: str, mode: int, word: str
) -> None:
    machine.list.write_bytes(text.encode("utf-8", "surrogateescape"))
    machine.list.chmod(mode)
    reason = machine.refused(machine.desk)
    assert word in reason
    assert str(machine.list) in reason


def test_no_list_allows_nothing(machine: Machine) -> None:
    machine.list.unlink()
    assert "does not exist" in machine.refused(machine.desk)
    machine.list.mkdir()
    assert "plain file" in machine.refused(machine.desk)
    machine.list.rmdir()
    os.mkfifo(machine.list)
    assert "plain file" in machine.refused(machine.desk)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_another_s_list_allows_nothing(machine: Machine) -> None:
    os.chown(machine.list, 12345, 12345)
    assert "12345" in machine.refused(machine.desk)


def test_a_list_in_a_folder_that_all_may_write_allows_nothing(machine: Machine) -> None:
    machine.list.parent.chmod(0o777)
    assert "everybody" in machine.refused(machine.desk)


def test_where_the_list_lies(tmp_path: Path) -> None:
    there = "pynchy/mount-allowlist.toml"
    assert allowlist.place({}, tmp_path) == tmp_path / ".config" / there
    assert allowlist.place({"XDG_CONFIG_HOME": "/x"}, tmp_path) == Path("/x") / there
    assert allowlist.place({"XDG_CONFIG_HOME": "x"}, tmp_path) == tmp_path / ".config" / there


def found(machine: Machine, **bounds: float) -> tuple[str, ...]:
    verdict = machine.ask(machine.desk)
    assert verdict.source is not None
    listed = allowlist.read(machine.list)
    never = mounts.never(listed, machine.places)
    search = masks.Search(mounts.patterns(listed), never, **bounds)  # type: ignore[arg-type]
    return search.below(verdict.source)


def test_secrets_below_are_found(machine: Machine) -> None:
    machine.write('blocked_patterns = ["*.pem"]')
    (machine.desk / "site/.git").mkdir(parents=True)
    (machine.desk / "site/.env").write_text("KEY=1")
    (machine.desk / "site/.env.example").write_text("KEY=")
    (machine.desk / "notes/.ssh/deep").mkdir(parents=True)
    (machine.desk / "notes/.ssh/id_rsa").touch()
    (machine.desk / "notes/A.PEM").touch()
    (machine.desk / "link").symlink_to("/etc")
    (machine.desk / ".netrc").symlink_to("notes")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(machine.desk / "notes/some.sock"))
        assert found(machine) == ("notes/.ssh/", "notes/A.PEM", "notes/some.sock", "site/.env")
    assert masks.inside("/workspace/extra/x", ["a/"]) == ("/workspace/extra/x/a/",)


def test_the_search_is_bounded(machine: Machine) -> None:
    for number in range(300):
        (machine.desk / str(number)).touch()
    assert found(machine, entries=302) == ()
    with pytest.raises(masks.Unsearchable, match="more than 300 files"):
        found(machine, entries=300)
    with pytest.raises(masks.Unsearchable, match="within 0 s"):
        found(machine, entries=512, seconds=0.0)
    for number in range(masks.MOST + 1):
        (machine.desk / str(number) / "x").parent.unlink()
        (machine.desk / str(number)).mkdir()
        (machine.desk / str(number) / ".env").touch()
    with pytest.raises(masks.Unsearchable, match="names that are blocked"):
        found(machine)


def test_folders_too_deep_are_refused(machine: Machine) -> None:
    (machine.desk / "/".join("d" * (masks.DEEPEST + 2))).mkdir(parents=True)
    with pytest.raises(masks.Unsearchable, match="levels deep"):
        found(machine)


def test_a_home_below_is_refused(machine: Machine) -> None:
    (machine.desk / "deep/pynchy/data").mkdir(parents=True)
    (machine.desk / "deep/pynchy/data/messages.db").touch()
    with pytest.raises(masks.Unsearchable, match="pynchy's home"):
        found(machine)


@pytest.mark.parametrize("part", ["data/messages.db", "data/messages.db-wal", ".env", "list"])
def test_a_further_name_of_what_is_ours_is_refused(machine: Machine, part: str) -> None:
    ours = machine.list if part == "list" else machine.home / part
    ours.touch()
    other = machine.desk / "notes/harmless"
    other.hardlink_to(ours)
    assert "by another name" in machine.refused(other)
    with pytest.raises(masks.Unsearchable, match="notes/harmless is a part of pynchy's own home"):
        found(machine)


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="only root binds")
@pytest.mark.parametrize("part", ["", "data", "data/ipc", "groups/main", "data/claude/main"])
def test_what_is_ours_is_refused_where_it_is_bound(machine: Machine, part: str) -> None:
    (machine.home / part).mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "--bind", machine.home / part, machine.desk / "notes"], check=True)
    try:
        assert "pynchy's" in machine.refused(machine.desk / "notes")
        assert found(machine) == ("notes/",)
    finally:
        subprocess.run(["umount", machine.desk / "notes"], check=True)


def test_what_was_exchanged_after_the_verdict_is_noticed(machine: Machine) -> None:
    verdict = machine.ask(machine.desk / "notes")
    assert verdict.source is not None
    (machine.desk / "notes").rename(machine.desk / "was")
    (machine.desk / "notes").symlink_to(machine.home)
    with pytest.raises(masks.Unsearchable):
        masks.Search(mounts.BLOCKED).below(verdict.source)
    (machine.desk / "notes").unlink()
    (machine.desk / "notes").mkdir()
    with pytest.raises(masks.Unsearchable, match="exchanged"):
        masks.Search(mounts.BLOCKED).below(verdict.source)


HOSTILE = [
    *(
        "..",
        ".",
        "",
        "/",
        "~",
        "desk",
        "notes",
        "WORK",
        ".ssh",
        "．．",
        "etc",
        "home",
        "data",
        "out",
    ),
    *("\0", "\ud800", "\udcff", "\n", " ", "ｗork", "wоrk", "papers", "a" * 300),
]
PIECES = st.sampled_from(HOSTILE)


@pytest.fixture(scope="module")
def deceived(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    machine = Machine(tmp_path_factory.mktemp("deceived"))
    (machine.desk / ".ssh").mkdir()
    (machine.desk / "out").symlink_to("/")
    (machine.papers / "home").symlink_to(machine.home)
    return machine


@settings(max_examples=200, deadline=None)
@given(
    host=st.one_of(st.text(), st.lists(PIECES, max_size=8).map("/".join)),
    inside=st.one_of(st.text(), st.lists(PIECES, max_size=5).map("/".join)),
    readonly=st.booleans(),
    is_admin=st.booleans(),
)
@example(host="~/desk/" + "x/" * 5000, inside="x", readonly=True, is_admin=True)
@example(host="/" + "desk" * 50_000, inside="x", readonly=True, is_admin=True)
@example(host="~/desk", inside="x/" * 100_000, readonly=True, is_admin=True)
def test_no_path_deceives(
    deceived: Machine, host: str, inside: str, readonly: bool, is_admin: bool
) -> None:
    """Whatever is asked, there is an answer, and what is allowed lies where it may."""
    machine = deceived
    verdict = machine.ask(host, inside, readonly=readonly, is_admin=is_admin)
    assert verdict.reason.endswith(".")
    if not verdict.allowed:
        assert verdict.readonly
        return
    assert verdict.source is not None
    assert verdict.target is not None
    real = Path(os.path.realpath(verdict.source.real))
    assert real == verdict.source.real
    assert any(real.is_relative_to(root) for root in (machine.desk, machine.papers))
    assert ".ssh" not in real.parts
    assert os.path.normpath(verdict.target) == verdict.target
    assert verdict.target.startswith("/workspace/extra/")
    assert verdict.readonly or (not readonly and is_admin and real.is_relative_to(machine.desk))


def test_a_verdict_is_about_what_was_opened(machine: Machine) -> None:
    """A link that is exchanged between our look and the opening changes what is decided on."""
    with sources.opened(machine.desk / "notes") as (_, source):
        roots = mounts.real_roots(allowlist.read(machine.list), machine.places)
        listed = allowlist.read(machine.list)
        asked = Asked("~/desk/notes", "x")
        assert mounts.decide(asked, listed, machine.places, source, roots).allowed
        elsewhere = replace(source, real=machine.root / "elsewhere")
        assert not mounts.decide(asked, listed, machine.places, elsewhere, roots).allowed
