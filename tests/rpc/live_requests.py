"""Of every RPC of LiveService a good request, and what can be wrong with each of its fields."""

import time
from datetime import UTC, datetime

import msgspec
from google.protobuf.message import Message
from grpc import StatusCode

from gateway.domain.alerts import Proposal, ProposalKind
from gateway.domain.alerts import ProposalState as State
from gateway.domain.lines import Template
from gateway.domain.tiers import Tier as DomainTier
from gateway.store.proposals import Kept
from gateway.v1 import live_service_pb2 as pb
from gateway.v1.alert_pb2 import ProposalState, Tier
from tests.client import made, new_id
from tests.rpc import spoils as wrong
from tests.rpc.spoils import FREE, MISSING, Fields, Spoil, times
from tests.rpc.stalls import Stall

# The merchant has words of its own for this.
TEMPLATE_ID = "HOST/TREND/en"


def live_of(stall: Stall) -> dict[str, Message]:
    """A good request of each, by the RPC's name. A proposal has the number of the stall's session."""
    soon, page = {"seconds": int(time.time()) + 3_600}, {"page_size": 1, "page_token": ""}
    who = {"request_id": new_id(), "actor": "小王"}
    session, of_sku = {"session_id": stall.session_id}, {"session_id": stall.session_id, "sku": stall.sku}
    room = {"room": "一号间", "channels": [stall.channel], "host": "阿明", "agora_channel": "room-1"}
    template = {"intent": "HOST", "tier": Tier.TIER_URGENT, "language": "zh-CN", "variants": ["还有货"]}
    substitute = [{"sku": stall.substitute}]
    return {
        "OpenSession": made(pb.OpenSessionRequest, **who, **room, skus=substitute, planned_end_time=soon),
        "UpdateSession": made(
            pb.UpdateSessionRequest,
            **who,
            **session,
            skus=substitute,
            remove_skus=[stall.sku],
            planned_end_time=soon,
        ),
        "CloseSession": made(pb.CloseSessionRequest, **who, **session),
        "GetSession": made(pb.GetSessionRequest, **session),
        "GetReview": made(pb.GetReviewRequest, **session),
        "AcceptAdvice": made(pb.AcceptAdviceRequest, **who, **of_sku, kind="SAFETY_STOCK"),
        "ListSessions": made(pb.ListSessionsRequest, **page, open_only=True),
        "WatchHints": made(pb.WatchHintsRequest, **session, skus=[stall.sku]),
        "GetHints": made(pb.GetHintsRequest, **session, skus=[stall.sku]),
        "TakeLine": made(
            pb.TakeLineRequest, **of_sku, intent="STOCK", viewer="viewer", language="en", drill_id=stall.drill_id
        ),
        "SetTemplate": made(pb.SetTemplateRequest, **who, template=template),
        "DeleteTemplate": made(pb.DeleteTemplateRequest, **who, template_id=TEMPLATE_ID),
        "ListTemplates": made(pb.ListTemplatesRequest, language="en"),
        "PreviewTemplate": made(pb.PreviewTemplateRequest, **of_sku, template=template),
        "ListProposals": made(pb.ListProposalsRequest, **page, **session, state=ProposalState.PROPOSAL_STATE_OPEN),
        "DecideProposal": made(
            pb.DecideProposalRequest, **who, proposal_id=stall.session_id, approve=True, quantity=2, note="好"
        ),
    }


def rows_of(stall: Stall) -> dict[str, tuple[object, ...]]:
    """What must be stored for these requests to be good: three units proposed to be moved, and a template; by table."""
    proposal = Proposal(ProposalKind.MOVE_UNITS, State.OPEN, stall.sku, datetime.now(UTC), stall.session_id, quantity=3)
    template = Template("HOST", "en", ("{title}",), DomainTier.TREND)
    kept = msgspec.json.encode(Kept(proposal)).decode()
    return {
        "proposals": (stall.session_id, 0, stall.sku, int(State.OPEN), kept),
        "templates": (TEMPLATE_ID, msgspec.json.encode(template).decode()),
    }


def _numbers(*numbers: int) -> tuple[Spoil, ...]:
    return tuple(Spoil(str(number), number) for number in numbers)


def _numbered(reason: str) -> tuple[Spoil, ...]:
    """The number of nothing."""
    return (*wrong.NEGATIVE, wrong.unknown(reason, 10**9), wrong.unknown(reason, wrong.INT64_MAX))


