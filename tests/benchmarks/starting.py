"""How long commands take to start, against a bare Python that does the least of the same."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Iterator

from tests.benchmarks.place import Place, place

OPENING = "import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute('SELECT 1').fetchone()"
EMPTY = "import typer\napp = typer.Typer()\n@app.command()\ndef main(): pass\napp()"


def median(made: Place, command: list[str], count: int = 15) -> float:
    """Milliseconds that a command takes, the median."""
    values = []
    for _ in range(count):
        start = time.monotonic()
        subprocess.run(command, env=made.environ, capture_output=True, check=False)
        values.append((time.monotonic() - start) * 1000)
    return statistics.median(values)


def figures() -> Iterator[str]:
    """The lines to print."""
    python, pynchy = sys.executable, [sys.executable, "-P", "-m", "pynchy_cli"]
    with place() as made:
        database = str(made.home / "data" / "messages.db")
        least = median(made, [python, "-c", OPENING, database])
        status = median(made, [*pynchy, "status", "--json"])
        yield (
            f"status --json {status:.0f} ms, a Python that opens the database {least:.0f} ms:"
            f" ratio {status / least:.2f} (goal 2)"
        )
        empty = median(made, [python, "-c", EMPTY])
        for words in (["--help"], ["groups", "list"], ["config", "check"], ["send", "main", "x"]):
            took = median(made, [*pynchy, *words])
            yield (
                f"{' '.join(words)} {took:.0f} ms, an empty Typer command {empty:.0f} ms:"
                f" ratio {took / empty:.2f} (goal 1.5)"
            )
