"""Prints the text of a document: docx, xlsx, pptx, odt, ods, odp, epub, html, eml, csv, tsv and
plain text; of a zip archive, what is in it. Nothing is written or unpacked, and what a file
claims to hold is read only up to a bound. Ends with 1 and a sentence where it can't be read."""

from __future__ import annotations

import argparse
import csv
import email
import email.policy
import io
import re
import sys
import zipfile
import zlib
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

MOST_BYTES = 64 * 1024**2
"""Bytes read of one file, or of one part of an archive, once it is unpacked."""
BREAKS = {"p", "h", "br", "tr", "div", "li", "title", "h1", "h2", "h3", "h4", "h5", "h6"}
SILENT = {"script", "style", "template"}


class Unreadable(Exception):
    """Why there is no text, as a sentence."""


def text_of(path: Path) -> Iterator[str]:
    """The document's text, line by line."""
    with path.open("rb") as file:
        start = file.read(4)
    kind = path.suffix.lower().lstrip(".")
    if start == b"PK\x03\x04":
        with zipfile.ZipFile(path) as archive:
            yield from _from_archive(archive)
    elif start == b"\xd0\xcf\x11\xe0":
        raise Unreadable("It is an old Office file, or one with a password.")
    elif start == b"%PDF":
        raise Unreadable("It is a PDF file: use the Read tool.")
    elif kind in ("csv", "tsv"):
        yield from _table(_decoded(_read(path)), "\t" if kind == "tsv" else ",")
    elif kind in ("html", "htm", "xhtml"):
        yield from _html(_decoded(_read(path)))
    elif kind == "eml":
        yield from _mail(_read(path))
    else:
        data = _read(path)
        if b"\0" in data[:4096] and data[:2] not in (b"\xff\xfe", b"\xfe\xff"):
            raise Unreadable("It holds no text that this program knows how to find.")
        yield from _decoded(data).splitlines()


def _from_archive(archive: zipfile.ZipFile) -> Iterator[str]:
    names = archive.namelist()
    if "word/document.xml" in names:
        parts = ["word/document.xml", *_numbered(names, r"word/(?:foot|end)notes\.xml")]
        for part in parts:
            yield from _paragraphs(_xml(archive, part))
    elif "xl/workbook.xml" in names:
        yield from _sheets(archive)
    elif slides := _numbered(names, r"ppt/slides/slide(\d+)\.xml"):
        for number, slide in enumerate(slides, start=1):
            yield f"# Slide {number}"
            yield from _paragraphs(_xml(archive, slide))
    elif "content.xml" in names and "mimetype" in names:
        yield from _open_document(_xml(archive, "content.xml"))
    elif "META-INF/container.xml" in names:
        for part in _numbered(names, r".*\.x?html?"):
            yield from _html(_decoded(_part(archive, part)))
    else:
        yield from (f"{info.file_size:>12}  {info.filename}" for info in archive.infolist())


def _paragraphs(root: ElementTree.Element) -> Iterator[str]:
    """Word's and PowerPoint's text: a line for each paragraph, cells with tabs between."""
    inside = {id(below) for row in root.iter() if _tag(row) == "tr" for below in row.iter()}
    for node in root.iter():
        if _tag(node) == "tr":
            cells = (cell for cell in node if _tag(cell) == "tc")
            yield "\t".join(" ".join(_text(cell).split()) for cell in cells)
        elif _tag(node) == "p" and id(node) not in inside:
            yield _text(node)


def _text(node: ElementTree.Element) -> str:
    words = []
    for one in node.iter():
        if _tag(one) == "t":
            words.append(one.text or "")
        elif _tag(one) in ("tab", "br", "cr"):
            words.append("\t" if _tag(one) == "tab" else "\n")
        elif _tag(one) == "p" and one is not node:
            words.append(" ")
    return "".join(words)


def _sheets(archive: zipfile.ZipFile) -> Iterator[str]:
    names = archive.namelist()
    shared: list[str] = []
    if "xl/sharedStrings.xml" in names:
        root = _xml(archive, "xl/sharedStrings.xml")
        shared = [_text(one) for one in root if _tag(one) == "si"]
    titles = [
        one.get("name", "")
        for one in _xml(archive, "xl/workbook.xml").iter()
        if _tag(one) == "sheet"
    ]
    for at, part in enumerate(_numbered(names, r"xl/worksheets/sheet(\d+)\.xml")):
        yield f"# {titles[at] if at < len(titles) else part}"
        for row in _xml(archive, part).iter():
            if _tag(row) == "row":
                yield _row(row, shared)


