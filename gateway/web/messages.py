"""Messages of `gateway.v1` as the page's JSON.

As proto3's JSON, but with the names of the proto (snake_case), 64-bit numbers as numbers (ours stay below 2**53), and
nothing left out: a field that is not set has its default, or null if it can be unset. Only members of a oneof that are
not the chosen one are left out.
"""

import base64
from functools import cache
from typing import Any

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

# Times and durations have a form of their own in JSON: RFC 3339, and seconds with an "s".
_OWN_FORM = frozenset({"google.protobuf.Timestamp", "google.protobuf.Duration", "google.protobuf.Struct"})


def as_json(message: Message) -> dict[str, Any]:
    """The message, ready for `json.dumps`."""
    found: dict[str, Any] = {}
    for field in _fields(message.DESCRIPTOR):
        value = getattr(message, field.name)
        if field.is_repeated:
            found[field.name] = _repeated(field, value)
        elif not field.has_presence or message.HasField(field.name):
            found[field.name] = _one(field, value)
        elif field.containing_oneof is None or _is_optional(field):
            found[field.name] = None
    return found


def _repeated(field: FieldDescriptor, value: Any) -> Any:
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        of = field.message_type.fields_by_name["value"]
        return {str(key): _one(of, each) for key, each in value.items()}
    return [_one(field, each) for each in value]


def _one(field: FieldDescriptor, value: Any) -> Any:
    if field.message_type is not None:
        return MessageToDict(value) if field.message_type.full_name in _OWN_FORM else as_json(value)
    if field.enum_type is not None:
        return _enum_name(field.enum_type, value)
    return base64.b64encode(value).decode() if field.type == FieldDescriptor.TYPE_BYTES else value


def _enum_name(enum: EnumDescriptor, number: int) -> str | int:
    found = enum.values_by_number.get(number)
    return number if found is None else str(found.name)


def _is_optional(field: FieldDescriptor) -> bool:
    """True for `optional` of a plain field, which is a oneof of its own in the descriptor."""
    oneof = field.containing_oneof
    return oneof is not None and len(oneof.fields) == 1 and oneof.name.startswith("_")


@cache
def _fields(descriptor: Descriptor) -> tuple[FieldDescriptor, ...]:
    return tuple(descriptor.fields)
