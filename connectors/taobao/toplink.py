"""Frames of TopLink v2, the message channel's protocol over a WebSocket (Link/ of the official .NET SDK; lib/tmc of
Alibaba's own SDK for Node.js).

Binary, little-endian: version, type, then headers that each begin with a 16-bit kind until kind 0. A custom header is
a name and a typed value.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum

from connectors.errors import Misunderstood

VERSION = 2

Value = int | str | bytes | None


class FrameType(IntEnum):
    """What a frame is."""

    CONNECT = 0
    CONNECT_ACK = 1
    SEND = 2
    SEND_ACK = 3


class Kind(IntEnum):
    """`__kind` of a SEND frame."""

    PULL = 1
    CONFIRM = 2
    DATA = 3
    FAILED = 20


class _Header(IntEnum):
    END = 0
    CUSTOM = 1
    STATUS = 2
    PHRASE = 3
    FLAG = 4
    TOKEN = 5


class Format(IntEnum):
    """How a custom value is written."""

    VOID = 0
    TEXT = 1
    BYTE = 2
    INT16 = 3
    INT32 = 4
    INT64 = 5
    DATE = 6  # milliseconds since 1970
    BYTES = 7


_NUMBERS = {Format.BYTE: "B", Format.INT16: "<h", Format.INT32: "<i", Format.INT64: "<q", Format.DATE: "<q"}
# Numbers that are not 64 bits wide on the wire.
_FORMATS = {"__kind": Format.BYTE, "time": Format.DATE, "outtime": Format.DATE, "retried": Format.INT32}


@dataclass(frozen=True)
class Frame:
    """One message of the protocol; numbers are ints, whatever their width was."""

    type: FrameType
    custom: Mapping[str, Value] = field(default_factory=dict)
    status: int | None = None
    phrase: str = ""
    flag: int | None = None
    token: str = ""


def encode(frame: Frame) -> bytes:
    """The frame as bytes."""
    parts = [bytes([VERSION, frame.type])]
    if frame.status is not None:
        parts.append(struct.pack("<hi", _Header.STATUS, frame.status))
    if frame.phrase:
        parts += [struct.pack("<h", _Header.PHRASE), _text(frame.phrase)]
    if frame.flag is not None:
        parts.append(struct.pack("<hi", _Header.FLAG, frame.flag))
    if frame.token:
        parts += [struct.pack("<h", _Header.TOKEN), _text(frame.token)]
    for name, value in frame.custom.items():
        parts += [struct.pack("<h", _Header.CUSTOM), _text(name), _value(name, value)]
    parts.append(struct.pack("<h", _Header.END))
    return b"".join(parts)


def decode(data: bytes) -> Frame:
    """The frame that bytes stand for; raises `Misunderstood`."""
    try:
        return _Reader(data).frame()
    except (struct.error, ValueError, IndexError) as error:
        raise Misunderstood(f"no TopLink frame: {type(error).__name__}") from None


def _text(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<i", len(data)) + data


def _value(name: str, value: Value) -> bytes:
    match value:
        case None:
            return bytes([Format.VOID])
        case str():
            return bytes([Format.TEXT]) + _text(value)
        case bytes():
            return bytes([Format.BYTES]) + struct.pack("<i", len(value)) + value
        case int():
            form = _FORMATS.get(name, Format.INT64)
            return bytes([form]) + struct.pack(_NUMBERS[form], value)


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def frame(self) -> Frame:
        version, kind = self._take(2)
        if version != VERSION:
            raise ValueError(version)
        custom: dict[str, Value] = {}
        status = flag = None
        phrase = token = ""
        while (header := _Header(self._number("<h"))) is not _Header.END:
            match header:
                case _Header.CUSTOM:
                    name = self._text()
                    custom[name] = self._value()
                case _Header.STATUS:
                    status = self._number("<i")
                case _Header.PHRASE:
                    phrase = self._text()
                case _Header.FLAG:
                    flag = self._number("<i")
                case _Header.TOKEN:
                    token = self._text()
        return Frame(FrameType(kind), custom, status, phrase, flag, token)

    def _take(self, size: int) -> bytes:
        if size < 0 or self._at + size > len(self._data):
            raise ValueError(size)
        self._at += size
        return self._data[self._at - size : self._at]

    def _number(self, form: str) -> int:
        (number,) = struct.unpack(form, self._take(struct.calcsize(form)))
        return int(number)

    def _text(self) -> str:
        return self._take(self._number("<i")).decode()

    def _value(self) -> Value:
        match Format(self._number("B")):
            case Format.VOID:
                return None
            case Format.TEXT:
                return self._text()
            case Format.BYTES:
                return self._take(self._number("<i"))
            case form:
                return self._number(_NUMBERS[form])
