"""Takes a changed configuration over under systemd: the change is checked by a child that is its
home's owner, and what it names is restarted. An invalid one changes nothing."""

from __future__ import annotations

import json
import os
import pwd
import re
import shutil
import subprocess
import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from pynchy_cli.config.accepted import PREFIX
from pynchy_cli.config.paths import Home
from pynchy_cli.errors import ConfigInvalid, PynchyError
from pynchy_cli.install.facts import owner_of
from pynchy_cli.install.parts import LINK
from pynchy_cli.install.units import ONE, unit_of

_UNIT = re.compile(r"pynchy(-listen)?(@[A-Za-z0-9._-]+)?\.service")


def changed(home: Home, environ: Mapping[str, str]) -> dict[str, Any]:
    """What `pynchy config changed` says of the home. Raises ConfigInvalid."""
    command = [sys.executable, "-P", "-m", "pynchy_cli", "--home", str(home.root)]
    done = subprocess.run(
        [*command, "config", "changed", "--json", "--tell", "--wait", "2"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
        env=dict(environ),
        **_as_owner(owner_of(home)),
    )
    try:
        found: dict[str, Any] = json.loads(done.stdout)
    except ValueError as error:
        raise PynchyError("Whether the configuration is well can't be told.") from error
    if not found.get("ok"):
        raise ConfigInvalid(str(found.get("error", {}).get("message", "It is invalid.")))
    return found


def orders(
    found: Mapping[str, Any], enabled: Collection[str], *, each_stage: bool
) -> list[tuple[str, str]]:
    """What systemd is to do: verbs and units, in order. `enabled` are the stages' units now."""
    if not each_stage:
        # It sees to changes itself, unless it had given up.
        return [("start", ONE)]
    wanted = [unit_of(name) for name in found["services"]]
    concerned = {unit_of(name) for name in found["concerned"]}
    given: list[tuple[str, str]] = []
    for unit in sorted(set(enabled) - set(wanted)):
        given += [("disable", unit), ("stop", unit)]
    for unit in wanted:
        if unit not in enabled:
            given.append(("enable", unit))
        # Started is also what had given up; what runs is left as it is.
        given.append(("restart" if unit in concerned else "start", unit))
    return [one for one in given if _UNIT.fullmatch(one[1])]


def begin(folder: Path) -> None:
    """Note when the configuration was looked at: what is newer has not been seen."""
    (folder / "looked").touch()


def leave(
    folder: Path, found: Mapping[str, Any], given: Sequence[tuple[str, str]], *, each_stage: bool
) -> None:
    """Leave what systemd is to do there, for the unit that has it done. Stages that start from now
    on read the copy of what was found well just now; earlier copies are taken away."""
    (folder / "units").write_text("".join(f"{verb} {unit}\n" for verb, unit in given))
    if not each_stage:
        return
    kept = Path(found["accepted"])
    draft = folder / f".{LINK}"
    draft.unlink(missing_ok=True)
    draft.symlink_to(kept)
    draft.replace(folder / LINK)
    for old in kept.parent.glob(f"{PREFIX}*"):
        if old != kept:
            shutil.rmtree(old, ignore_errors=True)


def _as_owner(owner: pwd.struct_passwd) -> dict[str, Any]:
    """How a child is started so that no file of the home becomes root's."""
    if os.geteuid() != 0 or owner.pw_uid == 0:
        return {}
    groups = os.getgrouplist(owner.pw_name, owner.pw_gid)
    return {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": groups}
