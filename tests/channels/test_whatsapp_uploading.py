"""Files that agents give go out as phones show them best, and nothing is unknown that nobody saw:
real neonize, with something else in the place of its Go library."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from pynchy_cli.channels.base import Away, NeverSent, NotSent, OutgoingFile, Place, Unsure
from pynchy_cli.channels.whatsapp.sending import Sending
from pynchy_cli.channels.whatsapp.uploading import SOON, Uploads
from tests.whatsapp_line import LOST, Call, Go, Line, until

BOB = "4912345@s.whatsapp.net"
DM = Place(f"whatsapp:{BOB}")
LIMIT = 1024
PATIENT = 30.0
PNG = b"\x89PNG\r\n\x1a\n" + bytes(99)
KINDS = ["image", "video", "audio", "document"]
Scenario = Callable[["Hosted", Uploads], Coroutine[Any, Any, None]]


class MediaGo(Go):
    """The library with a media host; what is put into `refusals` fails the next uploads."""

    def __init__(self) -> None:
        super().__init__()
        self.refusals: deque[str] = deque()
        self.taken: list[tuple[str, bytes]] = []

    async def Upload(self, client: bytes, content: Any, size: int, kind: int) -> bytes:  # noqa: N802
        from neonize.proto.Neonize_pb2 import UploadResponse, UploadReturnFunction

        await self.__getattr__("Upload")(client, size, kind)
        if self.refusals:
            return bytes(UploadReturnFunction(Error=self.refusals.popleft()).SerializeToString())
        self.taken.append((KINDS[kind], bytes(content)[:size]))
        where = UploadResponse(
            url=f"https://mmg.whatsapp.net/{len(self.taken)}",
            DirectPath=f"/{len(self.taken)}",
            Handle="",
            MediaKey=b"k" * 32,
            FileEncSHA256=b"e" * 32,
            FileSHA256=b"s" * 32,
            FileLength=size,
        )
        return bytes(UploadReturnFunction(UploadResponse=where).SerializeToString())


class Hosted(Line):
    """A connection with that."""

    def __init__(self) -> None:
        super().__init__()
        self.media = MediaGo()
        self.go = self.media
        self.client._NewAClient__client = self.media


def run(scenario: Scenario, wait: float = PATIENT, **limits: Any) -> None:
    async def whole() -> None:
        line = Hosted()
        async with asyncio.timeout(PATIENT):
            await scenario(line, Uploads(line, Sending(line), LIMIT, wait, **limits))

    asyncio.run(whole())


def outgoing(folder: Path, name: str, content: bytes = b"hello") -> OutgoingFile:
    path = folder / f"{len(list(folder.iterdir()))}"
    path.write_bytes(content)
    return OutgoingFile(name, path, len(content))


@pytest.mark.parametrize(
    ("name", "content", "kind", "mime"),
    [
        ("a.png", PNG, "image", "image/png"),
        ("a", b"\xff\xd8\xff\xe0" + bytes(9), "image", "image/jpeg"),
        ("a.mov", bytes(4) + b"ftypisom" + bytes(9), "video", "video/mp4"),
        ("a.3gp", bytes(4) + b"ftyp3gp4" + bytes(9), "video", "video/3gpp"),
        ("a.m4a", bytes(4) + b"ftypM4A " + bytes(9), "audio", "audio/mp4"),
        ("a.mp3", b"ID3" + bytes(9), "audio", "audio/mpeg"),
        ("a.mp3", b"\xff\xfb" + bytes(9), "audio", "audio/mpeg"),
        ("a.amr", b"#!AMR\n", "audio", "audio/amr"),
        ("a.ogg", b"OggS" + bytes(24) + b"OpusHead", "audio", "audio/ogg; codecs=opus"),
        ("a.ogg", b"OggS" + bytes(24) + b"\x01vorbis", "document", "audio/ogg"),
        ("a.mov", bytes(4) + b"ftypqt  " + bytes(9), "document", "video/quicktime"),
        ("a.heic", bytes(4) + b"ftypheic" + bytes(9), "document", "image/heic"),
        ("a.gif", b"GIF89a" + bytes(9), "document", "image/gif"),
        ("a.png", b"<svg>", "document", "image/png"),
        ("a.pdf", b"%PDF-1.7", "document", "application/pdf"),
        ("notes", b"hello", "document", "application/octet-stream"),
    ],
)
def test_a_file_goes_out_as_phones_show_it(
    tmp_path: Path, name: str, content: bytes, kind: str, mime: str
) -> None:
    async def scenario(line: Hosted, uploads: Uploads) -> None:
        assert await uploads.send_file(DM, outgoing(tmp_path, name, content)) == "3EB0OUT1"
        assert line.media.taken == [(kind, content)]
        [(to, message)] = line.go.sent()
        [(field, part)] = message.ListFields()
        assert (to, field.name) == (BOB, f"{kind}Message")
        assert (part.mimetype, part.fileLength, part.URL) == (
            *(mime, len(content)),
            "https://mmg.whatsapp.net/1",
        )
        assert (part.directPath, part.mediaKey) == ("/1", b"k" * 32)
        assert (part.fileEncSHA256, part.fileSHA256) == (b"e" * 32, b"s" * 32)
        if kind != "audio":
            assert (part.fileName if kind == "document" else part.caption) == name

    run(scenario)


def test_a_picture_too_large_to_be_shown_is_a_document(tmp_path: Path) -> None:
    async def scenario(line: Hosted, _: Uploads) -> None:
        uploads = Uploads(line, Sending(line), 1 << 30, PATIENT)
        await uploads.send_file(DM, outgoing(tmp_path, "a.png", PNG + bytes(16 * 1024**2)))
        await uploads.send_file(DM, outgoing(tmp_path, "a.png", PNG + bytes(15 * 1024**2)))
        assert [kind for kind, _ in line.media.taken] == ["document", "image"]

    run(scenario)


@pytest.mark.parametrize(
    ("size", "why"),
    [(0, "no empty file"), (LIMIT + 1, "which is max_upload"), (None, "isn't there")],
)
def test_what_can_not_be_sent_never_is(tmp_path: Path, size: int | None, why: str) -> None:
    async def scenario(line: Hosted, uploads: Uploads) -> None:
        file = outgoing(tmp_path, "a.txt", bytes(size if size is not None else 5))
        if size is None:
            file.path.unlink()
        for _ in range(2):
            with pytest.raises(NeverSent, match=why):
                await uploads.send_file(DM, file)
        assert line.go.calls == []

    run(scenario)


def test_what_can_not_be_read_is_tried_again(tmp_path: Path) -> None:
    async def scenario(line: Hosted, uploads: Uploads) -> None:
        with pytest.raises(NotSent, match=r"can't be read: .* directory") as raised:
            await uploads.send_file(DM, OutgoingFile("a.txt", tmp_path, 5))
        assert type(raised.value) is NotSent
        assert line.go.calls == []

    run(scenario)


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("failed to refresh media connections: info query timed out", NotSent),
        ("upload failed with status code 500", NotSent),
        ("failed to refresh media connections: websocket not connected", Away),
        ("the store doesn't contain a device JID", Away),
    ],
)
def test_what_the_media_host_did_not_take_is_uploaded_again(
    tmp_path: Path, said: str, kind: type[Exception]
) -> None:
    async def scenario(line: Hosted, uploads: Uploads) -> None:
        file = outgoing(tmp_path, "a.txt")
        line.media.refusals.append(said)
        with pytest.raises(kind) as raised:
            await uploads.send_file(DM, file)
        assert type(raised.value) is kind
        assert said in str(raised.value)
        assert await uploads.send_file(DM, file) == "3EB0OUT1"
        assert [call.name for call in line.go.calls] == ["Upload", "Upload", "SendMessage"]

    run(scenario)


def test_what_takes_long_is_waited_for_in_turns(tmp_path: Path) -> None:
    async def scenario(line: Hosted, uploads: Uploads) -> None:
        file, other = outgoing(tmp_path, "a.txt"), outgoing(tmp_path, "b.txt", b"other")
        line.go.holds.add("Upload")
        for one in (file, other, file):
            with pytest.raises(NotSent, match="still being uploaded") as raised:
                await uploads.send_file(DM, one)
            assert raised.value.retry_after == SOON
        assert line.go.calls == [Call("Upload", (5, 3))]
        line.go.release()
        await until(lambda: line.media.taken)
        assert await _at_last(uploads, file) == "3EB0OUT1"
        assert await _at_last(uploads, other) == "3EB0OUT2"
        assert [content for _, content in line.media.taken] == [b"hello", b"other"]

    run(scenario, wait=0.0)


def test_what_nobody_asks_for_any_more_is_in_nobodys_way(tmp_path: Path) -> None:
    async def scenario(line: Hosted, uploads: Uploads) -> None:
        file, other = outgoing(tmp_path, "a.txt"), outgoing(tmp_path, "b.txt", b"other")
        line.go.holds.add("Upload")
        with pytest.raises(NotSent):
            await uploads.send_file(DM, file)
        line.go.release()
        await until(lambda: line.media.taken)
        assert await _at_last(uploads, other) == "3EB0OUT1"
        [(_, message)] = line.go.sent()
        assert message.documentMessage.fileName == "b.txt"
        assert [content for _, content in line.media.taken] == [b"hello", b"other"]

    run(scenario, wait=0.0)


def test_what_takes_too_long_counts_as_failed(tmp_path: Path) -> None:
    async def scenario(line: Hosted, uploads: Uploads) -> None:
        file = outgoing(tmp_path, "a.txt")
        line.go.holds.add("Upload")
        with pytest.raises(NotSent) as raised:
            await uploads.send_file(DM, file)
        assert raised.value.retry_after is None
        assert len(line.go.named("Upload")) == 1
        line.anew()
        line.client._NewAClient__client = again = MediaGo()
        assert await _at_last(uploads, file) == "3EB0OUT1"
        assert [call.name for call in again.calls] == ["Upload", "SendMessage"]

    run(scenario, wait=0.0, patience=0.0)


def test_whether_it_was_sent_is_told_as_of_a_text(tmp_path: Path) -> None:
    async def scenario(line: Hosted, uploads: Uploads) -> None:
        file = outgoing(tmp_path, "a.txt")
        line.go.errors += ["server returned error 429", LOST]
        with pytest.raises(NotSent, match="429"):
            await uploads.send_file(DM, file)
        with pytest.raises(Unsure):
            await uploads.send_file(DM, file)
        assert len(line.media.taken) == 1
        line.why_away = "it is away"
        with pytest.raises(Away, match="it is away"):
            await uploads.send_file(DM, file)

    run(scenario)


def test_a_file_that_is_sent_again_later_is_uploaded_anew(tmp_path: Path) -> None:
    async def scenario(line: Hosted, uploads: Uploads) -> None:
        file = outgoing(tmp_path, "a.txt")
        assert await uploads.send_file(DM, file) == "3EB0OUT1"
        assert await uploads.send_file(DM, file) == "3EB0OUT2"
        assert len(line.media.taken) == 2

    run(scenario)


async def _at_last(uploads: Uploads, file: OutgoingFile) -> str:
    """Its id, once it is sent; those who wait are told to come again."""
    while True:
        try:
            return await uploads.send_file(DM, file)
        except NotSent:
            await asyncio.sleep(0)
