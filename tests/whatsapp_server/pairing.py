"""How a device is linked: by the QR code that it shows, or by a code that the owner types."""

from __future__ import annotations

import secrets
import time
from typing import Any

from tests.whatsapp_server.adv import Companion, scanned
from tests.whatsapp_server.nodes import Node
from tests.whatsapp_server.pair_code import CodeLink, WrongCode
from tests.whatsapp_server.streams import Stream
from tests.whatsapp_server.world import LIDS, PHONES, SERVER, Linked, World


class Pairing:
    """One device that wants to be linked, from its connection on."""

    def __init__(self, world: World, stream: Stream, payload: Any) -> None:
        self._world = world
        self.stream = stream
        self._platform = str(payload.userAgent.osVersion) or "unknown"
        self._companion: Companion | None = None
        self._hello: Node | None = None
        self._reference = ""
        self._code: CodeLink | None = None
        self._number = 0

    @property
    def waits_for_code(self) -> bool:
        """Whether it has asked to be linked by a code."""
        return self._hello is not None and self._code is None

    def start(self) -> None:
        """Tells the device what to put into its QR codes."""
        codes = [secrets.token_hex(12).encode() for _ in range(self._world.qr_codes)]
        self._tell("md", Node("pair-device", {}, [Node("ref", {}, one) for one in codes]))

    def scan(self, code: str) -> None:
        """The phone has read a QR code. Raises ValueError for one that is none."""
        self._link(scanned(code))

    def hello(self, node: Node) -> list[Node]:
        """The device asks for a link by code; its answer."""
        self._hello, self._code = node, None
        self._reference = secrets.token_hex(12)
        told = Node("link_code_pairing_ref", {}, self._reference.encode())
        return [Node("link_code_companion_reg", {"stage": "companion_hello"}, [told])]

    def type_code(self, code: str) -> None:
        """The owner has typed the code."""
        if self._hello is None:
            raise ValueError("no device waits for a code")
        wrapped = self._hello.within("link_code_pairing_wrapped_companion_ephemeral_pub").data
        self._code = CodeLink(self._world.account, code, wrapped)
        told = [
            Node("link_code_pairing_wrapped_primary_ephemeral_pub", {}, self._code.hello()),
            Node("primary_identity_pub", {}, self._code.identity),
            Node("link_code_pairing_ref", {}, self._reference.encode()),
        ]
        attrs = {"from": SERVER, "type": "link_code_companion_reg", "id": self._world.stanza()}
        inner = Node("link_code_companion_reg", {"stage": "primary_hello"}, told)
        self.stream.put(Node("notification", {**attrs, "t": _now()}, [inner]))

    def finish(self, node: Node) -> list[Node]:
        """The device has answered the phone. Raises ValueError where the code was another."""
        if self._code is None:
            raise ValueError("nobody has typed a code")
        bundle = node.within("link_code_pairing_wrapped_key_bundle").data
        try:
            companion = self._code.finish(bundle)
        except WrongCode:
            self._world.books.note("wrong_code")
            raise
        self._link(companion)
        return []

    def signed(self, node: Node) -> bool:
        """The device has signed in its turn; whether it is linked now."""
        if self._companion is None or node.child("pair-device-sign") is None:
            return False
        answer = node.within("pair-device-sign", "device-identity").data
        if not self._world.account.is_accepted(self._companion, answer):
            raise ValueError("the device signed something else")
        self._world.unlink()
        self._world.linked = Linked(self._number, self._companion.identity, self._platform)
        self._world.books.note("paired", device=self._number, platform=self._platform)
        return True

    def _link(self, companion: Companion) -> None:
        self._companion = companion
        self._number = self._world.device_number()
        identity = self._world.account.link(companion, int(time.time()))
        owner = self._world.owner
        who = {
            "jid": f"{owner.phone}:{self._number}@{PHONES}",
            "lid": f"{owner.lid}:{self._number}@{LIDS}",
        }
        told = [
            Node("device-identity", {}, identity),
            Node("device", who),
            Node("platform", {"name": "android"}),
        ]
        self._tell("md", Node("pair-success", {}, told))

    def _tell(self, space: str, node: Node) -> None:
        attrs = {"from": SERVER, "type": "set", "id": self._world.stanza(), "xmlns": space}
        self.stream.put(Node("iq", {**attrs, "t": _now()}, [node]))


def _now() -> str:
    return str(int(time.time()))
