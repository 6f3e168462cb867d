"""Signal's messages in protobuf's wire form: few fields, numbers and bytes only."""

from __future__ import annotations

from collections.abc import Mapping

BYTES = 2


class Fields(dict[int, int | bytes]):
    """A message's fields by number."""

    def number(self, field: int) -> int:
        """A field's number, 0 where it isn't there."""
        value = self.get(field, 0)
        if isinstance(value, bytes):
            raise ValueError(f"field {field} holds bytes, not a number")
        return value

    def data(self, field: int) -> bytes:
        """A field's bytes, empty where it isn't there."""
        value = self.get(field, b"")
        if isinstance(value, int):
            raise ValueError(f"field {field} holds a number, not bytes")
        return value


def pack(fields: Mapping[int, int | bytes | None]) -> bytes:
    """The wire form of a message's fields; those that are None are left out."""
    parts = []
    for field, value in fields.items():
        if isinstance(value, bytes):
            parts += [_varint(field << 3 | BYTES), _varint(len(value)), value]
        elif value is not None:
            parts += [_varint(field << 3), _varint(value)]
    return b"".join(parts)


def unpack(data: bytes) -> Fields:
    """The fields of a message; ValueError where it is none, or has fields of other kinds."""
    fields, at = Fields(), 0
    while at < len(data):
        key, at = _read(data, at)
        value, at = _read(data, at)
        if key & 7 == BYTES:
            if at + value > len(data):
                raise ValueError("a message that ends within a field")
            fields[key >> 3], at = data[at : at + value], at + value
        elif key & 7 == 0:
            fields[key >> 3] = value
        else:
            raise ValueError(f"a field of the kind {key & 7}")
    return fields


def _varint(value: int) -> bytes:
    parts = bytearray()
    while value > 127:
        parts.append(value & 127 | 128)
        value >>= 7
    return bytes([*parts, value])


def _read(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    for at in range(at, len(data)):  # noqa: B020
        value |= (data[at] & 127) << shift
        shift += 7
        if data[at] < 128:
            return value, at + 1
    raise ValueError("a message that ends within a number")
