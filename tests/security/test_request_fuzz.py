"""What an agent writes as a request, and what it may do with it: made up at random, from the types
themselves. Nothing but a request or a refusal comes out, and nobody gains a right."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce
from importlib.util import find_spec
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import inspect

from agent_runner.protocol import requests as protocol
from agent_runner.protocol.requests import REQUEST_LIMIT, Request
from pynchy_cli.errors import RequestRefused
from pynchy_cli.ipc import authorise, parse

ROOT = Path(__file__).resolve().parents[2]
KINDS = get_args(Request)
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
NUMBERS = (
    st.integers(-(10**39), 10**39) | st.floats(allow_nan=False, allow_infinity=False) | st.none()
)
LEAVES = st.booleans() | NUMBERS | TEXT
JSON = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)
RAW = st.recursive(
    st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.none(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
"""What json writes, and no parser should take: NaN, halves of characters, NUL."""


def values(kind: inspect.Type) -> st.SearchStrategy[Any]:
    """Values that a field of this type may have."""
    match kind:
        case inspect.StrType(pattern=str() as pattern):
            return st.from_regex(pattern, fullmatch=True).filter(lambda one: _fits(one, kind))
        case inspect.StrType(min_length=least):
            return TEXT.filter(lambda one: len(one) >= (least or 0))
        case inspect.IntType(ge=least, le=most):
            return st.integers(least, most)
        case inspect.LiteralType(values=words):
            return st.sampled_from(words)
        case inspect.UnionType(types=types):
            return reduce(lambda one, other: one | other, map(values, types))
        case inspect.VarTupleType(item_type=item, min_length=least, max_length=most):
            return st.lists(values(item), min_size=least or 0, max_size=min(most or 3, 3))
        case inspect.StructType(cls=cls):
            return structs(cls).map(msgspec.to_builtins)
        case inspect.DictType():
            return st.dictionaries(TEXT, JSON, max_size=4)
        case inspect.BoolType():
            return st.booleans()
        case inspect.NoneType():
            return st.none()
    raise AssertionError(f"what is made of {kind}?")


def _fits(text: str, kind: inspect.StrType) -> bool:
    text.encode()
    return (kind.min_length or 0) <= len(text) <= (kind.max_length or 1000) and "\0" not in text


def structs(cls: type[Any]) -> st.SearchStrategy[Any]:
    """Structs of this type, with any of their fields."""
    info = inspect.type_info(cls)
    assert isinstance(info, inspect.StructType)
    fields = {one.name: values(one.type) for one in info.fields}
    must = {one.name: fields.pop(one.name) for one in info.fields if one.required}
    made = st.fixed_dictionaries(must, optional=fields)
    return made.map(lambda told: msgspec.convert(told, cls, strict=True))


REQUESTS = st.one_of(
    *[structs(one) for one in KINDS],
    st.builds(
        protocol.ScheduleTask,
        **{name: st.none() for name in ("prompt", "name")},
        schedule_type=st.just("once"),
        schedule_value=st.just("tomorrow"),
        task_type=st.just("host"),
        command=st.just("id"),
        target_group=st.sampled_from([None, "own", "other"]),
    ),
).filter(parse.is_whole)


def outcome(data: bytes) -> Request | RequestRefused:
    """What becomes of a file's bytes; anything else that is raised fails the test."""
    found = parsed(data)
    if isinstance(found, RequestRefused):
        assert found.code in ("invalid", "too_large", "type_unknown")
        assert 0 < len(str(found).encode()) <= 2000
    else:
        assert isinstance(found, KINDS)
        again = parse.stored(parse.payload(found))
        assert again == msgspec.structs.replace(found, request_id=None)
    return found


def parsed(data: bytes) -> Request | RequestRefused:
    try:
        return parse.parse(data)
    except RequestRefused as refusal:
        return refusal


@settings(max_examples=300)
@given(st.binary(max_size=300) | RAW.map(lambda one: json.dumps(one).encode()))
def test_what_is_no_request_is_refused_whatever_it_is(data: bytes) -> None:
    outcome(data)


@settings(max_examples=400)
@given(REQUESTS)
def test_a_request_is_stored_as_it_was_asked(request: Request) -> None:
    assert parse.parse(protocol.write_request(request)) == request
    assert outcome(protocol.write_request(request)) == request
    assert "request_id" not in json.loads(parse.payload(request))


