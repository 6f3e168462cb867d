"""Every event that is logged has a sentence in docs/logs.md, and nothing else has."""

from __future__ import annotations

from tests.docs_events import EVENTS, OTHERS
from tests.logged import everywhere, in_module

CODE = """
import logging

def a(self, log, what):
    log.info("one", run=1)
    self.context.log.warning(f"two {what} and {what}")
    tell = log.debug if what else log.info
    tell("three")
    log.error("four" if what else "five")
    word = "six"
    log.exception(word)
    log.debug(what())
    print("seven"); self.blog.info("eight"); log.bind(x="nine")

def _tell(self, what, why):
    self._log.info(what, why=why)

def b(self):
    self._tell("ten", "eleven")
    partial(self.log.warning, group=1)
"""


def test_what_is_logged_is_found_however_it_is_written() -> None:
    found = [(one.level, one.event) for one in in_module("m", CODE)]
    assert sorted(found, key=str) == sorted(
        [
            *[("info", "one"), ("warning", "two … and …"), ("debug/info", "three")],
            *[("error", "four"), ("error", "five"), ("exception", "six"), ("debug", None)],
            *[("info", "ten"), ("warning", None)],
        ],
        key=str,
    )


def test_every_event_is_explained_in_a_sentence() -> None:
    logged = everywhere()
    events = {one.event for one in logged if one.event is not None}
    assert len(events) > 70
    new = "a sentence for it belongs into tests/docs_events.py, then: make fix"
    assert events - EVENTS.keys() == set(), new
    assert EVENTS.keys() - events == set(), "no longer logged"
    unsaid = {one.module.removeprefix("pynchy_cli.") for one in logged if one.event is None}
    assert unsaid - OTHERS.keys() == set(), new
    assert OTHERS.keys() - unsaid == set(), "no longer logged"
    for sentence in (*EVENTS.values(), *OTHERS.values()):
        assert sentence.endswith("."), sentence
