"""Who supervises a home is told by a file, and stays told."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

from pynchy_cli import locks
from pynchy_cli.supervise import standing

SINCE = "2026-01-31T08:00:00.000Z"


def test_a_file_that_somebody_has_tidied_away_is_put_back(tmp_path: Path) -> None:
    """Another supervisor would end all that this one supervises. Where there is another by then,
    nobody is disturbed, and this one is told."""
    path = tmp_path / "run" / "up.lock"

    async def tidied() -> None:
        lock = locks.take(path)
        assert lock is not None
        keeping = asyncio.create_task(standing.keep(lock, {}, SINCE, 0.001))
        shutil.rmtree(path.parent)
        async with asyncio.timeout(30):
            while not standing.holder(path):  # noqa: ASYNC110
                await asyncio.sleep(0.001)
        assert standing.holder(path)["started_at"] == SINCE
        assert locks.take(path) is None
        while (other := locks.take(path)) is None:
            path.unlink(missing_ok=True)
        async with asyncio.timeout(30):
            await keeping
        other.release()
        lock.release()

    asyncio.run(tidied())