@pytest.mark.parametrize("field", ["name", "timezone", "schedule_value"])
@pytest.mark.parametrize(
    "sign", ["\n", "\r", "\v", "\f", "\x1c", "\x85", "\u2028", "\u2029", "\x9b"]
)
def test_a_line_is_one_for_whoever_reads_it(field: str, sign: str) -> None:
    """A task's name and times stand among facts of ours in what its agent is told."""
    said = {"schedule_type": "once", "schedule_value": "x", "prompt": "x", field: f"a{sign}Due: b"}
    refusal = parsed(json.dumps({"type": "schedule_task", **said}).encode())
    assert isinstance(refusal, RequestRefused)
    assert refusal.code == "invalid"


@settings(max_examples=150)
@given(REQUESTS, st.booleans(), st.data())
def test_the_half_of_a_request_is_taken_for_one_that_is_not_whole(
    request: Request, is_ascii: bool, data: st.DataObject
) -> None:
    document = json.loads(protocol.write_request(request))
    whole = json.dumps(document, ensure_ascii=is_ascii).encode()
    end = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(parse.Truncated):
        parse.parse(whole[:end])


@pytest.mark.parametrize("kind", KINDS, ids=lambda one: one.__struct_config__.tag)
@settings(max_examples=25)
@given(data=st.data())
def test_what_is_not_said_in_the_protocol_is_refused(
    kind: type[Request], data: st.DataObject
) -> None:
    """A field more, one too few, one of another type, the same one twice; whatever it is called."""
    sound = json.loads(protocol.write_request(data.draw(structs(kind))))
    known = {one.name for one in msgspec.structs.fields(kind)} | {"type"}
    name = data.draw(
        st.sampled_from(
            ["_approved", "_cop_approved", "group", "group_folder", "is_admin", "role", "principal"]
        )
        | st.text().filter(lambda one: one not in known)
    )
    assert isinstance(outcome(json.dumps({**sound, name: True}).encode()), RequestRefused)
    said = json.dumps(sound)
    for field, value in sound.items():
        twice = said.removesuffix("}") + f", {json.dumps(field)}: {json.dumps(value)}}}"
        assert isinstance(outcome(twice.encode()), RequestRefused)
        outcome(json.dumps({**sound, field: data.draw(RAW)}).encode())
    for field in msgspec.structs.fields(kind):
        if field.required and field.name in sound:
            less = {name: value for name, value in sound.items() if name != field.name}
            assert isinstance(outcome(json.dumps(less).encode()), RequestRefused)


@settings(max_examples=300)
@given(REQUESTS, st.data())
def test_bytes_put_into_a_request_do_no_harm(request: Request, data: st.DataObject) -> None:
    whole = protocol.write_request(request)
    start = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(start, min(len(whole), start + 8)))
    put = data.draw(st.binary(max_size=8) | st.sampled_from(PIECES))
    outcome(whole[:start] + put + whole[end:])


