"""The tests' own WhatsApp, spoken to with the real neonize: channels rest on this."""

from __future__ import annotations

import base64
import contextlib
import http.client
import itertools
import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

from tests.whatsapp_server import OWNER, WhatsAppProcess
from tests.whatsapp_server.protos import e2e

PROGRAM = Path(__file__).with_name("whatsapp_client.py")
KEPT = ("PATH", "LANG", "TMPDIR", "HOME", "LD_LIBRARY_PATH")
NUMBERS = itertools.count(4915551000)
Row = dict[str, Any]


class Client:
    """The real library in a process of its own, with its credentials in a folder."""

    def __init__(self, whatsapp: WhatsAppProcess, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self._whatsapp = whatsapp
        self._events = folder / "events.jsonl"
        self._events.write_text("")
        self._calls = itertools.count(1)
        kept = {name: os.environ[name] for name in KEPT if name in os.environ}
        with (folder / "output.txt").open("w") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-P", str(PROGRAM), str(folder / "neonize.db"), str(self._events)],
                env={**kept, **whatsapp.environ(), "NEONIZE_BOT_TAG": "off"},
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                text=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()

    def kill(self) -> None:
        """It is gone at once, whatever it was at."""
        self._process.kill()
        self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()

    def rows(self, what: str = "", **wanted: Any) -> list[Row]:
        """What it has heard so far."""
        lines = self._events.read_text().split("\n")[:-1]
        rows: list[Row] = [json.loads(line) for line in lines]
        found = [row for row in rows if not what or row["what"] == what]
        return [row for row in found if all(row[name] == wanted[name] for name in wanted)]

    def wait(self, what: str, number: int = 1, **wanted: Any) -> list[Row]:
        """What it hears, when it is so much."""

        def enough() -> list[Row]:
            rows = self.rows(what, **wanted)
            return rows if len(rows) >= number else []

        found: list[Row] = self._whatsapp.until(enough)
        return found

    def wait_for(self, what: str, text: str) -> str:
        """An event with this text in it, when there is one."""

        def there() -> str:
            told = [row["event"] for row in self.rows(what) if text in row["event"]]
            return told[-1] if told else ""

        return str(self._whatsapp.until(there))

    def heard(self, id: str, number: int = 1) -> Row:
        """A message, by its id."""
        return self.wait("message", number, id=id)[-1]

    def ask(self, op: str, **arguments: Any) -> Any:
        """One call of the library. Raises RuntimeError with what it raised."""
        return self.answer(self.begin(op, **arguments))

    def begin(self, op: str, **arguments: Any) -> int:
        """Begins a call; gives its number."""
        number = next(self._calls)
        assert self._process.stdin is not None
        asked = {"op": op, "number_of_call": number, **arguments}
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        return number

    def answer(self, number: int) -> Any:
        """What a call gives, when it has ended."""

        def ended() -> list[Row]:
            return [row for row in self.rows() if row.get("number") == number]

        [row] = self._whatsapp.until(ended)
        if row["what"] == "failed":
            raise RuntimeError(row["error"])
        return row["result"]

    def begin_to_send(self, to: str, text: str) -> int:
        """Begins to send a text; gives the call's number."""
        content = base64.b64encode(e2e.Message(conversation=text).SerializeToString()).decode()
        return self.begin("send", to=to, message=content)

    def send(self, to: str, text: str) -> str:
        """A text; gives its id."""
        return str(self.answer(self.begin_to_send(to, text)))

    def link(self) -> None:
        """By the QR code that it shows."""
        self._whatsapp.scan(self.wait("qr")[0]["code"])
        self.wait("Connected")


Linked = tuple[WhatsAppProcess, Client]


@pytest.fixture(scope="module")
def line(whatsapp_kit: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Linked]:
    """A server and a client that is linked by QR code."""
    folder = tmp_path_factory.mktemp("linked")
    with (
        WhatsAppProcess(folder / "server", whatsapp_kit) as whatsapp,
        Client(whatsapp, folder / "client") as client,
    ):
        client.link()
        yield whatsapp, client


@pytest.fixture
def linked(line: Linked) -> Iterator[Linked]:
    """The same for all tests, which bring people of their own, and leave the link as it was."""
    yield line
    line[0].mend()
    line[0].wait_online()
    line[0].wait_received()


@pytest.fixture
def bob() -> str:
    """The number of somebody new."""
    return str(next(NUMBERS))


def content(row: Row) -> Any:
    return e2e.Message.FromString(base64.b64decode(row["content"]))


def jid(phone: str) -> str:
    return f"{phone}@s.whatsapp.net"


def lid(phone: str) -> str:
    return f"999{phone}@lid"


def test_a_text_comes_and_is_confirmed(linked: Linked, bob: str) -> None:
    whatsapp, client = linked
    whatsapp.person(bob, "Bob")
    one = whatsapp.say(bob, "hello")
    row = client.heard(one)
    assert (row["text"], row["name"], row["mine"], row["group"]) == ("hello", "Bob", False, False)
    assert (row["chat"], row["sender"], row["alt"]) == (jid(bob), jid(bob), lid(bob))
    whatsapp.wait_received()
    assert [row["kind"] for row in whatsapp.log("receipt") if row["ids"] == [one]] == ["inactive"]


def test_people_are_addressed_by_lid_with_and_without_their_number(
    linked: Linked, bob: str
) -> None:
    whatsapp, client = linked
    row = client.heard(whatsapp.say(bob, "hello", address="lid_only"))
    assert (row["chat"], row["sender"], row["alt"]) == (lid(bob), lid(bob), "")
    row = client.heard(whatsapp.say(bob, "hello", address="lid"))
    assert (row["chat"], row["sender"], row["alt"]) == (lid(bob), lid(bob), jid(bob))
    row = client.heard(whatsapp.say(bob, "hello", address="phone_only"))
    assert (row["chat"], row["sender"], row["alt"]) == (jid(bob), jid(bob), lid(bob))
    other = str(next(NUMBERS))
    row = client.heard(whatsapp.say(other, "hello", address="phone_only"))
    assert (row["chat"], row["sender"], row["alt"]) == (jid(other), jid(other), "")


def test_what_people_do_comes_in_the_end_to_end_form(linked: Linked, bob: str) -> None:
    whatsapp, client = linked
    one = whatsapp.say(bob, "hello")
    reply = content(
        client.heard(
            whatsapp.say(
                bob, "yes", reply_to=one, quoted_text="hello", quoted_from=bob, mentions=[OWNER]
            )
        )
    )
    context = reply.extendedTextMessage.contextInfo
    assert (context.stanzaID, context.quotedMessage.conversation) == (one, "hello")
    assert list(context.mentionedJID) == [jid(OWNER)]
    edit = content(client.heard(whatsapp.edit(bob, one, "hello!"))).protocolMessage
    assert (edit.key.ID, edit.editedMessage.conversation) == (one, "hello!")
    revoke = content(client.heard(whatsapp.revoke(bob, one))).protocolMessage
    assert (revoke.key.ID, revoke.type) == (one, e2e.ProtocolMessage.REVOKE)
    reaction = content(client.heard(whatsapp.react(bob, "3EB0", "👍"))).reactionMessage
    assert (reaction.key.ID, reaction.text) == ("3EB0", "👍")
    given = e2e.Message(locationMessage=e2e.LocationMessage(name="here"))
    row = client.heard(whatsapp.say(bob, message=given.SerializeToString(), id="3AF00", at=1234))
    assert (row["id"], content(row).locationMessage.name) == ("3AF00", "here")
    whatsapp.typing(bob)
    assert "COMPOSING" in client.wait_for("ChatPresence", bob)


def test_the_owners_phone_writes_to_itself_and_to_others(linked: Linked, bob: str) -> None:
    whatsapp, client = linked
    for address, own, other in (("phone", jid(OWNER), jid(bob)), ("lid", lid(OWNER), lid(bob))):
        row = client.heard(whatsapp.own("note", address=address))
        assert (row["text"], row["chat"], row["mine"]) == ("note", own, True)
        row = client.heard(whatsapp.own("for bob", jid(bob), address=address))
        assert (row["text"], row["chat"], row["sender"]) == ("for bob", other, own)
    group = whatsapp.group("Family", bob)
    row = client.heard(whatsapp.own("for all", group), 2)
    assert (row["text"], row["chat"], row["sender"]) == ("for all", group, jid(OWNER))
    whatsapp.wait_received()


@pytest.mark.parametrize("by_lid", [False, True])
def test_a_group_is_read_and_written_to(linked: Linked, bob: str, by_lid: bool) -> None:
    whatsapp, client = linked
    name = f"Group of {bob}"
    group = whatsapp.group(name, bob, "4915559999", by_lid=by_lid)
    row = client.heard(whatsapp.say(bob, "hello all", group), 2)
    sender, alt = (lid(bob), jid(bob)) if by_lid else (jid(bob), lid(bob))
    assert (row["text"], row["chat"], row["group"]) == ("hello all", group, True)
    assert (row["sender"], row["alt"]) == (sender, alt)
    assert client.heard(whatsapp.say(bob, "again", group))["text"] == "again"
    assert client.ask("group", to=group) == [name, 3]
    assert name in client.ask("groups")
    for text in ("hello", "once more"):
        one = client.send(group, text)
        row = whatsapp.outbound(group)[-1]
        assert (row["id"], row["text"], row["problems"]) == (one, text, [])
    whatsapp.rename_group(group, f"Other {bob}")
    client.wait_for("GroupInfo", f"Other {bob}")
    whatsapp.leave_group(group)
    with pytest.raises(RuntimeError, match="403"):
        client.ask("group", to=group)
    with pytest.raises(RuntimeError, match="403"):
        client.send(group, "still there?")


def test_what_the_client_sends_is_read(linked: Linked, bob: str) -> None:
    whatsapp, client = linked
    chat = jid(bob)
    asked = whatsapp.say(bob, "well?")
    client.heard(asked)
    sent = client.send(chat, "answer")
    reply = client.ask("reply", id=asked, text="quoting")
    client.ask("react", to=chat, sender=chat, id=asked, emoji="👀")
    client.ask("edit", to=chat, id=sent, text="better")
    client.ask("revoke", to=chat, sender=jid(OWNER), id=sent)
    rows = whatsapp.wait_outbound(5, chat)
    assert [(row["kind"], row["text"], row["target"], row["quoted"]) for row in rows] == [
        ("text", "answer", None, None),
        ("text", "quoting", None, asked),
        ("reaction", "👀", asked, None),
        ("edit", "better", sent, None),
        ("revoke", "", sent, None),
    ]
    assert (rows[1]["id"], rows[1]["quoted_text"], rows[1]["quoted_from"]) == (reply, "well?", chat)
    assert all(row["acked"] and row["problems"] == [] for row in rows)
    client.send(jid(OWNER), "to oneself")
    assert [row["text"] for row in whatsapp.wait_outbound(1, jid(OWNER))] == ["to oneself"]


def test_typing_and_reading_are_noted(linked: Linked, bob: str) -> None:
    whatsapp, client = linked
    one = whatsapp.say(bob, "hello")
    client.heard(one)
    for state in ("composing", "paused"):
        client.ask("typing", to=jid(bob), state=state)
    client.ask("read", to=jid(bob), sender=jid(bob), id=one)

    def noted(what: str, name: str) -> list[Any]:
        return [row[name] for row in whatsapp.log(what) if row["chat"] == jid(bob)]

    whatsapp.until(lambda: "read" in noted("receipt", "kind"))
    assert noted("chatstate", "state") == ["composing", "paused"]
    sent = client.send(jid(bob), "hi")
    whatsapp.read(bob, sent)
    client.wait_for("Receipt", sent)


def test_files_go_both_ways(linked: Linked, bob: str) -> None:
    whatsapp, client = linked
    one = whatsapp.share(bob, "document", b"read me" * 999, name="a.txt", caption="see")
    part = content(client.heard(one)).documentMessage
    assert (part.fileName, part.caption, part.fileLength) == ("a.txt", "see", 6993)
    assert base64.b64decode(client.ask("download", id=one)) == b"read me" * 999
    for kind in ("404", "garbage", "short"):
        whatsapp.fail_media(kind, 20)
        with pytest.raises(RuntimeError, match="DownloadError"):
            client.ask("download", id=one)
        whatsapp.mend()
    once = client.heard(whatsapp.share(bob, "image", b"picture", once=True))
    assert (once["once"], content(once).imageMessage.mimetype) == (True, "image/jpeg")
    lie = whatsapp.share(bob, "voice", b"sound", said_size=3, wrong_hash=True)
    voice = content(client.heard(lie)).audioMessage
    assert (voice.PTT, voice.fileLength) == (True, 3)
    with pytest.raises(RuntimeError, match="DownloadError"):
        client.ask("download", id=lie)
    encoded = base64.b64encode(b"x" * 100_000).decode()
    sent = client.ask("document", to=jid(bob), content=encoded, name="x.txt")
    [row] = whatsapp.wait_outbound(1, jid(bob))
    assert (row["id"], row["kind"], row["text"]) == (sent, "document", "see")
    assert (row["media"]["name"], row["media"]["size"]) == ("x.txt", 100_000)
    assert whatsapp.file(sent) == b"x" * 100_000
    whatsapp.fail_media("500", 9, where="upload")
    with pytest.raises(RuntimeError, match="500"):
        client.ask("document", to=jid(bob), content=encoded, name="y.txt")
    whatsapp.mend()


def test_a_message_that_cannot_be_read_comes_again(linked: Linked, bob: str) -> None:
    whatsapp, client = linked
    group = whatsapp.group("Hard", bob)
    for chat, number in (("", 1), (group, 1)):
        one = whatsapp.unreadable(bob, chat)
        assert client.heard(one, number)["text"] == "it was hard to read"
        whatsapp.wait_received()
        kinds = [row["kind"] for row in whatsapp.log("receipt") if row["ids"] == [one]]
        assert kinds[0] == "retry"


def test_a_message_that_somebody_cannot_read_is_sent_again(linked: Linked, bob: str) -> None:
    whatsapp, client = linked
    group = whatsapp.group("Deaf", bob)
    for chat in (jid(bob), group):
        sent = client.send(chat, "hello")
        assert not whatsapp.log("message")[-1]["repeats"]
        whatsapp.cannot_read(bob, sent, chat if chat == group else "")
        whatsapp.until(lambda: whatsapp.log("message")[-1]["repeats"])
        first, again = (row for row in whatsapp.log("message") if row["id"] == sent)
        assert (first["accepted"], again["accepted"], again["repeats"]) == (True, False, True)
        assert (again["text"], again["problems"]) == ("hello", [])


def test_the_phone_tells_the_device_what_it_missed(linked: Linked, bob: str) -> None:
    whatsapp, client = linked
    whatsapp.history(bob, "said yesterday")
    assert "said yesterday" in client.wait_for("HistorySync", bob)
    for kind in ("view_once", "fanout"):
        hidden = whatsapp.unavailable(bob, kind=kind)
        assert "IsUnavailable: true" in client.wait_for("UndecryptableMessage", hidden)
    assert client.heard(hidden)["text"] == "for the phone alone"
    whatsapp.wait_received()
    assert [row["text"] for row in client.rows("message", chat=jid(bob))] == ["for the phone alone"]
    assert len(whatsapp.log("peer")) == 2
    number = whatsapp.log()[-1]["n"]
    whatsapp.app_state("regular")
    asked = whatsapp.until(lambda: whatsapp.log("query", after=number))
    assert asked[0]["name"] == "w:sync:app:state sync"


def test_three_hundred_come_in_order(linked: Linked, bob: str) -> None:
    whatsapp, client = linked
    ids = whatsapp.flood(bob, [str(number) for number in range(300)])
    client.heard(ids[-1])
    rows = client.rows("message", chat=jid(bob))
    assert [row["text"] for row in rows] == [str(number) for number in range(300)]
    whatsapp.wait_received()


def test_a_message_that_is_refused_or_not_answered_for(linked: Linked, bob: str) -> None:
    whatsapp, client = linked
    chat = jid(bob)
    whatsapp.nack(479)
    with pytest.raises(RuntimeError, match="479"):
        client.send(chat, "refused")
    assert whatsapp.outbound(chat) == []
    for accepted in (True, False):
        whatsapp.drop_at(accepted=accepted)
        client.send(chat, f"accepted {accepted}")  # the library sends the same once more
        whatsapp.wait_online()
    rows = [row for row in whatsapp.log("message") if row["chat"] == chat][1:]
    told = [(row["text"], row["accepted"], row["repeats"]) for row in rows]
    assert told == [
        ("accepted True", True, False),
        ("accepted True", False, True),
        ("accepted False", False, False),
        ("accepted False", True, False),
    ]
    whatsapp.fail_query("w:g2", 500)
    with pytest.raises(RuntimeError, match="500"):
        client.ask("groups")
    assert isinstance(client.ask("groups"), list)


def test_a_line_that_breaks_is_made_anew(linked: Linked, bob: str) -> None:
    whatsapp, client = linked
    number = len(whatsapp.log("online"))
    for breaks in (
        whatsapp.drop,
        lambda: whatsapp.stream_error("515"),
        lambda: whatsapp.stream_error("503"),
    ):
        breaks()
        assert not whatsapp.online()
        whatsapp.wait_online()
    assert len(whatsapp.log("online")) == number + 3
    whatsapp.stall()
    one = whatsapp.say(bob, "into the void")
    assert whatsapp.waiting() == [one]
    assert client.rows("message", id=one) == []
    whatsapp.stall(False)
    whatsapp.drop()
    assert client.heard(one)["text"] == "into the void"
    whatsapp.refuse()
    host, _, port = whatsapp.proxy.partition("//")[2].partition(":")
    with socket.create_connection((host, int(port))) as line:
        assert line.recv(1) == b""
    assert whatsapp.online()


def test_a_receipt_that_is_lost_brings_the_message_again(linked: Linked, bob: str) -> None:
    whatsapp, client = linked
    whatsapp.lose_receipts()
    one = whatsapp.say(bob, "hello")
    client.heard(one)
    whatsapp.until(lambda: whatsapp.log("lost"))
    assert whatsapp.waiting() == [one]
    whatsapp.drop()
    whatsapp.wait_received()
    assert len(client.rows("message", id=one)) == 1  # it ignores what it has decrypted before


def test_acks_are_late_or_never_come(linked: Linked, bob: str) -> None:
    whatsapp, client = linked
    whatsapp.slow(0.05)
    assert client.heard(whatsapp.say(bob, "hello"))["text"] == "hello"
    whatsapp.slow(0)
    whatsapp.hold_acks()
    call = client.begin_to_send(jid(bob), "late")
    [row] = whatsapp.wait_outbound(1, jid(bob))
    assert (row["text"], row["acked"]) == ("late", False)
    assert client.rows("done", number=call) == []
    whatsapp.hold_acks(False)
    assert client.answer(call) == row["id"]
    number = len(whatsapp.log("message"))
    for accepted in (True, False):
        whatsapp.lose_acks(accepted=accepted)
        call = client.begin_to_send(jid(bob), "lost")
        number += 1
        whatsapp.until(lambda: len(whatsapp.log("message")) == number)  # noqa: B023
        row = whatsapp.log("message")[-1]
        assert (row["text"], row["accepted"], row["acked"]) == ("lost", accepted, False)
        whatsapp.drop()
        client.answer(call)  # the library sends the same once more
        whatsapp.wait_online()
        number += 1


@pytest.mark.parametrize("kind", ["404", "410", "429", "500", "drop", "short", "slow", "long"])
def test_the_media_host_fails_as_it_is_told_to(linked: Linked, bob: str, kind: str) -> None:
    whatsapp, client = linked
    one = whatsapp.share(bob, "document", b"read me" * 999)
    path = content(client.heard(one)).documentMessage.directPath
    whatsapp.fail_media(kind)
    trust = ssl.create_default_context(cafile=whatsapp.environ()["SSL_CERT_FILE"])
    line = http.client.HTTPSConnection(whatsapp.proxy.partition("//")[2], context=trust)
    line.set_tunnel("mmg.whatsapp.net", 443)
    with contextlib.closing(line):
        line.request("GET", path)
        if kind == "drop":
            with pytest.raises(OSError, match=r".*"):
                line.getresponse()
            return
        with line.getresponse() as answer:
            size = len(whatsapp.media(one))
            read = b"" if kind == "short" else answer.read(size + 99)
            if kind == "short":
                with pytest.raises(http.client.IncompleteRead):
                    answer.read()
    lengths = {"short": 0, "slow": size, "long": size + 99}
    assert answer.status == (int(kind) if kind.isdecimal() else 200)
    assert len(read) == lengths.get(kind, 0)
    assert whatsapp.log("download")[-1]["fault"] == kind


def test_what_is_said_while_nobody_is_there_waits(
    whatsapp_kit: Path, tmp_path: Path, bob: str
) -> None:
    with WhatsAppProcess(tmp_path / "server", whatsapp_kit) as whatsapp:
        with Client(whatsapp, tmp_path / "client") as client:
            client.wait("qr")
            code = client.ask("phone", number=OWNER)
            whatsapp.until(whatsapp.code_asked)
            whatsapp.type_code("AAAA-BBBB")
            whatsapp.until(lambda: whatsapp.log("wrong_code"))
            whatsapp.type_code(code)
            client.wait("Connected")
            linked = whatsapp.linked()
            assert linked is not None
            assert linked["jid"].startswith(OWNER)
            one = whatsapp.say(bob, "first")
            client.heard(one)
            whatsapp.wait_received()
        whatsapp.until(lambda: not whatsapp.online())
        group = whatsapp.group("Family", bob)
        ids = [whatsapp.say(bob, "second"), whatsapp.say(bob, "third", group)]
        assert whatsapp.waiting() == ids
        with Client(whatsapp, tmp_path / "client") as client:
            client.wait("OfflineSyncCompleted")
            texts = [row["text"] for row in client.rows("message") if row["text"]]
            assert texts == ["second", "third"]
            whatsapp.wait_received()
            whatsapp.again(one)
            whatsapp.wait_received()
            assert client.rows("message", id=one) == []  # it knows what it has read
            whatsapp.again(one, anew=True)
            assert client.heard(one)["text"] == "first"
            client.ask("logout")
            assert whatsapp.linked() is None
            assert whatsapp.log("logout")[0]["by"] == "device"
        log = (tmp_path / "server" / "log.jsonl").read_text().splitlines()
        assert [json.loads(line) for line in log] == whatsapp.log()


def test_logins_fail_and_devices_are_removed(whatsapp_kit: Path, tmp_path: Path) -> None:
    with (
        WhatsAppProcess(tmp_path / "server", whatsapp_kit) as whatsapp,
        Client(whatsapp, tmp_path / "client") as client,
    ):
        client.link()
        lose_the_link(whatsapp, client, tmp_path)


def lose_the_link(whatsapp: WhatsAppProcess, client: Client, tmp_path: Path) -> None:
    shutil.copytree(client.folder, tmp_path / "copy")
    for reason, event in ((402, "TemporaryBan"), (405, "ClientOutdated"), (401, "LoggedOut")):
        ban = {"code": 101, "expire": 3600} if reason == 402 else {}
        whatsapp.fail_login(reason, **ban)
        shutil.copytree(tmp_path / "copy", tmp_path / str(reason))
        with Client(whatsapp, tmp_path / str(reason)) as other:
            assert other.wait(event)
    with Client(whatsapp, tmp_path / "copy") as other:
        assert client.wait("StreamReplaced")
        whatsapp.wait_online()
        whatsapp.unlink()
        assert other.wait("LoggedOut")
        assert whatsapp.linked() is None
