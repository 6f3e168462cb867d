"""Where everything of one installation lies, worked out from its home folder alone."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Home:
    """One installation's folder. Nothing is made here; `prepare` in `config.home` does."""

    root: Path
    accepted: Path | None = None
    """Where a copy of the configuration is that is read instead of what stands in the home."""

    @property
    def config(self) -> Path:
        """The configuration file, for people."""
        return (self.accepted or self.root) / "config.toml"

    @property
    def env(self) -> Path:
        """Secrets, for people."""
        return (self.accepted or self.root) / ".env"

    @property
    def data(self) -> Path:
        """Everything that pynchy keeps."""
        return self.root / "data"

    @property
    def database(self) -> Path:
        """The file that is the bus."""
        return self.data / "messages.db"

    @property
    def whatsapp(self) -> Path:
        """What the WhatsApp account was paired with, which the library writes; as secret as a
        password."""
        return self.data / "neonize.db"

    @property
    def bell(self) -> Path:
        """Touched after each commit; holds the number of the last one."""
        return self.data / "bell"

    @property
    def locks(self) -> Path:
        """Locks of stages, owners and sandboxes."""
        return self.data / "run"

    @property
    def groups(self) -> Path:
        """A folder for each group, which its agent can write."""
        return self.root / "groups"

    @property
    def ipc(self) -> Path:
        """A folder for each session: documents in, records out."""
        return self.data / "ipc"

    @property
    def files(self) -> Path:
        """What agents have sent: each file once, under the sha256 of what is in it."""
        return self.data / "files"

    @property
    def directives(self) -> Path:
        """The installation's own directives."""
        return self.root / "directives"

    @property
    def skills(self) -> Path:
        """The installation's own skills, each a folder with a SKILL.md."""
        return self.root / "skills"

    def group(self, folder: str) -> Path:
        """The group's own folder, seen as /workspace/group."""
        return self.groups / folder

    def received(self, folder: str) -> Path:
        """The files that came with what was said to the group, seen as /workspace/files."""
        return self.data / "received" / folder

    def claude(self, folder: str) -> Path:
        """The group's Claude state, seen as /home/agent/.claude."""
        return self.data / "claude" / folder

    def session(self, folder: str, session: str) -> Path:
        """One session's folder of documents, records, requests and responses."""
        return self.ipc / folder / session

    @property
    def id(self) -> str:
        """A short name of this installation: eight hexadecimal digits."""
        return hashlib.sha256(os.fsencode(self.root.resolve())).hexdigest()[:8]

    def sockets(self, environ: Mapping[str, str]) -> Path:
        """Where sockets lie; short, because a socket's path ends at 107 bytes."""
        return runtime(environ) / self.id

    def all_sockets(self, environ: Mapping[str, str]) -> list[Path]:
        """Wherever sockets may lie of processes that were started with another environment."""
        login = {"XDG_RUNTIME_DIR": f"/run/user/{os.getuid()}"}
        return list(dict.fromkeys(self.sockets(one) for one in (environ, login, {})))


def runtime(environ: Mapping[str, str]) -> Path:
    """Where all of a user's installations have what lives no longer than the machine is up."""
    for run in (environ.get("XDG_RUNTIME_DIR", ""), "/run"):
        # A unit may write to the folder that systemd made for it, and to none around it.
        if run and any(os.access(place, os.W_OK) for place in (run, f"{run}/pynchy")):
            return Path(run) / "pynchy"
    return Path(f"/tmp/pynchy-{os.getuid()}")


def choose_home(option: str | None, environ: Mapping[str, str]) -> Home:
    """The home that an option, PYNCHY_HOME, or the default `~/pynchy` names, in that order."""
    named = option or environ.get("PYNCHY_HOME") or "~/pynchy"
    return Home(Path(named).expanduser().absolute())
