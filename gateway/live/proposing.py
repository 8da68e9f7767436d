"""The loop behind proposals: makes them, lets them lapse, carries out what was approved, exactly once.

It keeps nothing. Which SKUs are warned of it asks the tiers; what was proposed, approved and done stands in the store.
Units are moved with the request id `proposal-<id>`, so a gateway that dies after moving them, and before it could say
so, or two at once, move them once (R10). All else happens in one transaction with saying so. A lease saves several
gateways the work.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import suppress
from datetime import datetime
from typing import NamedTuple

from msgspec.structs import replace

from gateway import metrics
from gateway.alerts.tiers import KeyState
from gateway.domain.alerts import EventKind, Proposal, ProposalKind, ProposalState, Session
from gateway.domain.commands import StockMoved, TransferStock
from gateway.domain.errors import (
    DatabaseUnavailable,
    DeadlinePassed,
    GatewayError,
    InsufficientStock,
    QueueFull,
    SessionConflict,
    SessionOver,
    ShuttingDown,
)
from gateway.domain.groups import Outcome
from gateway.domain.proposals import bars, gives_up, is_over, propose
from gateway.domain.tiers import Tier
from gateway.domain.vigil import Key, Tempo
from gateway.live.counted import Counted
from gateway.live.needs import read_needs, session_of
from gateway.live.proposals import tell
from gateway.live.sessions import SkuAsked, change, require_open
from gateway.store import proposals as store
from gateway.store.alert_log import Appending, begin_append
from gateway.store.database import MerchantDatabase, ReadConnection, read_time, take_lease
from gateway.store.live import open_sessions
from gateway.store.proposals import Kept
from gateway.writer import Writer

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
LOOK_ANYWAY_SECONDS = 5.0
# The lease is held for one look, which never takes longer: a connection that has nothing to do is ended after 15 s.
LEASE_SECONDS = 14.0
_WAITING = {ProposalState.OPEN, ProposalState.APPROVED}
# What may be otherwise in a moment: the same is tried again.
_PASSING = (QueueFull, DatabaseUnavailable, DeadlinePassed, ShuttingDown)

ReadPressing = Callable[[Collection[str] | None, Tier], Awaitable[list[KeyState]]]
Do = Callable[["_Doing", Proposal], Awaitable[str]]


class Proposing:
    """Proposes for one merchant while `run` runs."""

    def __init__(
        self,
        database: MerchantDatabase,
        writer: Writer,
        read_pressing: ReadPressing,
        counted: Counted,
        tempo: Tempo = Tempo(),  # noqa: B008 - frozen, so one for all
    ) -> None:
        """Move units through the writer; where SKUs stand is asked of `read_pressing`, which counts in this tempo."""
        self._database = database
        self._writer = writer
        self._read_pressing = read_pressing
        self._counted = counted
        self._tempo = tempo
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """The alert log has grown."""
        self._woken.set()

    async def run(self) -> None:
        """Propose and carry out until cancelled."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_ANYWAY_SECONDS):
                    await self._woken.wait()
            self._woken.clear()
            try:
                await self.look()
            except GatewayError as error:
                log.warning("proposals pause", extra={"merchant": self._database.merchant, "error": str(error)})
                metrics.loop_pauses.add(1, {"loop": "proposals"})
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """Look once at what is warned of, proposed and approved, and do what follows."""
        async with self._database.transaction(LEASE_SECONDS) as connection:
            if await take_lease(connection, f"propose {self._database.schema}"):
                await self._look(connection)

    async def _look(self, connection: ReadConnection) -> None:
        now = await read_time(connection, self._database.now)
        sessions = {one.session_id: one for one in await open_sessions(connection)}
        waiting = await store.read_waiting(connection)
        warned = await self._warned(sessions.values(), waiting)
        for kept in waiting:
            await self._go_on(kept, sessions, warned, now)
        if warned:
            await self._propose(warned, now)

    # ---- those that are there

    async def _warned(self, sessions: Collection[Session], waiting: Sequence[Kept]) -> dict[Key, KeyState]:
        """The keys that stand at TREND or above: of all that rooms sell and that proposals are for, and the rest."""
        concerned = {sold.sku for one in sessions for sold in one.skus} | {kept.proposal.sku for kept in waiting}
        found = await self._read_pressing(None, Tier.TREND)
        found += await self._read_pressing(concerned, Tier.TREND) if concerned else []
        return {state.key: state for state in found}

    async def _go_on(
        self, kept: Kept, sessions: dict[int, Session], warned: dict[Key, KeyState], now: datetime
    ) -> None:
        proposal = kept.proposal
        is_on = not proposal.session_id or proposal.session_id in sessions
        if proposal.state is ProposalState.APPROVED:
            await self._carry_out(kept, is_on=is_on, now=now)
            return
        state = warned.get(Key(proposal.sku, proposal.session_id if kept.own else 0))
        is_warned = state is not None and state.watched.standing.episode == kept.episode
        if is_over(proposal, is_warned=is_warned, is_on=is_on, now=now):
            await self._settle(proposal, ProposalState.OPEN, ProposalState.LAPSED)

    async def _carry_out(self, kept: Kept, *, is_on: bool, now: datetime) -> None:
        proposal = kept.proposal
        try:
            if proposal.kind is ProposalKind.MOVE_UNITS:
                effect = await self._move(proposal)
                await self._settle(proposal, ProposalState.APPROVED, ProposalState.DONE, effect)
            else:
                do = _DO[proposal.kind]
                await self._counted.catch_up(proposal.session_id)
                await self._settle(proposal, ProposalState.APPROVED, ProposalState.DONE, do=do)
        except _PASSING:
            raise
        except GatewayError as error:
            is_final = not isinstance(error, InsufficientStock) or gives_up(proposal, is_on=is_on, now=now)
            state = ProposalState.FAILED if is_final else ProposalState.APPROVED
            effect = f"{'未能执行' if is_final else '暂时无法执行，会再试'}：{_reason(error, proposal)}"
            if is_final or effect != proposal.effect:
                await self._settle(proposal, ProposalState.APPROVED, state, effect)

    async def _move(self, proposal: Proposal) -> str:
        """Move the units, once however often this is said; what came of it. Raises what the writer refuses.

        Where fewer are free by now, those are moved: half an hour of waiting for the rest is half the session.
        """
        outcome = await self._transfer(proposal)
        if isinstance(outcome, InsufficientStock):
            free = int(outcome.facts.get("available", 0))
            if 0 < free < proposal.quantity and (fewer := await self._lower(proposal, free)) is not None:
                proposal = fewer
                outcome = await self._transfer(proposal)
        if isinstance(outcome, GatewayError):
            raise outcome
        assert isinstance(outcome, StockMoved), "the answer to a transfer"
        moved = f"已调拨{proposal.quantity}件，流水号{outcome.revision} ({proposal.quantity} units moved)"
        return f"{_first_asked(proposal)}{moved}"

    async def _transfer(self, proposal: Proposal) -> Outcome:
        """The same request id each time. What was refused burns none (R11): then the same may ask for fewer."""
        command = TransferStock(
            f"proposal-{proposal.proposal_id}",
            proposal.sku,
            proposal.from_location,
            proposal.to_location,
            proposal.quantity,
            f"proposal {proposal.proposal_id}, approved by {proposal.actor}",
        )
        (outcome,) = await self._writer.apply([command])
        return outcome

    async def _lower(self, proposal: Proposal, free: int) -> Proposal | None:
        """Write down that fewer units are to be moved, before they are; None if somebody was faster."""
        async with self._database.transaction() as connection:
            await begin_append(connection, self._database)
            kept = await store.read_proposal(connection, proposal.proposal_id)
            if kept is None or kept.proposal != proposal:
                return None
            fewer = replace(proposal, quantity=free, effect=_first_asked(proposal) or f"批准{proposal.quantity}件，")
            await store.write_proposal(connection, replace(kept, proposal=fewer))
            return fewer

    async def _settle(
        self,
        proposal: Proposal,
        before: ProposalState,
        after: ProposalState,
        effect: str = "",
        do: Do | None = None,
    ) -> None:
        """Bring a proposal to another state, with what is to be done, and say so; nothing if somebody was faster."""
        async with self._database.transaction() as connection:
            appending = await begin_append(connection, self._database)
            kept = await store.read_proposal(connection, proposal.proposal_id)
            if kept is None or kept.proposal.state is not before:
                return
            if do is not None:
                effect = await do(_Doing(connection, self._database, appending, self._counted), kept.proposal)
            is_done = after in {ProposalState.DONE, ProposalState.FAILED}
            settled = replace(kept.proposal, state=after, effect=effect, effect_time=appending.now if is_done else None)
            if after is before:
                await store.write_proposal(connection, replace(kept, proposal=settled))
                return
            kind = EventKind.PROPOSAL_CARRIED_OUT if is_done else EventKind.PROPOSAL_DECIDED
            await tell(connection, appending, kind, replace(kept, proposal=settled))

    # ---- new ones

    async def _propose(self, warned: dict[Key, KeyState], now: datetime) -> None:
        async with self._database.transaction() as connection:
            # What was just carried out may have changed what rooms sell.
            sessions = await open_sessions(connection)
            rooms = {key: session_of(key, sessions) for key in warned}
            needs = await read_needs(connection, warned, rooms, now, self._tempo)
            episodes = {key: state.watched.standing.episode for key, state in warned.items()}
            before = await store.read_bearing(connection, {(key.sku, episodes[key]) for key in needs})
        for key, need in needs.items():
            both = (Key(key.sku), Key(key.sku, need.session_id))
            asked = _Asked(key, need.session_id, {(one, episodes[one]) for one in both if one in episodes})
            if found := propose(need, asked.barred(before), asked.pending(before), now):
                await self._store(found, asked)

    async def _store(self, found: Sequence[Proposal], asked: "_Asked") -> None:
        """Make proposals, unless another gateway just has."""
        async with self._database.transaction() as connection:
            appending = await begin_append(connection, self._database)
            barred = asked.barred(await store.read_bearing(connection, [(key.sku, at) for key, at in asked.episodes]))
            episode = dict(asked.episodes)[asked.key]
            for one in found:
                if one.kind not in barred:
                    numbered = replace(one, proposal_id=appending.next_revision, propose_time=appending.now)
                    kept = Kept(numbered, episode, own=bool(asked.key.session_id))
                    await tell(connection, appending, EventKind.PROPOSED, kept)


