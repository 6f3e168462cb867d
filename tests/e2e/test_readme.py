"""Every shell block of the README runs as it stands, one after the other, as a person would."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

README = Path(__file__).parent.parent.parent / "README.md"


def blocks() -> list[str]:
    return re.findall(r"^```sh\n(.*?)^```$", README.read_text(encoding="utf-8"), re.S | re.M)


def test_the_blocks_of_the_readme_run(tmp_path: Path, environment: dict[str, str]) -> None:
    if missing := [name for name in ("bwrap", "jq", "sqlite3") if shutil.which(name) is None]:
        if "CI" in os.environ:
            pytest.fail(f"missing in CI: {missing}")
        pytest.skip(f"not installed: {missing}")
    found = blocks()
    assert len(found) >= 4
    script = "\n".join(
        ["set -eu -o pipefail", *(f"echo '== {n}'\n{b}" for n, b in enumerate(found))]
    )
    programs = Path(sys.executable).parent
    environ = {**environment, "PATH": f"{programs}:{environment['PATH']}"}
    environ.pop("PYNCHY_AGENT__CORE")
    done = subprocess.run(
        ["bash", "-c", script],
        capture_output=True,
        text=True,
        env={**environ, "PYNCHY_HOME": str(tmp_path / "home")},
        cwd=tmp_path,
        timeout=110,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    for part in (
        "Hello! What can you do?",  # pynchy tail
        "rehearsal",  # the answer
        '"total_inbound": 1',  # pynchy status | jq
        "garden",  # pynchy groups list
        '"triggered": true',
        '"triggered": false',
    ):
        assert part in done.stdout, f"{part!r} isn't in\n{done.stdout}\n{done.stderr}"
    assert re.search(r"^\d+\|done\|\d", done.stdout, re.M)
