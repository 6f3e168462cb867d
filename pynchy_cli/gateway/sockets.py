"""Where the sandboxes' sockets lie: a folder for each, with the one socket in it. The folders
above them are the owner's alone; a folder is open to whoever has it bound into its sandbox."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
from pathlib import Path

from pynchy_cli.errors import GatewayUnavailable

NAME = "gateway.sock"
_DRAFT = ".new"
_BACKLOG = 64


def listen(folder: Path) -> socket.socket:
    """A listening socket at `folder/gateway.sock`, in the place of any that was there.

    The folder stays the same, because a sandbox may have it bound; and there is no moment
    without a socket. Raises GatewayUnavailable.
    """
    place, draft = folder / NAME, folder / _DRAFT
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        _make(folder)
        draft.unlink(missing_ok=True)
        server.bind(str(draft))
        draft.chmod(0o666)
        server.setblocking(False)
        server.listen(_BACKLOG)
        draft.rename(place)
    except OSError as error:
        server.close()
        raise GatewayUnavailable(f"No socket can be made at {place}: {error}.") from error
    except BaseException:
        server.close()
        raise
    return server


def identity(folder: Path) -> tuple[int, int] | None:
    """What tells the folder's present socket from any other; None where there is none."""
    try:
        facts = (folder / NAME).lstat()
    except OSError:
        return None
    return facts.st_dev, facts.st_ino


def remove(folder: Path) -> None:
    """Take a socket and its folder away."""
    for name in (NAME, _DRAFT):
        with contextlib.suppress(OSError):
            (folder / name).unlink()
    with contextlib.suppress(OSError):
        folder.rmdir()


def present(root: Path) -> set[str]:
    """The names of the folders that there are; none where they may be somebody else's."""
    try:
        require_ours(root.parent)
        require_ours(root)
        return {entry.name for entry in os.scandir(root) if entry.is_dir(follow_symlinks=False)}
    except (FileNotFoundError, GatewayUnavailable):
        return set()


def make_root(root: Path) -> None:
    """Make the folder in which sandboxes' folders lie, whatever the umask, and see that nobody
    else could put another in its place. Raises GatewayUnavailable and OSError."""
    for path in reversed([path for path in (root, *root.parents) if not path.exists()]):
        path.mkdir(mode=0o700, exist_ok=True)
    for path in (root.parent, root):
        require_ours(path)


def _make(folder: Path) -> None:
    make_root(folder.parent)
    folder.mkdir(mode=0o700, exist_ok=True)
    require_ours(folder)
    # Whoever has the folder bound into its sandbox passes through; the parent lets nobody.
    folder.chmod(0o711)


def require_ours(path: Path) -> None:
    """Raises GatewayUnavailable where somebody else could put another folder in its place."""
    facts = path.lstat()
    shared = facts.st_mode & 0o022 and not facts.st_mode & stat.S_ISVTX
    if not stat.S_ISDIR(facts.st_mode) or facts.st_uid not in (0, os.geteuid()) or shared:
        raise GatewayUnavailable(
            f"{path} is no folder of ours alone, so no sandbox's socket can be made there. "
            "Take it away, or set XDG_RUNTIME_DIR to a folder of yours."
        )
