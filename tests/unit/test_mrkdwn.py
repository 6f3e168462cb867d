"""Markdown as Slack and as terminals are given it."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pynchy_cli.channels.chunks import split
from pynchy_cli.channels.markdown import names_in
from pynchy_cli.channels.passage import utf16
from pynchy_cli.channels.plain import plain_text
from pynchy_cli.channels.slack.mrkdwn import at_most, measure, mrkdwn

PARTS = (
    *("a", "word ", "\n", "\n\n", "  ", "    ", "- ", "* ", "1. ", "> ", "# ", "```", "~~~", "`"),
    *("**", "*", "_", "~~", "[", "]", "(", ")", "](http://x.y/z)", "<", "<http://a.b>", "&", "|"),
    *("&lt;", "\n|a|b|\n|-|-|\n|c|d|\n", "---", "===", "\\", "😀", "\ud800", "\udc00", "汉", "\t"),
    *("\r\n", "[a]: http://x\n", "![", "<br>", "<div>", "<!channel>", "<@U1>", "\u0301", "\0"),
    *("- [ ] ", "&#xD800;", "mailto:a@b.c", "www.x.y", '"', "'", ":", "+", "\x0b", "\u2028"),
)
anything = st.lists(st.sampled_from(PARTS), max_size=60).map("".join)

EVERYTHING = """\
# All **at** once

Some **bold**, *italic*, ***both***, ~~struck~~ and `co<de>`; **bold
over lines**, 这是**重点**内容.

- one
- two
  - deeper
    1. number
- [x] done
- [ ] open

3) three
4) four

> said
> > before

| Name | 汉字 | n |
|------|:----:|--:|
| a | 很长 | 1 |
| `b` | x | 1,000 |

```py
if a < b: pass
```

![image](https://e.com/i.png)

***
The end, <b>really</b>.
"""
IN_SLACK = """\
*All at once*

Some *bold*, _italic_, _*both*_, ~struck~ and `co&lt;de&gt;`; *bold*
*over lines*, 这是\u200b*重点*\u200b内容.

• one
• two
  ◦ deeper
    1. number
☑ done
☐ open

3) three
4) four

> said
>\x20
> │ before

```
Name  汉字      n
----  ----  -----
a     很长      1
b     x     1,000
```

```
if a &lt; b: pass
```

<https://e.com/i.png|image>

———

The end, &lt;b&gt;really&lt;/b&gt;."""
IN_TERMINALS = """\
All at once

Some bold, italic, both, struck and co<de>; bold
over lines, 这是重点内容.

• one
• two
  ◦ deeper
    1. number
☑ done
☐ open

3) three
4) four

> said
>\x20
> │ before

    Name  汉字      n
    ----  ----  -----
    a     很长      1
    b     x     1,000

    if a < b: pass

