"""The metrics are what Prometheus can read, whatever the document holds or lacks."""

from __future__ import annotations

import re

from pynchy_cli.store import status
from pynchy_cli.web.metrics import metrics

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\[\\n"])*"'
SAMPLE = re.compile(rf"({NAME})(\{{{LABEL}(?:,{LABEL})*\}})? (-?\d+(?:\.\d+)?(?:e[+-]?\d+)?)")


def read(text: str) -> dict[str, float]:
    """The samples of a text in the exposition format. Each metric is told of once, before all of
    its samples, and no sample comes twice."""
    assert text.endswith("\n")
    types: dict[str, str] = {}
    found: dict[str, float] = {}
    helped = current = ""
    for line in text.splitlines():
        if help := re.fullmatch(rf"# HELP ({NAME}) (\S.*)", line):
            helped = help[1]
            assert helped not in types
        elif type := re.fullmatch(rf"# TYPE ({NAME}) (counter|gauge)", line):
            current = type[1]
            assert current == helped
            types[current] = type[2]
            assert current.endswith("_total") is (type[2] == "counter")
        else:
            sample = SAMPLE.fullmatch(line)
            assert sample, line
            assert sample[1] == current
            series = sample[1] + (sample[2] or "")
            assert series not in found
            found[series] = float(sample[3])
    assert set(types) == {series.partition("{")[0] for series in found}
    return found


def test_a_document_becomes_samples() -> None:
    told = status.empty("x")
    told["service"] = {"status": "degraded", "uptime_seconds": 7}
    told["stages"] = {"route": {"running": True, "processes": 1, "restarts": 2}}
    told["backlog"] = {"route": {"count": 3, "oldest_at": "…", "oldest_seconds": 1.5}}
    told["channels"] = {"slack": False}
    told["hold_count"] = 2
    told["messages"] |= {"total_inbound": 12, "dead_deliveries": 1}
    told["database"] |= {"size": 4096, "wal_size": 8192}
    found = read(metrics(told))
    wanted = {
        'pynchy_state{state="degraded"}': 1,
        'pynchy_state{state="healthy"}': 0,
        'pynchy_stage_up{stage="route"}': 1,
        'pynchy_stage_restarts{stage="route"}': 2,
        'pynchy_backlog{stage="route"}': 3,
        'pynchy_backlog_oldest_seconds{stage="route"}': 1.5,
        'pynchy_channel_connected{channel="slack"}': 0,
        "pynchy_messages_inbound_total": 12,
        'pynchy_deliveries{state="dead"}': 1,
        "pynchy_holds": 2,
        "pynchy_database_bytes": 4096,
        "pynchy_database_wal_bytes": 8192,
    }
    assert wanted.items() <= found.items()


def test_what_is_not_known_is_left_out_and_names_are_escaped() -> None:
    told = status.empty("x")
    told["channels"] = {'a"b\\c\nd': True}
    found = read(metrics(told))
    assert found[r'pynchy_channel_connected{channel="a\"b\\c\nd"}'] == 1
    assert not [one for one in found if one.startswith(("pynchy_agents_limit", "pynchy_stage"))]
    told["backlog"] = {"route": {"count": None}}
    assert read(metrics(told)) == found
