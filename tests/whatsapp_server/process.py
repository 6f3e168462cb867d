"""The hand of a test on the server in its own process."""

from __future__ import annotations

import os
from pathlib import Path

from tests.serving import Served
from tests.whatsapp_server.control import OWNER, Control


class WhatsAppProcess(Served, Control):
    """A server that lives as long as this, and no longer than the process that made it.

    All that it keeps is in `folder`. `kit` is another folder, which servers may share: the
    authority, the root key, and the copy of neonize that trusts them; the first makes it.
    """

    def __init__(self, folder: Path, kit: Path | None = None, *, owner: str = OWNER) -> None:
        self.folder = folder
        self.kit = kit or folder / "kit"
        options = {"folder": folder, "kit": self.kit, "owner": owner, "parent": os.getpid()}
        super().__init__("tests.whatsapp_server", options)
        self.owner = owner
        self.proxy: str = self.told["proxy"]
        """Where the client's proxy is: `http://127.0.0.1:PORT`."""

    def environ(self, environ: dict[str, str] | None = None) -> dict[str, str]:
        """What a client needs in its environment, on top of the given one's PYTHONPATH."""
        before = (environ or {}).get("PYTHONPATH", "")
        paths = [str(self.kit / "site"), *([before] if before else [])]
        return {
            "HTTPS_PROXY": self.proxy,
            "SSL_CERT_FILE": str(self.kit / "authority.pem"),
            "PYTHONPATH": os.pathsep.join(paths),
        }
