"""However a restore is killed: the home is the old one, or the new one, and no part of either is
mixed with the other or lost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from pynchy_cli.config import swap
from pynchy_cli.config.paths import Home
from tests.kept import backed_up, furnished, tree

OWN = ("data/messages.db", "data/bell", "data/run", "data/ipc", "data/logs", "data/migrate.lock")
KILLED = 137


def shown(found: dict[str, str], below: str = "") -> dict[str, str]:
    """What lies in a folder of what was found, without what differs each time."""
    inside = {
        name.removeprefix(below): what for name, what in found.items() if name.startswith(below)
    }
    return {name: what for name, what in inside.items() if not name.startswith(OWN)}


def test_a_stage_finishes_what_was_decided_on_before_it_begins(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    home = furnished(tmp_path / "home")
    place = swap.begin(home.root)
    (place / swap.NEW / "config.toml").write_text("[agent]\nname = 'eve'\n")
    (place / swap.NEW / "data").mkdir()
    swap.commit(home.root, place, ["config.toml", "data", "skills"], "now")
    done = routed(home, environment)
    assert "messages.db does not exist" in done.stderr
    assert home.config.read_text() == "[agent]\nname = 'eve'\n"
    assert (home.root / "before-restore-now/data/messages.db").exists()
    assert (home.root / "before-restore-now/skills/mine").exists()
    assert not list(home.root.glob(".restore*"))


def routed(home: Home, environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """What `route` says that runs once."""
    asked = json.dumps({"home": str(home.root), "once": True, "options": {}})
    return subprocess.run(
        [sys.executable, "-P", "-m", "pynchy_cli.stage", "route", asked],
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_stage_whose_copy_of_the_configuration_has_gone_reads_what_stands_in_the_home(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    """A restore takes all of `data` away, and the copy lies there; else all would be at its
    default."""
    home = furnished(tmp_path / "home")
    home.config.write_text("[agent]\nnmae = 'eve'\n")
    gone = {"PYNCHY_ACCEPTED": str(home.locks / "accepted-0123456789ab")}
    assert "nmae" in routed(home, environment | gone).stderr


def test_a_killed_restore_leaves_the_old_home_or_the_new_one(tmp_path: Path) -> None:
    home = furnished(tmp_path / "old")
    backed_up(home, tmp_path / "b")
    new = shown(tree(home.root))
    (home.group("team") / "since").write_text("made since")
    (home.group("team") / "notes/plan.md").write_text("changed since")
    (home.skills / "mine/SKILL.md").unlink()
    old = shown(tree(home.root))
    command = [sys.executable, "-P", "-m", "tests.restore_sweep"]
    done = subprocess.run(
        [*command, str(home.root), str(tmp_path / "home"), str(tmp_path / "b")],
        env={"PYTHONPATH": str(Path(__file__).parents[2]), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    kills = [json.loads(line) for line in done.stdout.splitlines()]
    assert [one["healed"] for one in kills] == [0] * len(kills)
    assert [one["code"] for one in kills] == [KILLED] * (len(kills) - 1) + [0]
    for one in kills:
        there, where = one["there"], f"killed {one['at']} calls after the one that decides"
        if one["at"] <= 0:
            assert shown(there) == old, where
            continue
        asides = {name.partition("/")[0] for name in there if name.startswith("before-restore-")}
        assert len(asides) == 1, where
        (aside,) = asides
        kept = {name for name in there if name.partition("/")[0] == aside}
        now = {name: what for name, what in there.items() if name not in kept}
        assert shown(now) == new, where
        # Credentials weren't in it, so they stayed where they are.
        parts = {name: what for name, what in old.items() if name != ".env"}
        assert shown(there, f"{aside}/") == parts, where
    assert min(one["at"] for one in kills) < -24
    assert sum(one["at"] > 0 for one in kills) > 24
