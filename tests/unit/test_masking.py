"""Secrets are hidden in the log, however programs have written them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import partial
from urllib.parse import quote, quote_plus

from hypothesis import given
from hypothesis import strategies as st

from pynchy_cli import log
from pynchy_cli.config.load import secrets
from pynchy_cli.config.settings import GroupRules, Secrets, Settings

ENCODERS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "json": json.dumps,
    "json in utf-8": partial(json.dumps, ensure_ascii=False),
    "json in json": lambda text: json.dumps({"a": json.dumps(text)}),
    "address": quote,
    "part of an address": partial(quote, safe=""),
    "query": quote_plus,
    "small letters": lambda text: re.sub("%..", lambda one: one[0].lower(), quote(text)),
    "python": repr,
    "bytes": lambda text: repr(text.encode()),
    "a dict": lambda text: str({"key": [text]}),
    "one line": lambda text: " ".join(text.split()),
}
WORDS = "ab 09 \"'\\/+&=%?#\n\t\x1b-_.~é€😀"


@given(
    secret=st.text(alphabet=WORDS, min_size=6, max_size=30).filter(
        lambda one: len(one.strip()) > 5 and one == one.strip()
    ),
    encoder=st.sampled_from(sorted(ENCODERS)),
    around=st.sampled_from(["", "x", " - ", "https://h/?a=", "{'"]),
)
def test_a_secret_is_hidden_however_it_is_written(secret: str, encoder: str, around: str) -> None:
    written = ENCODERS[encoder](secret)
    text = f"{around}{written}{around}"
    said = log.masked(text, (secret, "another one"))
    assert log.MASK in said
    assert secret not in said
    bare = written.strip("b'\"")
    assert len(bare) < 6 or bare not in said


def test_of_secrets_that_begin_alike_no_end_is_left() -> None:
    assert log.masked("abcdef-1234 abcdef", ("abcdef", "abcdef-1234")) == f"{log.MASK} {log.MASK}"


def test_each_line_of_a_key_is_hidden_but_no_short_one() -> None:
    key = "-----BEGIN KEY-----\nMIIEvQIBADANBgkq\nab=\n-----END KEY-----\n"
    said = log.masked(f"line 2: MIIEvQIBADANBgkq, ab= and {key}!", (key,))
    assert said == f"line 2: {log.MASK}, ab= and {log.MASK}!"


def test_the_secrets_of_all_tiers_are_known() -> None:
    one = GroupRules(gh_token="of-defaults")
    settings = Settings(
        defaults=one,
        profiles={"p": GroupRules(gh_token="of-profile")},
        groups={"g": GroupRules(gh_token="of-group")},
        secrets=Secrets(api_token="x" * 16),
    )
    assert {"of-defaults", "of-profile", "of-group", "x" * 16} <= set(secrets(settings))
