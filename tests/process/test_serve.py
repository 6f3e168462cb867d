"""The stage `serve` as a process, on real sockets: what it answers, to whom, and that nobody who is
slow, large, silent or gone keeps it from others."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pynchy_cli.store import audit
from tests.conftest import KEPT, NO_ENGINE
from tests.http_house import JSON, LIMIT, TOKEN, House, closed, until
from tests.unit.test_http_metrics import read as read_metrics

BEARER = {"Authorization": f"Bearer {TOKEN}"}


def housed(root: Path) -> House:
    """A home with an admin group and a team, which only its members may speak to."""
    root.mkdir(exist_ok=True)
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    environment = {**kept, "HOME": str(root), "DOCKER_HOST": NO_ENGINE}
    house = House(environment, root / "home")
    made = House.moved_in(environment, root / "home")
    made.close()
    house.group("main", "owner", is_admin=True)
    house.group("team", "owner")
    house.group("closed", "slack:U1")
    return house


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One home whose server all tests share that don't end it."""
    made = housed(tmp_path_factory.mktemp("serve"))
    try:
        made.start(serve__max_body="5000")
        yield made
    finally:
        made.close()


@pytest.fixture
def own(tmp_path: Path) -> Iterator[House]:
    """A home of a test's own, whose server it starts."""
    made = housed(tmp_path)
    try:
        yield made
    finally:
        made.close()


def said(house: House, seq: int) -> tuple[str, ...]:
    (row,) = house.rows(
        f"SELECT chat_jid, sender, content, verdict FROM messages WHERE seq = {seq}"
    )
    return row


def test_how_everything_is(house: House) -> None:
    told = house.get("/status")
    assert (told.status, told.headers["Content-Type"]) == (200, "application/json")
    assert told.headers["Cache-Control"] == "no-store"
    assert told.document["stages"]["serve"]["running"] is True
    assert told.document["service"]["status"] == "degraded"  # nothing else runs
    health = house.get("/health")
    assert (health.status, health.document["status"]) == (503, "degraded")
    assert "route" in str(health.document["troubles"])
    numbers = read_metrics(house.get("/metrics").text)
    assert numbers['pynchy_stage_up{stage="serve"}'] == 1
    assert numbers['pynchy_stage_up{stage="route"}'] == 0


def test_health_is_200_where_all_is_well(own: House) -> None:
    own.start(supervise__stages="serve")
    health = own.get("/health")
    assert (health.status, health.document["status"]) == (200, "ok")
    assert health.document["channels_connected"] == ["local"]


def test_a_file_that_cannot_be_read_is_told(own: House) -> None:
    own.start(supervise__stages="serve")
    with contextlib.closing(sqlite3.connect(own.path)) as db:
        db.execute("PRAGMA user_version = 99")
    told = own.get("/status")
    assert (told.status, told.document["problem"]["code"]) == (200, "schema_too_new")
    health = own.get("/health")
    assert (health.status, health.document["status"]) == (503, "down")
    refused = own.get("/api/groups")
    assert (refused.status, refused.code) == (503, "schema_too_new")
    assert refused.headers["Retry-After"] == "1"


def test_groups_and_what_they_do_by_the_clock(house: House) -> None:
    main = {"jid": "local:main", "name": "main", "folder": "main"}
    assert house.get("/api/groups").document[0] == main
    periodic = house.get("/api/periodic").document
    assert {one["status"] for one in periodic} == {"no_task"}
    assert {"name", "folder", "schedule", "context_mode", "last_run", "next_run"} <= set(
        periodic[0]
    )


def test_what_anybody_says_is_the_apis_and_what_the_owner_says_the_owners(house: House) -> None:
    body = {"jid": "local:team", "content": "@pynchy hello"}
    sent = house.call("POST", "/api/send", body)
    assert (sent.status, sent.document["status"], sent.document["sender"]) == (200, "ok", "api")
    assert said(house, sent.document["seq"]) == ("local:team", "api", "@pynchy hello", "allowed")
    for reply in (
        house.owner("POST", "/api/send", body),
        house.call("POST", "/api/send", body, BEARER),
    ):
        assert reply.document["sender"] == "owner"
        assert said(house, reply.document["seq"])[1] == "owner"
    last = house.get("/api/messages?jid=local:team&limit=2").document
    assert [one["sender_name"] for one in last] == ["owner", "owner"]
    wanted = {"sender_name": "owner", "content": "@pynchy hello", "is_from_me": False}
    assert wanted.items() <= last[-1].items()
    closed_to_it = {"jid": "local:closed", "content": "hi"}
    assert house.owner("POST", "/api/send", closed_to_it).code == "sender_refused"
    assert house.call("POST", "/api/send", closed_to_it).status == 200


