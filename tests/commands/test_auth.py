"""`pynchy auth slack`: what is wrong with a workspace is told in plain words, each thing with what
to do about it; no token is told, and nothing is changed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pynchy_cli.channels.slack import checks, manifest
from pynchy_cli.channels.slack.channel import only_one
from pynchy_cli.channels.slack.report import Report
from tests.conftest import Pynchy
from tests.slack_host import rules
from tests.slack_server import SlackServer

SCOPES = " ".join(manifest.SCOPES)


@pytest.fixture
def slack() -> Iterator[SlackServer]:
    with SlackServer(scopes=f"{SCOPES} usergroups:read", app="A0PYNCHY01") as server:
        yield server


def found(slack: SlackServer, folder: Path, **given: Any) -> Report:
    environ = {"XDG_RUNTIME_DIR": str(folder)}
    made = rules(slack, **given)
    return asyncio.run(checks.check("slack", "main", made, environ, is_only=True))


def wrong(report: Report) -> dict[str, str]:
    return {one.check: one.message for one in report.findings if one.ok is False}


def test_all_is_well(slack: SlackServer, tmp_path: Path) -> None:
    report = found(slack, tmp_path)
    assert {one.check: one.ok for one in report.findings} == {
        "bot_token": True,
        "scopes": True,
        "app_token": True,
        "same_app": True,
        "socket_mode": True,
    }
    assert report.exit_code == 0
    assert (report.team, report.app_id) == ("Pynchy", "A0PYNCHY01")
    assert slack.sockets() == 0


def test_no_second_connection_is_made_beside_the_one_that_listens(
    slack: SlackServer, tmp_path: Path
) -> None:
    slack.disable_socket_mode()
    with only_one("A0PYNCHY01", {"XDG_RUNTIME_DIR": str(tmp_path)}):
        assert found(slack, tmp_path).is_ok
    assert wrong(found(slack, tmp_path))["socket_mode"].count("Socket Mode is turned off") == 1


@pytest.mark.parametrize(
    ("given", "check", "words"),
    [
        ({"bot_token": ""}, "bot_token", "There is no bot token"),
        ({"app_token": ""}, "app_token", "There is no app token"),
        ({"bot_token": "xapp-1-A0PYNCHY01"}, "bot_token", "begins with xapp-"),
        ({"app_token": "xoxp-123"}, "app_token", "xoxp-; an app token begins with"),
        ({"bot_token": "hunter2"}, "bot_token", "doesn't look like a token"),
        ({"bot_token": "xoxb-other"}, "bot_token", "take the bot token: the token isn't valid"),
        ({"app_token": "xapp-1-other"}, "app_token", "isn't valid"),
    ],
)
def test_a_token_that_isn_t_one(
    slack: SlackServer, tmp_path: Path, given: Any, check: str, words: str
) -> None:
    report = found(slack, tmp_path, **given)
    assert words in wrong(report)[check]
    assert list(wrong(report)) == [check]
    assert report.exit_code == 100
    told = json.dumps(report.document())
    assert "https://api.slack.com/apps" in told
    assert not any(secret in told for secret in ("A0PYNCHY01-", "hunter2", "xoxp-123", "xoxb-o"))


def test_a_page_of_somebody_else_is_told_as_that(slack: SlackServer, tmp_path: Path) -> None:
    slack.fault("auth.test", "html")
    report = found(slack, tmp_path)
    assert (report.exit_code, report.findings[0].ok) == (111, None)
    assert "an answer that isn't Slack's (HTTP 200)" in report.findings[0].message


@pytest.mark.parametrize("code", ["account_inactive", "token_revoked", "not_allowed_token_type"])
def test_tokens_that_slack_doesn_t_take(slack: SlackServer, tmp_path: Path, code: str) -> None:
    slack.token_error(code)
    report = found(slack, tmp_path)
    assert set(wrong(report)) == {"bot_token", "app_token"}
    assert all(code in message for message in wrong(report).values())


def test_scopes_that_are_missing_are_each_told_with_what_they_are_for(
    slack: SlackServer, tmp_path: Path
) -> None:
    slack.scopes(SCOPES.replace("files:read", "").replace("mpim:history", ""))
    slack.scopes("", app=True)
    report = found(slack, tmp_path)
    assert "be given files" in wrong(report)["scope files:read"]
    assert "group direct messages" in wrong(report)["scope mpim:history"]
    assert "connections:write" in wrong(report)["app_token"]
    assert len(wrong(report)) == 3
    useful = [one for one in report.findings if one.check == "scope usergroups:read"]
    assert [one.ok for one in useful] == [None]


def test_tokens_of_two_apps(slack: SlackServer, tmp_path: Path) -> None:
    slack.option(app="A0OTHER")  # whose the app token is; the bot's stays
    said = wrong(found(slack, tmp_path))
    assert list(said) == ["same_app"]
    assert "A0PYNCHY01" in said["same_app"]
    assert "A0OTHER" in said["same_app"]


def test_slack_can_t_be_reached(slack: SlackServer, tmp_path: Path) -> None:
    slack.stop()
    try:
        report = found(slack, tmp_path)
    finally:
        slack.start()
    assert report.exit_code == 111
    assert not wrong(report)
    assert not report.is_ok


def test_as_a_command(slack: SlackServer, pynchy: Pynchy, tmp_path: Path) -> None:
    given = {
        "SLACK_BOT_TOKEN": "xoxb-pynchy",
        "SLACK_APP_TOKEN": "xapp-1-A0PYNCHY01",
        "PYNCHY_CHANNELS__SLACK__MAIN__BASE_URL": slack.url,
        "XDG_RUNTIME_DIR": str(tmp_path),
    }
    good = json.loads(pynchy("auth", "slack", env=given).stdout)
    assert good["ok"]
    assert "manifest" not in good
    bad = pynchy("auth", "slack", "main", env={**given, "SLACK_BOT_TOKEN": "xoxb-x"}, code=100)
    document = json.loads(bad.stdout)
    assert not document["ok"]
    assert document["manifest"]["settings"]["socket_mode_enabled"]
    assert "xoxb-x" not in bad.stdout + bad.stderr
    assert not list(tmp_path.rglob("*.lock")), "nothing is changed"


def test_the_manifest_alone(pynchy: Pynchy) -> None:
    made = json.loads(pynchy("auth", "slack", "--manifest").stdout)
    assert set(manifest.SCOPES) <= set(made["oauth_config"]["scopes"]["bot"])
    assert made["features"]["slash_commands"][0]["command"] == "/pynchy"
    assert made["settings"]["interactivity"] == {"is_enabled": True}
    events = made["settings"]["event_subscriptions"]["bot_events"]
    assert {"message.im", "app_mention", "reaction_added", "member_joined_channel"} <= set(events)


def test_who_has_nothing_yet_is_told_how_to_begin(pynchy: Pynchy) -> None:
    document = json.loads(pynchy("auth", "slack", code=100).stdout)
    assert [one["check"] for one in document["checks"]] == ["bot_token", "app_token"]
    assert "SLACK_APP_TOKEN=xapp-" in document["checks"][1]["fix"]
    pynchy("auth", "slack", "nobody", code=2)


def test_whatsapp_without_the_library_tells_how_to_get_it(
    pynchy: Pynchy, home: Path, tmp_path: Path
) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "neonize.py").write_text("raise ImportError('not here')")
    without = {"PYTHONPATH": str(tmp_path / "site")}
    done = pynchy("auth", "whatsapp", "--json", env=without, code=100)
    assert 'pip install "pynchy[whatsapp]"' in json.loads(done.stdout)["error"]["message"]
    assert not list(home.rglob("*neonize*"))
    (home / "data" / "neonize.db").touch()  # of an account that WhatsApp has logged out
    off = json.loads(pynchy("auth", "whatsapp", "--logout", env=without).stdout)
    assert off == {"ok": True, "state": "not_linked"}
    assert not list(home.rglob("*neonize*"))


def test_whatsapp_is_linked_in_a_home_with_a_number_that_can_be(
    pynchy: Pynchy, tmp_path: Path
) -> None:
    assert "pynchy init" in pynchy("auth", "whatsapp", code=100).stderr
    assert not (tmp_path / "home").exists()
    wrong = pynchy("auth", "whatsapp", "--phone", "0151 23456789", code=2).stderr
    assert "country's code, such as +49 151 23456789" in wrong
    pynchy("auth", "whatsapp", "--logout", "--png", "x.png", code=2)
