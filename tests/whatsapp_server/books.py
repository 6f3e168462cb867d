"""The log of all that came: rows in memory, and the same in a file that outlives us."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any


class Books:
    """Append-only. The file is one JSON object a line."""

    def __init__(self, path: Path) -> None:
        self.rows: list[dict[str, Any]] = []
        path.touch()
        self._file = path.open("a", encoding="utf-8")

    def note(self, what: str, **more: Any) -> dict[str, Any]:
        """One row more; gives it."""
        row = {"n": len(self.rows) + 1, "at": time.time(), "what": what, **more}
        self.rows.append(row)
        self._file.write(json.dumps(row) + "\n")
        self._file.flush()
        return row

    def close(self) -> None:
        """Ends the file."""
        self._file.close()