def test_what_cannot_be_understood_is_said(house: House) -> None:
    def sent(body: object, headers: dict[str, str] = JSON) -> tuple[int, str]:
        reply = house.call("POST", "/api/send", body, headers)
        return reply.status, reply.code

    before = house.rows("SELECT count(*) FROM messages")
    wrong = (400, "input_wrong")
    for body in ({}, {"jid": "local:main"}, {"jid": "local:main", "content": " \n"}, []):
        assert sent(body) == wrong
    assert sent({"jid": 1, "content": "x"}) == wrong
    assert sent({"jid": "local:main", "content": "x", "sender": "owner"}) == wrong
    assert sent(b'{"jid": "local:main", "content": "\xff"}') == wrong
    assert sent(b"[" * 4000) == wrong
    assert sent(b"") == wrong
    assert sent({"jid": "local:nobody", "content": "x"}) == (404, "chat_unknown")
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    for headers in (form, {"Content-Type": "text/plain"}, {"Content-Type": "multipart/form-data"}):
        assert sent(b'{"jid": "local:main", "content": "x"}', headers) == (415, "json_needed")
    assert sent({"jid": "local:main", "content": "x" * 6000}) == (413, "too_large")
    assert house.rows("SELECT count(*) FROM messages") == before
    for path in (
        "/api/messages",
        "/api/messages?jid=local:main&limit=0",
        "/api/messages?jid=a&b=c",
    ):
        assert house.get(path).code == "input_wrong"
    assert house.get("/api/messages?jid=local:nobody").status == 404
    for path in ("/", "/api", "/api/groups/", "//status", "/STATUS", "/api/approvals/a/b"):
        assert (house.get(path).status, house.get(path).code) == (404, "path_unknown")
    refused = house.call("PUT", "/api/holds")
    assert (refused.status, refused.headers["Allow"]) == (405, "GET, POST, DELETE")


def test_only_the_owner_decides_holds_and_releases(house: House) -> None:
    asked = house.gated("k7m2", "local:main", folder="main")
    yes = {"decision": "approve"}
    for method, path, body in (
        *[("POST", "/api/approvals/k7m2", yes), ("POST", "/api/holds", {"group": "team"})],
        *[("DELETE", "/api/holds/team", None), ("DELETE", "/api/holds", None)],
    ):
        refused = house.call(method, path, body)
        assert (refused.status, refused.code) == (401, "token_needed")
        assert refused.headers["WWW-Authenticate"] == "Bearer"
        wrong = {"Authorization": "Bearer 0123456789abcdef-wrong"}
        assert house.call(method, path, body, wrong).code == "token_wrong"
    assert house.state(asked) == "waiting"
    (one,) = house.get("/api/approvals").document
    assert (one["id"], one["state"], one["group"]) == ("k7m2", "pending", "main")
    assert house.get("/api/approvals/k7m2").document["payload"] == '{"jid":"local:x"}'
    done = house.owner("POST", "/api/approvals/k7m2", yes)
    assert (done.status, done.document["decided_by"]) == (200, "owner (http)")
    assert house.state(asked) != "waiting"
    assert house.owner("POST", "/api/approvals/k7m2", yes).status == 409
    assert house.owner("POST", "/api/approvals/k9m9", yes).status == 404
    no = {"decision": "deny", "reason": "not now"}
    house.gated("m3n4", "local:main", folder="main")
    assert house.call("POST", "/api/approvals/m3n4", no, BEARER).document["state"] == "denied"
    assert house.get("/api/approvals").document == []
    assert len(house.get("/api/approvals?all=true").document) == 2
    house.gated("p5q6", "local:main", folder="main", approvers=("slack:U1",))
    assert house.owner("POST", "/api/approvals/p5q6", yes).status == 403
    noted = house.rows("SELECT decision, who, reason FROM audit WHERE who LIKE 'owner (http)'")
    assert [row[0] for row in noted] == ["approved", "denied"]


