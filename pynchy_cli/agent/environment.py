"""What an agent's environment may hold of the person who runs this: as whom it commits, and a
token for GitHub where its group has one. A token goes to that one sandbox and nowhere else: it
has no place in a row, a log line or a command line."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence

from pynchy_cli.config.settings import Settings
from pynchy_cli.config.tiers import for_group
from pynchy_cli.model import Group

PATIENCE = 5.0
"""Seconds that `git` and `gh` on the host may take for an answer."""
FRESH = 600.0
"""Seconds for which what they said is not asked again."""
FROM_HOST = ("PATH", "HOME", "USER", "LANG", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR", "GH_CONFIG_DIR")
FROM_HOST_TOO = ("DBUS_SESSION_BUS_ADDRESS", "LD_LIBRARY_PATH", "GIT_CONFIG_GLOBAL")
"""What those two may need to find what they know; nothing of it is a secret."""
Ask = Callable[[Sequence[str], Mapping[str, str]], str]


def ask_host(command: Sequence[str], environ: Mapping[str, str]) -> str:
    """What a program of the host prints, in one line; empty where it is missing, fails, or
    takes too long. It waits: to be called in a thread."""
    known = {name: environ[name] for name in (*FROM_HOST, *FROM_HOST_TOO) if name in environ}
    program = shutil.which(command[0], path=known.get("PATH"))
    if program is None:
        return ""
    try:
        done = subprocess.run(
            [program, *command[1:]],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PATIENCE,
            cwd="/",
            env={**known, "GH_PROMPT_DISABLED": "1", "GIT_TERMINAL_PROMPT": "0"},
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    said = done.stdout.decode("utf-8", "replace").strip()
    return said if done.returncode == 0 and said.isprintable() else ""


class Environment:
    """Knows for each group which of this it may have."""

    def __init__(self, settings: Settings, environ: Mapping[str, str], ask: Ask = ask_host) -> None:
        self._settings = settings
        self._environ = environ
        self._ask = ask
        self._answers: dict[tuple[str, ...], tuple[float, asyncio.Future[str]]] = {}

    async def for_group(self, group: Group) -> dict[str, str]:
        """Name -> value, for the environment of the group's sandboxes. Raises ConfigInvalid."""
        name, email, token = await asyncio.gather(self._name(), self._email(), self._token(group))
        found = {
            "GIT_AUTHOR_NAME": name,
            "GIT_AUTHOR_EMAIL": email,
            "GIT_COMMITTER_NAME": name,
            "GIT_COMMITTER_EMAIL": email,
        }
        return {**found, "GH_TOKEN": token} if token else found

    async def _name(self) -> str:
        agent = self._settings.agent
        return agent.git_name or await self._host("git", "config", "user.name") or agent.name

    async def _email(self) -> str:
        agent = self._settings.agent
        said = agent.git_email or await self._host("git", "config", "user.email")
        return said or f"{agent.name}@localhost"

    async def _token(self, group: Group) -> str:
        """The group's own; of the admin group else the installation's, or the host's."""
        own = for_group(self._settings, group.folder).gh_token
        if own or not group.is_admin:
            return own
        return self._settings.secrets.gh_token or await self._host("gh", "auth", "token")

    async def _host(self, *command: str) -> str:
        """What the host says, asked in a thread, once in a while."""
        now = time.monotonic()
        asked, answer = self._answers.get(command, (-FRESH, None))
        if answer is None or answer.cancelled() or now - asked >= FRESH:
            answer = asyncio.ensure_future(asyncio.to_thread(self._ask, command, self._environ))
            self._answers[command] = now, answer
        return await asyncio.shield(answer)
