"""`pynchy backup`, `restore` and `prune` as people, and other stages, use them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from contextlib import closing
from pathlib import Path

import pytest

from pynchy_cli.config.paths import Home
from pynchy_cli.store import findings
from pynchy_cli.store.connection import Store, connect
from tests.conftest import Pynchy
from tests.kept import NOW, ask, backed_up, change, furnished

LIMIT = 60.0
DOCUMENT = Path(__file__).parents[2] / "docs/backup.md"
PATH = DOCUMENT.read_text().split("or gone\n")[1].split("```")[1].splitlines()
"""What the document says to type when the database is damaged."""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with a group `team`; the commands find it where they look for one."""
    return furnished(tmp_path / "home").root


def archives(folder: Path) -> list[Path]:
    return sorted(folder.glob("pynchy-*.tar.gz"))


def finding(home: Path, name: str) -> findings.Finding:
    with Store.open(home / "data/messages.db") as store:
        found = findings.get(store.db, name)
    assert found is not None
    return found


def spoil(home: Path) -> None:
    """Write random bytes over a page of a table."""
    with closing(connect(home / "data/messages.db")) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        query = "SELECT rootpage FROM sqlite_master WHERE name = 'messages_of_chat'"
        page = db.execute(query).fetchone()[0]
    with (home / "data/messages.db").open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(os.urandom(4096))


def test_a_damaged_database_is_replaced_by_the_last_backup(
    home: Path, pynchy: Pynchy, tmp_path: Path
) -> None:
    """The path that docs/backup.md describes, in its own words."""
    (tmp_path / "b").mkdir()
    pynchy("send", "team", "remember me")
    made = json.loads(pynchy("backup", str(tmp_path / "b")).stdout)
    assert made["verified"] is True
    assert (
        finding(home, "backup").result["path"] == made["path"] == str(archives(tmp_path / "b")[0])
    )
    spoil(home)
    found = json.loads(pynchy("prune", code=1).stdout)
    assert found["error"]["code"] == "database_damaged"
    refused = pynchy("backup", str(tmp_path / "b"), code=1)
    assert "Older backups are kept" in refused.stderr
    assert len(archives(tmp_path / "b")) == 1
    first, restore, last, up = [line.split()[1:] for line in PATH if line.startswith("pynchy ")]
    assert "damaged" in pynchy(*first, code=1).stdout
    assert restore[-1].endswith("Z.tar.gz")
    back = json.loads(pynchy(*restore[:-1], made["path"]).stdout)
    assert (Path(back["aside"]) / "data/messages.db").exists()
    assert json.loads(pynchy(*last, "--json").stdout)["findings"] == []
    assert up == ["up"]
    assert [row[0] for row in ask(Home(home), "SELECT content FROM messages")] == ["remember me"]


def test_before_a_migration_there_can_be_a_backup(
    home: Path, pynchy: Pynchy, tmp_path: Path
) -> None:
    with closing(connect(home / "data/messages.db")) as db:
        db.execute("DROP TABLE findings")
        db.execute("PRAGMA user_version=7")
    done = pynchy("backup", str(tmp_path / "b"))
    assert json.loads(done.stdout)["schema"] == 7
    assert "won't tell of it" in done.stderr


def test_credentials_in_the_settings_are_left_out_too(
    home: Path, pynchy: Pynchy, tmp_path: Path
) -> None:
    token = "0123456789abcdef-token"
    with (home / "config.toml").open("a") as config:
        config.write(f'[secrets]\napi_token = "{token}"\n')
    found = {}
    for name, options in (("without", []), ("with", ["--secrets"])):
        done = pynchy("backup", str(tmp_path / name), *options)
        with tarfile.open(tmp_path / name) as tar:
            kept = tar.extractfile("config.toml")
            assert kept is not None
            found[name] = kept.read().decode()
        assert ("has credentials, which are left out" in done.stderr) == (name == "without")
    assert found["with"] == (home / "config.toml").read_text()
    assert found["without"] == found["with"].replace(token, "")


def test_what_is_a_mount_of_its_own_is_found_before_anything_is_changed(
    home: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    """Nothing can be put in its place, and it would be found half way through."""
    made = backed_up(Home(home), tmp_path / "b")
    before = sorted(one.name for one in home.iterdir())
    mount = 'mount --bind "$1/groups" "$1/groups" && shift && exec "$@"'
    command = [sys.executable, "-m", "pynchy_cli", "--home", str(home), "restore", "--force"]
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", mount, "sh", str(home), *command, str(made.path)],
        capture_output=True,
        text=True,
        env=environment,
        timeout=60,
        check=False,
    )
    assert (done.returncode, "groups is a mount of its own" in done.stderr) == (100, True), done
    assert sorted(one.name for one in home.iterdir()) == before


