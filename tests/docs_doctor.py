"""docs/doctor.md, made from the registry of checks."""

from __future__ import annotations

from collections.abc import Iterator

from pynchy_cli.install.doctor.registry import CHECKS

HEAD = """\
# When something is wrong

```text
pynchy doctor                 looks for every cause of failure that is known
pynchy doctor --fix           mends what is safe to mend, and says what it did
pynchy doctor --only model.key --only database
pynchy doctor --json | jq '.findings[] | select(.state != "ok")'
```

Each check says what it saw, what to do about it, and which command shows it. It is `ok`, a
`warning` (it works, and a person should look at it), `failed`, or `unknown` where it couldn't be
found out. `doctor` ends with 1 where something failed, with 0 otherwise.

It only looks, unless `--fix` is given. What that does stands below; it never touches what runs, and
asks again before it does anything. Where a check can't be mended by it, `todo` says what you do.

It works where the home, the configuration or the database is missing or broken, as root and as a
user, and without Docker. Checks are made beside each other, and none is waited for longer than 45
seconds. The model's key is tried by a call that costs nothing, Slack's tokens by asking who they
are; nothing is said in any chat. No key is ever printed.

What was found is noted in the database where that is yours: `pynchy status` tells of it, and how
old it is. As root in somebody else's home nothing is noted, nor mended.

In JSON it is one document: `ok`, `home`, `version`, `at`, `counts` (how many findings are of each
state) and `findings`, each with `id`, `state`, `seen`, `todo`, `command`, `fixable` and `fixed`
(what --fix did). Ids stay what they are. `--only` takes an id, or its part before the dot for a
family.
"""
BEFORE_WHAT = {
    "python": "What it needs of this machine",
    "home": "The home",
    "config": "The configuration",
    "database": "The database",
    "groups": "Groups and the clock",
    "kernel": "Sandboxes and the kernel",
    "mounts": "What agents see, and networks",
    "units": "What runs",
}
"""The family that begins a part, and its heading."""


def doctor() -> Iterator[str]:
    """The page, piece by piece."""
    yield HEAD
    seen = set()
    for check in CHECKS:
        family = check.id.partition(".")[0]
        if family not in seen and family in BEFORE_WHAT:
            yield f"\n## {BEFORE_WHAT[family]}\n\n"
            yield "| id | how it should be | what shows it | --fix |\n|---|---|---|---|\n"
        seen.add(family)
        command = check.command.replace("{{", "{").replace("}}", "}").replace("|", "\\|")
        yield f"| `{check.id}` | {check.about} | `{command}` | {check.mends} |\n"
    yield "\n`{home}`, `{data}` and so on stand for where these are.\n"
