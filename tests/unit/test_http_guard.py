"""Who is asking over HTTP, and whether they may: no claim makes anybody more than they are."""

from __future__ import annotations

import dataclasses

import pytest

from pynchy_cli.config.serving import is_loopback, require_serve
from pynchy_cli.config.settings import Secrets, Serve, Settings
from pynchy_cli.errors import ConfigInvalid
from pynchy_cli.web.guard import Door, Headers, Refused, is_trusted, require_owner, shows, who

TOKEN = "0123456789abcdef-secret"
SERVE = Serve(hosts=("pynchy.tailnet.example",), trusted_networks=("100.64.0.0/10", "fd7a::/16"))
PORT = Door(is_unix=False, address="127.0.0.1")
BEYOND = Door(is_unix=False, is_beyond=True, address="100.64.0.7")
USUAL = Headers(hosts=("localhost:8484",))


def refusal(door: Door, headers: Headers, token: str = TOKEN) -> tuple[int, str]:
    with pytest.raises(Refused) as raised:
        who(door, headers, SERVE, token)
    return raised.value.status, raised.value.code


def test_the_socket_is_the_owners_and_the_port_anybodys() -> None:
    assert who(Door(is_unix=True), Headers(), SERVE, "") == "owner"
    assert who(PORT, USUAL, SERVE, TOKEN) == "api"
    shown = dataclasses.replace(USUAL, authorization=f"bearer  {TOKEN} ")
    assert who(PORT, shown, SERVE, TOKEN) == "owner"
    with pytest.raises(Refused) as raised:
        require_owner("api")
    assert raised.value.status == 401


@pytest.mark.parametrize(
    "shown",
    ["", TOKEN, f"Basic {TOKEN}", "Bearer", "Bearer ", f"Bearer {TOKEN}x", "Bearer wört\udcff"],
)
def test_what_is_not_the_token_is_refused(shown: str) -> None:
    asked = dataclasses.replace(USUAL, authorization=shown)
    assert refusal(PORT, asked) == (401, "token_wrong")


@pytest.mark.parametrize("door", [PORT, Door(is_unix=True)])
def test_whom_a_proxy_speaks_for_must_show_the_token(door: Door) -> None:
    asked = dataclasses.replace(USUAL, is_forwarded=True)
    assert refusal(door, asked) == (401, "token_needed")
    shown = dataclasses.replace(asked, authorization=f"Bearer {TOKEN}")
    assert who(door, shown, SERVE, TOKEN) == "owner"


def test_no_token_is_shown_where_there_is_none() -> None:
    assert not shows("Bearer ", "")
    assert refusal(PORT, dataclasses.replace(USUAL, authorization="Bearer "), "")[0] == 401


def test_beyond_this_machine_the_token_is_always_needed() -> None:
    asked = Headers(hosts=("100.64.0.7:8484",))
    assert refusal(BEYOND, asked) == (401, "token_needed")
    assert refusal(BEYOND, dataclasses.replace(asked, hosts=("localhost",)))[0] == 401
    shown = dataclasses.replace(asked, authorization=f"Bearer {TOKEN}")
    assert who(BEYOND, shown, SERVE, TOKEN) == "owner"


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST.:1", "127.0.0.1:8484", "[::1]:8484", "pynchy.tailnet.example"]
)
def test_our_names(host: str) -> None:
    assert who(PORT, Headers(hosts=(host,)), SERVE, TOKEN) == "api"


@pytest.mark.parametrize(
    "hosts",
    [
        (),
        ("",),
        ("evil.example",),
        ("localhost.evil.example",),
        ("127.0.0.1.evil.example:8484",),
        ("0.0.0.0:8484",),
        ("localhost", "localhost"),
        ("localhost@evil.example",),
        ("[::2]",),
    ],
)
def test_a_name_that_somebody_else_made_is_none_of_ours(hosts: tuple[str, ...]) -> None:
    """DNS rebinding: a page of evil.example asks its own name, which means us for once."""
    assert refusal(PORT, Headers(hosts=hosts)) == (403, "host_unknown")
    shown = Headers(hosts=hosts, authorization=f"Bearer {TOKEN}")
    assert refusal(PORT, shown) == (403, "host_unknown")


@pytest.mark.parametrize(
    "origin",
    ["http://evil.example", "null", "http://localhost", "http://localhost:1", "", "file://"],
)
def test_pages_of_others_are_refused_with_the_token_too(origin: str) -> None:
    asked = dataclasses.replace(USUAL, origin=origin, authorization=f"Bearer {TOKEN}")
    assert refusal(PORT, asked) == (403, "origin_foreign")
    ours = dataclasses.replace(USUAL, origin="http://LOCALHOST:8484")
    assert who(PORT, ours, SERVE, TOKEN) == "api"


def test_what_browsers_say_of_where_a_call_comes_from_counts() -> None:
    for site in ("cross-site", "same-site", "whatever"):
        asked = dataclasses.replace(USUAL, fetch_site=site)
        assert refusal(PORT, asked) == (403, "origin_foreign")
    for site in ("same-origin", "none"):
        assert who(PORT, dataclasses.replace(USUAL, fetch_site=site), SERVE, TOKEN) == "api"


@pytest.mark.parametrize(
    ("peer", "trusted"),
    [
        *[("127.0.0.1", True), ("127.8.8.8", True), ("::1", True), ("100.64.0.7", True)],
        *[("100.100.1.1", True), ("fd7a::1", True), ("fd7a::1%eth0", True)],
        *[("100.128.0.1", False), ("192.168.1.9", False), ("fd7b::1", False), ("", False)],
        *[("::ffff:100.64.0.9", True), ("::ffff:192.168.1.9", False)],
    ],
)
def test_people_come_from_this_machine_and_trusted_networks(peer: str, trusted: bool) -> None:
    assert is_trusted(peer, "100.64.0.7", SERVE) is trusted
    assert is_trusted("192.168.1.9", "192.168.1.9", SERVE)  # this machine, by its own address


def test_loopback_is_told_from_what_looks_like_it() -> None:
    for host in ("127.0.0.1", "127.255.0.1", "::1", "localhost", "Localhost"):
        assert is_loopback(host)
    for host in ("0.0.0.0", "::", "127.0.0.1.evil.example", "127.0.0", "127.0.0.256", "128.0.0.1"):
        assert not is_loopback(host)


def test_what_others_could_reach_needs_a_token() -> None:
    token = Secrets(api_token=TOKEN)
    for host in ("0.0.0.0", "::", "192.168.1.9", "pynchy.tailnet.example"):
        with pytest.raises(ConfigInvalid, match="needs a token"):
            require_serve(Settings(serve=Serve(host=host)))
        require_serve(Settings(serve=Serve(host=host), secrets=token))
        require_serve(Settings(serve=Serve(host=host, port=0)))
    with pytest.raises(ConfigInvalid, match=r"100\.64\.0\.1/10.*no network"):
        require_serve(Settings(serve=Serve(trusted_networks=("100.64.0.1/10",))))
