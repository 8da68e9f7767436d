"""LiveService: sessions and proposals; and the service as a whole."""

import asyncio
from typing import Any, TypeVar

from gateway.domain.alerts import ProposalState, Session
from gateway.domain.errors import InvalidArgument
from gateway.ledger import NO_LIMIT
from gateway.live.proposals import Decision
from gateway.live.sessions import SKUS_MAX, CloseSession, OpenSession, SkuAsked, UpdateSession
from gateway.rpc import live_hints, live_lines, live_parsing, parsing
from gateway.rpc.alert_rendering import fill
from gateway.rpc.paging import NUMBER, page_size, page_token, token
from gateway.rpc.server import Call, Streaming, Unary
from gateway.v1 import live_service_pb2 as pb

WithSession = TypeVar("WithSession", bound=Any)

CHANNELS_MAX = 20
AGORA_LENGTH_MAX = 64


async def open_session(call: Call, request: pb.OpenSessionRequest) -> pb.OpenSessionResponse:
    """Open a session."""
    if not 1 <= len(request.channels) <= CHANNELS_MAX:
        raise InvalidArgument(
            f"a session sells on 1 to {CHANNELS_MAX} channels, not {len(request.channels)}", field="channels"
        )
    end = parsing.time_of(request, "planned_end_time")
    if end is None:
        raise InvalidArgument("planned_end_time is missing", field="planned_end_time")
    asked = OpenSession(
        live_parsing.name(request.room, "room"),
        _once([parsing.code(code, f"channels[{place}]") for place, code in enumerate(request.channels)], "channels"),
        _skus(request),
        end,
        live_parsing.name(request.actor, "actor"),
        live_parsing.optional_name(request.host, "host"),
        live_parsing.optional_name(request.agora_channel, "agora_channel", AGORA_LENGTH_MAX),
    )
    if not asked.skus:
        raise InvalidArgument("a session sells at least one SKU", field="skus")
    session = await call.merchant.live.sessions.open(parsing.request_id(request.request_id), asked)
    return _with_session(pb.OpenSessionResponse(), session)


async def update_session(call: Call, request: pb.UpdateSessionRequest) -> pb.UpdateSessionResponse:
    """Change what a session sells, its own units or its planned end."""
    if len(request.remove_skus) > SKUS_MAX:
        raise InvalidArgument(f"at most {SKUS_MAX} SKUs may be named", field="remove_skus")
    removed = [parsing.code(code, f"remove_skus[{place}]") for place, code in enumerate(request.remove_skus)]
    asked = UpdateSession(
        live_parsing.session_id(request.session_id),
        _skus(request),
        _once(removed, "remove_skus"),
        parsing.time_of(request, "planned_end_time"),
        live_parsing.name(request.actor, "actor"),
    )
    for place, one in enumerate(asked.skus):
        if one.sku in asked.remove_skus:
            raise InvalidArgument(f"{one.sku} is to be taken out as well", field=f"skus[{place}].sku")
    session = await call.merchant.live.sessions.update(parsing.request_id(request.request_id), asked)
    return _with_session(pb.UpdateSessionResponse(), session)


async def close_session(call: Call, request: pb.CloseSessionRequest) -> pb.CloseSessionResponse:
    """End a session."""
    asked = CloseSession(live_parsing.session_id(request.session_id), live_parsing.name(request.actor, "actor"))
    session = await call.merchant.live.sessions.close(parsing.request_id(request.request_id), asked)
    return _with_session(pb.CloseSessionResponse(), session)


async def get_session(call: Call, request: pb.GetSessionRequest) -> pb.GetSessionResponse:
    """Read one session."""
    return _with_session(
        pb.GetSessionResponse(), await call.merchant.live.sessions.get(live_parsing.session_id(request.session_id))
    )


async def list_sessions(call: Call, request: pb.ListSessionsRequest) -> pb.ListSessionsResponse:
    """List sessions, newest first."""
    size = page_size(request)
    found = await call.merchant.live.sessions.list(
        open_only=request.open_only, before=page_token(request, NUMBER, NO_LIMIT), count_max=size
    )
    response = pb.ListSessionsResponse()
    for session in found:
        fill(response.sessions.add(), session)
        # One may sell a thousand SKUs: others have their turn.
        await asyncio.sleep(0)
    if len(found) == size:
        response.next_page_token = token(found[-1].session_id)
    return response


# ---- proposals


async def list_proposals(call: Call, request: pb.ListProposalsRequest) -> pb.ListProposalsResponse:
    """List what was proposed, newest first."""
    size = page_size(request)
    found = await call.merchant.live.proposals.list(
        session_id=live_parsing.session_id(request.session_id, or_none=True),
        state=_state(request.state),
        before=page_token(request, NUMBER, NO_LIMIT),
        count_max=size,
    )
    response = pb.ListProposalsResponse()
    for proposal in found:
        fill(response.proposals.add(), proposal)
    if len(found) == size:
        response.next_page_token = token(found[-1].proposal_id)
    return response


async def decide_proposal(call: Call, request: pb.DecideProposalRequest) -> pb.DecideProposalResponse:
    """Approve or decline a proposal."""
    asked = Decision(
        live_parsing.number(request.proposal_id, "proposal_id", "as ListProposals says it"),
        request.approve,
        parsing.units(request.quantity, "quantity", least=0),
        live_parsing.name(request.actor, "actor"),
        live_parsing.optional_name(request.note, "note", live_parsing.NOTE_LENGTH_MAX),
    )
    response = pb.DecideProposalResponse()
    found = await call.merchant.live.proposals.decide(parsing.request_id(request.request_id), asked)
    fill(response.proposal, found)
    return response


def _state(value: int) -> ProposalState | None:
    if not value:
        return None
    try:
        return ProposalState(value)
    except ValueError:
        names = ", ".join(one.name for one in ProposalState)
        raise InvalidArgument(f"state is one of {names}", field="state") from None


# ---- parts of requests


def _skus(request: pb.OpenSessionRequest | pb.UpdateSessionRequest) -> tuple[SkuAsked, ...]:
    if len(request.skus) > SKUS_MAX:
        raise InvalidArgument(f"at most {SKUS_MAX} SKUs may be named", field="skus")
    found = tuple(
        SkuAsked(
            parsing.code(one.sku, f"skus[{place}].sku"),
            parsing.units(one.exclusive_units, f"skus[{place}].exclusive_units", least=0),
        )
        for place, one in enumerate(request.skus)
    )
    _once([one.sku for one in found], "skus")
    return found


def _once(codes: list[str], field: str) -> tuple[str, ...]:
    if len(set(codes)) < len(codes):
        raise InvalidArgument(f"each of the {field} is named once", field=field)
    return tuple(codes)


def _with_session(response: WithSession, session: Session) -> WithSession:
    fill(response.session, session)
    return response


METHODS: dict[str, Unary | Streaming] = {
    "OpenSession": open_session,
    "UpdateSession": update_session,
    "CloseSession": close_session,
    "GetSession": get_session,
    "ListSessions": list_sessions,
    "ListProposals": list_proposals,
    "DecideProposal": decide_proposal,
    **live_hints.METHODS,
    **live_lines.METHODS,
}
