"""Files as WhatsApp keeps them are opened whole, or not at all."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from pynchy_cli.channels.base import NeverSent, NotSent
from pynchy_cli.channels.whatsapp.media import BLOCK, MAC, PURPOSES, Media, Opening, media_of
from tests.whatsapp_media import sealed

PLAIN = bytes(range(256)) * 3


def opened(media: Media, content: bytes, piece: int = 1000) -> bytes:
    opening = Opening(media)
    pieces = [opening.open(content[at : at + piece]) for at in range(0, len(content), piece)]
    return b"".join([*pieces, opening.end()])


@settings(max_examples=60)
@given(st.binary(max_size=100), st.sampled_from(sorted(PURPOSES)), st.integers(1, 60))
def test_a_file_is_what_it_was(plain: bytes, kind: str, piece: int) -> None:
    media, content = sealed(kind, plain)
    assert opened(media, content, piece) == plain
    assert media_of(media.remote_id()) == media
    assert opened(replace(media, sealed_hash=b"", plain_hash=b"", length=None), content) == plain


@pytest.mark.parametrize("kind", sorted(PURPOSES))
def test_a_key_is_for_one_kind(kind: str) -> None:
    media, content = sealed(kind, PLAIN)
    other = next(one for one in PURPOSES if one != kind)
    with pytest.raises(NeverSent, match="the key doesn't fit"):
        opened(replace(media, kind=other), content)


def test_what_came_damaged_may_be_asked_for_again() -> None:
    media, content = sealed("image", PLAIN)
    for damaged in (
        *(content[:-1], content[:-BLOCK], content[:MAC], b"", content + b"x"),
        *(b"x" + content[1:], content[:-1] + bytes([content[-1] ^ 1])),
    ):
        for known in (media, replace(media, sealed_hash=b"")):
            with pytest.raises(NotSent) as raised:
                opened(known, damaged)
            assert not isinstance(raised.value, NeverSent)


def test_what_was_shared_wrongly_is_not_asked_for_again() -> None:
    media, content = sealed("image", PLAIN)
    resealed, tampered = sealed("image", PLAIN, mac=bytes(MAC))
    unfilled, odd = sealed("image", PLAIN, fill=bytes(BLOCK))
    half_filled, half = sealed("image", PLAIN, fill=bytes(BLOCK - 1) + bytes([BLOCK]))
    for known, shared in (
        (replace(media, key=bytes(32)), content),
        (replace(media, plain_hash=bytes(32)), content),
        (replace(media, length=len(PLAIN) - 1), content),
        (replace(media, length=0), content),
        (resealed, tampered),
        (unfilled, odd),
        (half_filled, half),
    ):
        with pytest.raises(NeverSent):
            opened(known, shared)


@pytest.mark.parametrize(
    "change",
    [
        *({"path": one} for one in ("", "@e.com/x", "e.com", "/a b", "/a\n", "/a#b", "/é", "\\a")),
        *({"kind": one} for one in ("", "exe")),
        *({"key": one} for one in (b"", bytes(31))),
        {"length": -1},
    ],
)
def test_what_can_not_be_is_refused(change: dict[str, object]) -> None:
    media, _ = sealed("image", PLAIN)
    with pytest.raises(NeverSent, match="doesn't tell where it is"):
        media_of(replace(media, **change).remote_id())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "1",
        '["image"]',
        '["image","/x",1,2,3,4]',
        '["image","/x",null,"é","",""]',
        "\ud800",
    ],
)
def test_whatever_stands_there_is_refused(text: str) -> None:
    with pytest.raises(NeverSent):
        media_of(text)
    _, path, length, *hidden = json.loads(sealed("image", PLAIN)[0].remote_id())
    for odd in (True, "1", 1.5, []):
        with pytest.raises(NeverSent):
            media_of(json.dumps(["image", path, odd, *hidden]))
    with pytest.raises(NeverSent):
        media_of(json.dumps([["image"], path, length, *hidden]))


def test_a_file_is_asked_for_by_its_hash() -> None:
    media = Media("audio", "/v/a?ccb=1", 1, b"\xff\xfe\xfd", b"", bytes(32))
    assert media.query() == "&hash=__79&mms-type=audio&__wa-mms="
    assert replace(media, path="/v/a").query().startswith("?hash=")
