"""Of every RPC of AlertService about tiers, and at the desk, a good request and what can be wrong with each field."""

import json
import math
import time
from typing import Any

from google.protobuf.message import Message
from grpc import StatusCode

from gateway.v1 import alert_service_pb2 as pb
from gateway.v1.alert_pb2 import AckAction, Tier
from tests.client import made, new_id
from tests.rpc import spoils as wrong
from tests.rpc.spoils import FREE, MISSING, Fields, Spoil, times
from tests.rpc.stalls import Stall

PROFILE: dict[str, Any] = {
    "hours": [1.0] * 24,
    "spread": 0.2,
    "days": 7,
    "skus": {"tea": {"rate": 0.01, "quantity_mean": 1.5, "quantity_square": 3.0, "orders": 70}},
    "offset_seconds": 28_800.0,
}


def desk_of(stall: Stall) -> dict[str, Message]:
    """A good request of each, by the RPC's name. The stall's SKU stands at THRESHOLD, in its first episode."""
    soon, page = {"seconds": int(time.time()) + 3_600}, {"page_size": 1, "page_token": ""}
    who = {"request_id": new_id(), "actor": "li"}
    key = {"sku": stall.sku, "episode": 1, "tier": Tier.TIER_THRESHOLD}
    supply = {"action": AckAction.ACK_ACTION_REPLENISH, "quantity": 200, "arrive_time": soon}
    matcher = {"skus": [stall.sku], "channels": [stall.channel], "session_ids": [stall.session_id]}
    hush = {"matcher": matcher, "comment": "rehearsing", "end_time": soon, "until_resolved": True}
    policy = {"sku": stall.sku, "service_level": 0.9, "fixed_line": 50, "hard_floor": 5, "no_supply": True}
    seconds = {"lead_seconds": 600.0, "fastest_lead_seconds": 60.0, "false_raise_seconds": 7_200.0}
    steps = [{"text": "喊人", "text_en": "Shout", "owner": "助播", "minutes_max": 1}]
    lines = {"host_line": "手快有", "host_line_en": "Be quick", "receivers": ["ops"]}
    return {
        "GetTier": made(pb.GetTierRequest, sku=stall.sku),
        "ListTiers": made(pb.ListTiersRequest, **page, min_tier=Tier.TIER_TREND, session_id=stall.session_id),
        "Acknowledge": made(pb.AcknowledgeRequest, **who, **key, **supply, note="in a van"),
        "CompleteStep": made(pb.CompleteStepRequest, **who, **key, step=1),
        "Silence": made(pb.SilenceRequest, **who, **hush, max_tier=Tier.TIER_TREND),
        "EndSilence": made(pb.EndSilenceRequest, **who, silence_id=stall.silence_id),
        "ListSilences": made(pb.ListSilencesRequest, **page, include_ended=True),
        "SetAlertPolicy": made(pb.SetAlertPolicyRequest, **who, policy={**policy, **seconds}),
        "ListAlertPolicies": made(pb.ListAlertPoliciesRequest, **page, sku_prefix="C"),
        "SetRunbook": made(pb.SetRunbookRequest, **who, runbook={"tier": Tier.TIER_URGENT, "steps": steps, **lines}),
        "ListRunbooks": made(pb.ListRunbooksRequest),
        "AnnounceIncoming": made(
            pb.AnnounceIncomingRequest, **who, sku=stall.sku, quantity=200, arrive_time=soon, reference="PO 7"
        ),
        "CancelIncoming": made(pb.CancelIncomingRequest, **who, incoming_id=stall.incoming_id),
        "ListIncoming": made(pb.ListIncomingRequest, **page, sku=stall.sku),
        "SetDemandProfile": made(pb.SetDemandProfileRequest, request_id=new_id(), profile_json=json.dumps(PROFILE)),
        "GetDemandProfile": made(pb.GetDemandProfileRequest),
    }


def profile(**content: Any) -> str:
    """The JSON of the good profile with other content."""
    return json.dumps({**PROFILE, **content})


def _numbers(*numbers: int) -> tuple[Spoil, ...]:
    return tuple(Spoil(str(number), number) for number in numbers)


def _floats(*numbers: float) -> tuple[Spoil, ...]:
    return tuple(Spoil(str(number), float(number)) for number in (*numbers, math.nan, math.inf, -math.inf, 1e308))


def _no(reason: str) -> tuple[Spoil, ...]:
    """The number of nothing."""
    return (
        *wrong.NEGATIVE,
        wrong.unknown(reason, 10**9),
        wrong.unknown(reason, wrong.INT64_MAX),
    )


