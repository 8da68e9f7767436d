"""Which methods are people's, and the wrapper that writes their calls down (`gateway/audit.py`).

Whoever serves methods, to gRPC or to the page, serves `audited(...)` ones, so that both leave the same entries. Order
systems and connectors are not people: what they do is in the journal, in orders, pushes and attempts. What both do to
reservations is written down of callers who say who they are.
"""

import re
from collections.abc import Iterable, Mapping
from functools import wraps
from typing import Any
from urllib.parse import unquote

import msgspec
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from gateway import telemetry
from gateway.domain.audit import DONE, Asked
from gateway.domain.errors import GatewayError
from gateway.rpc.server import Call, Streaming, Unary
from gateway.rpc.status import STATUS_OF

AUDITED: dict[str, frozenset[str]] = {
    "StockService": frozenset({"ReceiveStock", "AdjustStock", "CountStock", "TransferStock", "ReturnStock"}),
    "CatalogService": frozenset(
        {
            *("CreateSku", "UpdateSku", "FreezeSku", "UnfreezeSku", "CreateLocation", "UpdateLocation"),
            *("CreateChannel", "UpdateChannel", "SetCredentials", "LinkListing", "UnlinkListing", "SetPolicy"),
            "ImportCatalog",
        }
    ),
    "ChannelService": frozenset({"PauseChannel", "ResumeChannel", "ResyncListing", "ResolveShortfall"}),
    "AlertService": frozenset(
        {
            *("Acknowledge", "CompleteStep", "Silence", "EndSilence", "SetAlertPolicy", "SetRunbook"),
            *("AnnounceIncoming", "CancelIncoming", "SetDemandProfile", "StartDrill", "StopDrill"),
            "Rehearse",
        }
    ),
    "LiveService": frozenset(
        {
            *("OpenSession", "UpdateSession", "CloseSession", "SetTemplate", "DeleteTemplate", "DecideProposal"),
            "AcceptAdvice",
        }
    ),
    "OperationsService": frozenset({"TraceSku"}),
}
OF_WHO_IS_NAMED: dict[str, frozenset[str]] = {
    "StockService": frozenset(
        {
            *("ReserveStock", "CommitReservation", "ReleaseReservation", "ExtendReservation"),
            "ResizeReservation",
        }
    ),
}
# Who calls, where the request has no field for it; percent-encoded UTF-8, for metadata are ASCII.
ACTOR_KEY = "stockgate-actor"
WORD_LENGTH_MAX = 128
TEXT_LENGTH_MAX = 500
LIST_LENGTH_MAX = 20
# Values, and characters of text, that are kept of one request in all.
VALUES_MAX = 500
CHARACTERS_MAX = 8_000
# A name like one of these is of something nobody may read.
_SECRET = re.compile(r"secret|password|credential|(^|_)token(s?)($|_)|(^|_)key$")
_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_HIDDEN = "(secret)"
_MORE = "…"
_INTERNAL = "INTERNAL"


def audited(service: str, methods: Mapping[str, Unary | Streaming]) -> dict[str, Unary | Streaming]:
    """The service's methods, those that are people's written down as they are called."""
    if_named = OF_WHO_IS_NAMED.get(service, frozenset())
    wanted = AUDITED.get(service, frozenset()) | if_named
    return {
        name: _written_down(f"{service}/{name}", method, if_named=name in if_named) if name in wanted else method
        for name, method in methods.items()
    }


def _written_down(name: str, method: Any, *, if_named: bool) -> Unary:
    @wraps(method)
    async def ask(call: Call, request: Any) -> Message:
        if if_named and not _caller(call.metadata):
            done: Message = await method(call, request)
            return done
        audit = call.merchant.audit
        audit_id = await audit.begin(asked_of(call, name, request))
        try:
            response: Message = await method(call, request)
        except GatewayError as error:
            await audit.end(audit_id, STATUS_OF[type(error)][1])
            raise
        # A fault of ours: it goes on its way, and the entry says that there was one.
        except Exception:
            await audit.end(audit_id, _INTERNAL)
            raise
        await audit.end(audit_id, DONE, sku=_subject(response, "sku"), channel=_subject(response, "channel"))
        return response

    return ask


def asked_of(call: Call, method: str, request: Message) -> Asked:
    """What a call asks for, ready to be kept, whatever is in it."""
    return Asked(
        _word(getattr(request, "actor", "") or _caller(call.metadata)),
        method,
        _subject(request, "sku"),
        _subject(request, "channel"),
        _word(getattr(request, "request_id", "")),
        msgspec.json.encode(content_of(request)).decode(),
        telemetry.current_traceparent(),
    )


def content_of(request: Message) -> dict[str, Any]:
    """The request's fields that are set, by name: without what is secret, and bounded, whatever its size."""
    return _Room().message(request)


class _Room:
    """How much of a request is still kept."""

    def __init__(self) -> None:
        self._values = VALUES_MAX
        self._characters = CHARACTERS_MAX

    def message(self, message: Message) -> dict[str, Any]:
        """The fields that are set."""
        return {field.name: self._field(field, value) for field, value in message.ListFields()}

    def _field(self, field: FieldDescriptor, value: Any) -> Any:
        if _SECRET.search(field.name):
            return _HIDDEN
        if not field.is_repeated:
            return self._value(field, value)
        kept = [self._value(field, one) for one in value[:LIST_LENGTH_MAX] if self._values > 0]
        left_out = len(value) - len(kept)
        return [*kept, f"{_MORE} {left_out}"] if left_out else kept

    def _value(self, field: FieldDescriptor, value: Any) -> Any:
        self._values -= 1
        if isinstance(value, Message):
            return _time(value) if _is_time(value) else self.message(value)
        if field.enum_type is not None:
            named = field.enum_type.values_by_number.get(value)
            return value if named is None else named.name
        if isinstance(value, float):
            # Not every one is a number in JSON.
            return value if value - value == 0 else str(value)
        return self._text(value) if isinstance(value, str) else value

    def _text(self, text: str) -> str:
        length_max = min(TEXT_LENGTH_MAX, self._characters)
        kept = text if len(text) <= length_max else f"{text[:length_max]}{_MORE} ({len(text)})"
        self._characters -= min(len(text), length_max)
        return kept.replace("\0", "\ufffd")


def _is_time(message: Message) -> bool:
    return message.DESCRIPTOR.name in {"Timestamp", "Duration"}


def _time(message: Any) -> str:
    try:
        return str(message.ToJsonString())
    except (ValueError, OverflowError):
        return f"{message.seconds} s"


def _caller(metadata: Iterable[tuple[str, str | bytes]]) -> str:
    return next((unquote(str(value)) for name, value in metadata if name == ACTOR_KEY), "")


def _word(text: str) -> str:
    """Short, and fit to be compared and shown."""
    return _CONTROL.sub("\ufffd", text[:WORD_LENGTH_MAX])


def _subject(message: Message, name: str) -> str:
    """The one SKU or channel that a message is about: of its own fields, else of its first part that names one."""
    parts: list[Message] = []
    for field, value in message.ListFields():
        several = list(value) if field.is_repeated else [value]
        if len(several) != 1:
            continue
        if field.type == FieldDescriptor.TYPE_MESSAGE:
            parts += several
        elif field.type == FieldDescriptor.TYPE_STRING and field.name in {name, f"{name}s"}:
            return _word(several[0])
    return next((found for part in parts if (found := _subject(part, name))), "")
