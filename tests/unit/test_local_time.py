"""Time zones by their names, and the one that holds where none is given."""

from __future__ import annotations

from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from pynchy_cli.errors import ScheduleInvalid
from pynchy_cli.local_time import local_zone, zone

NOWHERE = Path("/nowhere")


@pytest.mark.parametrize("name", ["Europe/Berlin", "America/Argentina/Ushuaia", "UTC", "Etc/GMT+5"])
def test_zones(name: str) -> None:
    assert zone(name) is ZoneInfo(name)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("europe/berlin", "Europe/Berlin?"),
        ("Berlin", "Europe/Berlin?"),
        ("Europe/Berln", "Europe/Berlin?"),
        ("america/new york", "America/New_York?"),
        ("right/Europe/Berlin", "Europe/Berlin?"),
        *(
            (name, "like Europe/Berlin")
            for name in ("", "Mars/Phobos", "CET-1CEST", "+01:00", "Europe")
        ),
        *(
            (name, "like Europe/Berlin")
            for name in ("../zone.tab", "/etc/passwd", "zone.tab", "\0")
        ),
        *(
            (name, "like Europe/Berlin")
            for name in ("localtime", "Factory", "\ud800", "x" * 10_000)
        ),
    ],
)
def test_what_is_no_zone_is_refused_with_what_is_meant(name: str, hint: str) -> None:
    with pytest.raises(ScheduleInvalid) as error:
        zone(name)
    assert hint in str(error.value)
    assert len(str(error.value)) < 200
    assert str(error.value).isprintable()


def test_the_configured_zone_holds_else_that_of_the_environment_else_the_machines(
    tmp_path: Path,
) -> None:
    link = tmp_path / "localtime"
    link.symlink_to("/usr/share/zoneinfo/Asia/Tokyo")
    assert local_zone("America/New_York", "Europe/Berlin", link) == "America/New_York"
    assert local_zone("", "Europe/Berlin", link) == "Europe/Berlin"
    assert local_zone("", None, link) == "Asia/Tokyo"
    assert local_zone("", None, NOWHERE) == "UTC"


@pytest.mark.parametrize("told", [":Europe/Berlin", ":/usr/share/zoneinfo/Europe/Berlin"])
def test_a_zone_of_the_environment_may_be_written_as_for_the_c_library(told: str) -> None:
    assert local_zone("", told, NOWHERE) == "Europe/Berlin"


@pytest.mark.parametrize(
    "told", ["", ":", "CET-1CEST,M3.5.0,M10.5.0/3", "<+03>-3", "/etc/passwd", "x/y"]
)
def test_what_is_no_zone_in_the_environment_is_passed_over(told: str, tmp_path: Path) -> None:
    link = tmp_path / "localtime"
    link.symlink_to("/var/db/timezone/zoneinfo/Asia/Tokyo")
    assert local_zone("", told, link) == "Asia/Tokyo"


def test_a_machine_whose_zone_has_no_name_is_in_utc(tmp_path: Path) -> None:
    plain, loop, odd = (tmp_path / name for name in ("plain", "loop", "odd"))
    plain.write_bytes(b"TZif2")
    loop.symlink_to(loop)
    odd.symlink_to("/usr/share/zoneinfo/Nowhere/Else")
    assert [local_zone("", None, path) for path in (plain, loop, odd)] == ["UTC"] * 3


def test_links_are_followed(tmp_path: Path) -> None:
    (tmp_path / "zoneinfo/Asia").mkdir(parents=True)
    (tmp_path / "zoneinfo/Asia/Tokyo").touch()
    (tmp_path / "mine").symlink_to("zoneinfo/Asia/Tokyo")
    (tmp_path / "localtime").symlink_to("mine")
    assert local_zone("", None, tmp_path / "localtime") == "Asia/Tokyo"


def test_a_configured_zone_that_is_none_is_refused() -> None:
    with pytest.raises(ScheduleInvalid, match="Do you mean Europe/Berlin"):
        local_zone("Europe/Berlinn", "UTC", NOWHERE)
