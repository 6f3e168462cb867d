"""An archive that somebody else has made can put nothing anywhere but into the places of a home,
and what isn't whole is not restored at all."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pynchy_cli.config.paths import Home
from pynchy_cli.errors import ArchiveInvalid, SchemaTooNew
from pynchy_cli.keeping import reading
from pynchy_cli.keeping.archive import MANIFEST
from pynchy_cli.store.connection import SCHEMA
from tests.kept import backed_up, brought_back, furnished, tree

Member = tuple[tarfile.TarInfo, bytes]
Members = list[Member]


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Members:
    """What a good archive holds, the manifest last."""
    folder = tmp_path_factory.mktemp("good")
    backed_up(furnished(folder / "home"), folder / "b")
    with tarfile.open(folder / "b") as tar:
        return [
            (one, file.read() if (file := tar.extractfile(one)) else b"")
            for one in tar.getmembers()
        ]


def packed(path: Path, members: Members) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for info, data in members:
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def member(name: str, kind: bytes = tarfile.REGTYPE, data: bytes = b"x", **more: Any) -> Member:
    info = tarfile.TarInfo(name)
    info.type = kind
    for key, value in more.items():
        setattr(info, key, value)
    return info, data if kind == tarfile.REGTYPE else b""


def with_more(good: Members, *more: Member, **facts: Any) -> Members:
    """The good archive with more in it, which its manifest knows."""
    *rest, (info, data) = good
    document = json.loads(data)
    for one, content in more:
        if one.type == tarfile.REGTYPE:
            document["files"][one.name] = hashlib.sha256(content).hexdigest()
    document.update({key: {**document[key], **value} for key, value in facts.items()})
    return [*rest, *more, (info, json.dumps(document).encode())]


def test_what_is_made_here_is_taken(good: Members, tmp_path: Path) -> None:
    more = member("groups/team/more")
    brought_back(Home(tmp_path / "home"), packed(tmp_path / "b", with_more(good, more)))
    assert (tmp_path / "home/groups/team/more").read_bytes() == b"x"


def test_the_number_of_things_in_it_costs_no_memory(tmp_path: Path) -> None:
    folder = member("groups/team/d", tarfile.DIRTYPE)[0].tobuf()
    with gzip.open(tmp_path / "b", "wb", compresslevel=0) as file:
        file.write(folder * 6_000)
    tracemalloc.start()
    try:
        with pytest.raises(ArchiveInvalid, match="no manifest"):
            reading.read(tmp_path / "b", lambda info, file: None)
        assert tracemalloc.get_traced_memory()[1] < 1_500_000
    finally:
        tracemalloc.stop()


REFUSED: dict[str, Callable[[Members], Members]] = {
    "above the home": lambda good: with_more(good, member("../evil")),
    "above, from inside": lambda good: with_more(good, member("groups/team/../../../evil")),
    "an absolute name": lambda good: with_more(good, member("/tmp/evil")),
    "a name with an empty part": lambda good: with_more(good, member("groups//evil")),
    "a place of no backup": lambda good: with_more(good, member("data/run/up.lock")),
    "a file beside the home's": lambda good: with_more(good, member("evil.sh")),
    "a second database's journal": lambda good: with_more(good, member("data/messages.db-wal")),
    "credentials that it denies": lambda good: with_more(good, member(".env")),
    "a link": lambda good: with_more(
        good, member("groups/team/l", tarfile.SYMTYPE, linkname="/etc")
    ),
    "a hard link": lambda good: with_more(
        good, member("groups/team/l", tarfile.LNKTYPE, linkname="/etc/passwd")
    ),
    "a device": lambda good: with_more(good, member("groups/team/d", tarfile.CHRTYPE, devmajor=1)),
    "a pipe": lambda good: with_more(good, member("groups/team/p", tarfile.FIFOTYPE)),
    "a file twice": lambda good: with_more(good, member("config.toml"), member("config.toml")),
    "a file below a file": lambda good: with_more(good, member("config.toml/evil")),
    "a folder for a file": lambda good: with_more(good, member("config.toml", tarfile.DIRTYPE)),
    "a link through a link": lambda good: with_more(
        good, links={"groups/team/out": "/tmp", "groups/team/out/evil": "x"}
    ),
    "a link for a part": lambda good: with_more(good, links={"groups": "/tmp"}),
    "a link for a database": lambda good: with_more(
        good, links={"data/memories.db": "/etc/passwd"}
    ),
    "a link above": lambda good: with_more(good, links={"groups/../evil": "/tmp"}),
    "a link over a file": lambda good: with_more(good, links={"groups/team/empty": "/tmp"}),
    "something after the manifest": lambda good: [*good, member("groups/team/late")],
    "something that the manifest doesn't know": lambda good: [
        *good[:-1],
        member("groups/team/more"),
        good[-1],
    ],
    "something missing": lambda good: good[1:],
    "a changed file": lambda good: [
        (info, b"[agent]\nname = 'eve'\n" if info.name == "config.toml" else data)
        for info, data in good
    ],
    "a file that is no database": lambda good: with_more(
        [one for one in good if one[0].name != "data/messages.db"],
        member("data/messages.db", data=b"SQLite format 3\0" + bytes(4096)),
    ),
    "another program's database": lambda good: with_more(
        good, member("data/memories.db", data=b"no database" * 500)
    ),
    "no manifest": lambda good: good[:-1],
    "a manifest that is none": lambda good: [*good[:-1], member(MANIFEST, data=b"[1]")],
    "a manifest that is no JSON": lambda good: [*good[:-1], member(MANIFEST, data=b"[" * 100_000)],
    "a newer form": lambda good: [
        *good[:-1],
        member(MANIFEST, data=b'{"format": 2, "files": {}, "links": {}}'),
    ],
    "nothing": lambda good: [],
}


@pytest.mark.parametrize("what", REFUSED)
def test_it_is_refused_and_nothing_is_changed(what: str, good: Members, tmp_path: Path) -> None:
    home = Home(tmp_path / "place/home")
    archive = packed(tmp_path / "b", REFUSED[what](good))
    (home.root / "groups").mkdir(parents=True)
    (home.root / "groups/mine").write_text("stays")
    before = tree(tmp_path)
    with pytest.raises(ArchiveInvalid):
        brought_back(home, archive, force=True)
    assert tree(tmp_path) == before
    assert not Path("/tmp/evil").exists()


@pytest.mark.parametrize("cut", [0.0, 0.3, 0.9, 0.98])
def test_a_part_of_an_archive_is_refused(cut: float, good: Members, tmp_path: Path) -> None:
    archive = packed(tmp_path / "b", good)
    data = archive.read_bytes()
    archive.write_bytes(data[: int(len(data) * cut)])
    with pytest.raises(ArchiveInvalid):
        brought_back(Home(tmp_path / "home"), archive)
    assert tree(tmp_path / "home") == {}


def test_a_flipped_bit_is_found(good: Members, tmp_path: Path) -> None:
    archive = packed(tmp_path / "b", good)
    data = bytearray(archive.read_bytes())
    data[len(data) // 2] ^= 4
    archive.write_bytes(data)
    with pytest.raises(ArchiveInvalid):
        brought_back(Home(tmp_path / "home"), archive)


def test_a_header_without_end_fills_no_memory(tmp_path: Path) -> None:
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 1 << 40
    with gzip.open(tmp_path / "b", "wb") as file:
        file.write(info.tobuf(tarfile.GNU_FORMAT))
        file.write(bytes(1 << 20))
    with pytest.raises(ArchiveInvalid, match="far too long"):
        brought_back(Home(tmp_path / "home"), tmp_path / "b")


def test_a_newer_schema_is_refused(good: Members, tmp_path: Path) -> None:
    name = "data/messages.db"
    (data,) = [bytearray(content) for info, content in good if info.name == name]
    data[60:64] = (SCHEMA + 1).to_bytes(4, "big")  # where SQLite keeps user_version
    rest = [one for one in good if one[0].name != name]
    archive = packed(tmp_path / "b", with_more(rest, member(name, data=bytes(data))))
    with pytest.raises(SchemaTooNew):
        brought_back(Home(tmp_path / "home"), archive)
    assert tree(tmp_path / "home") == {}


def test_rights_that_nobody_gives_are_not_taken(good: Members, tmp_path: Path) -> None:
    more = member("groups/team/run", mode=0o6777)
    brought_back(Home(tmp_path / "home"), packed(tmp_path / "b", with_more(good, more)))
    assert (tmp_path / "home/groups/team/run").stat().st_mode & 0o7777 == 0o777
    assert (tmp_path / "home/data").stat().st_mode & 0o777 == 0o700