class _Asked(NamedTuple):
    """What proposals would be for: a key, in a session (0: none).

    The same units are warned of as a room's own and as part of the stock: `episodes` are those of both keys, as far as
    they are warned of. And rooms come and go within an episode, but units are moved for whoever sells them. So what
    would do the same is asked once.
    """

    key: Key
    session_id: int
    episodes: Collection[tuple[Key, int]]

    def barred(self, before: Sequence[Kept]) -> set[ProposalKind]:
        """The kinds that are not to be proposed again."""
        settled = {kept.proposal.kind for kept in before if self._is_of_these(kept) and _bars(kept.proposal)}
        return settled | self.pending(before)

    def pending(self, before: Sequence[Kept]) -> set[ProposalKind]:
        """The kinds of which one waits."""
        return {kept.proposal.kind for kept in before if kept.proposal.state in _WAITING and self._does_the_same(kept)}

    def _is_of_these(self, kept: Kept) -> bool:
        one = kept.proposal
        key = Key(one.sku, one.session_id if kept.own else 0)
        return one.session_id == self.session_id and (key, kept.episode) in self.episodes

    def _does_the_same(self, kept: Kept) -> bool:
        one = kept.proposal
        is_for_all = one.kind is ProposalKind.MOVE_UNITS
        return one.sku == self.key.sku and (is_for_all or one.session_id == self.session_id)


