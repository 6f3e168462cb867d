"""The strings of WhatsApp's binary nodes: words as tokens, packed digits, addresses, plain bytes.

Words that are frequent go as one byte or two (tokens.txt, one a line: first the single bytes from
1 on, then four dictionaries of 256). An address (JID) has forms of its own, and the client takes a
value for an address only in such a form; in Python it is text: `user@server`,
`user:device@server`, and the server itself is `@s.whatsapp.net`.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

EMPTY, INTEROP_JID, FB_JID, AD_JID = 0, 245, 246, 247
LIST8, LIST16, JID_PAIR, HEX8 = 248, 249, 250, 251
BINARY8, BINARY20, BINARY32, NIBBLE8 = 252, 253, 254, 255
DICTIONARY, DICTIONARY_SIZE, SINGLES = 236, 256, 236
PACKED_MAX = 127
ALPHABETS = {NIBBLE8: "0123456789-.", HEX8: "0123456789ABCDEF"}
# The byte that stands for the server in an address with a device.
DEVICE_SERVERS = {0: "s.whatsapp.net", 1: "lid", 128: "hosted", 129: "hosted.lid"}
OTHER_SERVERS = ("g.us", "broadcast", "call", "c.us", "newsletter", "bot", "msgr", "interop")
SERVERS = frozenset([*DEVICE_SERVERS.values(), *OTHER_SERVERS])


def of_bytes(data: bytes) -> bytes:
    """Bytes with their length before them."""
    if len(data) < 256:
        return bytes([BINARY8, len(data)]) + data
    if len(data) < 1 << 20:
        return bytes([BINARY20]) + len(data).to_bytes(3, "big") + data
    return bytes([BINARY32]) + len(data).to_bytes(4, "big") + data


def of_string(text: str) -> bytes:
    """Text in its shortest form, never as an address."""
    if (token := _numbers().get(text)) is not None:
        return token
    for form, alphabet in ALPHABETS.items():
        if 0 < len(text) <= PACKED_MAX and all(sign in alphabet for sign in text):
            return _packed(form, [alphabet.index(sign) for sign in text])
    return of_bytes(text.encode())


def _packed(form: int, digits: list[int]) -> bytes:
    odd = len(digits) % 2
    pairs = zip(digits[::2], [*digits[1::2], 15], strict=False)
    return bytes([form, odd << 7 | (len(digits) + odd) // 2, *(a << 4 | b for a, b in pairs)])


def of_value(text: str) -> bytes:
    """An attribute's value: as an address where it is one, else as text."""
    return _of_address(text) or of_string(text)


def _of_address(text: str) -> bytes | None:
    who, at, server = text.rpartition("@")
    user, _, number = who.partition(":")
    if not at or server not in SERVERS or not (number or "0").isdecimal():
        return None
    device = int(number or 0)
    if server == "msgr":
        return bytes([FB_JID]) + of_string(user) + device.to_bytes(2, "big") + of_string(server)
    if server == "interop":
        integrator, _, user = user.rpartition("-")
        numbers = device.to_bytes(2, "big") + int(integrator or 0).to_bytes(2, "big")
        return bytes([INTEROP_JID]) + of_string(user) + numbers + of_string(server)
    for domain, name in DEVICE_SERVERS.items():
        if name == server and (device or domain >= 128):
            return bytes([AD_JID, domain, device]) + of_string(user)
    return bytes([JID_PAIR]) + (of_string(user) if user else bytes([EMPTY])) + of_string(server)


@cache
def _tokens() -> list[str]:
    lines = Path(__file__).with_name("tokens.txt").read_text(encoding="ascii").split("\n")
    return ["", *lines[:-1]]


@cache
def _numbers() -> dict[str, bytes]:
    numbers = {}
    for index, token in enumerate(_tokens()):
        dictionary, place = divmod(index - SINGLES, DICTIONARY_SIZE)
        single = bytes([index]) if index < SINGLES else bytes([DICTIONARY + dictionary, place])
        numbers[token] = single
    del numbers[""]
    return numbers


class StringReader:
    """Reads one after the other; IndexError where the data ends, ValueError where it is wrong."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, count: int) -> bytes:
        if self.at + count > len(self.data):
            raise IndexError
        self.at += count
        return self.data[self.at - count : self.at]

    def byte(self) -> int:
        return self.take(1)[0]

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def binary(self, form: int) -> bytes:
        return self.take(self.number({BINARY8: 1, BINARY20: 3, BINARY32: 4}[form]))

    def string(self) -> str:
        form = self.byte()
        if form < DICTIONARY:
            return _tokens()[form]
        if form < DICTIONARY + 4:
            return _tokens()[SINGLES + (form - DICTIONARY) * DICTIONARY_SIZE + self.byte()]
        if form in ALPHABETS:
            return self._unpacked(ALPHABETS[form])
        if form in (BINARY8, BINARY20, BINARY32):
            return self.binary(form).decode()
        return self._address(form)

    def _unpacked(self, alphabet: str) -> str:
        header = self.byte()
        digits = self.take(header & 127).hex()
        return "".join(alphabet[int(digit, 16)] for digit in digits[: -1 if header >> 7 else None])

    def _address(self, form: int) -> str:
        if form == JID_PAIR:
            return f"{self.string()}@{self.string()}"
        if form == AD_JID:
            domain, device, user = self.byte(), self.byte(), self.string()
            return _with_device(user, device, DEVICE_SERVERS[domain])
        if form == FB_JID:
            user, device = self.string(), self.number(2)
            return _with_device(user, device, self.string())
        if form == INTEROP_JID:
            user, device, integrator = self.string(), self.number(2), self.number(2)
            return _with_device(f"{integrator}-{user}", device, self.string())
        raise ValueError(f"no string begins with {form}")


def _with_device(user: str, device: int, server: str) -> str:
    return f"{user}:{device}@{server}" if device else f"{user}@{server}"
