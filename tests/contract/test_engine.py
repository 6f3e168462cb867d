"""The tests' own engine: nobody else's is ever touched, and what a killed test run left is gone
when the next one begins."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.agent_process import ended
from tests.engine import own, require

pytestmark = pytest.mark.timeout(300)

CHECKOUT = Path(__file__).parents[2]
RUN = """
import time
from tests.engine import own
with own(keeps_containers=True) as engine:
    print(engine.root, engine.daemon.pid, flush=True)
    time.sleep(600)
"""


def test_an_engine_lives_as_long_as_its_test_run() -> None:
    require()
    with subprocess.Popen(
        [sys.executable, "-c", RUN], stdout=subprocess.PIPE, text=True, cwd=CHECKOUT
    ) as run:
        assert run.stdout is not None
        try:
            root, pid = run.stdout.readline().split()
            daemon = psutil.Process(int(pid))
            with own(keeps_containers=True) as other:
                assert daemon.is_running()
                run.kill()
                run.wait(60)
                assert daemon.is_running()
                assert other.daemon is not None
                survivor = other.daemon
                with own(keeps_containers=True):
                    assert ended(daemon)
                    assert not Path(root).parent.exists()
                    assert survivor.is_running()
                    assert other.docker("version").returncode == 0
            assert not other.root.parent.exists()
        finally:
            run.kill()


def test_a_process_number_that_came_again_is_not_an_engine() -> None:
    require()
    with own(keeps_containers=False) as engine:
        number = engine.root / "pid"
        before = number.read_text()
        number.write_text(f"{psutil.Process().pid}\n")
        assert engine.daemon is None
        number.write_text(before)
        assert engine.daemon is not None
