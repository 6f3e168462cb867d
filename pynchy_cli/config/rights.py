"""Who else on this machine may read the secrets of a home, or change what is configured."""

from __future__ import annotations

from pathlib import Path

from pynchy_cli.config import sections
from pynchy_cli.config.load import Origins
from pynchy_cli.config.paths import Home

OTHERS_READ, OTHERS_WRITE = 0o044, 0o022


def notes(home: Home, origins: Origins) -> list[str]:
    """What others may do with config.toml and .env that they shouldn't, and how that is mended."""
    found = []
    if _may(home.env, OTHERS_READ):
        found.append(
            f"{home.env} can be read by others. `chmod 600 {home.env}` keeps it to yourself."
        )
    for (section, key), origin in origins.items():
        in_file = origin.source == home.config.name and sections.is_secret(section, key)
        if in_file and _may(home.config, OTHERS_READ):
            found.append(
                f"{home.config}, line {origin.line}: [{section}] {key} is a secret, and others can"
                " read it. It belongs into .env."
            )
    found += [
        f"{path} can be changed by others. `chmod go-w {path}` ends that."
        for path in (home.config, home.env)
        if _may(path, OTHERS_WRITE)
    ]
    return found


def _may(path: Path, rights: int) -> bool:
    return path.exists() and bool(path.stat().st_mode & rights)
