"""Live rooms as an internal service uses them: sessions, what a room can sell, what to say, what is proposed."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from gateway.client.connection import DEADLINE_SECONDS, PATIENCE_SECONDS, Closing, Connection, new_request_id
from gateway.client.hints import Clock, HintWatch
from gateway.client.times import stamp
from gateway.v1 import alert_pb2, live_service_pb2, review_pb2
from gateway.v1.live_service_pb2_grpc import LiveServiceStub


def machine_clock() -> datetime:
    """The time of this machine."""
    return datetime.now(UTC)


class LiveClient(Closing):
    """The gateway's `LiveService` for one caller.

    Calls have a deadline and are repeated while the gateway is away; a mutation's `request_id` is made once. All
    methods raise `GatewayAway` and `GatewayRefused`. `async with LiveClient(address, token) as live:` closes it all.
    """

    def __init__(
        self,
        address: str,
        token: str | None = None,
        *,
        certificate: bytes | None = None,
        deadline_seconds: float = DEADLINE_SECONDS,
        patience_seconds: float = PATIENCE_SECONDS,
        clock: Clock = machine_clock,
    ) -> None:
        """Sends nothing yet. `clock` says when hints are too old; the rest is as `AlertsClient` has it."""
        self._connection = Connection(
            address,
            token,
            certificate=certificate,
            deadline_seconds=deadline_seconds,
            patience_seconds=patience_seconds,
        )
        self._stub = LiveServiceStub(self._connection.channel)
        self._clock = clock
        self._watches: weakref.WeakSet[HintWatch] = weakref.WeakSet()

    def watch_hints(self, session_id: int, skus: Sequence[str] = ()) -> HintWatch:
        """What this room can sell and say, as it changes; ends when the session is closed. None is ever too old."""
        request = live_service_pb2.WatchHintsRequest(session_id=session_id, skus=skus)
        watch = HintWatch(self._connection, self._stub, request, self._clock)
        self._watches.add(watch)
        return watch

    async def hints(self, session_id: int, skus: Sequence[str] = ()) -> Sequence[live_service_pb2.Hint]:
        """What this room can sell and say now, in the session's order; mind each one's `expire_time`."""
        request = live_service_pb2.GetHintsRequest(session_id=session_id, skus=skus)
        return (await self._connection.ask(self._stub.GetHints, request)).hints

    async def take_line(
        self, session_id: int, sku: str, intent: str, *, viewer: str = "", language: str = "", drill_id: int = 0
    ) -> live_service_pb2.TakeLineResponse:
        """A line to answer the chat with, or why to say nothing. Asked once: a second try would take a second line."""
        request = live_service_pb2.TakeLineRequest(
            session_id=session_id, sku=sku, intent=intent, viewer=viewer, language=language, drill_id=drill_id
        )
        return await self._connection.ask_once(self._stub.TakeLine, request)

    # ---- sessions

    async def open_session(
        self,
        room: str,
        *,
        channels: Sequence[str],
        skus: Mapping[str, int],
        planned_end_time: datetime,
        actor: str,
        host: str = "",
        agora_channel: str = "",
        request_id: str = "",
    ) -> alert_pb2.Session:
        """Open a session. `skus` says how many units are the session's own; 0: it sells from what all sell from."""
        request = live_service_pb2.OpenSessionRequest(
            request_id=request_id or new_request_id(),
            room=room,
            channels=channels,
            skus=_own_units(skus),
            planned_end_time=stamp(planned_end_time),
            actor=actor,
            host=host,
            agora_channel=agora_channel,
        )
        return (await self._connection.ask(self._stub.OpenSession, request)).session

    async def update_session(
        self,
        session_id: int,
        *,
        actor: str,
        skus: Mapping[str, int] | None = None,
        remove_skus: Sequence[str] = (),
        planned_end_time: datetime | None = None,
        request_id: str = "",
    ) -> alert_pb2.Session:
        """Change what a session sells, its own units, or its planned end; what is not said stays."""
        request = live_service_pb2.UpdateSessionRequest(
            request_id=request_id or new_request_id(),
            session_id=session_id,
            skus=_own_units(skus or {}),
            remove_skus=remove_skus,
            planned_end_time=stamp(planned_end_time),
            actor=actor,
        )
        return (await self._connection.ask(self._stub.UpdateSession, request)).session

    async def close_session(self, session_id: int, *, actor: str, request_id: str = "") -> alert_pb2.Session:
        """End a session; its own units are everybody's again."""
        request = live_service_pb2.CloseSessionRequest(
            request_id=request_id or new_request_id(), session_id=session_id, actor=actor
        )
        return (await self._connection.ask(self._stub.CloseSession, request)).session

    async def session(self, session_id: int) -> alert_pb2.Session:
        """One session."""
        request = live_service_pb2.GetSessionRequest(session_id=session_id)
        return (await self._connection.ask(self._stub.GetSession, request)).session

    async def sessions(
        self, *, open_only: bool = False, page_size: int = 0, page_token: str = ""
    ) -> live_service_pb2.ListSessionsResponse:
        """A page of sessions, newest first."""
        request = live_service_pb2.ListSessionsRequest(open_only=open_only, page_size=page_size, page_token=page_token)
        return await self._connection.ask(self._stub.ListSessions, request)

    async def review(self, session_id: int) -> review_pb2.Review:
        """What happened in a session, what it cost, and what to change; of one that is on up to now."""
        request = live_service_pb2.GetReviewRequest(session_id=session_id)
        return (await self._connection.ask(self._stub.GetReview, request)).review

    async def accept_advice(
        self, session_id: int, kind: str, sku: str, *, actor: str, request_id: str = ""
    ) -> review_pb2.AdviceChange:
        """Set what a review advises; refused with SETTING_CHANGED if somebody has set something else since."""
        request = live_service_pb2.AcceptAdviceRequest(
            request_id=request_id or new_request_id(), session_id=session_id, kind=kind, sku=sku, actor=actor
        )
        return (await self._connection.ask(self._stub.AcceptAdvice, request)).change

    # ---- what is said

    async def set_template(
        self, template: live_service_pb2.LineTemplate, *, actor: str, request_id: str = ""
    ) -> live_service_pb2.LineTemplate:
        """Store a template; its variables are checked."""
        request = live_service_pb2.SetTemplateRequest(
            request_id=request_id or new_request_id(), template=template, actor=actor
        )
        return (await self._connection.ask(self._stub.SetTemplate, request)).template

    async def delete_template(
        self, template_id: str, *, actor: str, request_id: str = ""
    ) -> live_service_pb2.LineTemplate:
        """Go back to the built-in template, which is returned."""
        request = live_service_pb2.DeleteTemplateRequest(
            request_id=request_id or new_request_id(), template_id=template_id, actor=actor
        )
        return (await self._connection.ask(self._stub.DeleteTemplate, request)).template

    async def templates(self, language: str = "") -> Sequence[live_service_pb2.LineTemplate]:
        """All templates: the merchant's, and the built-in where there is none."""
        request = live_service_pb2.ListTemplatesRequest(language=language)
        return (await self._connection.ask(self._stub.ListTemplates, request)).templates

    async def preview_template(
        self, template: live_service_pb2.LineTemplate, *, session_id: int = 0, sku: str = ""
    ) -> Sequence[str]:
        """What each variant would say; nothing is stored."""
        request = live_service_pb2.PreviewTemplateRequest(template=template, session_id=session_id, sku=sku)
        return (await self._connection.ask(self._stub.PreviewTemplate, request)).lines

    # ---- proposals

    async def proposals(
        self,
        *,
        session_id: int = 0,
        state: alert_pb2.ProposalState.ValueType = alert_pb2.PROPOSAL_STATE_UNSPECIFIED,
        page_size: int = 0,
        page_token: str = "",
    ) -> live_service_pb2.ListProposalsResponse:
        """A page of what was proposed, newest first."""
        request = live_service_pb2.ListProposalsRequest(
            session_id=session_id, state=state, page_size=page_size, page_token=page_token
        )
        return await self._connection.ask(self._stub.ListProposals, request)

    async def decide_proposal(
        self, proposal_id: int, *, approve: bool, actor: str, quantity: int = 0, note: str = "", request_id: str = ""
    ) -> alert_pb2.Proposal:
        """Approve or decline; refused with PROPOSAL_SETTLED (state, by) if somebody was first. 0 units: as proposed."""
        request = live_service_pb2.DecideProposalRequest(
            request_id=request_id or new_request_id(),
            proposal_id=proposal_id,
            approve=approve,
            quantity=quantity,
            actor=actor,
            note=note,
        )
        return (await self._connection.ask(self._stub.DecideProposal, request)).proposal

    async def aclose(self) -> None:
        """End the watches, the calls and the connection."""
        try:
            await asyncio.gather(*(watch.aclose() for watch in list(self._watches)))
        finally:
            await self._connection.close()


def _own_units(skus: Mapping[str, int]) -> list[alert_pb2.SessionSku]:
    return [alert_pb2.SessionSku(sku=sku, exclusive_units=units) for sku, units in skus.items()]
