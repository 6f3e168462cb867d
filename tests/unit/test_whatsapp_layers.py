"""What the tests' WhatsApp is made of: nodes, Noise, Signal, sender keys, and linking a device.

Each layer is held against itself in both directions, and against what the real client wrote once
(whatsapp_recorded.json, hexadecimal; no account of anybody's).
"""

from __future__ import annotations

import hashlib
import hmac
import json
import random
import zlib
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher as BlockCipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR

from tests.whatsapp_server import protos
from tests.whatsapp_server.adv import Account, Companion, scanned
from tests.whatsapp_server.chains import FURTHEST, Chain, Undecryptable, padded, unpadded
from tests.whatsapp_server.fields import pack, unpack
from tests.whatsapp_server.keys import KeyPair, derive, is_signed
from tests.whatsapp_server.nodes import Node, decode, encode
from tests.whatsapp_server.noise import HEADER, PATTERN, Cipher, Frames, Responder, Root, framed
from tests.whatsapp_server.pair_code import CodeLink, WrongCode
from tests.whatsapp_server.sender_keys import HeardKeys, SenderKey
from tests.whatsapp_server.signal import Person, Session

NOW = 1_800_000_000
RECORDED: dict[str, Any] = json.loads(
    Path(__file__).with_name("whatsapp_recorded.json").read_text(encoding="utf-8")
)

PING = Node("iq", {"id": "a1", "xmlns": "urn:xmpp:ping", "from": "@s.whatsapp.net"})
PING_FRAME = bytes.fromhex("00f8071908fc026131162b06fa0003")


def recorded(*path: str) -> bytes:
    """What the real client wrote."""
    value: Any = RECORDED
    for step in path:
        value = value[step]
    return bytes.fromhex(value)


class TestNodes:
    def test_a_known_frame(self) -> None:
        assert encode(PING) == PING_FRAME
        assert decode(PING_FRAME) == PING

    @pytest.mark.parametrize(
        ("address", "form"),
        [
            ("@s.whatsapp.net", "fa0003"),
            ("123456@g.us", "faff031234561c"),
            ("12345:7@s.whatsapp.net", "f70007ff8312345f"),
            ("12345:7@lid", "f70107ff8312345f"),
            ("12345@hosted", "f78000ff8312345f"),
            ("12345:9@hosted.lid", "f78109ff8312345f"),
        ],
    )
    def test_an_address_is_written_as_one(self, address: str, form: str) -> None:
        frame = encode(Node("iq", {"from": address}))
        assert frame.hex().endswith("06" + form)
        assert decode(frame).attrs["from"] == address

    @pytest.mark.parametrize(
        "value",
        [
            *(
                "",
                "0",
                "1700000000",
                "12-34.5",
                "-",
                "3EB0C0FFEE",
                "ABC",
                "3eb0",
                "a b",
                "Grüße 😀",
            ),
            *("you@home", "a:b@g.us", "1" * 127, "1" * 128, "F" * 127, "x" * 256, "active"),
            *("88@lid", "88.1:3@lid", "12:400@msgr", "3-12:4@interop", "status@broadcast"),
        ],
    )
    def test_any_value_comes_back(self, value: str) -> None:
        node = Node("message", {"notify": value}, value.encode())
        assert decode(encode(node)) == node

    @pytest.mark.parametrize("size", [0, 1, 255, 256, (1 << 20) - 1, 1 << 20])
    def test_bytes_of_any_size_come_back(self, size: int) -> None:
        node = Node("enc", {"v": "2"}, b"\xff" * size)
        assert decode(encode(node)) == node

    @pytest.mark.parametrize(
        ("size", "form"),
        [(255, "fcff"), (256, "fd000100"), ((1 << 20) - 1, "fd0fffff"), (1 << 20, "fe00100000")],
    )
    def test_the_length_of_bytes_is_written_as_short_as_it_can_be(
        self, size: int, form: str
    ) -> None:
        frame = encode(Node("enc", {}, b"x" * size))
        assert frame[:-size].hex().endswith(form)

    def test_digits_are_packed_up_to_127(self) -> None:
        assert encode(Node("iq", {"t": "1" * 127}))[-66:-64].hex() == "ffc0"
        assert encode(Node("iq", {"t": "1" * 128}))[-130:-128].hex() == "fc80"

    @pytest.mark.parametrize("count", [0, 1, 255, 256, 700])
    def test_any_number_of_children_comes_back(self, count: int) -> None:
        node = Node("list", {}, [Node("key", {"id": str(number)}) for number in range(count)])
        assert decode(encode(node)) == node

    def test_a_compressed_frame_is_read(self) -> None:
        assert decode(b"\2" + zlib.compress(PING_FRAME[1:])) == PING

    @pytest.mark.parametrize("end", range(1, len(PING_FRAME)))
    def test_half_a_node_is_none(self, end: int) -> None:
        with pytest.raises(ValueError, match=f"a node of {end - 1} bytes ends too early"):
            decode(PING_FRAME[:end])

    def test_half_its_content_is_none(self) -> None:
        frame = encode(Node("enc", {}, b"content"))
        with pytest.raises(ValueError, match="ends too early"):
            decode(frame[:-1])

    def test_what_is_inside_is_found(self) -> None:
        node = Node("iq", {}, [Node("a"), Node("b", {}, [Node("c", {}, b"deep")]), Node("a")])
        assert node.within("b", "c").text == "deep"
        assert node.child("c") is None
        assert len(node.every("a")) == 2
        with pytest.raises(ValueError, match="<b> has no <d>"):
            node.within("b", "d")


