"""Files go to and from the tests' WhatsApp by way of its media host, with the real neonize."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.whatsapp_server import WhatsAppProcess

ROOT = Path(__file__).parents[2]
PROGRAM = Path(__file__).with_name("whatsapp_media_client.py")
KEPT = ("PATH", "LANG", "TMPDIR", "HOME", "LD_LIBRARY_PATH")
BOB = "4915551999"
LIMIT = 300_000
CONTENT = bytes(range(256)) * 999 + b"the end"


class Device:
    """The child, and what it tells."""

    def __init__(self, whatsapp: WhatsAppProcess, folder: Path) -> None:
        folder.mkdir()
        self.whatsapp = whatsapp
        self._folder = folder
        self._events = folder / "events.jsonl"
        self._events.touch()
        kept = {name: os.environ[name] for name in KEPT if name in os.environ}
        with (folder / "output.txt").open("w") as output:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-P", str(PROGRAM), str(folder / "neonize.db")),
                    *(str(self._events), str(LIMIT)),
                ],
                env={**kept, **whatsapp.environ({"PYTHONPATH": str(ROOT)})},
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                text=True,
            )

    def told(self, what: str) -> dict[str, Any]:
        """The last that it says of something, once it does."""

        def there() -> list[dict[str, Any]]:
            rows = [json.loads(line) for line in self._events.read_text().split("\n")[:-1]]
            return [row for row in rows if row["what"] == what]

        row: dict[str, Any] = self.whatsapp.until(there)[-1]
        return row

    def send(self, name: str, content: bytes) -> dict[str, Any]:
        """Have it send a file to Bob; what came of that."""
        path = self._folder / name
        path.write_bytes(content)
        asked = {"to": f"{BOB}@s.whatsapp.net", "name": name, "path": str(path)}
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(asked) + "\n")
        self.process.stdin.flush()
        return self.told(name)


@pytest.fixture(scope="module")
def device(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Device]:
    folder = tmp_path_factory.mktemp("whatsapp-media")
    with WhatsAppProcess(folder / "server") as whatsapp:
        device = Device(whatsapp, folder / "device")
        try:
            whatsapp.scan(device.told("qr")["code"])
            whatsapp.wait_online()
            whatsapp.person(BOB, "Bob")
            yield device
        finally:
            device.process.kill()
            device.process.communicate()


@pytest.mark.parametrize("kind", ["image", "video", "audio", "voice", "document", "sticker"])
def test_what_is_shared_is_fetched(device: Device, kind: str) -> None:
    told = device.told(device.whatsapp.share(BOB, kind, CONTENT))
    assert Path(told["done"]).read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("fault", "kind", "why"),
    [
        ("404", "NeverSent", "doesn't keep it any more"),
        ("500", "NotSent", "HTTP 500"),
        ("drop", "NotSent", "broke off"),
        ("short", "NotSent", "broke off"),
        ("long", "NeverSent", "larger than"),
        ("garbage", "NotSent", "came damaged"),
    ],
)
def test_what_goes_wrong_is_told(device: Device, fault: str, kind: str, why: str) -> None:
    device.whatsapp.fail_media(fault)
    told = device.told(device.whatsapp.share(BOB, "document", CONTENT))
    assert told["kind"] == kind
    assert why in told["why"]


def test_what_is_not_as_it_was_said_to_be_is_not_believed(device: Device) -> None:
    lied = device.told(device.whatsapp.share(BOB, "image", CONTENT, said_size=5))
    assert (lied["kind"], "instead of 5" in lied["why"]) == ("NeverSent", True)
    wrong = device.told(device.whatsapp.share(BOB, "image", CONTENT, wrong_hash=True))
    assert "isn't what was shared" in wrong["why"]


def test_files_are_sent(device: Device) -> None:
    whatsapp = device.whatsapp
    files = {
        "notes.txt": b"hello",
        "a.png": b"\x89PNG\r\n\x1a\n" + CONTENT,
        "a.mp3": b"ID3" + CONTENT,
    }
    sent = {device.send(name, content)["done"]: name for name, content in files.items()}
    rows = {row["id"]: row for row in whatsapp.wait_outbound(3)}
    assert {row["kind"] for row in rows.values()} == {"document", "image", "audio"}
    for id, name in sent.items():
        assert whatsapp.file(id) == files[name]
        assert rows[id]["kind"] == "audio" or name in (rows[id]["media"]["name"], rows[id]["text"])


def test_a_file_that_the_media_host_does_not_take_is_not_sent(device: Device) -> None:
    whatsapp = device.whatsapp
    before = len(whatsapp.outbound())
    whatsapp.fail_media("500", 20, where="upload")
    told = device.send("later.txt", b"hello")
    assert (told["kind"], "didn't take the file" in told["why"]) == ("NotSent", True)
    whatsapp.mend()
    assert len(whatsapp.outbound()) == before
