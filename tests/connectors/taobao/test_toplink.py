"""Frames of the message channel, byte by byte."""

import random
import struct

import pytest

from connectors.errors import Misunderstood
from connectors.taobao.toplink import Frame, FrameType, Kind, Value, decode, encode


def text(words: str) -> bytes:
    data = words.encode()
    return struct.pack("<i", len(data)) + data


def custom(name: str, form: int, value: bytes) -> bytes:
    return b"\x01\x00" + text(name) + bytes([form]) + value


END = b"\x00\x00"
# Every kind of header and of value, as the official SDKs lay them out.
DATA = (
    b"\x02\x02"
    b"\x05\x00"
    + text("token-1")
    + custom("__kind", 2, b"\x03")
    + custom("id", 5, struct.pack("<q", 7160000000000000001))
    + custom("topic", 1, text("taobao_trade_TradeCreate"))
    + custom("content", 7, struct.pack("<i", 3) + b"\x1f\x8b\x00")
    + custom("time", 6, struct.pack("<q", 1767294245000))
    + custom("retried", 4, struct.pack("<i", 2))
    + custom("nothing", 0, b"")
    + custom("small", 3, struct.pack("<h", -5))
    + END
)


def test_a_frame_is_read_as_the_sdks_write_it() -> None:
    """Numbers of every width, text, bytes, dates and nothing."""
    frame = decode(DATA)
    assert (frame.type, frame.token) == (FrameType.SEND, "token-1")
    assert frame.custom == {
        "__kind": Kind.DATA,
        "id": 7160000000000000001,
        "topic": "taobao_trade_TradeCreate",
        "content": b"\x1f\x8b\x00",
        "time": 1767294245000,
        "retried": 2,
        "nothing": None,
        "small": -5,
    }


def test_connect_and_confirm_are_written_as_the_sdks_read_them() -> None:
    """CONNECT has a flag and texts; a confirmation has one byte `__kind` and a 64-bit id."""
    connect = Frame(FrameType.CONNECT, {"app_key": "12345678", "sign": "AB"}, flag=1)
    flag = b"\x04\x00" + struct.pack("<i", 1)
    assert (
        encode(connect)
        == b"\x02\x00" + flag + custom("app_key", 1, text("12345678")) + custom("sign", 1, text("AB")) + END
    )
    confirm = Frame(FrameType.SEND, {"__kind": Kind.CONFIRM, "id": 7}, token="t")
    assert (
        encode(confirm)
        == b"\x02\x02\x05\x00" + text("t") + custom("__kind", 2, b"\x02") + custom("id", 5, struct.pack("<q", 7)) + END
    )


def test_a_refusal_has_a_status_and_a_phrase() -> None:
    """What the server says instead of a token."""
    frame = Frame(FrameType.CONNECT_ACK, status=401, phrase="invalid sign", flag=1)
    assert decode(encode(frame)) == frame


def test_what_is_written_is_read() -> None:
    """Any frame survives the wire."""
    seed = random.SystemRandom().randrange(10**9)
    print(f"{seed=}")
    chance = random.Random(seed)
    values: list[Value] = [None, "", "库存", b"", b"\x00\xff", 0, -1, 2**63 - 1, -(2**63)]
    for _ in range(300):
        frame = Frame(
            chance.choice(list(FrameType)),
            {f"name{place}": chance.choice(values) for place in range(chance.randrange(5))},
            chance.choice([None, 0, -1, 401]),
            chance.choice(["", "坏"]),
            chance.choice([None, 0, 2**31 - 1]),
            chance.choice(["", "token"]),
        )
        assert decode(encode(frame)) == frame


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x02",
        b"\x01\x02" + END,  # another version
        b"\x02\x09" + END,  # no such type
        b"\x02\x02\x09\x00" + END,  # no such header
        b"\x02\x02",  # no end
        b"\x02\x02\x05\x00" + struct.pack("<i", 2**31 - 1) + b"x",  # a text longer than the frame
        b"\x02\x02\x05\x00" + struct.pack("<i", -1) + END,  # a text of negative length
        b"\x02\x02\x05\x00" + struct.pack("<i", 2) + b"\xff\xfe" + END,  # not UTF-8
        b"\x02\x02" + custom("id", 9, b"") + END,  # no such value
    ],
)
def test_garbage_is_misunderstood(data: bytes) -> None:
    """A frame that breaks off or lies about its lengths is refused as a whole."""
    with pytest.raises(Misunderstood):
        decode(data)


def test_no_spoiled_frame_does_harm() -> None:
    """Whatever bytes are cut or changed: a frame, or `Misunderstood`, and nothing else."""
    seed = random.SystemRandom().randrange(10**9)
    print(f"{seed=}")
    chance = random.Random(seed)
    for _ in range(3000):
        spoiled = bytearray(DATA[: chance.randrange(len(DATA) + 1)])
        for _ in range(chance.randrange(4)):
            if spoiled:
                spoiled[chance.randrange(len(spoiled))] = chance.randrange(256)
        try:
            decode(bytes(spoiled))
        except Misunderstood:
            continue
