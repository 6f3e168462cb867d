"""Homes to be backed up: a small one with something of each kind in it, and what it holds, told so
that two homes can be compared."""

from __future__ import annotations

import hashlib
import sqlite3
from contextlib import closing
from pathlib import Path

from pynchy_cli.config.home import prepare
from pynchy_cli.config.paths import Home
from pynchy_cli.keeping import making, restoring
from pynchy_cli.keeping.making import Made
from pynchy_cli.keeping.restoring import Restored
from pynchy_cli.store.connection import Store
from pynchy_cli.store.migrate import migrate

NOW = "2026-01-31T08:00:00.000Z"
ROWS = (
    f"INSERT INTO chats(jid, channel, first_seen_at) VALUES ('local:team', 'local', '{NOW}')",
    "INSERT INTO registered_groups(folder, name, jid, number, routed_seq, answered_seq, added_at)"
    f" VALUES ('team', 'Team', 'local:team', 1, 0, 0, '{NOW}')",
)


def silent(text: str) -> None:
    """Tell nothing."""


def furnished(root: Path) -> Home:
    """A home with a group, files of all kinds, and credentials."""
    home = Home(root)
    prepare(home)
    migrate(home.database)
    with Store.open(home.database) as store, store.atomic() as db:
        for row in ROWS:
            db.execute(row)
    for name, text in {
        "config.toml": "[agent]\nname = 'ada'\n",
        ".env": "ANTHROPIC_API_KEY=secret-key\n",
        "groups/team/notes/plan.md": "the plan",
        "groups/team/empty": "",
        "data/claude/team/history.jsonl": "{}",
        "data/files/0a1b": "sent",
        "data/received/team/1-photo.jpg": "received",
        "skills/mine/SKILL.md": "a skill",
        "directives/base.md": "be kind",
        "data/logs/pynchy.ndjson": "not kept",
        "data/ipc/team/s1/output/log": "not kept",
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    home.env.chmod(0o600)
    home.whatsapp.touch(mode=0o600)
    (root / "groups/team/notes").chmod(0o750)
    with closing(sqlite3.connect(home.whatsapp)) as other:
        other.execute("CREATE TABLE whatsmeow_device(jid TEXT)")
        other.execute("INSERT INTO whatsmeow_device VALUES ('1@s.whatsapp.net')")
        other.commit()
    return home


def backed_up(home: Home, path: Path, *, secret: bool = False, verify: bool = True) -> Made:
    """A backup of a home in this file."""
    return making.make(
        home, path, NOW, uid_base=700_000, secret=secret, verify=verify, progress=silent
    )


def brought_back(home: Home, archive: Path, *, force: bool = False) -> Restored:
    """A home restored from an archive."""
    return restoring.restore(home, archive, NOW, force=force, progress=silent)


def tree(root: Path) -> dict[str, str]:
    """What lies in a folder: path -> kind, rights, and a hash of what is in it."""
    found = {}
    for path in sorted(root.rglob("*")):
        name, facts = str(path.relative_to(root)), path.lstat()
        if path.is_symlink():
            found[name] = f"link to {path.readlink()}"
        elif path.is_dir():
            found[name] = f"folder {facts.st_mode & 0o777:o}"
        else:
            digest = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
            found[name] = f"file {facts.st_mode & 0o777:o} {digest}"
    return found


def ask(home: Home, sql: str) -> list[tuple[object, ...]]:
    """The rows of a query."""
    with closing(sqlite3.connect(home.database)) as db:
        return [tuple(row) for row in db.execute(sql)]


def change(home: Home, *statements: str) -> None:
    """Change rows, as pynchy would."""
    with Store.open(home.database) as store, store.atomic() as db:
        for statement in statements:
            db.execute(statement)