def test_holds_are_made_and_ended_as_in_a_shell(house: House) -> None:
    wanted = {"group": "team", "reason": "moving", "outbound": True}
    made = house.owner("POST", "/api/holds", wanted).document
    assert wanted.items() <= made.items()
    assert house.call("POST", "/api/holds", {"group": None}, BEARER).status == 200
    held = house.get("/api/holds").document
    assert [(one["group"], one["held_by"]) for one in held] == [
        (None, "owner (http)"),
        ("team", "owner (http)"),
    ]
    assert house.owner("POST", "/api/holds", {"group": "nobody"}).code == "group_unknown"
    assert house.owner("DELETE", "/api/holds/team").document["reason"] == "moving"
    assert house.owner("DELETE", "/api/holds/team").code == "hold_unknown"
    assert house.owner("DELETE", "/api/holds").document["group"] is None
    assert house.get("/api/holds").document == []
    with house.store() as store:
        told = [
            (one.decision, one.who)
            for one in audit.entries(store.db, limit=100)
            if one.kind == "hold"
        ]
    assert sorted(told) == [
        (word, "owner (http)") for word in ("held", "held", "released", "released")
    ]


def test_there_is_no_deploy_yet(house: House) -> None:
    refused = house.call("POST", "/deploy")
    assert (refused.status, refused.code) == (501, "not_there")


