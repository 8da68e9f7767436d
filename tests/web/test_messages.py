"""Messages as the page's JSON: what proto3's JSON has, with numbers as numbers and nothing left out."""

from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.message import Message

from gateway.v1 import alert_pb2, catalog_service_pb2, operations_pb2, operations_service_pb2
from gateway.web.messages import as_json

TIME = "2026-11-22T18:33:20.877543Z"
MESSAGES: tuple[Message, ...] = (
    operations_pb2.BoardRow(),
    ParseDict(
        {
            "sku": "CUP",
            "tier": "TIER_URGENT",
            "tier_time": TIME,
            "on_hand": 2**53 - 1,
            "silenced_by": [4, 5],
            "minutes_p50": 0,
            "channels": [{"channel": "tb", "shown": 0, "read_time": TIME}, {"channel": "dy"}],
            "acknowledgement": {"actor": "李敏", "action": "ACK_ACTION_WATCH"},
        },
        operations_pb2.BoardRow(),
    ),
    ParseDict({"kind": 1, "tier_change": {"to": 4, "stock_out": {"p10_seconds": 1.5}}}, alert_pb2.AlertEvent()),
    alert_pb2.AlertEvent(kind=alert_pb2.AlertEventKind.ALERT_EVENT_KIND_WATCHDOG),
    ParseDict({"sku": "CUP", "duration": "90.5s"}, operations_service_pb2.TraceSkuRequest()),
    catalog_service_pb2.ImportCatalogRequest(),
)


def plain(content: Any) -> Any:
    """JSON without what is not set, 64-bit numbers as numbers: what both ways of writing agree on."""
    if isinstance(content, dict):
        found = {name: plain(value) for name, value in content.items()}
        return {name: value for name, value in found.items() if value is not None}
    if isinstance(content, list):
        return [plain(value) for value in content]
    return int(content) if isinstance(content, str) and content.lstrip("-").isdecimal() else content


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: f"{message.DESCRIPTOR.name} {message.ByteSize()}")
def test_it_is_the_json_of_proto3(message: Message) -> None:
    """Same names, same values, defaults printed; what is not set and can be unset is null."""
    usual = MessageToDict(message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)
    assert plain(as_json(message)) == plain(usual)


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: f"{message.DESCRIPTOR.name} {message.ByteSize()}")
def test_it_is_read_back(message: Message) -> None:
    """What the page gets it may send again."""
    assert ParseDict(as_json(message), type(message)()) == message


def test_what_is_not_set_is_null_and_what_is_zero_is_zero() -> None:
    """A page can tell 'sold out now' from 'not foreseen'."""
    row = as_json(ParseDict({"minutes_p50": 0}, operations_pb2.BoardRow()))
    assert (row["minutes_p50"], row["minutes_p10"], row["acknowledgement"], row["on_hand"]) == (0, None, None, 0)


def test_only_the_chosen_member_of_a_oneof_is_there() -> None:
    """An event has the body of its kind, and not twelve nulls."""
    event = as_json(ParseDict({"silence": {"silence_id": 7}}, alert_pb2.AlertEvent()))
    assert event["silence"]["silence_id"] == 7
    assert "tier_change" not in event


def test_an_unknown_value_of_an_enum_is_its_number() -> None:
    """A newer gateway's value is not lost."""
    assert as_json(operations_pb2.BoardRow(tier=99))["tier"] == 99  # type: ignore[arg-type]  # a value of a later release
