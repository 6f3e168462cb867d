"""From a tool's call in a sandbox to its answer, from a request's file to its answer's, and many of
them at once."""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from pynchy_cli.watch import Watcher
from tests.benchmarks.place import Place, place, summary
from tests.by_hand import Agent, House
from tests.planted import plant

GROUPS = 20
EACH = 25
BURSTS = 8


def figures() -> Iterator[str]:
    """The lines to print."""
    yield from inside()
    with place() as made:
        house = House(made.home, made.environ)
        try:
            made.start("ipc-watch")
            yield from measured(made, house)
            made.stop(1)
        finally:
            house.close()


def inside() -> Iterator[str]:
    """From within a sandbox, by the agents' own client; the stage serves it."""
    with tempfile.TemporaryDirectory(prefix="pynchy-bench-") as folder:
        sources = str(plant(Path(folder)))
        with place("echo", PYTHONPATH=sources) as made:
            made.start("ipc-watch")
            made.environ["PYNCHY_AGENT__CORE"] = "timing"
            values = json.loads(made.run("run-agent", "main", input="go"))
            yield f"tool call in bubblewrap to its answer: {summary(values)} (goal 15)"


def measured(made: Place, house: House) -> Iterator[str]:
    """With the stage at work."""
    values = asyncio.run(single(house.agent("main")))
    yield f"request to answer, one asker: {summary(values)} (goal 15)"
    agents = [house.agent(f"team{number}") for number in range(GROUPS)]
    stage = psutil.Process(made.living[-1].pid)
    asyncio.run(burst(agents, "warm"))
    before = stage.memory_info().rss
    times = [asyncio.run(burst(agents, f"b{number}")) for number in range(BURSTS)]
    grown = (stage.memory_info().rss - before) / 1e6
    figure = {
        "requests": GROUPS * EACH,
        "groups": GROUPS,
        "seconds": [round(one, 3) for one in times],
        "last_to_first": round(times[-1] / times[0], 2),
        "in_order": in_order(house),
        "rss_mb": round(before / 1e6, 1),
        "grown_mb": round(grown, 1),
    }
    yield f"{GROUPS * EACH} requests at once of {GROUPS} groups: {json.dumps(figure)}"


async def single(agent: Agent, count: int = 300) -> list[float]:
    """Milliseconds from each request to its answer, one after the other."""
    watcher, heard = Watcher(), asyncio.Event()
    responses = agent.path / "responses"
    watcher.add(responses, heard.set)
    values = []
    for number in range(count):
        start = time.monotonic()
        agent.ask(f"s{number}", "add_todo", content=f"{number}")
        await there(responses / f"s{number}.json", heard)
        values.append((time.monotonic() - start) * 1000)
        await asyncio.sleep(0.01)
    watcher.close()
    return values


async def burst(agents: list[Agent], label: str) -> float:
    """Seconds until every group has the answers to all that it asked at once."""
    watcher, heard = Watcher(), asyncio.Event()
    for agent in agents:
        watcher.add(agent.path / "responses", heard.set)
    start = time.monotonic()
    for number in range(EACH):
        for agent in agents:
            agent.ask(f"{label}-{number}", "add_todo", content=f"{label} {number:03}")
    for agent in agents:
        for number in range(EACH):
            await there(agent.path / "responses" / f"{label}-{number}.json", heard)
    taken = time.monotonic() - start
    watcher.close()
    return taken


async def there(path: Path, heard: asyncio.Event) -> None:
    """Wait until a file is there."""
    while not path.exists():
        heard.clear()
        if path.exists():
            return
        await asyncio.wait_for(heard.wait(), 60)


def in_order(house: House) -> bool:
    """Whether each group's requests were carried out in the order in which they were asked."""
    for (folder,) in house.store.db.execute("SELECT folder FROM registered_groups").fetchall():
        found = house.rows(f"SELECT content FROM todos WHERE group_folder = '{folder}' ORDER BY id")
        for label in {one.partition(" ")[0] for one in found if " " in one}:
            said = [one for one in found if one.startswith(f"{label} ")]
            if said != sorted(said) or len(said) != EACH:
                return False
    return True
