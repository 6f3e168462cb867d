"""Which workspaces are configured: by sections, and by variables that other programs know too."""

from __future__ import annotations

from pathlib import Path

import pytest

from pynchy_cli.config.channels import configured, enabled, owners, slack_rules, whatsapp_rules
from pynchy_cli.config.load import load
from pynchy_cli.config.paths import Home
from pynchy_cli.errors import ConfigInvalid, UsageWrong

BOT, APP = {"SLACK_BOT_TOKEN": "xoxb-a"}, {"SLACK_APP_TOKEN": "xapp-b"}


def test_one_token_is_meant_for_us_only_where_it_stands_in_our_own_file(tmp_path: Path) -> None:
    assert not configured(load(Home(tmp_path), BOT)), "it may be another program's"
    assert list(configured(load(Home(tmp_path), BOT | APP))) == ["slack"]
    (tmp_path / ".env").write_text("SLACK_BOT_TOKEN=xoxb-c\nSLACK_APP_TOKEN=\n")
    rules = slack_rules(load(Home(tmp_path), {}), "slack")
    assert (rules.bot_token, rules.app_token) == ("xoxb-c", "")
    (tmp_path / ".env").write_text("SLACK_BOT_TOKEN=\nSLACK_APP_TOKEN=\n")
    assert not configured(load(Home(tmp_path), {}))


@pytest.mark.parametrize("name", ["a b", "a.b", "a/b", "@"])
def test_a_workspace_is_called_by_a_plain_name(tmp_path: Path, name: str) -> None:
    (tmp_path / "config.toml").write_text(f'[channels.slack."{name}"]\nowner = "U1"\n')
    with pytest.raises(ConfigInvalid, match="No workspace can be called"):
        load(Home(tmp_path), {})


def test_a_paired_account_needs_no_section(tmp_path: Path) -> None:
    home = Home(tmp_path)
    with pytest.raises(UsageWrong, match="pynchy auth whatsapp"):
        whatsapp_rules(load(home, {}), "whatsapp")
    home.data.mkdir()
    home.whatsapp.touch()
    assert enabled(load(home, {})) == ["whatsapp"]
    (tmp_path / "config.toml").write_text("[channels.whatsapp.main]\nenabled = false\n")
    assert configured(load(home, {})).keys() == {"whatsapp"}
    assert enabled(load(home, {})) == []


def test_a_home_has_one_account(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('[channels.whatsapp.work]\nowner = "491"\n')
    with pytest.raises(ConfigInvalid, match="a home has one WhatsApp account"):
        load(Home(tmp_path), {})


@pytest.mark.parametrize("owner", ["0151 23456789", "owner", "bob", "120363041234567890@g.us"])
def test_the_owner_of_an_account_has_a_number(tmp_path: Path, owner: str) -> None:
    (tmp_path / "config.toml").write_text(f'[channels.whatsapp.main]\nowner = "{owner}"\n')
    with pytest.raises(ConfigInvalid, match="is no phone number with its country's code"):
        load(Home(tmp_path), {})
    (tmp_path / "config.toml").write_text('[channels.whatsapp.main]\nowner = "+49 123 45"\n')
    assert "whatsapp:4912345" in owners(load(Home(tmp_path), {}))