_ZERO = Spoil("zero", 0)
_PRINTED = (*wrong.BYTES, *wrong.UNPRINTABLE, wrong.LONG)
_NAME = (MISSING, wrong.EMPTY, Spoil("spaces", "  "), *_PRINTED, Spoil("101 characters", "x" * 101))
_WHO: Fields = {"request_id": wrong.ID, "actor": _NAME}
_SESSION = (MISSING, _ZERO, *_numbered("SESSION_UNKNOWN"))
_SOLD = (*wrong.CODE, wrong.unknown("SKU_UNKNOWN"))
_END = (
    *wrong.TIME,
    Spoil("past", wrong.time(1_700_000_000)),
    Spoil("in a year", wrong.time(int(time.time()) + 365 * 86_400)),
)
_SKUS: Fields = {
    "skus[0].sku": wrong.SKU,
    "skus[0].exclusive_units": (
        *wrong.UNITS_OR_NONE,
        Spoil("more than there are", 1_000, StatusCode.FAILED_PRECONDITION, "INSUFFICIENT_STOCK"),
    ),
    "skus[0].exclusive_left": FREE,
}
_LANGUAGE = (*wrong.BYTES, Spoil("another", "fr"), Spoil("almost", "zh-cn"), wrong.LONG)
_VARIANT = (
    *_PRINTED,
    wrong.EMPTY,
    Spoil("201 characters", "x" * 201),
    Spoil("an unknown variable", "{stock}"),
    Spoil("an unclosed brace", "{title"),
    Spoil("a brace too many", "title}"),
    Spoil("markup", "<b>x</b>"),
)
_TEMPLATE: Fields = {
    "template.intent": (MISSING, wrong.EMPTY, *wrong.BYTES, Spoil("another", "SHOUT"), wrong.LONG),
    "template.tier": (MISSING, *_numbers(0, 6, -1, wrong.INT32_MAX)),
    "template.language": (MISSING, wrong.EMPTY, *_LANGUAGE),
    "template.variants": (MISSING, *times(20)),
    "template.variants[0]": _VARIANT,
    "template.is_built_in": FREE,
    "template.template_id": wrong.BYTES,
    "template.is_stale": (Spoil("with a tier", True, field="template.tier"),),
}
# By the name of the RPC.
LIVE: dict[str, Fields] = {
    "OpenSession": {
        **_WHO,
        "room": _NAME,
        "channels": (MISSING, *times(20)),
        "channels[0]": (*wrong.CODE[1:], wrong.unknown("CHANNEL_UNKNOWN")),
        "skus": (MISSING, *times(1_000)),
        **_SKUS,
        "planned_end_time": (MISSING, *_END),
        "host": (*_PRINTED, Spoil("101 characters", "x" * 101)),
        "agora_channel": (*_PRINTED, Spoil("65 characters", "x" * 65)),
    },
    "UpdateSession": {
        **_WHO,
        "session_id": _SESSION,
        "skus": times(1_000),
        **_SKUS,
        "remove_skus": times(1_000),
        "remove_skus[0]": (*wrong.CODE[1:], Spoil("not sold", "NOPE")),
        "planned_end_time": _END,
    },
    "CloseSession": {**_WHO, "session_id": _SESSION},
    "GetReview": {"session_id": _SESSION},
    "AcceptAdvice": {**_WHO, "session_id": _SESSION, "kind": wrong.CODE, "sku": wrong.CODE},
    "GetSession": {"session_id": _SESSION},
    "ListSessions": {"open_only": FREE, "page_size": wrong.PAGE_SIZE, "page_token": wrong.TOKEN_OF_NUMBER},
    "WatchHints": {"session_id": _SESSION, "skus": times(1_000), "skus[0]": _SOLD[1:]},
    "GetHints": {"session_id": _SESSION, "skus": times(1_000), "skus[0]": _SOLD[1:]},
    "TakeLine": {
        "session_id": _SESSION,
        "sku": _SOLD,
        "intent": (MISSING, wrong.EMPTY, *wrong.BYTES, Spoil("the host's", "HOST"), wrong.LONG),
        "viewer": (*wrong.BYTES, wrong.LONG, Spoil("129 characters", "x" * 129)),
        "language": _LANGUAGE,
        "drill_id": _numbered("DRILL_UNKNOWN"),
    },
    "SetTemplate": {**_WHO, **_TEMPLATE},
    "DeleteTemplate": {
        **_WHO,
        "template_id": (*wrong.CODE, wrong.unknown("TEMPLATE_UNKNOWN"), wrong.unknown("TEMPLATE_UNKNOWN", "HOST")),
    },
    "ListTemplates": {"language": _LANGUAGE},
    "PreviewTemplate": {
        **_TEMPLATE,
        "session_id": _numbered("SESSION_UNKNOWN"),
        "sku": _SOLD,
    },
    "ListProposals": {
        "session_id": wrong.NEGATIVE,
        "state": _numbers(7, -1, wrong.INT32_MAX),
        "page_size": wrong.PAGE_SIZE,
        "page_token": wrong.TOKEN_OF_NUMBER,
    },
    "DecideProposal": {
        **_WHO,
        "proposal_id": (MISSING, _ZERO, *_numbered("PROPOSAL_UNKNOWN")),
        "approve": (Spoil("no, but so many", False, field="quantity"),),
        "quantity": (*wrong.UNITS_OR_NONE, Spoil("more than proposed", 4)),
        "note": (*_PRINTED, Spoil("501 characters", "x" * 501)),
    },
}
