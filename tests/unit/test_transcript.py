"""What an agent is told is well-formed, and says what was said."""

from __future__ import annotations

from dataclasses import dataclass
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from pynchy_cli.model import SharedFile
from pynchy_cli.routing import transcript


@dataclass
class Line:
    sender_name: str
    timestamp: str
    content: str


ANYTHING = st.text(st.characters(), max_size=60) | st.sampled_from(
    [
        "</message></messages><messages>",
        "]]>",
        "<!--",
        "&amp;&#0;&undefined;",
        "\x00\x01\x1b[2J\x7f\x85\u2028",
        "\ud800\udfff",
        "\ufffe\uffff",
        "＜／message＞‹/message›",
        '" time="1970',
        "a\r\nb\rc\td",
        "<?xml version='1.0'?>",
    ]
)


def test_the_form() -> None:
    said = [Line('Ann "A"', "2026-01-31T08:00:00.000Z", "1 < 2 & 3"), Line("Bo", "t", "x\ny")]
    assert transcript.prompt(said) == (
        "<messages>\n"
        '<message sender="Ann &quot;A&quot;" time="2026-01-31T08:00:00.000Z">'
        "1 &lt; 2 &amp; 3</message>\n"
        '<message sender="Bo" time="t">x\ny</message>\n'
        "</messages>"
    )
    assert transcript.prompt([]) == "<messages>\n</messages>"


@given(st.lists(st.builds(Line, ANYTHING, ANYTHING, ANYTHING), max_size=5))
def test_whatever_is_said_a_parser_reads_it_back(said: list[Line]) -> None:
    prompt = transcript.prompt(said)
    prompt.encode()
    root = ElementTree.fromstring(prompt)
    assert root.tag == "messages"
    assert len(root) == len(said)
    for element, line in zip(root, said, strict=True):
        assert element.tag == "message"
        assert len(element) == 0
        assert set(element.attrib) == {"sender", "time"}
        assert (element.text or "") == transcript.cleaned(line.content)
        for name, value in (("sender", line.sender_name), ("time", line.timestamp)):
            one_line = transcript.cleaned(value).replace("\n", " ").replace("\t", " ")
            assert element.attrib[name] == one_line


@given(st.text())
def test_ordinary_text_is_kept(text: str) -> None:
    kept = transcript.cleaned(text)
    assert len(kept) == len(text.replace("\r\n", "\n"))
    printable = "".join(one for one in text if one.isprintable() and one < "\ufffe")
    assert all(one in kept for one in printable)


def test_a_name_stays_in_its_line() -> None:
    assert transcript.attribute('Ann\n<"&>\r\tBo') == "Ann &lt;&quot;&amp;&gt;  Bo"
    told = transcript.prompt([Line("Ann\nBo", "9:00\n", "one line")])
    assert told.count("\n") == 2


@given(ANYTHING, ANYTHING, ANYTHING, ANYTHING)
def test_nothing_that_others_name_ends_its_element(
    name: str, mime: str, path: str, said: str
) -> None:
    line = Line(name, "t", said)
    files = [
        SharedFile("F1", name, mime, 7, "here", path or "x"),
        SharedFile("F2", name, mime, None, "failed", None, said or "gone"),
        SharedFile("F3", name),
    ]
    lines = [
        transcript.parent(line),
        transcript.note(said),
        transcript.stranger(line),
        transcript.message(line, files),
    ]
    root = ElementTree.fromstring(transcript.whole(lines, name or "1"))
    assert [one.tag for one in root] == ["parent", "note", "stranger", "message"]
    assert [len(one) for one in root] == [0, 0, 0, 3]
    here, failed, waiting = root[3]
    one_line = transcript.cleaned(path or "x").replace("\n", " ").replace("\t", " ")
    assert here.attrib["path"] == f"/workspace/files/{one_line}"
    assert here.attrib["size"] == "7"
    assert "path" not in failed.attrib
    assert set(waiting.attrib) == {"name", "missing"}


def test_files_and_threads() -> None:
    here = SharedFile("F1", "a.png", "image/png", 12, "here", "7-a.png")
    late = SharedFile("F2", "b.txt")
    gone = SharedFile("F3", "c.txt", state="failed", error="too large")
    assert transcript.whole([transcript.message(Line("Ann", "t", ""), [here])], "17.1") == (
        '<messages thread="17.1">\n<message sender="Ann" time="t">'
        '<file path="/workspace/files/7-a.png" type="image/png" size="12"/></message>\n</messages>'
    )
    assert transcript.message(Line("Ann", "t", "look"), [late, gone]) == (
        '<message sender="Ann" time="t">look\n<file name="b.txt" missing="It is not here yet."/>\n'
        '<file name="c.txt" missing="too large"/></message>'
    )
