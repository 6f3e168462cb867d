"""How long texts are split: held against what a CommonMark reader finds in the pieces."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from wcwidth import iter_graphemes

from pynchy_cli.channels.chunks import split
from pynchy_cli.channels.passage import utf16

FENCES = ("```", "~~~")
PARTS = (
    *("a", "word ", "Sentence one. ", "\n", "\n\n", "  ", "- ", "1. ", "> ", "# ", "`", "``"),
    *("```", "```py\n", "~~~\n", "\n```\n", "[", "](", ")", "[a b](http://x.y/z q)", "[a][b]"),
    *("<http://a.b/c>", "https://example.com/a?b=1 ", "*", "|", "\\", "&amp;", "\r\n", "\t"),
    *(
        "😀",
        "👨‍👩‍👧‍👦",
        "🇩🇪",
        "e\u0301",
        "\u0301",
        "\u1112\u1161\u11ab",
        "\u0600",
        "汉字。",
        "\ud83d",
    ),
    *("\ude00", "\u200d", "\ufe0f", "\u2028", "\xa0", "x" * 50, " " * 30),
)
anything = st.lists(st.sampled_from(PARTS), max_size=80).map("".join)
limits = st.integers(2, 200)

words = st.lists(st.sampled_from(["one", "two,", "three.", "汉字", "😀"]), min_size=1, max_size=12)
sentence = words.map(" ".join)
inline = st.one_of(
    sentence,
    st.lists(st.sampled_from("abc "), min_size=1, max_size=9).map(
        lambda letters: f"`x{''.join(letters)}x`"
    ),
    st.builds("[{} {}](https://e.com/{} 'a title')".format, *[st.sampled_from("abc")] * 3),
    st.sampled_from(
        ["<https://e.com/auto>", "![an image](i.png)", "``a ` b``", "[a `b c` d](<e f>)"]
    ),
)
paragraph = st.lists(inline, min_size=1, max_size=8).map(" ".join)
code_line = st.sampled_from(
    ["x = 1", "    deep", "a long line of code, with words", "", "``", "- x"]
)


@st.composite
def code(draw: st.DrawFn) -> str:
    """A fence that is closed."""
    mark = draw(st.sampled_from(["```", "````", "~~~", "~~~~~"]))
    body = draw(st.lists(code_line, max_size=12))
    info = draw(st.sampled_from(["", "py", " text info"]))
    indent = draw(st.sampled_from(["", " "]))
    return "\n".join([f"{indent}{mark}{info}", *body, f"{indent}{mark}"])


@st.composite
def document(draw: st.DrawFn) -> str:
    """Paragraphs and code, as they stand alone, in lists and in quotes."""
    blocks = []
    for block in draw(st.lists(st.one_of(paragraph, code()), min_size=1, max_size=7)):
        first, rest = draw(
            st.sampled_from([("", ""), ("", ""), ("- ", "  "), ("1. ", "   "), ("> ", "> ")])
        )
        lines = [line.removeprefix(" ") if first else line for line in block.split("\n")]
        blocks.append("\n".join([first + lines[0], *(rest + line for line in lines[1:])]))
    return "\n\n".join(blocks)


def ink(texts: Sequence[str]) -> str:
    """All but white space."""
    return "".join("".join(text.split()) for text in texts)


def found(kind: str, texts: Sequence[str]) -> list[str]:
    """What a reader finds of that kind in some texts."""
    reader = MarkdownIt("commonmark")
    tokens = [token for text in texts for token in reader.parse(text)]
    tokens += [child for token in tokens for child in token.children or []]
    if kind == "link_open":
        return [str(token.attrs["href"]) for token in tokens if token.type == kind]
    return [token.content for token in tokens if token.type == kind]


@settings(max_examples=100)
@given(anything, limits)
def test_no_piece_is_too_long_or_empty(text: str, limit: int) -> None:
    pieces = split(text, limit)
    assert all(utf16(piece) <= limit for piece in pieces)
    if len(pieces) > 1:
        assert all(piece.strip() for piece in pieces)
    if text and utf16(text) <= limit:
        assert pieces == [text]


@settings(max_examples=100)
@given(anything.filter(lambda text: not any(mark in text for mark in FENCES)), limits)
def test_nothing_is_lost_and_letters_stay_whole(text: str, limit: int) -> None:
    pieces = split(text, limit)
    assert ink(pieces) == ink([text])
    # Where a blank goes, a mark that stood on it would stand on something else.
    ours = [one for piece in pieces for one in iter_graphemes(piece) if one.strip()]
    whole = [one for one in iter_graphemes(text) if one.strip()]
    if all(utf16(one) <= limit for one in whole):
        assert ours == whole


@settings(max_examples=100)
@given(document(), st.integers(60, 300))
def test_code_and_links_stay_what_they_are(text: str, limit: int) -> None:
    pieces = split(text, limit)
    assert all(len(piece) <= limit for piece in pieces)
    assert ink(found("fence", pieces)) == ink(found("fence", [text]))
    assert ink(found("code_inline", pieces)) == ink(found("code_inline", [text]))
    assert found("link_open", pieces) == found("link_open", [text])
    assert len(found("image", pieces)) == len(found("image", [text]))


@settings(max_examples=100)
@given(st.one_of(document(), anything), st.one_of(document(), anything), st.integers(8, 150))
@example("```[a b](http://x.y/z q)", "```\n```", 8)
def test_what_was_said_first_stays_as_it_is(text: str, more: str, limit: int) -> None:
    before, after = split(text, limit), split(text + more, limit)
    assert after[: max(0, len(before) - 2)] == before[:-2]


@given(anything, limits)
def test_any_measure_is_kept(text: str, limit: int) -> None:
    def doubled(piece: str) -> int:
        return 2 * utf16(piece)

    def one_more(piece: str) -> int:
        return utf16(piece) + 1

    if limit >= 4:
        assert all(doubled(piece) <= limit for piece in split(text, limit, doubled))
        assert all(one_more(piece) <= limit for piece in split(text, limit, one_more))


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("Alpha beta.\n\nGamma delta epsilon.", ["Alpha beta.", "Gamma delta epsilon."]),
        ("Alpha beta gamma\ndelta epsilon zeta", ["Alpha beta gamma", "delta epsilon zeta"]),
        ("One two three. Four five six seven", ["One two three.", "Four five six seven"]),
        ("One two three four five six seven", ["One two three four", "five six seven"]),
        ("# Heading of the text\n\nand words", ["# Heading of the", "text\n\nand words"]),
        ("x" * 45, ["x" * 20, "x" * 20, "x" * 5]),
        ("  indented, then a long line", ["  indented, then a", "long line"]),
        ("word word word\n    deeper word", ["word word word", "deeper word"]),
        ("word word word\n  - item in it", ["word word word", "  - item in it"]),
    ],
)
def test_the_best_place(text: str, pieces: list[str]) -> None:
    assert split(text, 20) == pieces


@pytest.mark.parametrize(
    ("text", "limit", "pieces"),
    [
        # A heading stays with what it is above.
        (
            "Some words stand here.\n# Title\n\nmore words",
            30,
            ["Some words stand here.", "# Title\n\nmore words"],
        ),
        # A table stays whole.
        (
            "Words before it:\n| a | b |\n|---|---|\n| 1 | 2 |",
            40,
            ["Words before it:", "| a | b |\n|---|---|\n| 1 | 2 |"],
        ),
        # So does a line of code.
        (
            "```\na = 1\nsome long line of code\n```",
            34,
            ["```\na = 1\n```", "```\nsome long line of code\n```"],
        ),
        ("汉字汉字[a b](https://e.com)", 22, ["汉字汉字", "[a b](https://e.com)"]),
        ("汉字汉字[a b][c d]汉字", 12, ["汉字汉字", "[a b][c d]汉字"]),
        ("abcdef gh \u0301xyz", 10, ["abcdef", "gh \u0301xyz"]),
        (" " * 30 + "\u0301abc defgh", 10, [" \u0301abc", "defgh"]),
        # Neither brackets nor backticks belong together across paragraphs.
        ("see [1\n\nwords] more words", 20, ["see [1", "words] more words"]),
        ("a ` b\n\nc ` d words", 14, ["a ` b", "c ` d words"]),
    ],
)
def test_what_belongs_together_stays_together(text: str, limit: int, pieces: list[str]) -> None:
    assert split(text, limit)[: len(pieces)] == pieces


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        (f"`{'aaa ' * 10}x` yyy zzz `c d` www", "`c d`"),
        ("some words and [a b][c d] and more", "[a b][c d]"),
        ("some words and [a b](<e f> 'g h') and more", "[a b](<e f> 'g h')"),
        ("words\n\n[a b]: https://e.com/ 'a b'\n\nand more", "[a b]: https://e.com/ 'a b'"),
    ],
)
def test_links_and_code_stay_whole_wherever_the_limit_falls(text: str, whole: str) -> None:
    for limit in range(len(whole) + 6, len(text)):
        assert any(whole in piece for piece in split(text, limit)), limit


def test_code_is_closed_and_opened_again() -> None:
    text = "Look:\n\n```py title=x\none = 1\n\ntwo = 2\nthree = 3\n```\n\nDone."
    assert split(text, 45) == [
        "Look:\n\n```py title=x\none = 1\n```",
        "```py title=x\ntwo = 2\nthree = 3\n```\n\nDone.",
    ]


def test_code_in_a_list_or_a_quote_is_closed_where_it_is() -> None:
    lines = ["10. item", "~~~~", "one = 1", "two = 2", "three = 3", "~~~~~", "after"]
    assert split("\n    ".join(lines), 40) == [
        "10. item\n    ~~~~\n    one = 1\n    ~~~~",
        "   ~~~~\n    two = 2\n   ~~~~",
        "   ~~~~\n    three = 3\n   ~~~~~\n    after",
    ]
    quoted = "> ```\n> one = 1\n> two = 2\nplain words"
    assert split(quoted, 24) == [
        "> ```\n> one = 1\n> ```",
        "> ```\n> two = 2\n> ```",
        "plain words",
    ]
    assert split("- ~~~\n  one = 1\n  two = 2\nwords", 22) == [
        "- ~~~\n  one = 1\n  ~~~",
        "  ~~~\n  two = 2\n  ~~~",
        "words",
    ]


def test_a_line_of_quoted_code_goes_on_without_its_quote() -> None:
    assert split("> ```\n> some words, and more\n> ```\n> and", 26) == [
        "> ```\n> some words,\n> ```",
        "```\nand more\n```\n> and",
    ]


def test_what_is_code_is_known() -> None:
    # The text is over before the code.
    assert split("```\none = 1\ntwo = 2", 18) == ["```\none = 1\n```", "```\ntwo = 2"]
    # What is indented by four closes nothing, and after a rule opens nothing.
    assert split("```\n    ```\ncode\n```\nw", 16) == ["```\n    ```\n```", "```\ncode\n```\nw"]
    assert "".join(split("- - -\n    ```\n    words and words and more", 24)).count("```") == 1
    # A quote ends with an empty line, and its code with it.
    assert split("> ```\n> a\n\n> b c d e f g", 16) == ["> ```\n> a", "> b c d e f g"]


def test_a_fence_that_does_not_fit_is_text() -> None:
    assert all(utf16(piece) <= 9 for piece in split("```\na😀😀\n```", 9))
    assert split("```python\nabc\n```", 9) == ["```python", "abc\n```"]
    info = "x" * 50
    assert ink(split(f"```{info}\nabc def\n```", 40)) == f"```{info}abcdef```"


def test_a_letter_that_does_not_fit_is_broken_between_code_points() -> None:
    assert split("e" + "\u0301" * 9, 4) == ["e\u0301\u0301\u0301", "\u0301" * 4, "\u0301\u0301"]
    assert split("👨‍👩‍👧", 3) == ["👨\u200d", "👩\u200d", "👧"]
    assert split("😀😀", 1) == ["😀", "😀"]
    assert split("\ud83d\ude00" * 2, 1) == ["\ud83d\ude00"] * 2
    assert split("\ud83d\ude00" * 2, 3) == ["\ud83d\ude00"] * 2


def test_a_link_that_does_not_fit_is_broken() -> None:
    assert split("https://e.com/" + "x" * 20, 16) == ["https://e.com/xx", "x" * 16, "xx"]


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_is_at_least_one(limit: int) -> None:
    with pytest.raises(ValueError, match="must be 1 or more"):
        split("a", limit)


@pytest.mark.parametrize(
    "text",
    [
        *("`" * 100_000, "[" * 100_000, "]" * 50_000, "[a](" * 30_000, '[a](b "' * 30_000),
        *("[" * 30_000 + "]" * 30_000, "e" + "\u0301" * 10_000, "> " * 50_000, "- " * 50_000),
        *(" " * 200_000 + "a", "\n" * 200_000 + "a", "<a:" * 50_000, "```\n" * 30_000),
        *("`a``" * 50_000, "🇩🇪" * 50_000, "\\" * 100_000, "a".join("`" * n for n in range(400))),
        *("|a" * 50_000, "word " * 50_000, "<" * 100_000, "(((" * 50_000),
    ],
    ids=lambda text: text[:6].encode("ascii", "backslashreplace").decode(),
)
@pytest.mark.timeout(20)
def test_hostile_texts_take_no_time_to_speak_of(text: str) -> None:
    """What took the square of its length would take minutes."""
    pieces = split(text, 3500)
    assert all(utf16(piece) <= 3500 for piece in pieces)
    assert ink(pieces).replace("`", "") == ink([text]).replace("`", "")