def _bars(proposal: Proposal) -> bool:
    return bars(proposal.kind, proposal.state)


def _first_asked(proposal: Proposal) -> str:
    """How many units were approved, where fewer are to be moved."""
    return proposal.effect if proposal.effect.startswith("批准") else ""


def _reason(error: GatewayError, proposal: Proposal) -> str:
    """Why something was not done, zh-CN first."""
    match error:
        case InsufficientStock():
            where = proposal.from_location or "本场发货的仓库"
            zh = f"{where}只有{error.facts.get('available', 0)}件可用，不够"
        case SessionOver():
            zh = "本场直播已经结束"
        case SessionConflict():
            zh = "同一渠道的另一场直播也在卖这款"
        case _:
            return error.message
    return f"{zh} ({error.message})"


# ---- what is done in one transaction with saying so


class _Doing(NamedTuple):
    """What a proposal is carried out with, while the log is locked."""

    connection: ReadConnection
    database: MerchantDatabase
    appending: Appending
    counted: Counted

    async def change(self, session: Session, asked: SkuAsked) -> None:
        """Change what a session sells."""
        await change(self.connection, self.database, self.appending, session, [asked], self.counted)


async def _raise_exclusive(doing: _Doing, proposal: Proposal) -> str:
    session = await require_open(doing.connection, proposal.session_id)
    had = sum(one.exclusive_units for one in session.skus if one.sku == proposal.sku)
    asked = SkuAsked(proposal.sku, had + proposal.quantity)
    await doing.change(session, asked)
    return f"本场专属库存由{had}件增加到{asked.exclusive_units}件 (own units: {had} to {asked.exclusive_units})"


async def _list_substitute(doing: _Doing, proposal: Proposal) -> str:
    session = await require_open(doing.connection, proposal.session_id)
    if all(one.sku != proposal.substitute for one in session.skus):
        await doing.change(session, SkuAsked(proposal.substitute))
    return f"{proposal.substitute}已加入本场 (listed in the session)"


async def _slow_pace(doing: _Doing, proposal: Proposal) -> str:
    await require_open(doing.connection, proposal.session_id)
    return "主播提示已改为放慢节奏 (the host is told to slow down)"


_DO: dict[ProposalKind, Do] = {
    ProposalKind.RAISE_EXCLUSIVE: _raise_exclusive,
    ProposalKind.LIST_SUBSTITUTE: _list_substitute,
    ProposalKind.SLOW_PACE: _slow_pace,
}
