"""Houses whose agents are made by hand, for the tests of the stage that answers them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.by_hand import House, plant_effects


@pytest.fixture(scope="session")
def effects(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the sources, with effects planted in it."""
    return plant_effects(tmp_path_factory.mktemp("planted"))


@pytest.fixture
def house(home: Path, environment: dict[str, str], effects: Path) -> Iterator[House]:
    """A home, and the stage that serves its agents."""
    made = House(home, {**environment, "PYTHONPATH": str(effects)})
    try:
        yield made
    finally:
        made.close()