class Initiator:
    """The client's side of a handshake, as it trusts one root key."""

    def __init__(self, root: bytes) -> None:
        self.root, self.ephemeral, self.static = root, KeyPair.make(), KeyPair.make()
        self.hash = self.salt = PATTERN
        self.cipher = Cipher(PATTERN)

    def mixed(self, data: bytes) -> bytes:
        self.hash = hashlib.sha256(self.hash + data).digest()
        return data

    def key(self, secret: bytes) -> None:
        both = derive(secret, 64, self.salt)
        self.salt, self.cipher = both[:32], Cipher(both[32:])

    def open(self, sealed: bytes) -> bytes:
        plain = self.cipher.open(sealed, self.hash)
        self.mixed(sealed)
        return plain

    def hello(self) -> bytes:
        self.mixed(HEADER)
        self.mixed(self.ephemeral.public)
        message = protos.handshake.HandshakeMessage()
        message.clientHello.ephemeral = self.ephemeral.public
        return bytes(message.SerializeToString())

    def finish(self, answer: bytes, payload: Any) -> bytes:
        theirs = protos.handshake.HandshakeMessage.FromString(answer).serverHello
        self.mixed(theirs.ephemeral)
        self.key(self.ephemeral.agree(theirs.ephemeral))
        static = self.open(theirs.static)
        self.key(self.ephemeral.agree(static))
        assert self.trusts(self.open(theirs.payload), static)
        message = protos.handshake.HandshakeMessage()
        message.clientFinish.static = self.mixed(self.cipher.seal(self.static.public, self.hash))
        self.key(self.static.agree(theirs.ephemeral))
        sealed = self.cipher.seal(payload.SerializeToString(), self.hash)
        message.clientFinish.payload = sealed
        return bytes(message.SerializeToString())

    def trusts(self, certificates: bytes, static: bytes) -> bool:
        chain = protos.cert.CertChain.FromString(certificates)
        details = protos.cert.CertChain.NoiseCertificate.Details
        between = details.FromString(chain.intermediate.details)
        leaf = details.FromString(chain.leaf.details)
        return (
            is_signed(self.root, chain.intermediate.details, chain.intermediate.signature)
            and is_signed(between.key, chain.leaf.details, chain.leaf.signature)
            and (between.issuerSerial, leaf.issuerSerial) == (0, between.serial)
            and leaf.key == static
            and leaf.notBefore < NOW < leaf.notAfter
        )