def _lost(reason: str, *numbers: int) -> tuple[Spoil, ...]:
    return tuple(Spoil(str(number), number, StatusCode.FAILED_PRECONDITION, reason) for number in numbers)


def _sku_of_profile(**content: object) -> str:
    return profile(skus={"tea": {**PROFILE["skus"]["tea"], **content}})


_ZERO = Spoil("zero", 0)
_PAST = Spoil("past", wrong.time(1_700_000_000))
_NAME = (*wrong.BYTES, *wrong.UNPRINTABLE, wrong.LONG, wrong.EMPTY, Spoil("a space", " "), Spoil("101", "x" * 101))
_WHO: Fields = {"request_id": wrong.ID, "actor": (MISSING, *_NAME)}
_WORDS = (*wrong.BYTES, *wrong.CONTROLS, wrong.LONG, Spoil("501 characters", "x" * 501))
_TIER = (MISSING, *_numbers(0, 1, 6, -1, wrong.INT32_MAX))
_KEY: Fields = {
    **_WHO,
    "sku": wrong.SKU,
    "session_id": _no("SESSION_UNKNOWN"),
    "episode": (MISSING, _ZERO, *wrong.NEGATIVE, *_lost("EPISODE_OVER", 2, wrong.INT64_MAX)),
    "tier": _TIER,
    "drill_id": _no("DRILL_UNKNOWN"),
}
_LINE = (*wrong.TEXT, Spoil("a number", "还剩3单"), Spoil("a wide number", "还剩３单"))
_SECONDS = _floats(0.0, 0.9, -1.0, 3_650 * 86_400.0 + 1)
_TOKEN_OF_ARRIVAL = (
    *wrong.PAGE_TOKEN,
    *(
        Spoil(text, wrong.token(text))
        for text in ('["a", 1]', "[1, -1]", "[-1, 1]", f"[{10**18}, 1]", f"[1, {2**63}]", "[1, 2, 3]", "[1.5, 1]")
    ),
)
_TOKEN_OF_STANDING = (
    *wrong.PAGE_TOKEN,
    *(
        Spoil(text, wrong.token(text))
        for text in (
            '[3, "a"]',
            '[6, "a", 0]',
            '[-1, "a", 0]',
            '[3, "\\u0000", 0]',
            '[3, "a", -1]',
            f'[3, "a", {2**63}]',
        )
    ),
)
_SKUS: tuple[Any, ...] = ({}, [], {"": PROFILE["skus"]["tea"]}, {"a\nb": PROFILE["skus"]["tea"]}, {"a": 1})
_PROFILES = (
    *("x", "[]", "null", "1", "{", "{}", "[" * 100_000, profile() + "x"),
    *(profile(hours=hours) for hours in ([], [1.0] * 23, [1.0] * 25, [0.0] * 24, [-1.0] * 24, [1e9] * 24, ["1"] * 24)),
    *(profile(spread=spread) for spread in (-0.1, 1e9, "x", None)),
    *(profile(days=days) for days in (0, -1, 1.5)),
    *(profile(offset_seconds=seconds) for seconds in (90_000, -90_000)),
    *(profile(skus=skus) for skus in _SKUS),
    *(_sku_of_profile(rate=rate) for rate in (0, -1, 1e9)),
    *(_sku_of_profile(quantity_mean=mean) for mean in (0, 0.5, -1, 2)),
    *(_sku_of_profile(quantity_square=square) for square in (0, 2.2, -1)),
    *(_sku_of_profile(**{name: -1}) for name in ("orders", "day_mean", "day_variance")),
    profile().replace("0.2", "NaN"),
    profile().replace("0.2", "1e999"),
    profile() + " " * 3 * 2**20,
)
# By the name of the RPC.
DESK: dict[str, Fields] = {
    "GetTier": {"sku": wrong.SKU, "session_id": _no("SESSION_UNKNOWN")},
    "ListTiers": {
        "min_tier": _numbers(6, -1, wrong.INT32_MAX),
        "session_id": _no("SESSION_UNKNOWN"),
        "page_size": wrong.PAGE_SIZE,
        "page_token": _TOKEN_OF_STANDING,
    },
    "Acknowledge": {
        **_KEY,
        "tier": (*_TIER, *_lost("TIER_CHANGED", 2, 4, 5)),
        "action": (MISSING, *_numbers(0, 7, -1, wrong.INT32_MAX), Spoil("of no units", 5, field="quantity")),
        "quantity": wrong.UNITS,
        "arrive_time": (MISSING, _PAST, *wrong.TIME),
        "note": _WORDS,
    },
    "CompleteStep": {**_KEY, "step": _numbers(-1, 20, wrong.INT32_MAX, wrong.INT32_MIN)},
    "Silence": {
        **_WHO,
        "matcher.skus": times(1_000),
        "matcher.skus[0]": wrong.SKU[1:],
        "matcher.channels": times(100),
        "matcher.channels[0]": (*wrong.CODE[1:], wrong.unknown("CHANNEL_UNKNOWN")),
        "matcher.session_ids": times(100),
        "matcher.session_ids[0]": (_ZERO, *_no("SESSION_UNKNOWN")),
        "start_time": (
            *wrong.TIME,
            Spoil("too long before the end", wrong.time(1_700_000_000), field="end_time"),
            Spoil("after the end", wrong.time(32_472_144_000), field="end_time"),
        ),
        "end_time": (MISSING, _PAST, Spoil("too late", wrong.time(32_472_144_000)), *wrong.TIME),
        "comment": (MISSING, wrong.EMPTY, Spoil("spaces", "  "), *_WORDS),
        "until_resolved": FREE,
        "max_tier": _numbers(1, 6, -1, wrong.INT32_MAX),
    },
    "EndSilence": {**_WHO, "silence_id": (MISSING, _ZERO, *_no("SILENCE_UNKNOWN"))},
    "ListSilences": {"include_ended": FREE, "page_size": wrong.PAGE_SIZE, "page_token": wrong.TOKEN_OF_NUMBER},
    "SetAlertPolicy": {
        **_WHO,
        "policy": (MISSING,),
        "policy.sku": (*wrong.OPTIONAL_CODE, wrong.unknown("SKU_UNKNOWN")),
        "policy.service_level": _floats(0.0, 0.4999, 0.9991, 1.0, -1.0),
        "policy.fixed_line": wrong.UNITS_OR_NONE,
        "policy.hard_floor": wrong.UNITS_OR_NONE,
        "policy.lead_seconds": _SECONDS,
        "policy.fastest_lead_seconds": (*_SECONDS, Spoil("slower than the usual way", 601.0)),
        "policy.false_raise_seconds": _floats(0.0, 599.9, 604_800.1, -1.0),
        "policy.no_supply": FREE,
    },
    "ListAlertPolicies": {
        "sku_prefix": wrong.TEXT,
        "page_size": wrong.PAGE_SIZE,
        "page_token": wrong.TOKEN_OF_TEXT,
    },
    "SetRunbook": {
        **_WHO,
        "runbook": (Spoil("missing", None, field="runbook.tier"),),
        "runbook.tier": _TIER,
        "runbook.steps": times(20),
        "runbook.steps[0].text": wrong.NEEDED_TEXT,
        "runbook.steps[0].text_en": wrong.TEXT,
        "runbook.steps[0].owner": (*wrong.BYTES, *wrong.CONTROLS, wrong.LONG, Spoil("101", "x" * 101)),
        "runbook.steps[0].minutes_max": (*wrong.NEGATIVE, *_numbers(10_081, wrong.INT64_MAX)),
        "runbook.host_line": _LINE,
        "runbook.host_line_en": _LINE,
        "runbook.receivers": times(20),
        "runbook.receivers[0]": _NAME,
    },
    "ListRunbooks": {},
    "AnnounceIncoming": {
        **_WHO,
        "sku": wrong.SKU,
        "quantity": wrong.UNITS,
        "arrive_time": (MISSING, _PAST, *wrong.TIME),
        "reference": wrong.TEXT,
    },
    "CancelIncoming": {**_WHO, "incoming_id": (MISSING, _ZERO, *_no("INCOMING_UNKNOWN"))},
    "ListIncoming": {
        "sku": wrong.OPTIONAL_CODE,
        "page_size": wrong.PAGE_SIZE,
        "page_token": _TOKEN_OF_ARRIVAL,
    },
    "SetDemandProfile": {
        "request_id": wrong.ID,
        "profile_json": (
            MISSING,
            wrong.EMPTY,
            *wrong.BYTES,
            wrong.LONG,
            *(Spoil(f"profile {place}: {text[:40]}", text) for place, text in enumerate(_PROFILES)),
        ),
    },
    "GetDemandProfile": {},
}
