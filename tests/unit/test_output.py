"""What is printed: whole, in UTF-8, and without what a terminal would obey."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from pynchy_cli import output


def test_a_terminal_is_told_nothing_by_content(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_table(("name", "n", "x"), [("a\x1b[2J\nb", True, None), ("é\u202e", 12, "y")])
    output.print_text("\x9b31m\ttab\nline")
    output.say("\x07bell")
    said = capsys.readouterr()
    assert said.out == (
        "NAME        N    X\na\\x1b[2J b  yes  -\né\\u202e     12   y\n\\x9b31m\ttab\nline\n"
    )
    assert said.err == "\\x07bell\n"


def test_a_table_stands_straight_whatever_the_script_and_fits_where_it_should(
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows = [("garden", "日本", "x" * 30), ("e\u0301", "Garten", "日" * 20)]
    output.print_table(("group", "name", "tells"), rows, width=31)
    header, *lines = capsys.readouterr().out.splitlines()
    assert header == "GROUP   NAME    TELLS"
    assert lines == [f"garden  日本    {'x' * 14}…", f"e\u0301       Garten  {'日' * 7}…"]
    assert max(map(output.columns, lines)) <= 31


def test_anything_that_was_said_can_be_read_back(
    capsysbinary: pytest.CaptureFixture[bytes],
) -> None:
    rows = [{"content": "a\nb\u2028\x1b é 😀"}, {"content": "lone \udc80 surrogate"}, 5]
    rows.append({"\x9b2J": ["\x7f\x1b[2J\x9b31m\u202e\t"]})
    output.print_lines(rows)
    data = capsysbinary.readouterr().out.decode()
    assert [json.loads(line) for line in data.split("\n")[:-1]] == rows
    output.print_json(rows)
    whole = capsysbinary.readouterr().out.decode()
    assert json.loads(whole) == rows
    assert output.plain(data + whole) == data + whole, "a terminal obeys some of it"


def test_a_document_is_written_as_json_writes_it(
    capsysbinary: pytest.CaptureFixture[bytes],
) -> None:
    document = {
        "empty": [{}, [], "", (), None, True, False],
        "numbers": [0, -7, 10**20, 0.5, 1e300],
        'a "key"': {
            "text": 'back\\slash "quoted" / \b\f\n\r\t \x00 é 😀 \u2028',
            "deep": [[{"x": [1]}]],
        },
        "tuple": (1, "two"),
    }
    output.print_json(document)
    written = capsysbinary.readouterr().out.decode()
    assert written == json.dumps(document, ensure_ascii=False, indent=2) + "\n"
    with pytest.raises(TypeError):
        output.print_json({"a": object()})


@pytest.mark.parametrize("locale", ["C", "POSIX", "C.UTF-8"])
def test_the_locale_changes_nothing(locale: str) -> None:
    code = r"from pynchy_cli import output; output.print_line('\xe9'); output.say('\xe9')"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        env={**os.environ, "LC_ALL": locale, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        check=True,
    )
    assert done.stdout == '"é"\n'.encode()
    assert done.stderr


def test_no_standard_output_at_all_is_no_fault() -> None:
    code = (
        "import os, sys; from pynchy_cli import output\n"
        "assert sys.stdout is None and sys.stderr is None\n"
        "output.print_json({}); output.say('x'); os._exit(7 if output.wants_json(False) else 1)"
    )
    command = ["/bin/sh", "-c", 'exec "$0" -c "$1" >&- 2>&-', sys.executable, code]
    assert subprocess.run(command).returncode == 7


def test_long_text_is_folded_below_its_margin_and_commands_stay_whole() -> None:
    text = "wrong      The old one stays in force: `pynchy config check` shows why"
    assert output.folded(text, 11, None) == text
    assert output.folded(text, 11, 40).split("\n") == [
        "wrong      The old one stays in force:",
        "           `pynchy config check` shows",
        "           why",
    ]
    assert output.folded(text, 11, 20) == text
    assert output.folded("→ " + "x" * 50 + " y", 2, 40) == "→ " + "x" * 50 + "\n  y"