class TestNoise:
    def test_a_handshake_and_what_follows(self) -> None:
        root = Root.make()
        client, server = Initiator(root.keys.public), Responder(root, NOW)
        said = protos.handshake.ClientPayload(username=49151234, device=3)
        heard, transport = server.finish(client.finish(server.hello(client.hello()), said))
        assert heard == said
        both = derive(b"", 64, client.salt)
        outward, inward = Cipher(both[:32]), Cipher(both[32:])
        for number in range(300):
            text = b"message %d" % number
            assert transport.open(outward.seal(text)) == text
            assert inward.open(transport.seal(text)) == text

    def test_another_root_is_not_trusted(self) -> None:
        client, server = Initiator(Root.make().keys.public), Responder(Root.make(), NOW)
        with pytest.raises(AssertionError):
            client.finish(server.hello(client.hello()), protos.handshake.ClientPayload())

    @pytest.mark.parametrize("header", [HEADER, b"ED\0\1\0\0\5route" + HEADER])
    @pytest.mark.parametrize("step", [1, 7, 1 << 20])
    def test_frames_are_cut_wherever_they_break(self, header: bytes, step: int) -> None:
        contents = [b"hello", b"", b"x" * 70_000 if step > 1 else b"x" * 300, b"end"]
        stream = header + b"".join(map(framed, contents))
        frames, cut = Frames(), []
        for start in range(0, len(stream), step):
            cut += frames.feed(stream[start : start + step])
        assert cut == contents

    def test_another_protocol_is_refused(self) -> None:
        with pytest.raises(ValueError, match="47455420"):
            Frames().feed(b"GET / HTTP/1.1")


class TestKeys:
    def test_signatures_hold_for_their_message_and_key(self) -> None:
        for _ in range(20):
            keys = KeyPair.make()
            signature = keys.sign(b"message")
            assert is_signed(keys.public, b"message", signature)
            assert is_signed(keys.typed, b"message", signature)
            assert not is_signed(keys.public, b"massage", signature)
            assert not is_signed(KeyPair.make().public, b"message", signature)

    def test_fields_come_back(self) -> None:
        fields: dict[int, int | bytes | None] = {1: 0, 2: 127, 3: 128, 4: 1 << 31, 16: b"x" * 300}
        assert unpack(pack(fields | {5: b"", 7: None})) == fields | {5: b""}

    @pytest.mark.parametrize("wrong", ["08", "0a0261", "0aff", "0d00000000"])
    def test_what_is_no_message_is_told(self, wrong: str) -> None:
        with pytest.raises(ValueError, match=r"a message that ends|a field of the kind 5"):
            unpack(bytes.fromhex(wrong))


def pair() -> tuple[Session, Session]:
    """Two sessions that may begin with each other's keys; the first has begun."""
    first, second = Person(), Person()
    one, other = Session(first), Session(second)
    one.start(second.bundle())
    return one, other


