"""AlertService: what people do about warnings, and what they want to be warned of."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Annotated

from msgspec import Meta
from msgspec.json import Decoder

from gateway.alerts import requests as asked_for
from gateway.domain.alerts import AckAction
from gateway.domain.errors import InvalidArgument
from gateway.domain.tiers import Tier
from gateway.rpc import desk_parsing, parsing
from gateway.rpc.alert_rendering import fill
from gateway.rpc.demand_profiles import require_sound
from gateway.rpc.paging import NUMBER, page_size, page_token, token
from gateway.rpc.server import Call, Streaming, Unary
from gateway.v1 import alert_service_pb2 as pb

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
NUMBER_MAX = 2**63 - 1
# What the database's times can be said in.
_Micros = Annotated[int, Meta(ge=0, le=253_402_300_799_999_999)]
_ARRIVAL: Decoder[tuple[int, int] | None] = Decoder(tuple[_Micros, Annotated[int, Meta(ge=0, le=NUMBER_MAX)]])
_POLICY: Decoder[str | None] = Decoder(Annotated[str, Meta(pattern=r"^[^\x00]*$")])


# ---- about warnings


async def acknowledge(call: Call, request: pb.AcknowledgeRequest) -> pb.AcknowledgeResponse:
    """Take a warning on."""
    action = desk_parsing.choice(AckAction, request.action, "action")
    arrive_time = parsing.time_of(request, "arrive_time")
    desk_parsing.require_supply(request, action, arrive_time)
    answer = await call.merchant.desk.acknowledge(
        asked_for.Acknowledge(
            parsing.request_id(request.request_id),
            parsing.code(request.sku, "sku"),
            desk_parsing.number(request.session_id, "session_id", least=0),
            desk_parsing.number(request.episode, "episode"),
            desk_parsing.warned_tier(request.tier, "tier"),
            desk_parsing.who(request.actor, "actor"),
            action,
            request.quantity,
            arrive_time,
            desk_parsing.words(request.note, "note"),
            desk_parsing.drill_id(request),
        )
    )
    response = pb.AcknowledgeResponse(revision=answer.revision)
    fill(response.acknowledgement, answer.acknowledgement)
    return response


async def complete_step(call: Call, request: pb.CompleteStepRequest) -> pb.CompleteStepResponse:
    """Tick a step of a runbook."""
    answer = await call.merchant.desk.complete_step(
        asked_for.CompleteStep(
            parsing.request_id(request.request_id),
            parsing.code(request.sku, "sku"),
            desk_parsing.number(request.session_id, "session_id", least=0),
            desk_parsing.number(request.episode, "episode"),
            desk_parsing.warned_tier(request.tier, "tier"),
            desk_parsing.number(request.step, "step", least=0),
            desk_parsing.who(request.actor, "actor"),
            desk_parsing.drill_id(request),
        )
    )
    return pb.CompleteStepResponse(revision=answer.revision)


# ---- silences


async def silence(call: Call, request: pb.SilenceRequest) -> pb.SilenceResponse:
    """Keep people from being notified for a while."""
    answer = await call.merchant.desk.silence(
        asked_for.BeginSilence(
            parsing.request_id(request.request_id),
            desk_parsing.matcher(request.matcher),
            parsing.time_of(request, "start_time"),
            desk_parsing.time(request, "end_time"),
            desk_parsing.who(request.actor, "actor"),
            desk_parsing.words(request.comment, "comment", least=1),
            request.until_resolved,
            desk_parsing.warned_tier(request.max_tier or Tier.THRESHOLD, "max_tier"),
        )
    )
    response = pb.SilenceResponse(matches=answer.matches)
    fill(response.silence, answer.silence)
    return response


async def end_silence(call: Call, request: pb.EndSilenceRequest) -> pb.EndSilenceResponse:
    """End a silence."""
    answer = await call.merchant.desk.end_silence(
        asked_for.EndSilence(
            parsing.request_id(request.request_id),
            desk_parsing.number(request.silence_id, "silence_id"),
            desk_parsing.who(request.actor, "actor"),
        )
    )
    response = pb.EndSilenceResponse()
    fill(response.silence, answer.silence)
    return response


async def list_silences(call: Call, request: pb.ListSilencesRequest) -> pb.ListSilencesResponse:
    """List silences, newest first."""
    size = page_size(request)
    found = await call.merchant.desk.list_silences(
        include_ended=request.include_ended, before=page_token(request, NUMBER, NUMBER_MAX), count_max=size
    )
    response = pb.ListSilencesResponse()
    for one in found:
        fill(response.silences.add(), one)
    if len(found) == size:
        response.next_page_token = token(found[-1].silence_id)
    return response


# ---- policies and runbooks


async def set_alert_policy(call: Call, request: pb.SetAlertPolicyRequest) -> pb.SetAlertPolicyResponse:
    """Say what to be warned of."""
    if not request.HasField("policy"):
        raise InvalidArgument(
            "policy is missing: one that says nothing would forget what was said for all", field="policy"
        )
    answer = await call.merchant.desk.rules.set_policy(
        asked_for.SetPolicy(
            parsing.request_id(request.request_id),
            desk_parsing.policy(request.policy),
            desk_parsing.who(request.actor, "actor"),
        )
    )
    response = pb.SetAlertPolicyResponse()
    fill(response.policy, answer.policy)
    return response


async def list_alert_policies(call: Call, request: pb.ListAlertPoliciesRequest) -> pb.ListAlertPoliciesResponse:
    """List what to be warned of; the one for all first."""
    size = page_size(request)
    found = await call.merchant.desk.rules.list_policies(
        prefix=parsing.text(request.sku_prefix, "sku_prefix"),
        after=page_token(request, _POLICY, None),
        count_max=size,
    )
    response = pb.ListAlertPoliciesResponse()
    for policy in found:
        fill(response.policies.add(), policy)
    if len(found) == size:
        response.next_page_token = token(found[-1].sku)
    return response


async def set_runbook(call: Call, request: pb.SetRunbookRequest) -> pb.SetRunbookResponse:
    """Lay down what to do in a tier."""
    answer = await call.merchant.desk.rules.set_runbook(
        asked_for.SetRunbook(
            parsing.request_id(request.request_id),
            desk_parsing.runbook(request.runbook),
            desk_parsing.who(request.actor, "actor"),
        )
    )
    response = pb.SetRunbookResponse()
    fill(response.runbook, answer.runbook)
    return response


async def list_runbooks(call: Call, _request: pb.ListRunbooksRequest) -> pb.ListRunbooksResponse:
    """List what to do in each tier."""
    response = pb.ListRunbooksResponse()
    for runbook in await call.merchant.desk.rules.runbooks():
        fill(response.runbooks.add(), runbook)
    return response


# ---- incoming units


async def announce_incoming(call: Call, request: pb.AnnounceIncomingRequest) -> pb.AnnounceIncomingResponse:
    """Say that units are on their way."""
    answer = await call.merchant.desk.rules.announce_incoming(
        asked_for.AnnounceIncoming(
            parsing.request_id(request.request_id),
            parsing.code(request.sku, "sku"),
            parsing.units(request.quantity, "quantity"),
            desk_parsing.time(request, "arrive_time"),
            desk_parsing.who(request.actor, "actor"),
            parsing.text(request.reference, "reference"),
        )
    )
    response = pb.AnnounceIncomingResponse()
    fill(response.incoming, answer.incoming)
    return response


async def cancel_incoming(call: Call, request: pb.CancelIncomingRequest) -> pb.CancelIncomingResponse:
    """Say that announced units will not come."""
    answer = await call.merchant.desk.rules.cancel_incoming(
        asked_for.CancelIncoming(
            parsing.request_id(request.request_id),
            desk_parsing.number(request.incoming_id, "incoming_id"),
            desk_parsing.who(request.actor, "actor"),
        )
    )
    response = pb.CancelIncomingResponse()
    fill(response.incoming, answer.incoming)
    return response


async def list_incoming(call: Call, request: pb.ListIncomingRequest) -> pb.ListIncomingResponse:
    """List units on their way, by arrival."""
    size = page_size(request)
    after = page_token(request, _ARRIVAL, None)
    found = await call.merchant.desk.rules.list_incoming(
        sku=parsing.optional_code(request.sku, "sku"),
        after=None if after is None else (_EPOCH + after[0] * _MICROSECOND, after[1]),
        count_max=size,
    )
    response = pb.ListIncomingResponse()
    for units in found:
        fill(response.incoming.add(), units)
    if len(found) == size:
        last = found[-1]
        response.next_page_token = token(((last.arrive_time - _EPOCH) // _MICROSECOND, last.incoming_id))
    return response


# ---- what history says


async def set_demand_profile(call: Call, request: pb.SetDemandProfileRequest) -> pb.SetDemandProfileResponse:
    """Store what history says."""
    request_id = parsing.request_id(request.request_id)
    # It may know so many SKUs that others would wait for it.
    profile = await asyncio.to_thread(require_sound, request.profile_json)
    answer = await call.merchant.desk.rules.set_profile(request_id, request.profile_json, len(profile.skus))
    return pb.SetDemandProfileResponse(skus=answer.skus)


async def get_demand_profile(call: Call, _request: pb.GetDemandProfileRequest) -> pb.GetDemandProfileResponse:
    """Read what history says."""
    profile_json, update_time = await call.merchant.desk.rules.profile()
    response = pb.GetDemandProfileResponse(profile_json=profile_json)
    if update_time is not None:
        response.update_time.FromDatetime(update_time)
    return response


METHODS: dict[str, Unary | Streaming] = {
    "Acknowledge": acknowledge,
    "CompleteStep": complete_step,
    "Silence": silence,
    "EndSilence": end_silence,
    "ListSilences": list_silences,
    "SetAlertPolicy": set_alert_policy,
    "ListAlertPolicies": list_alert_policies,
    "SetRunbook": set_runbook,
    "ListRunbooks": list_runbooks,
    "AnnounceIncoming": announce_incoming,
    "CancelIncoming": cancel_incoming,
    "ListIncoming": list_incoming,
    "SetDemandProfile": set_demand_profile,
    "GetDemandProfile": get_demand_profile,
}
