"""Files that people share come into their group's folder whole, or with a plain reason why not; and
no token of ours goes to anybody but Slack."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pynchy_cli.channels import fetching
from pynchy_cli.channels.base import NeverSent
from pynchy_cli.model import SharedFile
from tests.slack_host import Book, held, until
from tests.slack_server import SlackServer


@pytest.fixture
def slack() -> Iterator[SlackServer]:
    with SlackServer(ack=1.0) as server:
        server.person("alice")
        yield server


@pytest.fixture
def dev(slack: SlackServer) -> str:
    return slack.channel("dev", "alice")


def settled(book: Book) -> Callable[[], bool]:
    return lambda: all(file.state != "waiting" for file in book.files.values()) and bool(book.files)


def test_files_come_with_a_message(slack: SlackServer, dev: str, tmp_path: Path) -> None:
    large = bytes(range(256)) * 4096

    async def scenario() -> None:
        book = Book(tmp_path, dev)
        async with held(slack, book):
            files = {"notes.txt": b"hello", "large.bin": large, "page.html": b"<p>hello"}
            slack.say("alice", dev, "look", files=files)
            await until(settled(book))
        assert [file.path for file in book.files.values()] == [
            "1-notes.txt",
            "1-2-large.bin",
            "1-3-page.html",
        ]
        assert (tmp_path / "1-2-large.bin").read_bytes() == large
        assert (tmp_path / "1-3-page.html").read_bytes() == b"<p>hello"
        assert not list(tmp_path.glob(".*.part"))

    asyncio.run(scenario())


def test_what_was_left_is_fetched_after_a_restart(
    slack: SlackServer, dev: str, tmp_path: Path
) -> None:
    async def scenario() -> None:
        book = Book(tmp_path, dev)
        slack.fault("download", "sleep", seconds=20)
        async with held(slack, book):
            slack.upload("alice", dev, "notes.txt", b"hello")
            await until(lambda: len(slack.calls("download")) == 1)
        (waiting,) = book.files.values()
        assert waiting.state == "waiting"
        slack.heal()
        async with held(slack, book):
            await until(settled(book))
        assert (tmp_path / "1-notes.txt").read_bytes() == b"hello"

    asyncio.run(scenario())


@pytest.mark.parametrize("kind", ["500", "429"])
def test_what_fails_for_a_moment_comes_later(
    slack: SlackServer, dev: str, tmp_path: Path, kind: str
) -> None:
    async def scenario() -> None:
        book = Book(tmp_path, dev)
        slack.fault("download", kind, retry_after=0)
        async with held(slack, book):
            slack.upload("alice", dev, "notes.txt", b"hello")
            await until(settled(book))
        assert (tmp_path / "1-notes.txt").read_bytes() == b"hello"

    asyncio.run(scenario())


def test_what_the_disk_does_not_take_fails_with_a_reason(
    slack: SlackServer, dev: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full(Book):
        def file_path(self, group_folder: str, seq: int, name: str) -> Path:
            if name == "first.txt":
                raise OSError(errno.ENOSPC, "No space left on device")
            return super().file_path(group_folder, seq, name)

    async def scenario() -> None:
        book = Full(tmp_path, dev)
        async with held(slack, book):
            slack.say("alice", dev, "look", files={"first.txt": b"1", "second.txt": b"2"})
            await until(settled(book))
        first, second = book.files.values()
        assert (first.state, first.error) == (
            "failed",
            "it can't be written: No space left on device",
        )
        assert second.state == "here"

    monkeypatch.setattr(fetching, "PAUSE", 0.001)
    asyncio.run(scenario())


def test_a_login_page_is_no_file(slack: SlackServer, dev: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        book = Book(tmp_path, dev)
        slack.scopes("channels:history channels:read users:read")
        async with held(slack, book):
            slack.upload("alice", dev, "notes.txt", b"hello")
            await until(settled(book))
        (file,) = book.files.values()
        assert file.state == "failed"
        assert "files:read" in (file.error or "")
        assert not list(tmp_path.glob("*notes*"))

    asyncio.run(scenario())


def test_what_is_too_large_is_not_fetched(slack: SlackServer, dev: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        book = Book(tmp_path, dev)
        async with held(slack, book, max_file=1000):
            slack.upload("alice", dev, "told.bin", b"x" * 1001)
            await until(settled(book))
            assert not slack.calls("download")
            slack.upload("alice", dev, "lied.bin", b"x" * 2000)
            (seq, _), file = next(iter(book.files.items()))
            book.files[seq, 1] = SharedFile(file.remote_id, "lied.bin", size=None)
            slack.upload("alice", dev, "fits.bin", b"x")
            await until(lambda: len(book.files) == 4 and settled(book)())
        errors = [file.error for file in book.files.values()]
        assert sum("larger than" in (error or "") for error in errors) == 3
        assert not list(tmp_path.glob("*lied*"))

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "address",
    [
        *("http://127.0.0.1:9/x", "https://slack.com.example/x", "https://xslack.com/x", ""),
        *("https://files.slack.com@example.org/x", "https://example.org?.slack.com/x"),
        *("http://files.slack.com/x", "https://[files.slack.com/x"),
    ],
)
def test_no_token_goes_to_others(
    slack: SlackServer, dev: str, tmp_path: Path, address: str
) -> None:
    async def scenario() -> None:
        book = Book(tmp_path, dev)
        book.files[1, 0] = SharedFile(f"F999 {address}".strip(), "x")
        async with held(slack, book):
            await until(settled(book))
        (file,) = book.files.values()
        assert file.state == "failed"
        assert ("outside of Slack" if address else "file_not_found") in (file.error or "")

    asyncio.run(scenario())


def test_nobody_leads_us_away_from_slack(slack: SlackServer, dev: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        book, asked = Book(tmp_path, dev), []

        async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            asked.append(await reader.readline())
            writer.close()

        server = await asyncio.start_server(listen, "127.0.0.1")
        async with server, held(slack, book):
            there = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/x"
            slack.fault("download", "lead", error=there)
            slack.upload("alice", dev, "notes.txt", b"hello")
            await until(settled(book))
            (file,) = book.files.values()
            assert (file.state, asked) == ("failed", [])
            assert "outside of Slack" in (file.error or "")

    asyncio.run(scenario())


def test_two_files_of_a_message_have_two_names(
    slack: SlackServer, dev: str, tmp_path: Path
) -> None:
    async def scenario() -> None:
        book = Book(tmp_path, dev)
        async with held(slack, book):
            slack.say("alice", dev, "look", files={"2-a.txt": b"first", "a.txt": b"second"})
            await until(settled(book))
        assert {one.read_bytes() for one in tmp_path.glob("*.txt")} == {b"first", b"second"}

    asyncio.run(scenario())


def test_what_has_no_place_says_so_or_waits_for_one(
    slack: SlackServer, dev: str, tmp_path: Path
) -> None:
    why = [OSError(28, "no space left"), NeverSent("it is too much")]

    class Full(Book):
        def file_path(self, group_folder: str, seq: int, name: str) -> Path:
            raise why.pop(0)

    async def scenario() -> None:
        book = Full(tmp_path, dev)
        async with held(slack, book):
            slack.upload("alice", dev, "notes.txt", b"hello")
            await until(settled(book))
        (file,) = book.files.values()
        assert (file.state, file.error) == ("failed", "it is too much")
        assert not slack.calls("download")

    asyncio.run(scenario())
