"""The first page of the README, as somebody goes through it who has just cloned the project: in a
fresh Debian with nothing but Python and make, everything installed from nothing."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests import debian
from tests.engine import Engine

pytestmark = pytest.mark.timeout(1800)
CHECKOUT = Path(__file__).parent.parent.parent
README = CHECKOUT / "README.md"
INSIDE = "/opt/checkout"
SAID = "Hello! What can you do?"
TALKING = f"""
up=$!
for second in $(seq 120); do
  .venv/bin/pynchy status --json >/dev/null && break; sleep 0.5
done
.venv/bin/pynchy send main --wait "{SAID}"
.venv/bin/pynchy config check >/dev/null
kill $up
wait $up || test $? = 143
! .venv/bin/pynchy status >/dev/null
"""
"""What is done in another terminal, while the last command of the page goes on in its own."""
ABLE = (
    *("--cap-add", "SYS_ADMIN", "--security-opt", "systempaths=unconfined"),
    *("--security-opt", "seccomp=unconfined", "--security-opt", "apparmor=unconfined"),
)
"""What bubblewrap needs in a container; on a machine of one's own nothing is in its way."""


def commands() -> list[str]:
    """The two commands of the first page."""
    block = re.search(r"^```bash\n(.*?)^```$", README.read_text(encoding="utf-8"), re.S | re.M)
    assert block
    return [line.partition("#")[0].strip() for line in block[1].splitlines() if line.strip()]


def test_two_commands_lead_from_a_clone_to_an_answer(engine: Engine, tmp_path: Path) -> None:
    clone = tmp_path / "checkout"
    hidden = shutil.ignore_patterns(".*", "__pycache__")
    shutil.copytree(CHECKOUT, clone, ignore=hidden, symlinks=True)
    show, keep = commands()
    script = f"set -eu\ncd {INSIDE}\n{show}\n{keep} >up.log 2>&1 &\n{TALKING}"
    place = ["--volume", f"{clone}:{INSIDE}", "--env", "HOME=/root", debian.fresh(engine)]
    command = ["timeout", "--kill-after=10", "900", "bash", "-c", script]
    done = subprocess.run(
        [
            *("docker", "--host", engine.host, "run", "--rm", "--interactive", *ABLE),
            *(*debian.reaching(), *place, *command),
        ],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=1000,
        check=False,
        env={**os.environ, "HOME": str(engine.root), "PIP_NO_COMPILE": "1"},
    )
    log = clone / "up.log"
    told = f"{done.stdout}\n{done.stderr}\n{log.read_text() if log.exists() else ''}"
    assert done.returncode == 0, told
    shown, _, said = done.stdout.partition("── Now you")
    assert "nothing is left running" in shown, told
    assert "sandbox    bubblewrap" in shown, told
    assert f"You said: {SAID}" in said, told
    assert "WITHOUT A SANDBOX" not in told
