"""Which stages should run, as the configuration has it: the one list that `pynchy up`, units and
`status` go by."""

from __future__ import annotations

from collections.abc import Iterable

from pynchy_cli.config.channels import enabled
from pynchy_cli.config.settings import Settings

LISTEN = "listen"
BACKUP = "backup"


def wanted(
    settings: Settings, only: Iterable[str] | None = None, left_out: Iterable[str] = ()
) -> list[str]:
    """The stages that should run, in order, `listen` as one for each channel that is enabled.

    `only` are others than those of [supervise] stages; `left_out` are not started. In both,
    `listen` means all channels, and `listen@slack` one. What makes backups is only wanted where a
    folder for them is configured, or by name.
    """
    names = settings.supervise.stages if only is None else only
    without = set(left_out)
    found: dict[str, None] = {}
    for name in names:
        if name == BACKUP and only is None and not settings.backup.folder:
            continue
        each = [f"{LISTEN}@{one}" for one in enabled(settings)] if name == LISTEN else [name]
        found.update((one, None) for one in each if not {one, one.partition("@")[0]} & without)
    return list(found)