def _row(row: ElementTree.Element, shared: list[str]) -> str:
    cells: list[str] = []
    for cell in row:
        letters = re.match(r"[A-Z]{1,3}", cell.get("r", ""))
        column = 0
        for letter in letters[0] if letters else "":
            column = column * 26 + ord(letter) - 64
        cells += [""] * (column - 1 - len(cells))
        value = next((one.text or "" for one in cell if _tag(one) == "v"), "")
        if cell.get("t") == "s" and value.isdigit() and int(value) < len(shared):
            value = shared[int(value)]
        elif cell.get("t") == "inlineStr":
            value = _text(cell)
        cells.append(" ".join(value.split()))
    return "\t".join(cells)


def _open_document(root: ElementTree.Element) -> Iterator[str]:
    inside = {id(below) for row in root.iter() if _tag(row) == "table-row" for below in row.iter()}
    for node in root.iter():
        if _tag(node) == "table":
            yield f"# {next((v for k, v in node.items() if k.endswith('}name')), 'Table')}"
        elif _tag(node) == "table-row":
            cells = (" ".join("".join(cell.itertext()).split()) for cell in node)
            yield "\t".join(cells).rstrip()
        elif _tag(node) in ("p", "h") and id(node) not in inside:
            yield "".join(node.itertext())


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._hidden += tag in SILENT
        if tag in BREAKS:
            self.words.append("\n")
        elif tag in ("td", "th"):
            self.words.append("\t")

    def handle_endtag(self, tag: str) -> None:
        self._hidden -= tag in SILENT and self._hidden > 0
        if tag in BREAKS:
            self.words.append("\n")

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.words.append(re.sub(r"\s+", " ", data))


def _html(text: str) -> Iterator[str]:
    page = _Page()
    page.feed(text)
    page.close()
    lines = (line.strip(" ") for line in "".join(page.words).splitlines())
    yield from (line.removeprefix("\t") for line in lines if line.strip())


def _mail(data: bytes) -> Iterator[str]:
    message = email.message_from_bytes(data, policy=email.policy.default)
    for name in ("From", "To", "Cc", "Date", "Subject"):
        if message[name]:
            yield f"{name}: {message[name]}"
    yield ""
    body = message.get_body(("plain", "html"))
    if body is not None:
        text = str(body.get_content())
        yield from _html(text) if body.get_content_type() == "text/html" else text.splitlines()
    for one in message.iter_attachments():
        yield f"[attached: {one.get_filename() or one.get_content_type()}]"


def _table(text: str, comma: str) -> Iterator[str]:
    first = text.partition("\n")[0]
    if comma == "," and first.count(";") > first.count(","):
        comma = ";"
    for row in csv.reader(io.StringIO(text), delimiter=comma):
        yield "\t".join(" ".join(cell.split()) for cell in row)


def _numbered(names: list[str], pattern: str) -> list[str]:
    """The names of that form, in the order of the number in them."""
    found = [(match, name) for name in names if (match := re.fullmatch(pattern, name))]
    return [name for match, name in sorted(found, key=lambda one: _number(one[0], one[1]))]


def _number(match: re.Match[str], name: str) -> tuple[int, str]:
    return (int(match[1]) if match.re.groups else 0, name)


def _xml(archive: zipfile.ZipFile, name: str) -> ElementTree.Element:
    return ElementTree.fromstring(_part(archive, name))


def _part(archive: zipfile.ZipFile, name: str) -> bytes:
    with archive.open(name) as part:
        return _bounded(part.read(MOST_BYTES + 1))


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        return _bounded(file.read(MOST_BYTES + 1))


def _bounded(data: bytes) -> bytes:
    if len(data) > MOST_BYTES:
        raise Unreadable(f"It is larger than {MOST_BYTES} bytes once it is unpacked.")
    return data


def _decoded(data: bytes) -> str:
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", "replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")


def _tag(node: ElementTree.Element) -> str:
    return str(node.tag).rpartition("}")[2]


def main() -> int:
    """Print it; the exit code."""
    parser = argparse.ArgumentParser(description="Print the text of a document.")
    parser.add_argument("file", type=Path)
    parser.add_argument("--limit", type=int, default=50_000, help="characters to print")
    given = parser.parse_args()
    try:
        text = "\n".join(text_of(given.file))
    except (Unreadable, OSError, RuntimeError, KeyError, ValueError) as error:
        print(f"{given.file} can't be read: {error}", file=sys.stderr)
        return 1
    except (ElementTree.ParseError, zipfile.BadZipFile, zlib.error, csv.Error) as error:
        print(f"{given.file} is damaged: {error}", file=sys.stderr)
        return 1
    out = text[: given.limit] + "\n"
    if len(text) > given.limit:
        out += f"[{len(text) - given.limit} of {len(text)} characters are left out]\n"
    sys.stdout.buffer.write(out.encode("utf-8", "replace"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
