"""Reading and writing what is proposed to people, and what bears on it."""

from collections.abc import Collection, Iterable
from typing import Any

import msgspec
from msgspec import Struct
from sqlalchemy import BigInteger, any_, func, literal, or_, select, tuple_
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.domain.alerts import Proposal, ProposalState
from gateway.domain.stock import Level
from gateway.store.alert_tables import proposals
from gateway.store.database import ReadConnection
from gateway.store.tables import CODE, levels, listings

_p = proposals.c
_WAITING = (int(ProposalState.OPEN), int(ProposalState.APPROVED))
_LEVEL = tuple(levels.c[name] for name in Level.__struct_fields__)


class Kept(Struct, frozen=True):
    """A proposal, the episode of its SKU it is for, and whether that is of a session's own units."""

    proposal: Proposal
    episode: int = 0
    own: bool = False


decode_kept = msgspec.json.Decoder(Kept).decode


async def read_proposal(connection: ReadConnection, proposal_id: int) -> Kept | None:
    """The proposal with this number, if there is one."""
    body = await connection.scalar(select(_p.body).where(_p.proposal_id == proposal_id))
    return None if body is None else decode_kept(body)


async def list_proposals(
    connection: ReadConnection, *, session_id: int, state: ProposalState | None, before: int, count_max: int
) -> list[Proposal]:
    """Up to `count_max` proposals with a number below `before`, newest first; of a session, in a state, if named."""
    query = select(_p.body).where(_p.proposal_id < before)
    if session_id:
        query = query.where(_p.session_id == session_id)
    if state is not None:
        query = query.where(_p.state == int(state))
    rows = await connection.scalars(query.order_by(_p.proposal_id.desc()).limit(count_max))
    return [decode_kept(body).proposal for body in rows]


async def read_waiting(connection: ReadConnection) -> list[Kept]:
    """All proposals that nobody has decided or that are not carried out yet."""
    query = select(_p.body).where(_p.state.in_(_WAITING)).order_by(_p.proposal_id)
    return [decode_kept(body) for body in await connection.scalars(query)]


async def read_bearing(connection: ReadConnection, episodes: Collection[tuple[str, int]]) -> list[Kept]:
    """All that were made in these episodes, each of a SKU, and what else waits for these SKUs."""
    codes = {sku for sku, _ in episodes}
    of_episodes = tuple_(_p.sku, _p.body["episode"].as_integer()).in_(
        select(
            func.unnest(literal([sku for sku, _ in episodes], ARRAY(CODE))),
            func.unnest(literal([episode for _, episode in episodes], ARRAY(BigInteger))),
        )
    )
    bears = or_(_p.state.in_(_WAITING), of_episodes)
    query = select(_p.body).where(_p.sku == any_(_codes(codes)), bears).order_by(_p.proposal_id)
    return [decode_kept(body) for body in await connection.scalars(query)]


async def write_proposal(connection: AsyncConnection, kept: Kept) -> None:
    """Store a proposal, instead of what was stored of it."""
    one = kept.proposal
    content = {
        "session_id": one.session_id,
        "sku": one.sku,
        "state": int(one.state),
        "body": msgspec.to_builtins(kept),
    }
    statement = upsert(proposals).values(proposal_id=one.proposal_id, **content)
    await connection.execute(statement.on_conflict_do_update(index_elements=["proposal_id"], set_=content))


async def read_listed(connection: ReadConnection, codes: Collection[str]) -> frozenset[tuple[str, str]]:
    """Which channel sells which of these SKUs, as (channel, SKU)."""
    if not codes:
        return frozenset()
    query = select(listings.c.channel, func.unnest(listings.c.skus)).where(listings.c.skus.overlap(_codes(codes)))
    return frozenset((channel, sku) for channel, sku in await connection.execute(query.distinct()))


async def read_levels(connection: ReadConnection, codes: Collection[str]) -> dict[tuple[str, str], Level]:
    """Every level of these SKUs."""
    rows = await connection.execute(select(*_LEVEL).where(levels.c.sku == any_(_codes(codes))))
    return {(row[0], row[1]): Level(*row) for row in rows}


def _codes(codes: Iterable[str]) -> Any:
    """One array, whatever its length: a statement takes no more than 32,767 values."""
    return literal(sorted(codes), ARRAY(CODE))