image (https://e.com/i.png)

———

The end, <b>really</b>."""


def test_everything_in_slack() -> None:
    assert mrkdwn(EVERYTHING) == IN_SLACK


def test_everything_in_a_terminal() -> None:
    assert plain_text(EVERYTHING) == IN_TERMINALS


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("[a](https://e.com/x?y=1&z=2)", "<https://e.com/x?y=1&amp;z=2|a>"),
        ("[**a** `b`](https://e.com)", "<https://e.com|a b>"),
        ("[a | b > c](https://e.com/p|q)", "<https://e.com/p%7Cq|a ¦ b &gt; c>"),
        ("<https://e.com/x>", "<https://e.com/x>"),
        ("https://e.com/a_b_c?d=1&e=2", "https://e.com/a_b_c?d=1&amp;e=2"),
        ("[mail](mailto:a@b.c)", "<mailto:a@b.c|mail>"),
        ("[a](javascript:alert(1))", "a (javascript:alert(1))"),
        ("[a](notes.md)", "a (notes.md)"),
        ("[https://bank.com](https://e.com)", "https://bank.com <https://e.com>"),
        ("[bank.com](https://bank.com@e.com/)", "bank.com <https://bank.com@e.com/>"),
        ("[www.bank.com](http://bank.com.e.com)", "www.bank.com <http://bank.com.e.com>"),
        ("[bank.com](https://www.bank.com/x)", "<https://www.bank.com/x|bank.com>"),
        ("[main.py](https://e.com/main.py)", "<https://e.com/main.py|main.py>"),
        ("[a](<https://e.com/b> 't')", "<https://e.com/b|a>"),
        ("[a](<https://e.com/b c>)", "<https://e.com/b%20c|a>"),
        ("[a]()", "a"),
        ("[a][b]\n\n[b]: https://e.com", "<https://e.com|a>"),
        ("[b]: https://e.com", "[b]: https://e.com"),
    ],
)
def test_links(text: str, written: str) -> None:
    assert mrkdwn(text) == written


@pytest.mark.parametrize(
    "text",
    [
        *("<!channel> <!here|x> <@U12345> <#C1|a>", "`<!channel>`", "```\n<!channel>\n```"),
        *("[a](<!channel>)", "[<!channel>](https://e.com)", "![<@U12345>](https://e.com)"),
        *("# <!here>", "| <!here> |\n|---|\n| <@U12345> |", "<!channel>\nhtml block"),
        *("<https://e.com/<!channel>>", "[a](https://e.com/<!channel>)", "&lt;!channel&gt;"),
        *("[a](https://e.com/%3C!here%3E>)", "[x]\n\n[x]: <https://e.com|><!channel>"),
        "&#60;!channel&#62;",
    ],
)
def test_nobody_is_called(text: str) -> None:
    for form in (mrkdwn(text), mrkdwn(mrkdwn(text))):
        assert "<!" not in form
        assert "<@" not in form
        assert "<#" not in form


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("Look:\n```py\nx = 1", "Look:\n\n```\nx = 1\n```"),
        ("Look:\n```", "Look:"),
        ("and [a link](https://e.c", "and [a link](https://e.c"),
        ("some **bold wo", "some **bold wo"),
        ("some `co", "some `co"),
        ("| a | b |\n|--", "| a | b |\n|--"),
    ],
)
def test_what_is_unfinished_reads_as_it_stands(text: str, written: str) -> None:
    assert mrkdwn(text).replace("```\n\n```", "").strip() == written


def test_code_can_not_end_itself() -> None:
    assert mrkdwn("````\n```\n````") == "```\n`\u200b`\u200b`\n```"
    assert mrkdwn("``a`b``") == "`aˋb`"


@settings(max_examples=150)
@given(anything)
@example("    \x0b")
def test_nothing_makes_it_fail_or_longer_than_is_thought(text: str) -> None:
    for one in (text, f"{text}&&&&&&&&&"):
        assert utf16(mrkdwn(one)) <= at_most(one)
    written = mrkdwn(text)
    assert "<!" not in written
    assert "<@" not in written
    assert bool(written.strip()) == bool(plain_text(text).strip())


@settings(max_examples=100)
@given(st.lists(anything, max_size=4).map("\n".join), st.integers(20, 300))
def test_pieces_stay_within_the_limit_as_slack_writes_them(text: str, limit: int) -> None:
    names = names_in(text)
    for piece in split(text, limit, measure(limit, names)):
        assert utf16(mrkdwn(piece, names)) <= limit


def test_a_long_text_of_signs_is_split_by_what_it_becomes() -> None:
    pieces = split("a & b < c > d\n" * 2000, 3500, measure(3500))
    sizes = [utf16(mrkdwn(piece)) for piece in pieces]
    assert max(sizes) <= 3500
    assert min(sizes[:-1]) > 2500  # and not into more than it takes
    marked = split("a *b* and **c** or `d`\n" * 2000, 3500, measure(3500))
    assert min(utf16(mrkdwn(piece)) for piece in marked[:-1]) > 2800


def test_names_of_addresses_make_a_text_longer() -> None:
    text = "[a][b] " * 200 + "\n\n[b]: https://example.com/an/address"
    names = names_in(text)
    sizes = [utf16(mrkdwn(piece, names)) for piece in split(text, 500, measure(500, names))]
    assert 400 < max(sizes) <= 500
