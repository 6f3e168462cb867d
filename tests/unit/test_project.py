"""The checkout speaks of itself only: no registry's host, no machine's path, and lock files
that say what is installed and not from where."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder

from agent_runner.cores.base import BUILT_IN
from pynchy_cli import __version__, plugins

CHECKOUT = Path(__file__).parent.parent.parent
LOCKS = ("requirements.lock", "requirements-dev.lock")
# In pieces, or this file would name them itself.
HOSTS = re.compile("py" r"pi\.org|python" r"hosted\.org|npm" r"js\.(?:org|com)|deb" r"ian\.org")
PATHS = re.compile(r"(?<![\w./-])/(?:work|farm|root|home/(?!agent/)[a-z]+)/")
PROJECT = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))


def texts() -> dict[str, str]:
    """Every text file that belongs to the checkout, tracked or about to be."""
    listed = subprocess.run(
        # Whoever runs the tests need not be the one who cloned.
        [
            "git",
            "-c",
            "safe.directory=*",
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    found = {}
    for name in filter(None, listed.split("\0")):
        data = (CHECKOUT / name).read_bytes() if (CHECKOUT / name).is_file() else b""
        if b"\0" not in data:
            found[name] = data.decode("utf-8", "replace")
    assert len(found) > 50
    return found


def test_no_registry_and_no_machine_is_named() -> None:
    found = [
        f"{name}:{number}: {line.strip()[:100]}"
        for name, text in texts().items()
        for number, line in enumerate(text.splitlines(), start=1)
        if HOSTS.search(line) or PATHS.search(line)
    ]
    assert not found


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_file_has_hashes_and_no_addresses(name: str) -> None:
    text = (CHECKOUT / name).read_text(encoding="utf-8")
    assert "://" not in text
    assert not re.search(r"^\s*(-i|--index|--extra-index|--find-links|-f|-e)\b", text, re.M)
    packages = re.split(r"^(?=[A-Za-z0-9])", text, flags=re.M)[1:]
    assert len(packages) > 20
    for package in packages:
        assert re.match(r"[A-Za-z0-9._-]+(\[[^]]+\])?==[^\s;]+", package), package[:60]
        assert "--hash=sha256:" in package, package[:60]


def test_the_locks_cover_what_the_project_needs_and_agree() -> None:
    pinned = []
    for name in LOCKS:
        text = (CHECKOUT / name).read_text(encoding="utf-8")
        pinned.append(dict(re.findall(r"^([A-Za-z0-9._-]+)(?:\[[^]]+\])?==([^\s;]+)", text, re.M)))
    for package, version in pinned[0].items():
        assert pinned[1][package] == version
    needed = [re.split(r"[\[<>=; ]", one)[0] for one in PROJECT["project"]["dependencies"]]
    assert not set(needed) - set(pinned[0])
    dev = PROJECT["project"]["optional-dependencies"]["dev"]
    assert not {re.split(r"[\[<>=; ]", one)[0] for one in dev} - set(pinned[1])


def test_the_version_is_one() -> None:
    assert PROJECT["project"]["version"] == __version__


def test_every_plugin_of_ours_can_be_loaded() -> None:
    ours = PROJECT["project"]["entry-points"]["pynchy.plugins"]
    installed = {point.name: point for point in entry_points(group="pynchy.plugins")}
    for name, value in ours.items():
        assert installed[name].value == value
        assert installed[name].load() is not None
    assert [plugins.core(name).name for name in BUILT_IN] == list(BUILT_IN)


def test_what_is_installed_is_whole_and_nothing_else(tmp_path: Path) -> None:
    """The wheel: all modules, and what agents are told, where an installed one looks for it."""
    (built,) = WheelBuilder(str(CHECKOUT)).build(directory=str(tmp_path), versions=["standard"])
    with zipfile.ZipFile(built) as wheel:
        held = {name for name in wheel.namelist() if ".dist-info/" not in name}
    wanted = {f"pynchy_cli/{name}" for name in texts() if name.startswith("directives/")}
    assert {"pynchy_cli/directives/base.md", "pynchy_cli/directives/admin.md"} <= wanted
    wanted |= {name for name in texts() if name.startswith(("pynchy_cli/", "agent_runner/"))}
    assert held == wanted


def test_modules_open_with_what_they_are_for() -> None:
    bare = []
    for package in ("pynchy_cli", "agent_runner"):
        for path in (CHECKOUT / package).rglob("*.py"):
            text = path.read_text(encoding="utf-8")
            if text.strip() and not text.startswith(('"""', "#!")):
                bare.append(str(path.relative_to(CHECKOUT)))
    assert not bare


def test_the_make_file_says_what_it_can_do() -> None:
    told = subprocess.run(
        ["make", "help"], cwd=CHECKOUT, capture_output=True, text=True, check=True
    ).stdout
    for goal in ("setup", "demo", "test", "check", "fix", "up", "bench", "chaos", "lock"):
        assert f"make {goal} " in told


def test_chaos_kills_every_stage_with_every_core() -> None:
    goal = ["make", "--dry-run", "chaos", "ARGS=--collect-only"]
    lines = subprocess.run(goal, cwd=CHECKOUT, capture_output=True, text=True, check=True).stdout
    (command,) = [line for line in lines.splitlines() if "--collect-only" in line]
    told = subprocess.run(
        [sys.executable, *shlex.split(command)[1:]], cwd=CHECKOUT, capture_output=True, text=True
    ).stdout
    for swept in ("[listen@stdin-0]", "[route-0]", "[run-agent-0]", "at_every_point[0]"):
        assert swept in told, told
