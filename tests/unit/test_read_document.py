"""The program of the skill `read-documents`, run as an agent runs it, on documents made here."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parents[2] / "agent_runner/skills/read-documents/read_document.py"
W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
S = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
A = 'xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main"'
O = (  # noqa: E741
    'xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0" '
    'xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0" '
    'xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0"'
)


def read(path: Path, *options: str, code: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(PROGRAM), str(path), *options],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout if code == 0 else done.stderr


def archive(path: Path, **parts: str) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        for name, text in parts.items():
            made.writestr(name, text)
    return path


def test_a_word_document(tmp_path: Path) -> None:
    def words(text: str) -> str:
        return f"<w:p><w:r><w:t>{text}</w:t></w:r></w:p>"

    cells = "".join(f"<w:tc>{words(text)}</w:tc>" for text in ("tea", "3 €"))
    body = words("Dear Ana,") + f"<w:tbl><w:tr>{cells}</w:tr></w:tbl>" + words("Yours &amp; co")
    notes = {"word/footnotes.xml": f"<w:footnotes {W}>{words('a note')}</w:footnotes>"}
    main = {"word/document.xml": f"<w:document {W}><w:body>{body}</w:body></w:document>"}
    path = archive(tmp_path / "letter.docx", **main, **notes)
    assert read(path) == "Dear Ana,\ntea\t3 €\nYours & co\na note\n"


def test_a_workbook(tmp_path: Path) -> None:
    rows = (
        '<row><c r="A1" t="s"><v>0</v></c><c r="C1"><v>2.5</v></c></row>'
        '<row><c r="B2" t="inlineStr"><is><t>here</t></is></c></row>'
    )
    path = archive(
        tmp_path / "costs.xlsx",
        **{
            "xl/workbook.xml": f'<workbook {S}><sheets><sheet name="May"/></sheets></workbook>',
            "xl/sharedStrings.xml": f"<sst {S}><si><t>tea</t></si></sst>",
            "xl/worksheets/sheet1.xml": f"<worksheet {S}><sheetData>{rows}</sheetData></worksheet>",
        },
    )
    assert read(path) == "# May\ntea\t\t2.5\n\there\n"


def test_slides_in_their_order(tmp_path: Path) -> None:
    parts = {
        f"ppt/slides/slide{number}.xml": f"<x {A}><a:p><a:t>slide {number}</a:t></a:p></x>"
        for number in (10, 2, 1)
    }
    said = read(archive(tmp_path / "talk.pptx", **parts))
    assert said == "# Slide 1\nslide 1\n# Slide 2\nslide 2\n# Slide 3\nslide 10\n"


def test_an_open_document(tmp_path: Path) -> None:
    body = (
        "<text:h>Title</text:h><text:p>one <text:span>two</text:span></text:p>"
        '<table:table table:name="T"><table:table-row><table:table-cell><text:p>a</text:p>'
        "</table:table-cell><table:table-cell><text:p>b</text:p></table:table-cell>"
        "</table:table-row></table:table>"
    )
    content = f"<office:document-content {O}>{body}</office:document-content>"
    parts = {"mimetype": "x", "content.xml": content}
    assert read(archive(tmp_path / "a.odt", **parts)) == "Title\none two\n# T\na\tb\n"


def test_a_book_and_a_page(tmp_path: Path) -> None:
    page = (
        "<html><head><title>T</title><style>x{}</style></head><body><p>Once\n upon</p>"
        "<script>no()</script><table><tr><td>a</td><td>b</td></tr></table></body></html>"
    )
    (tmp_path / "page.html").write_text(page)
    said = "T\nOnce upon\na\tb\n"
    assert read(tmp_path / "page.html") == said
    parts = {"META-INF/container.xml": "<x/>", "text/1.xhtml": page}
    assert read(archive(tmp_path / "book.epub", **parts)) == said


def test_a_mail_with_something_attached(tmp_path: Path) -> None:
    (tmp_path / "mail.eml").write_bytes(
        b"From: Ana <a@example.org>\r\nSubject: =?utf-8?q?Caf=C3=A9?=\r\nMIME-Version: 1.0\r\n"
        b'Content-Type: multipart/mixed; boundary="b"\r\n\r\n--b\r\n'
        b"Content-Type: text/plain\r\n\r\nSee you.\r\n--b\r\nContent-Type: application/pdf\r\n"
        b'Content-Disposition: attachment; filename="menu.pdf"\r\n\r\nx\r\n--b--\r\n'
    )
    said = read(tmp_path / "mail.eml")
    assert said == "From: Ana <a@example.org>\nSubject: Café\n\nSee you.\n[attached: menu.pdf]\n"


def test_tables_and_text_in_any_encoding(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes('\ufeffa;"b ""c"""\r\n1;2,5\r\n'.encode())
    (tmp_path / "b.csv").write_bytes(b"caf\xe9,1\n")
    (tmp_path / "c.txt").write_bytes("grüße\n".encode("utf-16"))
    assert read(tmp_path / "a.csv") == 'a\tb "c"\n1\t2,5\n'
    assert read(tmp_path / "b.csv") == "café\t1\n"
    assert read(tmp_path / "c.txt") == "grüße\n"


def test_an_archive_is_listed(tmp_path: Path) -> None:
    assert read(archive(tmp_path / "a.zip", **{"x/y.txt": "12345"})).split() == ["5", "x/y.txt"]


def test_what_is_left_out_is_said(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x" * 100)
    said = read(tmp_path / "a.txt", "--limit", "10")
    assert said == "x" * 10 + "\n[90 of 100 characters are left out]\n"


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("a.pdf", b"%PDF-1.7\n", "Read tool"),
        ("a.doc", b"\xd0\xcf\x11\xe0\xa1\xb1", "old Office file"),
        ("a.bin", b"\x00\x01\x02", "no text"),
        ("a.docx", b"PK\x03\x04broken", "can't be read"),
        ("none", None, "none"),
    ],
)
def test_what_cant_be_read_is_said_in_a_sentence(
    tmp_path: Path, name: str, data: bytes | None, words: str
) -> None:
    if data is not None:
        (tmp_path / name).write_bytes(data)
    assert words in read(tmp_path / name, code=1).replace("is damaged", "can't be read")


def test_a_bomb_is_not_unpacked(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.docx", **{"word/document.xml": "<x>" + " " * (65 << 20)})
    assert "larger than" in read(path, code=1)
    entities = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 12))
    laughs = f'<!DOCTYPE x [<!ENTITY e0 "ha">{entities}]><x>&e11;</x>'
    assert "damaged" in read(archive(tmp_path / "b.docx", **{"word/document.xml": laughs}), code=1)
