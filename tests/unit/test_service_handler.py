"""Tools of the host's that plugins bring: who has them, what they are given, and what becomes of
those that misbehave. The plugins are real packages on the path."""

from __future__ import annotations

import asyncio
import math
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from agent_runner.protocol.requests import Service
from pynchy_cli import plugins
from pynchy_cli.config.settings import GroupRules, Settings
from pynchy_cli.errors import PluginBroken, PluginUnknown, RequestRefused
from pynchy_cli.ipc.handlers import services
from pynchy_cli.plugins.tools import Caller, Tool
from pynchy_cli.store import groups
from tests.asking import Asking, asking
from tests.planted import plant_plugin

ANY = {"type": "object"}
TOOLS = """
import asyncio
from pynchy_cli.plugins import hookimpl
from pynchy_cli.plugins.tools import Tool

async def add(arguments, caller):
    return {"sum": arguments["a"] + arguments["b"], "group": caller.group, "admin": caller.is_admin,
            "lane": caller.lane, "run": caller.run}

async def stray(arguments, caller):
    arguments["list"].append("more")
    return {}

async def fail(arguments, caller):
    raise LookupError("no such thing: ghp_0123456789abcdef0123 " + "x" * 5000)

async def leave(arguments, caller):
    raise SystemExit(3)

async def cancel(arguments, caller):
    raise asyncio.CancelledError

async def hang(arguments, caller):
    await asyncio.sleep(3600)

async def cling(arguments, caller):
    try:
        await asyncio.sleep(3600)
    except asyncio.CancelledError:
        return {"late": True}

async def large(arguments, caller):
    return {"text": "x" * 300_000}

async def number(arguments, caller):
    return {"number": float("nan")}

async def plain(arguments, caller):
    return ["no object"]

async def thing(arguments, caller):
    return {"thing": object()}

NUMBERS = {"type": "object", "additionalProperties": False, "required": ["a", "b"],
           "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}}
TOOLS = [Tool("add", "Adds.", NUMBERS, add, is_idempotent=True),
         Tool("wipe", "Wipes.", {"type": "object"}, stray, rule="admin"),
         Tool("pay", "Pays.", {"type": "object"}, stray, rule="gate"),
         *[Tool(one.__name__, "Misbehaves.", {"type": "object"}, one,
                patience=0.2 if one in (hang, cling) else 60)
           for one in (stray, fail, leave, cancel, hang, cling, large, number, plain,
                       thing)]]

class Plugin:
    @hookimpl
    def pynchy_tools(self, name, settings):
        return TOOLS if name == "handy" else None

plugin = Plugin()
"""
OTHER = """
from pynchy_cli.plugins import hookimpl
from pynchy_cli.plugins.tools import Tool

async def run(arguments, caller):
    return {"other": True}

class Plugin:
    @hookimpl
    def pynchy_tools(self, name, settings):
        return [Tool("add", "Adds otherwise.", {"type": "object"}, run),
                Tool("call", "Calls.", {"type": "object"}, run)]

plugin = Plugin()
"""
BROKEN = {
    "absent": "import there_is_no_such_module",
    "raising": "raise ValueError('not today')",
    "leaving": "raise SystemExit(1)",
    "unhooked": "plugin = object()",
    "unsaying": """
from pynchy_cli.plugins import hookimpl
class Plugin:
    @hookimpl
    def pynchy_tools(self, name, settings):
        raise LookupError("what tools?")
plugin = Plugin()
""",
    "unlike": """
from pynchy_cli.plugins import hookimpl
class Plugin:
    @hookimpl
    def pynchy_tools(self, name, settings):
        return ["a tool"]
plugin = Plugin()
""",
    "double": OTHER.replace('"call"', '"add"'),
}


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on the path with plugins in it: handy, other, and those that are broken."""
    place = tmp_path / "site"
    known = {"handy": TOOLS, "other": OTHER, **BROKEN}
    for name, source in known.items():
        plant_plugin(place, name, source)
    monkeypatch.syspath_prepend(str(place))
    plugins.manager.cache_clear()
    yield place
    plugins.manager.cache_clear()
    for name in known:
        sys.modules.pop(f"planted_{name}", None)


@pytest.fixture
def ask(tmp_path: Path, site: Path) -> Iterator[Asking]:
    """A home in which family has the plugin handy, and work has none; main is an admin group."""
    settings = Settings(
        groups={"family": GroupRules(tools=("handy",)), "main": GroupRules(tools=("handy",))}
    )
    with asking(tmp_path, settings) as made:
        made.group("family")
        made.group("work")
        made.group("main", is_admin=True)
        yield made


def told(ask: Asking, folder: str, tool: str, **arguments: Any) -> Mapping[str, Any]:
    """What an agent of the group is told."""
    group = groups.get(ask.store.db, folder)
    request = Service(tool=tool, arguments=arguments)
    return ask.told(services.EFFECTS["service"], ask.asked(group, request))


def refused(ask: Asking, folder: str, tool: str, **arguments: Any) -> RequestRefused:
    """Why it was not done."""
    with pytest.raises(RequestRefused) as found:
        told(ask, folder, tool, **arguments)
    return found.value


def test_a_tool_knows_its_caller_from_the_host(ask: Asking) -> None:
    assert told(ask, "family", "add", a=2, b=3) == {
        "sum": 5,
        "group": "family",
        "admin": False,
        "lane": "chat",
        "run": None,
    }
    assert told(ask, "main", "add", a=2, b=3)["admin"] is True


@pytest.mark.parametrize(
    "arguments",
    [{}, {"a": 1}, {"a": 1, "b": "2"}, {"a": 1, "b": 2, "group": "main"}, {"a": 1, "b": True}],
)
def test_arguments_that_the_schema_does_not_allow_never_reach_the_tool(
    ask: Asking, arguments: dict[str, Any]
) -> None:
    assert refused(ask, "family", "add", **arguments).code == "arguments_invalid"


def test_a_tool_of_another_group_is_forbidden(ask: Asking) -> None:
    assert refused(ask, "work", "add", a=1, b=2).code == "forbidden"
    assert refused(ask, "family", "call").code == "forbidden"
    assert refused(ask, "family", "wipe").code == "forbidden"
    assert told(ask, "main", "wipe", list=[]) == {}


def test_who_has_which_tools_and_under_which_rule(ask: Asking) -> None:
    settings = ask.context.settings
    request = Service(tool="add")
    rules = services.rules(settings, "family", request, is_admin=False)
    assert rules is not None
    assert (rules["add"], rules["pay"], "wipe" in rules) == ("allow", "gate", False)
    assert services.rules(settings, "work", request, is_admin=False) == {}
    mains = services.rules(settings, "main", request, is_admin=True)
    assert mains is not None
    assert mains["wipe"] == "allow"
    offered = {one.name: one for one in services.offered(settings, "family", is_admin=False)}
    assert offered["add"].description == "Adds."
    assert offered["add"].schema["required"] == ["a", "b"]
    assert "wipe" not in offered


def test_all_tiers_count_and_the_first_of_a_name(site: Path) -> None:
    settings = Settings(
        defaults=GroupRules(tools=("other",)), groups={"family": GroupRules(tools=("handy",))}
    )
    faults: list[tuple[str, str]] = []
    found = services.of_group(
        settings, "family", is_admin=False, tell=lambda plugin, why: faults.append((plugin, why))
    )
    assert found["add"].description == "Adds otherwise."
    assert {"call", "pay"} <= set(found)
    assert faults == [("handy", "Another plugin has a tool 'add' already.")]
    assert set(services.of_group(settings, "work", is_admin=False)) == {"add", "call"}


@pytest.mark.parametrize(
    ("tool", "code", "words"),
    [
        ("fail", "service_failed", "LookupError: no such thing: (secret) xx"),
        ("leave", "service_failed", "tried to end the host's process"),
        ("cancel", "service_failed", "ended itself"),
        ("hang", "timed_out", "longer than 0.2 s"),
        ("cling", "timed_out", "longer than 0.2 s"),
        ("large", "result_too_large", "300"),
        ("number", "service_failed", "no JSON"),
        ("plain", "service_failed", "no object"),
        ("thing", "service_failed", "no JSON"),
    ],
)
def test_a_tool_that_misbehaves_is_an_error_and_the_next_works(
    ask: Asking, tool: str, code: str, words: str
) -> None:
    refusal = refused(ask, "family", tool)
    assert refusal.code == code
    assert words in str(refusal)
    assert len(str(refusal)) < 700
    assert told(ask, "family", "add", a=1, b=1)["sum"] == 2


def test_a_tool_that_is_ended_is_ended(ask: Asking) -> None:
    assert refused(ask, "family", "hang").code == "timed_out"
    assert ask.runner.run(_tasks()) == []


async def _tasks() -> list[str]:
    return [task.get_name() for task in asyncio.all_tasks() if task.get_name() == "hang"]


def test_a_tool_changes_nothing_of_what_was_asked(ask: Asking) -> None:
    arguments: dict[str, Any] = {"list": ["one"]}
    told(ask, "family", "stray", **arguments)
    assert arguments == {"list": ["one"]}


def test_only_an_idempotent_tool_may_be_begun_again(ask: Asking) -> None:
    may_repeat = services.EFFECTS["service"].may_repeat
    assert may_repeat is not None
    family = groups.get(ask.store.db, "family")
    assert may_repeat(ask.asked(family, Service(tool="add", arguments={"a": 1, "b": 2})))
    assert not may_repeat(ask.asked(family, Service(tool="stray")))


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_plugin_is_told_of_and_takes_nobody_with_it(
    tmp_path: Path, site: Path, name: str
) -> None:
    settings = Settings(
        defaults=GroupRules(tools=(name,)), groups={"family": GroupRules(tools=("handy",))}
    )
    with pytest.raises((PluginBroken, PluginUnknown), match=name):
        plugins.tools_of(name, settings)
    with asking(tmp_path, settings) as ask:
        ask.group("family")
        services.report(ask.context)
        assert told(ask, "family", "add", a=1, b=1)["sum"] == 2
        row = ask.store.db.execute("SELECT error FROM processes").fetchone()
        assert name in row[0]


def test_nothing_is_told_of_plugins_that_work(ask: Asking) -> None:
    services.report(ask.context)
    assert ask.store.db.execute("SELECT error FROM processes").fetchone()[0] is None


async def nothing(arguments: dict[str, Any], caller: Caller) -> Mapping[str, Any]:
    return {}


@pytest.mark.parametrize(
    "make",
    [
        lambda: Tool("Add", "", ANY, nothing),
        lambda: Tool("send_message", "", ANY, nothing),
        lambda: Tool("add", "", {"type": "array"}, nothing),
        lambda: Tool("add", "", {"type": "object", "required": "a"}, nothing),
        lambda: Tool("add", "", {"type": "object", "$ref": "http://127.0.0.1:9/x"}, nothing),
        lambda: Tool(
            "add", "", {"type": "object", "anyOf": [{"$dynamicRef": "other.json#a"}]}, nothing
        ),
        lambda: Tool("add", "", ANY, nothing, rule="deny"),  # type: ignore[arg-type]
        lambda: Tool("add", "", ANY, nothing, patience=0),
        lambda: Tool("add", "", ANY, nothing, patience=math.inf),
    ],
)
def test_a_tool_that_can_not_be_is_refused_when_it_is_made(make: Callable[[], Tool]) -> None:
    with pytest.raises(ValueError, match=r"add|Add|send_message"):
        make()


@pytest.mark.parametrize("reference", ["#/$defs/nowhere", "#"])
def test_a_schema_that_leads_nowhere_lets_nothing_through(reference: str) -> None:
    tool = Tool("add", "", {"type": "object", "$ref": reference}, nothing)
    assert "own schema" in (tool.fault({}) or "")


def test_a_schema_may_refer_to_its_own_parts() -> None:
    schema = {
        "type": "object",
        "properties": {"a": {"$ref": "#/$defs/number"}},
        "$defs": {"number": {"type": "integer"}},
    }
    tool = Tool("add", "", schema, nothing)
    assert tool.fault({"a": 1}) is None
    assert tool.fault({"a": "1"}) == "a: '1' is not of type 'integer'"


def test_a_person_is_shown_the_tool_and_all_its_arguments() -> None:
    summary = services.EFFECTS["service"].summary
    assert summary is not None
    shown = summary(Service(tool="pay", arguments={"to": "Ann", "sum": [1, 2]}))
    assert shown.startswith("Run the host's tool pay with:\n{")
    assert all(one in shown for one in ('"to": "Ann"', '"sum"', "2"))