def test_a_disk_that_fails_is_told_and_nothing_is_left_of_what_was_begun(
    home: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "b").mkdir()
    strace = ["strace", "-f", "-qq", "-o", os.devnull, "-e", "trace=fsync"]
    command = [sys.executable, "-m", "pynchy_cli", "--home", str(home), "backup"]
    done = subprocess.run(
        [*strace, "-e", "inject=fsync:error=EIO", *command, str(tmp_path / "b")],
        capture_output=True,
        text=True,
        env=environment,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert f"No backup was made in {tmp_path / 'b'}: Input/output error." in done.stderr
    assert not [*(tmp_path / "b").iterdir()]


def test_options_that_make_no_sense_are_refused(home: Path, pynchy: Pynchy, tmp_path: Path) -> None:
    assert "Where to?" in pynchy("backup", code=2).stderr
    assert "no folder" in pynchy("backup", str(tmp_path / "no"), "--keep", "2", code=2).stderr
    refused = pynchy("restore", str(tmp_path / "no"), "--force", "--json", code=1)
    assert json.loads(refused.stdout)["error"]["code"] == "archive_invalid"


def run_stage(home: Path, environ: dict[str, str], **options: object) -> str:
    """The stage, once; what it logs."""
    asked = json.dumps({"home": str(home), "once": True, "options": options})
    done = subprocess.run(
        [sys.executable, "-P", "-m", "pynchy_cli.stage", "backup", asked],
        env=environ,
        capture_output=True,
        text=True,
        timeout=LIMIT,
    )
    return f"{done.returncode} {done.stderr}"


def test_the_stage_makes_one_when_it_is_due_and_removes_old_ones_then(
    home: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    folder = tmp_path / "b"
    folder.mkdir()
    mine = Home(home)
    old = [folder / f"pynchy-{mine.id}-2020010{day}T000000000Z.tar.gz" for day in (1, 2, 3)]
    for path in old:
        path.touch()
    environ = {
        **environment,
        "PYNCHY_BACKUP__FOLDER": str(folder),
        "PYNCHY_BACKUP__KEEP": "2",
        "PYNCHY_BACKUP__EVERY": "1h",
    }
    assert "errand done" in run_stage(home, environ)
    (kept, new) = archives(folder)
    assert kept == old[-1]
    assert finding(home, "backup").result["removed"] == [str(one) for one in old[:2]]
    run_stage(home, environ)  # not due yet
    assert archives(folder) == [kept, new]
    # What went elsewhere doesn't count for this folder.
    (tmp_path / "c").mkdir()
    run_stage(home, environ, folder=str(tmp_path / "c"))
    assert len(archives(tmp_path / "c")) == 1


def test_with_every_it_goes_on_until_it_is_stopped(
    home: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    folder = tmp_path / "b"
    folder.mkdir()
    old = folder / f"pynchy-{Home(home).id}-20200101T000000000Z.tar.gz"
    old.touch()
    command = [sys.executable, "-m", "pynchy_cli", "--home", str(home), "backup", str(folder)]
    child = subprocess.Popen([*command, "--every", "1h", "--keep", "1"], env=environment)
    try:
        until = time.monotonic() + LIMIT
        while len(found := archives(folder)) != 1 or found == [old]:
            assert time.monotonic() < until
            assert child.poll() is None
            time.sleep(0.05)
        child.terminate()
        assert child.wait(LIMIT) == 0
    finally:
        child.kill()
        child.wait(LIMIT)


def test_one_that_fails_is_told_with_the_last_that_was_made(
    home: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    folder = tmp_path / "b"
    folder.mkdir()
    environ = {**environment, "PYNCHY_BACKUP__FOLDER": str(folder), "PYNCHY_BACKUP__EVERY": "10s"}
    run_stage(home, environ)
    good = finding(home, "backup").result
    change(Home(home), f"UPDATE findings SET at = '{NOW}'")
    (made,) = archives(folder)
    made.rename(tmp_path / made.name)
    folder.rmdir()
    assert "errand failed" in run_stage(home, environ)
    found = finding(home, "backup")
    assert found.state == "failed"
    assert "There is no folder" in found.result["message"]
    assert found.result["last"] == good


def test_a_killed_one_leaves_a_draft_that_the_next_removes(
    environment: dict[str, str], tmp_path: Path
) -> None:
    folder = tmp_path / "b"
    folder.mkdir()
    mine = furnished(tmp_path / "home")
    home = mine.root
    (home / "groups/main").mkdir()
    # So large that it isn't written in a moment.
    with (home / "groups/main/large").open("wb") as file:
        file.truncate(4 * 1024**3)
    child = subprocess.Popen(
        [sys.executable, "-m", "pynchy_cli", "--home", str(home), "backup", str(folder)],
        env=environment,
    )
    until = time.monotonic() + LIMIT
    while not any(one.stat().st_size > 1 << 16 for one in folder.glob(".pynchy-*/archive")):
        assert time.monotonic() < until
        assert child.poll() is None
        time.sleep(0.01)
    child.send_signal(signal.SIGKILL)
    child.wait(LIMIT)
    (home / "groups/main/large").unlink()
    assert archives(folder) == []
    assert list(folder.glob(".pynchy-*"))
    backed_up(mine, folder / "b")
    assert not list(folder.glob(".pynchy-*"))


def test_prune_tells_what_it_did(home: Path, pynchy: Pynchy) -> None:
    change(
        Home(home),
        "INSERT INTO events(event_type, timestamp, payload) VALUES ('x', '2020-01-01', 'y')",
    )
    assert json.loads(pynchy("prune", "--dry-run").stdout)["removed"]["events"] == 1
    done = pynchy("prune", "--quiet", "--vacuum", "--json")
    assert json.loads(done.stdout)["removed"]["events"] == 1
    assert json.loads(done.stdout)["free"] == 0
    assert finding(home, "prune").result["removed"]["events"] == 1
    assert finding(home, "integrity").state == "ok"