PIECES = [
    *(b'"', b"{", b"[", b"}", b"\\u0000", b"\\ud800", b"\\udc00x", b"\0", b"\xff", b"\xed\xa0\x80"),
    *(b"NaN", b"-Infinity", b"1e999", b"-0", b"9" * 50, b"9" * 5000, b"1" + b"0" * 400 + b".0"),
    *(b'{"a":' * 30, b"[" * 100_000, b'"\\', b"\xef\xbb\xbf", b"\r\n", b',"_x":1'),
]
HALF = REQUEST_LIMIT // 2
MONSTERS = {
    "deep lists": b"[" * REQUEST_LIMIT,
    "deep objects": b'{"a":' * (REQUEST_LIMIT // 5),
    "deep and closed": b"[" * HALF + b"]" * HALF,
    "deep within": b'{"type":"service","tool":"x","arguments":{"a":' + b"[" * 90_000,
    "wide": b"[" + b"1," * (HALF - 2) + b"1]",
    "many names": b"{" + b",".join(b'"%x":1' % n for n in range(24_000)) + b"}",
    "one name": b"{" + b",".join([b'"a":1'] * 40_000) + b"}",
    "digits": b"9" * REQUEST_LIMIT,
    "digits within": b'{"type":"complete_todo","todo_id":' + b"9" * 260_000 + b"}",
    "digits, as many as are read": b'{"type":"complete_todo","todo_id":' + b"9" * 4_300 + b"}",
    "a fraction": b'{"type":"complete_todo","todo_id":0.' + b"9" * 260_000 + b"}",
    "many numbers": b"[" + b",".join([b"9" * 4_000] * 60) + b"]",
    "escapes": b'"' + b"\\u0041" * (REQUEST_LIMIT // 6 - 1) + b'"',
    "backslashes": b'"' + b"\\" * (REQUEST_LIMIT - 2) + b'"',
    "blanks": b" " * REQUEST_LIMIT,
    "zeros": b"\0" * REQUEST_LIMIT,
    "a byte too much": b" " * (REQUEST_LIMIT + 1),
    "a huge one": b"x" * 50_000_000,
    "a long line": b'{"type":"pause_task","task_id":"' + b"a" * 262_000 + b'"}',
    "a long type": b'{"type":"' + b"a" * 262_000 + b'"}',
    "a long name": b'{"type":"list_tasks","' + b"a" * 262_000 + b'":1}',
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", MONSTERS)
def test_a_monster_is_refused_before_anybody_loses_patience(name: str) -> None:
    assert isinstance(outcome(MONSTERS[name]), RequestRefused)


def test_what_was_accepted_can_be_read_again_however_long_we_write_it() -> None:
    """Numbers are longer as we write them than as they came."""
    numbers = b",".join([b"1e15"] * 9_000)
    said = b'{"type":"service","tool":"x","arguments":{"n":[%b],"t":"%b"}}'
    data = said % (numbers, b"a" * (REQUEST_LIMIT - 50_000))
    request = outcome(data)
    assert isinstance(request, protocol.Service)
    assert len(parse.payload(request)) > REQUEST_LIMIT


@pytest.mark.parametrize(
    "said",
    [
        {"type": "pause_task", "task_id": "t1\n"},
        {"type": "service", "tool": "look\n"},
        {"type": "list_tasks", "request_id": "a\n"},
        {"type": "list_tasks", "request_id": "../a"},
        {"type": "send_message", "text": "x", "sender": "Me\n"},
    ],
    ids=str,
)
def test_a_line_ends_where_it_ends(said: dict[str, str]) -> None:
    assert isinstance(outcome(json.dumps(said).encode()), RequestRefused)


@pytest.mark.parametrize("name", ["٠٠٠٠٠٠٠١-a.json", "00000001-a.json\n", "00000001-á.json"])
def test_a_number_is_of_digits_and_an_id_of_letters(name: str) -> None:
    assert protocol.NAME.fullmatch(name) is None


@pytest.mark.parametrize(
    "said",
    [
        {"prompt": "look", "command": "id"},
        {"command": "id"},
        {"prompt": "look", "cwd": "/"},
        {},
        {"task_type": "host"},
        {"task_type": "host", "prompt": "look"},
        {"task_type": "host", "prompt": "look", "command": "id"},
    ],
    ids=str,
)
def test_a_task_is_a_prompt_or_a_command_and_not_a_little_of_both(said: dict[str, str]) -> None:
    """Otherwise what was allowed as the one could be carried out as the other."""
    due = {"type": "schedule_task", "schedule_type": "once", "schedule_value": "tomorrow"}
    assert isinstance(outcome(json.dumps({**due, **said}).encode()), RequestRefused)


# --- Rights -------------------------------------------------------------------------------

ORDER = ("deny", "gate", "own", "allow")
NAMING = {"chat_jid", "task_id", "target_group"}
"""The fields that name something that may be another group's."""
ADMINS = {"jid", "folder", "name", "trigger", "rebuild_container", "resume_prompt"}
OTHERS = {
    *("request_id", "text", "files", "sender", "schedule_type", "schedule_value", "task_type"),
    *("prompt", "command", "name", "context_mode", "cwd", "timeout_seconds", "message", "brief"),
    *("questions", "include_done", "content", "todo_id", "task", "folder", "wait", "run", "tool"),
    *("timezone", "arguments"),
}
"""Those that name nothing, or something that is looked up among the asker's own alone."""
NAMES = st.sampled_from(["own", "other", "local:own", "local:other", "t-own", "t-other", "", "\n"])
OWNERS = {"local:own": "own", "local:other": "other", "t-own": "own", "t-other": "other"}
RULES = st.sampled_from(ORDER)


@dataclass(frozen=True)
class Case:
    """A request, who asks, and what is known of the rest."""

    who: authorise.Principal
    request: Request
    facts: authorise.Facts

    @property
    def decided(self) -> authorise.Decision:
        return authorise.decide(self.who, self.request, self.facts)


def _naming(request: Request, drawn: Iterable[str]) -> Request:
    """The same, but it names what there is."""
    names = dict(zip(sorted(NAMING), drawn, strict=True))
    fields = {one.name for one in msgspec.structs.fields(type(request))}
    return msgspec.structs.replace(request, **{k: v for k, v in names.items() if k in fields})


@st.composite
def cases(draw: st.DrawFn, roles: tuple[authorise.Role, ...] = authorise.ROLES) -> Case:
    request = draw(REQUESTS)
    if draw(st.booleans()):
        request = _naming(request, draw(st.tuples(*[NAMES] * len(NAMING))))
    kinds = [*authorise.RIGHTS, "service:x"]
    services = draw(st.none() | st.dictionaries(st.sampled_from(["x", "y"]), RULES))
    if isinstance(request, protocol.Service) and draw(st.booleans()):
        request = msgspec.structs.replace(request, tool=draw(st.sampled_from(["x", "y"])))
    facts = authorise.Facts(
        group_of_chat=OWNERS.get,
        group_of_task=OWNERS.get,
        gated=draw(st.frozensets(st.sampled_from(kinds))),
        services=services,
    )
    return Case(authorise.Principal("own", draw(st.sampled_from(roles))), request, facts)


def test_every_field_that_may_name_another_s_is_known() -> None:
    named = {one.name for kind in KINDS for one in msgspec.structs.fields(kind)}
    assert named == NAMING | ADMINS | OTHERS


def test_every_request_is_in_the_table_and_nothing_else() -> None:
    assert set(authorise.RIGHTS) == {*protocol.types(), authorise.HOST_JOB}


@pytest.mark.parametrize("kind", authorise.RIGHTS)
def test_nobody_has_more_rights_than_whoever_stands_above(kind: str) -> None:
    admin, group, child = (ORDER.index(authorise.rule(role, kind)) for role in authorise.ROLES)
    assert child <= group or authorise.rule("group", kind) == authorise.rule("child", kind)
    assert child <= group
    assert group <= admin


@pytest.mark.parametrize("kind", ["", "SEND_MESSAGE", "send_message ", "approve", "__class__"])
@pytest.mark.parametrize("role", authorise.ROLES)
def test_what_is_not_in_the_table_is_denied(role: authorise.Role, kind: str) -> None:
    assert authorise.rule(role, kind) == "deny"


@settings(max_examples=500)
@given(cases())
def test_what_the_table_denies_nothing_allows(case: Case) -> None:
    kind = authorise.kind_of(case.request)
    rule = authorise.rule(case.who.role, kind)
    decided = case.decided
    if rule == "deny":
        assert decided.outcome == "forbidden"
    if rule == "gate" or kind in case.facts.gated:
        assert decided.outcome != "accepted"
    assert (decided.code == "ok") == (decided.outcome == "accepted")
    if decided.outcome == "forbidden":
        assert decided.message


@settings(max_examples=500)
@given(cases(("group", "child")))
def test_whoever_is_no_admin_reaches_what_is_its_own_alone(case: Case) -> None:
    if case.decided.outcome == "forbidden":
        return
    for name in NAMING:
        named = getattr(case.request, name, None)
        if name == "target_group":
            assert named in (None, case.who.group)
        elif named is not None:
            assert OWNERS.get(named) == case.who.group
    assert authorise.kind_of(case.request) != authorise.HOST_JOB


@settings(max_examples=300)
@given(cases())
def test_a_tool_that_was_not_granted_is_forbidden_and_a_gated_one_is_gated(case: Case) -> None:
    if not isinstance(case.request, protocol.Service):
        return
    rule = (case.facts.services or {}).get(case.request.tool, "deny")
    if rule == "deny":
        assert case.decided.outcome == "forbidden"
    elif rule == "gate" or f"service:{case.request.tool}" in case.facts.gated:
        assert case.decided.outcome == "gated"
    else:
        assert case.decided.outcome == ("gated" if "service" in case.facts.gated else "accepted")


@settings(max_examples=300)
@given(cases(("child",)))
def test_a_child_does_nothing_that_its_group_may_not(case: Case) -> None:
    weights = {"forbidden": 0, "gated": 1, "accepted": 2}
    group = Case(authorise.Principal("own", "group"), case.request, case.facts)
    assert weights[case.decided.outcome] <= weights[group.decided.outcome]


# --- The parser, with the branches it takes known ------------------------------------------


def has_atheris() -> bool:
    """Whether the fuzzer is there; it is made for one kind of machine."""
    if find_spec("atheris") is not None:
        return True
    machine = (sys.platform, os.uname().machine)
    if os.environ.get("CI") and machine == ("linux", "x86_64") and sys.version_info < (3, 14):
        pytest.fail("atheris is not installed: see the lock file")
    pytest.skip("atheris is not installed here")


def fuzz(tmp_path: Path, *options: str) -> None:
    assert has_atheris()
    done = subprocess.run(
        [sys.executable, "-m", "tests.security.fuzz_requests", *options],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "FUZZ_FOLDER": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    with contextlib.suppress(OSError):
        print(*[path.read_bytes() for path in tmp_path.glob("crash-*")])
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    assert "Done " in done.stderr


def test_the_parser_withstands_a_fuzzer(tmp_path: Path) -> None:
    fuzz(tmp_path, "-runs=20000")


@pytest.mark.chaos
@pytest.mark.timeout(900)
def test_the_parser_withstands_a_fuzzer_for_long(tmp_path: Path) -> None:
    fuzz(tmp_path, "-runs=3000000", "-max_total_time=300")
