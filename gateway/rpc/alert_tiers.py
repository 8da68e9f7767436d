"""AlertService: where SKUs stand, and why."""

from typing import Annotated

from msgspec import Meta
from msgspec.json import Decoder

from gateway.alerts.tiers import KeyState
from gateway.domain.errors import InvalidArgument
from gateway.domain.reasons import why
from gateway.domain.tiers import Tier
from gateway.rpc import alert_rendering, parsing
from gateway.rpc.paging import page_size, page_token, token
from gateway.rpc.rendering import timestamp
from gateway.rpc.server import Call, Streaming, Unary
from gateway.v1 import alert_pb2
from gateway.v1 import alert_service_pb2 as pb

_Code = Annotated[str, Meta(pattern=r"^[^\x00]*$")]
_PLACE: Decoder[tuple[int, str, int] | None] = Decoder(
    tuple[Annotated[int, Meta(ge=0, le=5)], _Code, Annotated[int, Meta(ge=0, le=2**63 - 1)]]
)


async def get_tier(call: Call, request: pb.GetTierRequest) -> pb.GetTierResponse:
    """Read where a SKU stands, and why."""
    found = await call.merchant.tiers.explain(
        parsing.code(request.sku, "sku"), number(request.session_id, "session_id")
    )
    state = found.state
    response = pb.GetTierResponse(
        lead_mean_seconds=found.lead_time.mean_seconds, lead_deviation_seconds=found.lead_time.spread_seconds
    )
    fill_tier_state(response.state, state)
    if found.last_change is not None:
        alert_rendering.fill_event(response.last_change, found.last_change)
    alert_rendering.fill(response.policy, found.policy)
    response.policy.sku = state.key.sku
    if state.session_end_time is not None:
        response.session_end_time.CopyFrom(timestamp(state.session_end_time))
    for each in found.incoming:
        alert_rendering.fill(response.incoming.add(), each)
    response.why, response.why_en = why(
        state.tier,
        state.evidence,
        state.circumstances.rule,
        state.stock_out,
        is_stale=state.is_stale,
    )
    return response


async def list_tiers(call: Call, request: pb.ListTiersRequest) -> pb.ListTiersResponse:
    """List where SKUs stand, most pressing first."""
    size = page_size(request)
    states, last = await call.merchant.tiers.pressing(
        min_tier=tier_of(request.min_tier, "min_tier") or Tier.NORMAL,
        session_id=number(request.session_id, "session_id"),
        after=page_token(request, _PLACE, None),
        count_max=size,
    )
    response = pb.ListTiersResponse(next_page_token=token(last) if last is not None else "")
    for state in states:
        fill_tier_state(response.states.add(), state)
    return response


def fill_tier_state(m: pb.TierState, state: KeyState) -> None:
    """Fill where a key stands."""
    standing = state.watched.standing
    m.sku, m.session_id = state.key.sku, state.key.session_id
    m.tier = alert_pb2.Tier.ValueType(standing.tier)
    m.since_time.CopyFrom(timestamp(state.since_time))
    m.is_stale, m.is_flapping, m.episode = state.is_stale, standing.is_flapping, standing.episode
    m.revision = state.revision
    alert_rendering.fill(m.evidence, state.evidence)
    m.stock_out.SetInParent()
    alert_rendering.fill_stock_out(m.stock_out, state.stock_out)
    if state.acknowledgement is not None:
        alert_rendering.fill(m.acknowledgement, state.acknowledgement)
    m.silenced_by.extend(state.silenced_by)
    m.channels.extend(state.channels)
    m.session_ids.extend(state.session_ids)
    m.observe_time.CopyFrom(timestamp(state.observe_time))


def number(value: int, field: str) -> int:
    """The number of something, 0 for none; raises `InvalidArgument`."""
    if value < 0:
        raise InvalidArgument(f"{field} is {value}; it must be 0 or more", field=field)
    return value


def tier_of(value: int, field: str) -> Tier | None:
    """A tier, None if none is set; raises `InvalidArgument`."""
    if value == 0:
        return None
    if value not in Tier.__members__.values():
        raise InvalidArgument(f"{field} is {value}; tiers are 1 to {max(Tier)}", field=field)
    return Tier(value)


METHODS: dict[str, Unary | Streaming] = {"GetTier": get_tier, "ListTiers": list_tiers}
