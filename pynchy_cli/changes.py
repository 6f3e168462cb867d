"""What a changed configuration means for what runs: whether it can be used, which stages should
run, which of those that run read something else before; and how people are told. Nothing is
restarted here: whoever supervises does that."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pynchy_cli import clock
from pynchy_cli.config.accepted import accept
from pynchy_cli.config.concerns import concerns
from pynchy_cli.config.load import config_hash, section_hashes
from pynchy_cli.config.paths import Home
from pynchy_cli.config.settings import Settings
from pynchy_cli.config.stages import wanted
from pynchy_cli.errors import ConfigInvalid, PluginBroken, PluginUnknown, UsageWrong
from pynchy_cli.gateway.mode import mode_of
from pynchy_cli.store import admins, findings, processes
from pynchy_cli.store.connection import Connection, Store

FINDING = "config"
SPARE_GRACE = 10.0
"""Seconds that a stage gets to stop beyond what its agents get."""
LOOK = 0.5
"""Seconds between looks at a configuration that is wrong, which somebody may just be writing."""


@dataclass(frozen=True)
class Change:
    """A configuration that can be used. `services` are all that should run, in order; `concerned`
    those among them that run and read something else when they started."""

    settings: Settings
    accepted: Path
    services: list[str]
    concerned: list[str]

    def document(self) -> dict[str, Any]:
        """As it is printed for whoever supervises. `grace` is in seconds."""
        return {
            "ok": True,
            "config_hash": config_hash(self.settings),
            "accepted": str(self.accepted),
            "services": self.services,
            "concerned": self.concerned,
            "grace": grace(self.settings),
        }


def grace(settings: Settings) -> float:
    """Seconds that a stage gets to stop."""
    return settings.sandbox.stop_grace + SPARE_GRACE


def unusable(settings: Settings, home: Path) -> Iterator[str]:
    """What is named of cores, runtimes, stages and keys, and isn't there: a sentence each."""
    # Whoever starts what was found well needs none of these.
    from pynchy_cli import plugins
    from pynchy_cli.agent import cores
    from pynchy_cli.sandbox.choice import AUTO
    from pynchy_cli.supervise.services import services

    runtime = settings.sandbox.runtime
    named: dict[str, Callable[[], object]] = {
        "[agent] core: ": lambda: cores.chosen(settings),
        "[sandbox] runtime: ": lambda: runtime == AUTO or plugins.runtime(runtime, settings),
        "[supervise] stages: ": lambda: services(list(settings.supervise.stages), home),
        "": lambda: mode_of(settings),
    }
    for where, look in named.items():
        try:
            look()
        except (ConfigInvalid, PluginUnknown, PluginBroken, UsageWrong) as error:
            yield f"{where}{error}"


def require_usable(settings: Settings, home: Path) -> None:
    """Raises ConfigInvalid where there is no such core, runtime or stage, or a key is missing."""
    for sentence in unusable(settings, home):
        raise ConfigInvalid(sentence)


def look(
    home: Home,
    environ: Mapping[str, str],
    store: Store,
    only: Iterable[str] | None = None,
    left_out: Iterable[str] = (),
    *,
    patience: float = 0.0,
) -> Change:
    """What the configuration means as it is now; one that is wrong is looked at for `patience`
    seconds. `only` and `left_out` as in `stages.wanted`.

    Raises ConfigInvalid, and OSError where no copy of it can be kept.
    """
    end = time.monotonic() + patience
    while True:
        try:
            _require_files(home, store.db)
            settings, accepted = accept(home, environ)
            require_usable(settings, home.root)
        except ConfigInvalid:
            if time.monotonic() >= end:
                raise
            time.sleep(LOOK)
            continue
        services = wanted(settings, only, left_out)
        return Change(settings, accepted, services, _concerned(home, store, settings, services))


def _concerned(home: Home, store: Store, settings: Settings, services: list[str]) -> list[str]:
    now = section_hashes(settings)
    alive = processes.alive(store.db, home.locks)
    found = {
        one.stage
        for one in alive
        if one.hashes is None or concerns(one.stage, json.loads(one.hashes), now)
    }
    return [name for name in services if name in found]


def _require_files(home: Home, db: Connection) -> None:
    """Raises ConfigInvalid where a file has gone that was in force: nothing must become less safe
    because it is being replaced."""
    last = findings.get(db, FINDING)
    for path in (home.config, home.env):
        if last is not None and path.name in last.result.get("files", ()) and not path.exists():
            raise ConfigInvalid(
                f"{path} is gone; what it said stays in force. Put it back; or, if there should be "
                "nothing in it, make an empty one."
            )


def note(home: Home, store: Store, problem: ConfigInvalid | None) -> None:
    """Note for `status` what the configuration was found to be, and where that is news to people,
    tell the admin groups: that it can't be used, and then that it can."""
    with store.atomic() as db:
        now = clock.now()
        last = findings.get(db, FINDING)
        files = [path.name for path in (home.config, home.env) if path.exists()]
        if problem is None:
            findings.note(db, FINDING, "ok", {"files": files}, now)
            if last is not None and last.state == "failed":
                _tell(db, f"well:{last.at}", "The configuration is well again, and in force.", now)
            return
        before = last.result if last is not None else {}
        since = before.get("since", last.at if last is not None else now)
        said = f"The configuration can't be used, so the old one stays in force. {problem}"
        result = {"message": said, "since": since, "files": before.get("files", files)}
        findings.note(db, FINDING, "failed", result, now)
        digest = hashlib.sha256(said.encode()).hexdigest()[:12]
        _tell(db, f"{since}:{digest}", said, now)


def _tell(db: Connection, what: str, words: str, now: str) -> None:
    admins.tell(db, words, now, lambda folder: f"config:{what}:{folder}")
