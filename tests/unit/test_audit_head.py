"""Where the audit log stands is told to the log of the stage."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from pynchy_cli import clock
from pynchy_cli.ipc import desk
from pynchy_cli.store import audit
from tests.asking import Asking, asking


def decided(ask: Asking) -> str:
    """One decision more; the hash of the log's head then."""
    with ask.store.atomic() as db:
        audit.add(db, "request", "allowed", who="group:team", subject="x", now=clock.now())
    return audit.head(ask.store.db)[1]


def test_the_head_of_the_audit_log_is_told_at_the_start_and_once_an_hour(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG)

    def told() -> list[str]:
        return [row for row in caplog.messages if "audit head" in row]

    async def go_on(ask: Asking) -> None:
        first = decided(ask)
        made = desk.Desk(ask.context, {})
        made.drain()
        second = decided(ask)
        made.drain()
        assert len(told()) == 1
        assert first in told()[0]
        due = made.deadline()
        assert due is not None
        assert desk.HOUR - 60 < due <= desk.HOUR == 3600
        monkeypatch.setattr(desk, "HOUR", 0.0)
        made.drain()
        made.drain()
        assert len(told()) == 2
        assert second in told()[1]
        await made.stop()

    with asking(tmp_path) as ask:
        ask.runner.run(go_on(ask))
