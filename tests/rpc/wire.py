"""Hand-made bytes: what a hostile or broken client may put on the wire, past every check of protobuf's own."""

import struct
from dataclasses import dataclass

from google.protobuf.message import Message

VARINT, FIXED64, DELIMITED = 0, 1, 2


@dataclass(frozen=True)
class Times:
    """The value that is there, so many times over."""

    count: int


# None: the field is missing. Bytes go out as they are, whatever the field's type.
Value = str | bytes | float | Times | None


def spoiled(message: Message, path: str, value: Value) -> bytes:
    """The message with another value at a path such as `lines[0].sku`; only first elements can be reached."""
    name, _, rest = path.partition(".")
    field = message.DESCRIPTOR.fields_by_name[name.removesuffix("[0]")]
    others = type(message).FromString(message.SerializeToString())
    others.ClearField(field.name)
    present = getattr(message, field.name)
    if rest:
        inner = present[0] if field.is_repeated else present
        return others.SerializeToString() + delimited(field.number, spoiled(inner, rest, value))
    if isinstance(value, Times):
        return others.SerializeToString() + element(field.number, present[0]) * value.count
    return others.SerializeToString() + (b"" if value is None else element(field.number, value))


def element(number: int, value: Message | str | bytes | float) -> bytes:
    """One value of a field as it goes over the wire."""
    match value:
        case Message():
            return delimited(number, value.SerializeToString())
        case str():
            return delimited(number, value.encode())
        case bytes():
            return delimited(number, value)
        case int():
            return varint(number << 3 | VARINT) + varint(value)
        case float():
            return varint(number << 3 | FIXED64) + struct.pack("<d", value)


def delimited(number: int, payload: bytes) -> bytes:
    """A field of text, bytes or a message."""
    return varint(number << 3 | DELIMITED) + varint(len(payload)) + payload


def varint(value: int) -> bytes:
    """A number in protobuf's variable length; a negative one as 64 bits of two's complement."""
    value &= 2**64 - 1
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