class TestSignal:
    def test_what_the_real_client_wrote(self) -> None:
        identity, signed, prekey = (
            KeyPair(recorded("signal", name)) for name in ("identity", "signed", "prekey")
        )
        person = Person(identity=identity, signed=signed, prekeys={1: prekey})
        plain = Session(person).decrypt("pkmsg", recorded("signal", "sealed"))
        assert protos.e2e.Message.FromString(plain).conversation == "cold start"
        assert not person.prekeys

    def test_a_conversation(self) -> None:
        one, other = pair()
        kinds = []
        for number in range(30):
            writer, reader = (one, other) if number % 5 else (other, one)
            if not writer.is_begun:
                continue
            kind, sealed = writer.encrypt(b"text %d" % number)
            kinds.append(kind)
            assert reader.decrypt(kind, sealed) == b"text %d" % number
        assert kinds == ["pkmsg"] * 4 + ["msg"] * 25

    def test_messages_in_any_order(self) -> None:
        order = random.Random(7)
        one, other = pair()
        other.decrypt(*one.encrypt(b"first"))
        waiting: dict[Session, list[tuple[bytes, str, bytes]]] = {one: [], other: []}
        for number in range(300):
            writer, reader = order.choice([(one, other), (other, one)])
            text = b"text %d" % number
            waiting[reader].append((text, *writer.encrypt(text)))
            if order.random() < 0.3:
                order.shuffle(waiting[writer])
                for expected, kind, sealed in waiting[writer][:4]:
                    assert writer.decrypt(kind, sealed) == expected
                del waiting[writer][:4]

    def test_both_begin_at_once(self) -> None:
        first, second = Person(), Person()
        one, other = Session(first), Session(second)
        one.start(second.bundle())
        other.start(first.bundle())
        crossing = [
            (other, one.encrypt(b"a")),
            (one, other.encrypt(b"b")),
            (other, one.encrypt(b"c")),
        ]
        assert [reader.decrypt(*sealed) for reader, sealed in crossing] == [b"a", b"b", b"c"]
        for number in range(6):
            writer, reader = (one, other) if number % 2 else (other, one)
            assert reader.decrypt(*writer.encrypt(b"more")) == b"more"

    def test_a_session_that_is_begun_anew(self) -> None:
        first, second = Person(), Person()
        one, other = Session(first), Session(second)
        one.start(second.bundle())
        other.decrypt(*one.encrypt(b"before"))
        late = other.encrypt(b"late")
        one.start(second.bundle())
        kind, sealed = one.encrypt(b"after")
        assert (kind, other.decrypt(kind, sealed)) == ("pkmsg", b"after")
        assert one.decrypt(*other.encrypt(b"answer")) == b"answer"
        assert one.decrypt(*late) == b"late"

    def test_no_message_is_read_twice(self) -> None:
        one, other = pair()
        sealed = one.encrypt(b"once")
        other.decrypt(*sealed)
        with pytest.raises(Undecryptable):
            other.decrypt(*sealed)

    def test_a_changed_message_does_no_harm(self) -> None:
        one, other = pair()
        other.decrypt(*one.encrypt(b"first"))
        one.decrypt(*other.encrypt(b"answer"))
        kind, sealed = one.encrypt(b"second")
        for place in (-1, -9, 5):
            changed = bytearray(sealed)
            changed[place] ^= 1
            with pytest.raises(Undecryptable):
                other.decrypt(kind, bytes(changed))
        assert other.decrypt(kind, sealed) == b"second"

    def test_a_message_for_somebody_else(self) -> None:
        one, _ = pair()
        with pytest.raises(Undecryptable, match="no keys 1 and 1 were published"):
            Session(Person()).decrypt(*one.encrypt(b"secret"))

    def test_nobody_writes_before_it_is_begun(self) -> None:
        session = Session(Person())
        assert not session.is_begun
        with pytest.raises(Undecryptable):
            session.encrypt(b"text")

    def test_padding_tells_its_length(self) -> None:
        sizes = set()
        for _ in range(600):
            sizes.add(len(padded(b"text")) - 4)
            assert unpadded(padded(b"text")) == b"text"
        assert sizes == set(range(1, 16))
        for wrong in (b"", b"ab\4"):
            with pytest.raises(Undecryptable):
                unpadded(wrong)

    def test_too_far_ahead(self) -> None:
        with pytest.raises(Undecryptable, match="too far ahead"):
            Chain(b"k" * 32).seed(FURTHEST + 1)
        assert len(Chain(b"k" * 32).seed(FURTHEST)) == 32


class TestSenderKeys:
    def test_what_the_real_client_wrote(self) -> None:
        heard = HeardKeys()
        heard.hear(recorded("group", "distribution"))
        for number, sealed in reversed(list(enumerate(RECORDED["group"]["sealed"]))):
            plain = heard.decrypt(bytes.fromhex(sealed))
            assert protos.e2e.Message.FromString(plain).conversation == f"group {number}"

    def test_all_from_the_distribution_on_in_any_order(self) -> None:
        key, heard = SenderKey(), HeardKeys()
        before = key.encrypt(b"before")
        heard.hear(key.distribution())
        sealed = [(b"text %d" % number, key.encrypt(b"text %d" % number)) for number in range(40)]
        random.Random(7).shuffle(sealed)
        for text, message in sealed:
            assert heard.decrypt(message) == text
        with pytest.raises(Undecryptable, match="decrypted already"):
            heard.decrypt(sealed[0][1])
        with pytest.raises(Undecryptable, match="decrypted already"):
            heard.decrypt(before)

    def test_a_new_key_of_the_same_sender(self) -> None:
        old, new, heard = SenderKey(), SenderKey(), HeardKeys()
        heard.hear(old.distribution())
        late = old.encrypt(b"old")
        heard.hear(new.distribution())
        assert heard.decrypt(new.encrypt(b"new")) == b"new"
        assert heard.decrypt(late) == b"old"

    def test_without_a_distribution(self) -> None:
        with pytest.raises(Undecryptable, match="never distributed"):
            HeardKeys().decrypt(SenderKey().encrypt(b"text"))

    def test_a_changed_message(self) -> None:
        key, heard = SenderKey(), HeardKeys()
        heard.hear(key.distribution())
        sealed = bytearray(key.encrypt(b"text"))
        sealed[-70] ^= 1
        with pytest.raises(Undecryptable, match="didn't sign"):
            heard.decrypt(bytes(sealed))


