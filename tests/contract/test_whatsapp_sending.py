"""What we send to WhatsApp, and what comes of it when things go wrong on the way: the real library
against the tests' own server."""

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

CLIENT = Path(__file__).with_name("whatsapp_client.py")
SENDER = Path(__file__).with_name("whatsapp_sender.py")
CHECKOUT = Path(__file__).parents[2]
KEPT = ("PATH", "LANG", "TMPDIR", "HOME", "LD_LIBRARY_PATH")
BOB, EVE = "4915550100@s.whatsapp.net", "4915550101@s.whatsapp.net"
PATIENT = 60.0


class Sender:
    """A process that sends."""

    def __init__(self, whatsapp: WhatsAppProcess, folder: Path) -> None:
        self.whatsapp = whatsapp
        self._outcomes = folder / "outcomes.jsonl"
        self._outcomes.write_text("")
        database = folder / "neonize.db"
        self._environ = {name: os.environ[name] for name in KEPT if name in os.environ}
        self._environ |= {"NEONIZE_BOT_TAG": "off"}
        self._environ |= whatsapp.environ({"PYTHONPATH": str(CHECKOUT)})
        self._output = (folder / "output.txt").open("w")
        self._link(database, folder / "events.jsonl")
        self.process = self._start(SENDER, database, self._outcomes)
        self.wait("state", "up")

    def ask(self, name: str, op: str, to: str, **more: Any) -> None:
        """Have something be sent; its outcome is under this name."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"name": name, "op": op, "to": to, **more}) + "\n")
        self.process.stdin.flush()

    def outcomes(self, name: str) -> list[str]:
        """What came so far of what has this name."""
        lines = self._outcomes.read_text().split("\n")[:-1]
        return [outcome for of, outcome in map(json.loads, lines) if of == name]

    def outcome(self, name: str) -> str:
        """What came of it, when it is known."""
        found = self.whatsapp.until(lambda: self.outcomes(name), PATIENT)
        return str(found[-1])

    def post(self, name: str, to: str, **more: Any) -> str:
        """Post a text, which is its name; the outcome."""
        self.ask(name, "post", to, text=name, **more)
        return self.outcome(name)

    def wait(self, name: str, outcome: str) -> None:
        """Wait until this came of it last."""
        self.whatsapp.until(lambda: self.outcomes(name)[-1:] == [outcome], PATIENT)

    def end(self) -> None:
        """Have it end by itself, if it hasn't been killed."""
        if self.process.stdin is not None and not self.process.stdin.closed:
            self.process.stdin.close()
        self.process.wait(PATIENT)
        self._output.close()

    def _link(self, database: Path, events: Path) -> None:
        """Become a linked device of the owner's phone."""
        events.write_text("")

        def told(what: str) -> list[dict[str, Any]]:
            rows = [json.loads(line) for line in events.read_text().split("\n")[:-1]]
            return [row for row in rows if row["what"] == what]

        client = self._start(CLIENT, database, events)
        self.whatsapp.scan(self.whatsapp.until(lambda: told("qr"), PATIENT)[0]["code"])
        self.whatsapp.until(lambda: told("OfflineSyncCompleted"), PATIENT)
        assert client.stdin is not None
        client.stdin.close()
        client.wait(PATIENT)
        self.whatsapp.until(lambda: not self.whatsapp.online(), PATIENT)

    def _start(self, program: Path, *arguments: Path) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-P", str(program), *map(str, arguments)],
            env=self._environ,
            stdin=subprocess.PIPE,
            stdout=self._output,
            stderr=self._output,
            text=True,
        )


@pytest.fixture(scope="module")
def sender(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sender]:
    folder = tmp_path_factory.mktemp("whatsapp")
    with WhatsAppProcess(folder / "server") as whatsapp:
        whatsapp.person("4915550100", "Bob")
        whatsapp.person("4915550101", "Eve")
        sender = Sender(whatsapp, folder)
        try:
            yield sender
        finally:
            sender.process.kill()
            sender.end()


def sent(sender: Sender, text: str) -> int:
    """How often a text was accepted."""
    return sum(row["text"] == text for row in sender.whatsapp.outbound())


def is_read(whatsapp: WhatsAppProcess, id: str) -> bool:
    """Whether a message was marked as read."""
    told = [json.dumps(row) for row in whatsapp.log("receipt")]
    return any(id in row and '"read"' in row for row in told)