def test_no_page_of_others_and_no_borrowed_name_gets_in(house: House) -> None:
    body = {"jid": "local:main", "content": "x"}
    before = house.rows("SELECT count(*) FROM messages")
    for headers in (
        *({"Host": "evil.example"}, {"Host": f"evil.example:{house.port}"}),
        *({"Origin": "http://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}),
    ):
        for shown in ({}, BEARER):
            refused = house.call("POST", "/api/send", body, {**headers, **shown})
            assert refused.status == 403
            assert house.get("/status", **headers, **shown).status == 403
    assert house.rows("SELECT count(*) FROM messages") == before
    asked = house.call("OPTIONS", "/api/send", None, {"Origin": "http://evil.example"})
    assert (asked.status, asked.headers["Access-Control-Allow-Origin"]) == (403, None)
    ours = {"Origin": f"http://localhost:{house.port}", "Host": f"localhost:{house.port}"}
    assert house.call("POST", "/api/send", body, ours).status == 200


def raw(house: House, data: bytes) -> socket.socket:
    """A connection on which that was sent, word for word."""
    end = socket.create_connection(("127.0.0.1", house.port), LIMIT)
    end.sendall(data)
    return end


def test_a_proxy_of_this_machine_brings_nobody_in(house: House) -> None:
    for name in ("Forwarded", "via", "X-Forwarded-For", "X-Forwarded-Host", "x-real-ip"):
        assert house.call("GET", "/api/groups", headers={name: "127.0.0.1"}).status == 401


def test_what_is_no_proper_http_gets_nothing(house: House) -> None:
    lines = house.log.read_text()
    host = b"Host: localhost\r\n"
    for data in (
        b"\x16\x03\x01\x02\x00" * 20 + b"\r\n\r\n",
        b"GET /status HTTP/1.1\r\n\r\n",
        b"GET /status HTTP/1.1\r\n" + host * 2 + b"\r\n",
        b"GET http://localhost/status HTTP/1.1\r\n" + host + b"\r\n",
        b"GET /status HTTP/1.1\r\n" + host + b"X: " + b"x" * 70_000 + b"\r\n\r\n",
        b"POST /api/send HTTP/1.1\r\n"
        + host
        + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    ):
        with contextlib.closing(raw(house, data)) as end:
            answer = end.recv(65536)
            assert answer[9:12] in (b"400", b"403", b"404")
            while b"ok" not in answer:
                answer += end.recv(65536)
            assert b'"ok":false' in answer
    assert house.log.read_text() == lines


def test_events_come_as_they_happen_and_again_after_a_restart(own: House) -> None:
    own.start()
    with contextlib.closing(own.events()) as following:
        assert following.answer.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        sent = own.owner("POST", "/api/send", {"jid": "local:team", "content": "@pynchy one"})
        id, event = following.next()
        assert (event["type"], event["content"]) == ("message", "@pynchy one")
        assert id.startswith(f"{sent.document['seq']}-")
        own.route()
        run = own.at_work()
        assert following.of("agent_activity")[1]["active"] is True
        own.over(run)
        assert following.of("agent_activity")[1]["active"] is False
        assert own.stop() == 0
        assert following.answer.read() == b""  # it ends in order
    for text in ("two", "three"):
        own.say(("owner", text))
    own.start()
    with contextlib.closing(own.events(id)) as following:
        assert [following.of("message")[1]["content"] for _ in range(2)] == ["two", "three"]
        own.say(("owner", "four"))
        assert following.of("message")[1]["content"] == "four"
    assert own.stop(signal.SIGKILL) == -signal.SIGKILL
    own.start()
    assert own.get("/api/events", **{"Last-Event-ID": "nonsense"}).status == 400


def test_nothing_that_speaks_http_is_loaded_until_somebody_calls(own: House) -> None:
    own.start()
    assert not own.loads("aiohttp")
    assert own.owner("GET", "/api/groups").status == 200
    assert own.loads("aiohttp")
    assert own.socket.stat().st_mode & 0o777 == 0o600
    assert own.socket.parent.stat().st_mode & 0o077 == 0
    # Tidied away, it is there again once something happens.
    own.socket.unlink()
    own.say(("owner", "hi"))
    until(own.socket.exists, "the socket again")
    assert own.owner("GET", "/api/groups").status == 200
    assert own.stop() == 0
    assert not own.socket.exists()


def test_a_taken_port_is_said_and_tried_again_while_the_socket_works(own: House) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", own.port))
        other.listen()
        own.start()
        until(lambda: "the port is tried again" in own.log.read_text(), "a word of it")
        told = own.owner("GET", "/status").document["stages"]["serve"]
        assert f"127.0.0.1:{own.port} can't be listened at" in told["error"]
    until(lambda: f'http://127.0.0.1:{own.port}"' in own.log.read_text(), "the port")
    assert own.get("/api/groups").status == 200
    assert own.get("/status").document["stages"]["serve"]["error"] is None


def test_beyond_this_machine_nothing_is_said_without_the_token(own: House) -> None:
    own.start(serve__host="0.0.0.0")
    for path in ("/status", "/health", "/api/groups", "/api/events", "/metrics", "/openapi.json"):
        assert (own.get(path).status, own.get(path).code) == (401, "token_needed")
    body = {"jid": "local:main", "content": "x"}
    assert own.call("POST", "/api/send", body).status == 401
    assert own.call("POST", "/api/send", body, BEARER).document["sender"] == "owner"
    assert own.owner("GET", "/api/groups").status == 200


def test_it_does_not_start_where_others_could_reach_it_without_a_token(own: House) -> None:
    document = json.dumps({"home": str(own.home.root), "once": False})
    done = subprocess.run(
        [sys.executable, "-P", "-m", "pynchy_cli.stage", "serve", document],
        env={**own.environment, "PYNCHY_SECRETS__API_TOKEN": "", "PYNCHY_SERVE__HOST": "0.0.0.0"},
        capture_output=True,
        text=True,
        timeout=LIMIT,
    )
    assert done.returncode == 100
    assert "can be reached from elsewhere, which needs a token" in done.stderr


def test_a_thousand_silent_connections_keep_nobody_out(house: House) -> None:
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
    silent: list[socket.socket] = []
    try:
        with contextlib.closing(house.events()) as following:
            for number in range(1000):
                data = b"" if number % 2 else b"GET /status HTTP/1.1\r\nHost: loc"
                silent.append(raw(house, data))
            assert house.get("/api/groups").status == 200
            assert house.owner("GET", "/api/groups").status == 200
            house.say(("owner", "still there"))
            assert following.of("message")[1]["content"] == "still there"
            assert closed(silent[0])  # it made room
    finally:
        for one in silent:
            one.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_huge_body_is_refused_at_its_beginning(house: House) -> None:
    head = b"POST /api/send HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    with contextlib.closing(raw(house, head + b"Content-Length: 100000000\r\n\r\n")) as end:
        assert end.recv(12) == b"HTTP/1.1 413"
    chunked = (
        head + b"Transfer-Encoding: chunked\r\n\r\n" + (b"1000\r\n" + b"x" * 4096 + b"\r\n") * 4
    )
    with contextlib.closing(raw(house, chunked)) as end:
        assert end.recv(12) == b"HTTP/1.1 413"
    assert house.get("/api/groups").status == 200


def test_who_vanishes_in_the_midst_harms_nobody(house: House) -> None:
    lines = house.log.read_text()
    with contextlib.closing(house.events()) as other:
        for _ in range(80):  # more than may follow at the same time
            following = house.events()
            until(lambda following=following: following.status == 200, "a place")
            following.close()
        half = raw(
            house, b"POST /api/send HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50\r\n\r\n{"
        )
        half.close()
        house.say(("owner", "all is well"))
        assert other.of("message")[1]["content"] == "all is well"
    assert house.log.read_text() == lines


def test_no_more_follow_than_there_are_places(house: House) -> None:
    with contextlib.ExitStack() as held:
        found = [held.enter_context(contextlib.closing(house.events())) for _ in range(65)]
        assert [one.status for one in found].count(503) >= 1
        assert found[0].status == 200
        assert house.get("/api/groups").status == 200
        by_socket = held.enter_context(contextlib.closing(house.connection(by_socket=True)))
        by_socket.request("GET", "/api/events")
        assert by_socket.getresponse().status == 200  # of the owner nobody takes them


def test_calls_that_never_become_whole_keep_nobody_out(house: House) -> None:
    head = b"POST /api/send HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    with contextlib.ExitStack() as held:
        following = held.enter_context(contextlib.closing(house.events()))
        for _ in range(300):
            held.enter_context(raw(house, head + b"Content-Length: 50\r\n\r\n{"))
        for _ in range(5):
            # By the time of the second answer these have begun to be heard.
            held.enter_context(raw(house, head + b"Content-Length: 50\r\n\r\n{"))
            assert [house.owner("GET", "/api/groups").status for _ in range(2)] == [200, 200]
            assert house.get("/api/groups").status == 200
        house.say(("owner", "not kept out"))
        assert following.of("message")[1]["content"] == "not kept out"


def test_a_head_is_a_get_without_its_body(house: House) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", house.port, timeout=LIMIT)
    with contextlib.closing(connection):
        for path, status in (("/health", 503), ("/api/groups", 200), ("/api/events", 405)):
            connection.request("HEAD", path)
            answer = connection.getresponse()
            assert (answer.status, answer.read()) == (status, b"")
            assert int(answer.headers["Content-Length"]) > 2
            assert answer.headers["Server"] == "pynchy"


def test_nobody_is_heard_from_a_network_that_is_not_trusted(own: House) -> None:
    """This machine's other address stands in for somebody's elsewhere."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as outward:
        try:
            outward.connect(("192.0.2.1", 9))  # nothing is sent
        except OSError:
            pytest.skip("this machine has no address but its loopback's")
        address = outward.getsockname()[0]

    def heard(trusted: str) -> bytes:
        own.start(serve__host="0.0.0.0", serve__trusted_networks=trusted)
        place = ("127.0.0.1", own.port)
        with socket.create_connection(place, LIMIT, source_address=(address, 0)) as end:
            try:
                end.sendall(b"GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n")
                return end.recv(12)
            except ConnectionError:
                return b""
            finally:
                own.stop()

    assert heard("100.64.0.0/10") == b""
    assert heard(f"{address}/32") == b"HTTP/1.1 401"


def test_the_connection_is_kept_for_the_next_call(house: House) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", house.port, timeout=LIMIT)
    with contextlib.closing(connection):
        for _ in range(3):
            connection.request("GET", "/api/groups")
            assert json.loads(connection.getresponse().read())
        end = connection.sock.getsockname()
        connection.request("GET", "/nowhere")
        assert connection.getresponse().read()
        assert connection.sock.getsockname() == end