class TestLinking:
    def test_a_scanned_code(self) -> None:
        keys = [b64encode(bytes([number]) * 32).decode() for number in range(3)]
        code = "https://wa.me/settings/linked_devices#" + ",".join(["2@ref", *keys, "1"])
        assert scanned(code) == Companion(identity=b"\1" * 32, secret=b"\2" * 32)
        with pytest.raises(ValueError, match="2 fields"):
            scanned("https://a.b/c,d")

    def test_what_the_phone_signs(self) -> None:
        account, device = Account(), KeyPair.make()
        container = account.link(Companion(device.public, b"secret"), NOW, index=4)
        outer = protos.adv.ADVSignedDeviceIdentityHMAC.FromString(container)
        assert hmac.digest(b"secret", outer.details, "sha256") == outer.HMAC
        signed = protos.adv.ADVSignedDeviceIdentity.FromString(outer.details)
        assert signed.accountSignatureKey == account.keys.public
        message = b"\6\0" + signed.details + device.public
        assert is_signed(account.keys.public, message, signed.accountSignature)
        details = protos.adv.ADVDeviceIdentity.FromString(signed.details)
        assert (details.rawID, details.timestamp, details.keyIndex) == (account.number, NOW, 4)

    def test_what_the_real_client_signed(self) -> None:
        account = Account(KeyPair(recorded("code", "account")))
        device = Companion(recorded("code", "identity"), b"")
        assert account.is_accepted(device, recorded("code", "answer"))
        other = Companion(KeyPair.make().public, b"")
        assert not account.is_accepted(other, recorded("code", "answer"))
        assert not Account().is_accepted(device, recorded("code", "answer"))

    def test_the_code_that_the_real_client_showed(self) -> None:
        account, ours = (KeyPair(recorded("code", name)) for name in ("account", "ours"))
        code, wrapped = RECORDED["code"]["code"], recorded("code", "wrapped")
        link = CodeLink(Account(account), code, wrapped, ours)
        companion = link.finish(recorded("code", "bundle"))
        assert companion.identity == recorded("code", "identity")

    def test_another_code(self) -> None:
        account, ours = (KeyPair(recorded("code", name)) for name in ("account", "ours"))
        link = CodeLink(Account(account), "1234-5678", recorded("code", "wrapped"), ours)
        with pytest.raises(WrongCode, match="another code"):
            link.finish(recorded("code", "bundle"))

    def test_device_and_phone_agree_on_a_secret(self) -> None:
        account, moment, identity = Account(), KeyPair.make(), KeyPair.make()
        wrapped = b"s" * 32 + b"i" * 16 + by_code("ABCD1234", b"s" * 32, b"i" * 16, moment.public)
        link = CodeLink(account, "abcd-1234", wrapped)
        hello = link.hello()
        theirs = by_code("ABCD1234", hello[:32], hello[32:48], hello[48:])
        shared = moment.agree(theirs)
        key = derive(shared, 32, b"t" * 32, b"link_code_pairing_key_bundle_encryption_key")
        bundle = identity.public + link.identity + b"r" * 32
        sealed = AESGCM(key).encrypt(b"n" * 12, bundle, None)
        secret = derive(shared + identity.agree(link.identity) + b"r" * 32, 32, info=b"adv_secret")
        companion = link.finish(b"t" * 32 + b"n" * 12 + sealed)
        assert companion == Companion(identity.public, secret)


def by_code(code: str, salt: bytes, iv: bytes, key: bytes) -> bytes:
    """A key as the device wraps it with the code, or unwraps it."""
    secret = hashlib.pbkdf2_hmac("sha256", code.encode(), salt, 2 << 16)
    return BlockCipher(AES(secret), CTR(iv)).encryptor().update(key)
