"""Use cases of proposals: what there is to decide, and a person's decision. The first one stands (R45)."""

from msgspec import Struct
from msgspec.structs import replace

from gateway.domain.alerts import EventKind, News, Proposal, ProposalKind, ProposalState
from gateway.domain.errors import InvalidArgument, ProposalSettled, ProposalUnknown
from gateway.store.alert_log import Appending, begin_append
from gateway.store.alert_requests import first_answer, keep_answer
from gateway.store.database import MerchantDatabase, ReadConnection
from gateway.store.desk import read_places
from gateway.store.live import read_session
from gateway.store.proposals import Kept, list_proposals, read_proposal, write_proposal

# Those of which a person may approve fewer units.
_COUNTED = {ProposalKind.MOVE_UNITS, ProposalKind.RAISE_EXCLUSIVE}


class Decision(Struct, frozen=True):
    """What DecideProposal asks for."""

    proposal_id: int
    approve: bool
    quantity: int
    actor: str
    note: str


class Proposals:
    """What is proposed to one merchant's people."""

    def __init__(self, database: MerchantDatabase) -> None:
        """Use the merchant's store."""
        self._database = database

    async def list(
        self, *, session_id: int, state: ProposalState | None, before: int, count_max: int
    ) -> list[Proposal]:
        """Up to `count_max` proposals with a number below `before`, newest first."""
        async with self._database.transaction() as connection:
            return await list_proposals(
                connection, session_id=session_id, state=state, before=before, count_max=count_max
            )

    async def decide(self, request_id: str, asked: Decision) -> Proposal:
        """Approve or decline; an approved one is carried out soon.

        Raises `ProposalUnknown`, `ProposalSettled`, `InvalidArgument`, `RequestIdReused`.
        """
        async with self._database.transaction() as connection:
            log = await begin_append(connection, self._database)
            known = await first_answer(connection, request_id, "DecideProposal", asked, Proposal)
            if known is not None:
                return known
            kept = await read_proposal(connection, asked.proposal_id)
            if kept is None:
                raise ProposalUnknown(f"no proposal has the number {asked.proposal_id}", field="proposal_id")
            _require_open(kept.proposal)
            decided = replace(
                kept.proposal,
                state=ProposalState.APPROVED if asked.approve else ProposalState.DECLINED,
                quantity=_quantity(kept.proposal, asked),
                actor=asked.actor,
                note=asked.note,
                decide_time=log.now,
            )
            await tell(connection, log, EventKind.PROPOSAL_DECIDED, replace(kept, proposal=decided))
            await keep_answer(connection, request_id, "DecideProposal", asked, decided)
            return decided


async def tell(connection: ReadConnection, log: Appending, kind: EventKind, kept: Kept) -> None:
    """Store a proposal as it is now, and append the event that says so. To be said while the log is locked."""
    await write_proposal(connection, kept)
    proposal = kept.proposal
    session = await read_session(connection, proposal.session_id) if proposal.session_id else None
    channels = (await read_places(connection, proposal.sku)).channels if session is None else session.channels
    news = News(
        kind=kind,
        body=proposal,
        sku=proposal.sku,
        session_id=proposal.session_id if kept.own else 0,
        episode=kept.episode,
        channels=channels,
        session_ids=() if session is None else (session.session_id,),
    )
    await log.append([news])


def _require_open(proposal: Proposal) -> None:
    if proposal.state is ProposalState.OPEN:
        return
    by = f" by {proposal.actor}" if proposal.actor else ""
    raise ProposalSettled(
        f"proposal {proposal.proposal_id} is {proposal.state.name} already{by}",
        field="proposal_id",
        state=proposal.state.name,
        by=proposal.actor,
    )


def _quantity(proposal: Proposal, asked: Decision) -> int:
    """How many units, if any are counted; raises `InvalidArgument`."""
    if not asked.quantity:
        return proposal.quantity
    if not asked.approve or proposal.kind not in _COUNTED:
        raise InvalidArgument("no units are counted here: leave quantity out", field="quantity")
    if asked.quantity > proposal.quantity:
        raise InvalidArgument(
            f"quantity is {asked.quantity}; {proposal.quantity} were proposed, and fewer may be approved",
            field="quantity",
        )
    return asked.quantity
