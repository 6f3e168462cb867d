"""The copy of a configuration that was found well, on machines that stop at any moment."""

from __future__ import annotations

import os
from pathlib import Path

from pynchy_cli.config.accepted import accept
from pynchy_cli.config.paths import Home


def test_a_copy_that_is_not_whole_is_made_anew(tmp_path: Path) -> None:
    """It is when the machine lost its power while what was written was not on the disk yet."""
    home = Home(tmp_path)
    home.config.write_text("[agent]\nname = 'bob'\n")
    home.env.write_text("GH_TOKEN=abc\n")
    settings, folder = accept(home, {})
    (folder / "config.toml").write_bytes(b"")
    (folder / ".env").unlink()
    assert accept(home, {}) == (settings, folder)
    assert (folder / "config.toml").read_bytes() == home.config.read_bytes()
    assert (folder / ".env").read_bytes() == home.env.read_bytes()


def test_what_a_killed_one_was_making_goes_for_there_are_secrets_in_it(tmp_path: Path) -> None:
    home = Home(tmp_path)
    drafts = {home.locks / f".accepted-{name}": name == "new" for name in ("old", "new")}
    for draft, is_new in drafts.items():
        draft.mkdir(parents=True)
        (draft / ".env").write_text("GH_TOKEN=abc\n")
        if not is_new:
            os.utime(draft, (0, 0))
    accept(home, {})
    assert {draft: draft.exists() for draft in drafts} == drafts
