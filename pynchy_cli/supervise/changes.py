"""Sees that files of the configuration change, and has a command look at what that means: the
supervisor itself reads none of them."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pynchy_cli.errors import EXIT_BROKEN
from pynchy_cli.watch import Watcher

DEBOUNCE = 0.5
"""Seconds after a change before it is looked at: an editor makes several."""
LONGEST = 5.0
"""Seconds after which it is looked at even if changes go on."""
LIMIT = 60.0
"""Seconds that the look may take."""


@dataclass(frozen=True)
class Answer:
    """What a look at the configuration found. `problem` is what is wrong, if anything is; `unable`
    is why it can't be said just now, where that is so."""

    services: list[str] = field(default_factory=list)
    concerned: list[str] = field(default_factory=list)
    grace: float = 0.0
    accepted: str = ""
    problem: str | None = None
    unable: str | None = None


class Changes:
    """Tells of changes to files of these names in a folder, or of what they are links to. Made and
    used on the running event loop."""

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        self._paths = [folder / name for name in names]
        self._watcher = Watcher()
        self._watched: set[tuple[Path, str]] = set()
        self._seen = asyncio.Event()
        self._at_once = False
        self._last = 0.0
        self._watch()

    def look(self) -> None:
        """Have them looked at at once."""
        self._at_once = True
        self._seen.set()

    async def wait(self) -> None:
        """Wait for a change, and until no more follow it for a moment."""
        loop = asyncio.get_running_loop()
        await self._seen.wait()
        first = loop.time()
        while not self._at_once and loop.time() < first + LONGEST:
            self._seen.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._seen.wait(), DEBOUNCE)
            if not self._seen.is_set():
                break
        self._seen.clear()
        self._at_once = False
        self._watch()

    def close(self) -> None:
        """Tell of nothing more."""
        self._watcher.close()

    def _watch(self) -> None:
        """Watch the folders in which they are, those of links' targets too."""
        for path in self._paths:
            for place in {path, _target(path)}:
                key = (place.parent, place.name)
                if key not in self._watched:
                    with contextlib.suppress(OSError):
                        self._watcher.add(place.parent, self._seen.set, name=place.name)
                        self._watched.add(key)


def _target(path: Path) -> Path:
    try:
        return path.resolve()
    except (OSError, RuntimeError):
        return path


async def ask(command: Sequence[str], environ: Mapping[str, str]) -> Answer:
    """Ask a command what the configuration means."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env=environ,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(LIMIT):
            output, _ = await process.communicate()
        found = json.loads(output)
    except TimeoutError:
        return Answer(unable=f"it takes longer than {LIMIT:g} s")
    except ValueError:
        return Answer(unable=f"`config changed` ended with code {process.returncode}")
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return _answer(found, process.returncode)


def _answer(found: dict[str, Any], code: int | None) -> Answer:
    if found.get("ok"):
        services, concerned = list(found["services"]), list(found["concerned"])
        return Answer(services, concerned, float(found["grace"]), str(found["accepted"]))
    error = found.get("error", {})
    if code == EXIT_BROKEN and error.get("code") == "config_invalid":
        return Answer(problem=str(error.get("message")))
    return Answer(unable=str(error.get("message", f"`config changed` ended with code {code}")))