def test_what_is_shown_and_said_arrives_as_people_know_it(sender: Sender) -> None:
    whatsapp = sender.whatsapp
    group = whatsapp.group("Family", "4915550100", "4915550101")
    asked = whatsapp.say("4915550100", "@pynchy, when?", chat=group)
    sender.ask("read", "read", group, about=asked, by=BOB)
    sender.ask("typing", "typing", group, text="on")
    sender.ask("eyes", "react", group, about=asked, by=BOB, text="👀")
    assert [sender.outcome(name) for name in ("read", "typing", "eyes")] == ["None"] * 3
    id = sender.post("At four.", group, about=asked, by=BOB)
    eyes, reply = whatsapp.outbound(group)
    assert (eyes["kind"], eyes["text"], eyes["target"]) == ("reaction", "👀", asked)
    assert (reply["id"], reply["text"], reply["quoted"]) == (id, "At four.", asked)
    assert reply["mentions"] == []
    [typing] = whatsapp.until(lambda: whatsapp.log("chatstate"))
    assert group in json.dumps(typing)
    assert is_read(whatsapp, asked)


def test_somebody_without_a_number_is_reached_by_what_stands_for_it(sender: Sender) -> None:
    whatsapp, lid = sender.whatsapp, "9994915550101@lid"
    asked = whatsapp.say("4915550101", "@pynchy, when?", address="lid_only")
    sender.ask("lid read", "read", lid, about=asked, by=lid)
    sender.ask("lid eyes", "react", lid, about=asked, by=lid, text="👀")
    assert [sender.outcome(name) for name in ("lid read", "lid eyes")] == ["None"] * 2
    assert sender.post("At five.", lid).startswith("3EB0")
    eyes, reply = whatsapp.outbound(EVE)
    assert (eyes["text"], eyes["target"], reply["text"]) == ("👀", asked, "At five.")
    assert is_read(whatsapp, asked)


def test_a_refusal_is_no_unknown(sender: Sender) -> None:
    sender.whatsapp.nack(463)
    assert sender.post("refused", BOB) == "NotSent"
    assert sent(sender, "refused") == 0
    sender.whatsapp.fail_query("usync", 500)
    assert sender.post("stranger", "4915550199@s.whatsapp.net") == "NotSent"
    assert sender.post("accepted", BOB).startswith("3EB0")


def test_a_connection_that_breaks_before_the_answer_costs_nothing(sender: Sender) -> None:
    for accepted in (True, False):
        sender.whatsapp.drop_at(accepted=accepted)
        text = f"over a broken line {accepted}"
        assert sender.post(text, BOB).startswith("3EB0")
        assert sent(sender, text) == 1


def test_what_nobody_answers_is_unknown_and_holds_up_nobody_else(sender: Sender) -> None:
    downs = sender.outcomes("state").count("down")
    sender.whatsapp.lose_acks()
    sender.ask("lost", "post", BOB, text="lost", hasty=True)
    sender.whatsapp.until(lambda: sent(sender, "lost"))
    assert sender.post("behind it", EVE, hasty=True) in ("NotSent", "Away")
    assert sender.outcome("lost") == "Unsure"
    sender.whatsapp.until(lambda: sender.outcomes("state").count("down") > downs)
    sender.wait("state", "up")
    assert sender.post("after it", EVE).startswith("3EB0")
    assert [sent(sender, text) for text in ("lost", "behind it", "after it")] == [1, 0, 1]


def test_without_a_network_it_is_away(sender: Sender) -> None:
    sender.whatsapp.refuse()
    sender.whatsapp.drop()
    sender.wait("state", "down")
    assert sender.post("too early", BOB) == "Away"
    sender.whatsapp.refuse(False)
    sender.wait("state", "up")
    assert sender.post("in time", BOB).startswith("3EB0")
    assert sent(sender, "too early") == 0


def test_the_process_ends_though_a_message_is_never_answered(sender: Sender) -> None:
    sender.whatsapp.lose_acks()
    sender.ask("at the end", "post", BOB, text="at the end")
    sender.whatsapp.until(lambda: sent(sender, "at the end"))
    sender.end()
    assert sender.process.returncode == 0
    assert sender.outcomes("at the end") in ([], ["Unsure"])
