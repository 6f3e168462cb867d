"""Further mounts in the whole pipeline: the agent sees what it may, starts without what it may
not, and `status` says why."""

from __future__ import annotations

import json
import os
from pathlib import Path

from tests.process.test_run_agent import (
    Pipeline,
    pipeline,  # noqa: F401
    sources,  # noqa: F401
)


def notes(pipeline: Pipeline, inside: str) -> Path:  # noqa: F811
    """A person's folder that the configuration names."""
    folder = Path(pipeline.environ["HOME"]) / "notes"
    folder.mkdir()
    (folder / ".env").write_text("KEY=secret")
    (folder / "letter").write_text("dear agent")
    if os.geteuid() == 0:
        for path in (folder, *folder.iterdir()):
            os.chown(path, 4321, 4321)
            path.chmod(0o700)
    config = pipeline.home / "config.toml"
    rule = f'{{host_path = "~/notes", container_path = "{inside}", readonly = false}}'
    config.write_text(config.read_text() + f"\n[groups.main]\nmounts = [{rule}]\n")
    return folder


def allow(pipeline: Pipeline) -> None:  # noqa: F811
    file = Path(pipeline.environ["HOME"]) / ".config/pynchy/mount-allowlist.toml"
    file.parent.mkdir(parents=True)
    file.write_text('allowed_roots = [{path = "~/notes", allow_read_write = true}]\n')


def failures(pipeline: Pipeline) -> list[tuple[str, str]]:  # noqa: F811
    told = json.loads(pipeline.run("status", "--json", code=None))
    return [(row["subject"], row["error"]) for row in told["failures"]["rows"]]


def test_it_is_seen_once_it_is_allowed(pipeline: Pipeline) -> None:  # noqa: F811
    folder = notes(pipeline, "notes")
    assert pipeline.ask("what do you see?", "looking") == ["nothing 'nothing'"]
    ((subject, error),) = failures(pipeline)
    assert subject == "mount:main:notes"
    assert "mount-allowlist.toml does not exist" in error
    allow(pipeline)
    assert pipeline.ask("and now?", "looking")[1:] == ["['.env', 'letter'] ''"]
    assert failures(pipeline) == []
    assert (folder / ".env").read_text() == "KEY=secret"
    assert folder.stat().st_uid == (4321 if os.geteuid() == 0 else os.geteuid())
