"""Markdown as WhatsApp is given it."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pynchy_cli.channels.base import Outgoing
from pynchy_cli.channels.markdown import names_in
from pynchy_cli.channels.passage import utf16
from pynchy_cli.channels.plain import plain_text
from pynchy_cli.channels.whatsapp.text import formatted, render
from tests.unit.test_mrkdwn import EVERYTHING, PARTS

WIDE = f"\n|{'a*' * 20}|b|\n|-|-|\n|c|~d~|\n"
anything = st.lists(
    st.sampled_from((*PARTS, "https://x.y/_z_", "&#xFDD0;", "\ufdd8", "\\*", "\\`", WIDE)),
    max_size=60,
).map("".join)

IN_WHATSAPP = """\
*All at once*

Some *bold*, _italic_, _*both*_, ~struck~ and `co<de>`; *bold*
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
if a < b: pass
```

image (https://e.com/i.png)

———

The end, <b>really</b>."""


def test_everything_in_whatsapp() -> None:
    assert formatted(EVERYTHING) == IN_WHATSAPP


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("[a](https://e.com/x?y=1&z=2)", "a (https://e.com/x?y=1&z=2)"),
        ("[**a** `b`](https://e.com)", "a b (https://e.com)"),
        ("[a](https://e.com/b_(c))", "a (https://e.com/b_%28c%29)"),
        ("[a](<https://e.com/b c>)", "a (https://e.com/b%20c)"),
        ("[https://e.com](https://e.com)", "https://e.com"),
        ("<https://e.com/_x_>", "https://e.com/_x_"),
        (r"https://e.com/a_b_?x=~c~ \~d\~", "https://e.com/a_b_?x=~c~ ∼d∼"),
        ("[bank.com](https://e.com)", "bank.com (https://e.com)"),
        ("[a](javascript:alert(1))", "a (javascript:alert%281%29)"),
        ("[mail](mailto:a@b.c) <a@b.c>", "mail (a@b.c) a@b.c"),
        ("[a]() [](https://e.com)", "a https://e.com"),
        ("[a][b]\n\n[b]: https://e.com", "a (https://e.com)"),
        ("**https://e.com/**", "https://e.com/"),
        ("**see https://e.com/x** and", "*see* https://e.com/x and"),
        ("***see https://a.b https://c.d***", "_*see*_ https://a.b https://c.d"),
        ("**[a](https://e.com)**", "*a* (https://e.com)"),
        ("https://e.com/**b**", "https://e.com/ *b*"),
        ("# Look: https://e.com", "*Look:* https://e.com"),
    ],
)
def test_links_lead_where_they_say(text: str, written: str) -> None:
    assert formatted(text) == written


@pytest.mark.parametrize(
    ("text", "written"),
    [
        (r"\*not\* this, 2 * 3", "∗not∗ this, 2 * 3"),
        (r"\_a\_ \~b\~ \`c\`", "ˍaˍ ∼b∼ ˋcˋ"),
        ("~5 to 6", "~5 to 6"),
        ("(~a~)", "(∼a∼)"),
        ("snake_case_name and a*b", "snake_case_name and a*b"),
        (r"\*a **b**", "∗a *b*"),
        (r"**b** a\*", "*b* a∗"),
        (r"\*a `b*` c\*", "∗a `b*` c∗"),
        (r"\*a `b*`", "*a `b*`"),
        (r"\*a" + "\n" + r"b\*", "*a\nb*"),
        ("a**b**c _d_e", "a\u200b*b*\u200bc _d_e"),
        ("**a*b*c**", "*a\u200b_b_\u200bc*"),
        ("**a** **b**", "*a* *b*"),
    ],
)
def test_what_is_no_mark_is_not_taken_for_one(text: str, written: str) -> None:
    assert formatted(text) == written


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("`` a`b ``", "`aˋb`"),
        ("`*a* _b_ ~c~`", "`*a* _b_ ~c~`"),
        ("````\n```\n````", "```\n`\u200b`\u200b`\n```"),
        ("```\n*a* \\*b\\* https://e.com/**\n```", "```\n*a* \\*b\\* https://e.com/**\n```"),
        ("- a\n  ```\n  b\n  ```", "• a\n  ```\n  b\n  ```"),
        ("> ```\n> a `b`\n>\n>   *c*\n> ```\n> d", "> `a ˋbˋ`\n> \n> `  *c*`\n> \n> d"),
        ("> - a\n>   ```\n>   b\n>   ```", "> • a\n>   `b`"),
        (r"\`\`\`a", "ˋˋ`a"),
        ("&#xFDD3;a&#xFDD3; `\ufdd3`", "\ufffda\ufffd `\ufffd`"),
    ],
)
def test_code_stays_as_it_is(text: str, written: str) -> None:
    assert formatted(text) == written


def test_a_table_that_a_phone_can_not_show_is_told_row_by_row() -> None:
    rows = [
        r"| a_b | does *a lot*, and \*more\* | x |",
        "|  | c |  |",
        "| https://e.com/ | | `d` |",
    ]
    heading = "| Name | What it does | |\n|---|---|--:|\n"
    assert formatted(heading + "\n".join(rows)) == (
        "*a_b*\n• What it does: does a lot, and ∗more∗\n• x\n\n"
        "• What it does: c\n\n"
        "https://e.com/\n• d"
    )
    assert formatted(heading) == "```\nName  What it does\n----  ------------  \n```"
    wide = f"| {'a' * 40} |\n|---|"
    assert formatted(wide) == f"```\n{'a' * 40}\n{'-' * 40}\n```"


@settings(max_examples=150)
@given(anything)
@example("**" * 30 + "https://x.y/_z_" * 30)
def test_nothing_makes_it_fail(text: str) -> None:
    written = formatted(text)
    assert not re.search("[\ufdd0-\ufdef]", written)
    assert bool(written.strip()) == bool(plain_text(text).strip())


@settings(max_examples=60)
@given(st.lists(anything, max_size=4).map("\n".join), st.integers(20, 300))
def test_pieces_stay_within_the_limit(text: str, limit: int) -> None:
    assert all(utf16(piece.text) <= limit for piece in render(Outgoing(text), limit))


@pytest.mark.parametrize("line", ["x" * 99 + "\n", "x" * 100])
def test_of_a_reply_without_end_the_beginning_is_sent(line: str) -> None:
    assert "not sent" not in render(Outgoing(line * 1000))[-1].text
    *pieces, last = render(Outgoing(line * 10_000))
    assert len(pieces) <= 26
    sent = sum(piece.text.count("x") for piece in pieces)
    assert 98_000 < sent <= 100_000
    assert re.search("90[0-9],[0-9]{3} more characters are not sent", last.text)


def test_a_long_reply_is_split_where_it_reads_well() -> None:
    paragraph = "Some *words* of [a link][1] and **more**. " * 12
    text = f"{paragraph}\n\n" * 20 + "[1]: https://example.com/an/address"
    pieces = render(Outgoing(text))
    sizes = [utf16(piece.text) for piece in pieces]
    assert max(sizes) <= 4000
    assert min(sizes[:-1]) > 2500
    assert all(piece.text.endswith("*more*.") for piece in pieces)
    assert names_in(text)
    assert all("(https://example.com/an/address)" in piece.text for piece in pieces)


def test_nothing_to_show_is_no_message() -> None:
    assert render(Outgoing(" \n")) == []
