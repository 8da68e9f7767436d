"""The unary calls of `AlertService`: where things stand, and what people do about it.

Each has a deadline and is repeated for a while if the gateway is away. A mutation's `request_id` is made once and is
the same in all its tries; who has to survive a crash of his own chooses it himself. Answers are the messages of
`gateway.v1`. All methods raise `GatewayAway` and `GatewayRefused`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from gateway.client.connection import Closing, Connection, new_request_id
from gateway.client.points import ResumePoint
from gateway.client.times import stamp
from gateway.v1 import alert_pb2, alert_service_pb2
from gateway.v1.alert_service_pb2_grpc import AlertServiceStub

NO_TIER = alert_pb2.TIER_UNSPECIFIED


class AlertCalls(Closing):
    """What `AlertsClient` offers beside the stream."""

    def __init__(self, connection: Connection) -> None:
        """Use this connection; it is closed with this."""
        self._connection = connection
        self._stub = AlertServiceStub(connection.channel)

    async def aclose(self) -> None:
        """End the connection."""
        await self._connection.close()

    # ---- where things stand

    async def tier(self, sku: str, session_id: int = 0) -> alert_service_pb2.GetTierResponse:
        """Where a SKU stands, and why, in words and numbers."""
        request = alert_service_pb2.GetTierRequest(sku=sku, session_id=session_id)
        return await self._connection.ask(self._stub.GetTier, request)

    async def tiers(
        self,
        *,
        min_tier: alert_pb2.Tier.ValueType = NO_TIER,
        session_id: int = 0,
        page_size: int = 0,
        page_token: str = "",
    ) -> alert_service_pb2.ListTiersResponse:
        """A page of where SKUs stand, most pressing first."""
        request = alert_service_pb2.ListTiersRequest(
            min_tier=min_tier, session_id=session_id, page_size=page_size, page_token=page_token
        )
        return await self._connection.ask(self._stub.ListTiers, request)

    async def events(
        self,
        *,
        skus: Sequence[str] = (),
        channels: Sequence[str] = (),
        session_ids: Sequence[int] = (),
        min_tier: alert_pb2.Tier.ValueType = NO_TIER,
        kinds: Sequence[alert_pb2.AlertEventKind.ValueType] = (),
        include_drills: bool = False,
        page_size: int = 0,
        page_token: str = "",
    ) -> alert_service_pb2.ListTierChangesResponse:
        """A page of the log, newest first."""
        request = alert_service_pb2.ListTierChangesRequest(
            filter=alert_filter(skus, channels, session_ids, min_tier, kinds),
            page_size=page_size,
            page_token=page_token,
            include_drills=include_drills,
        )
        return await self._connection.ask(self._stub.ListTierChanges, request)

    # ---- what people do about it

    async def acknowledge(
        self,
        sku: str,
        *,
        episode: int,
        tier: alert_pb2.Tier.ValueType,
        actor: str,
        action: alert_pb2.AckAction.ValueType,
        session_id: int = 0,
        quantity: int = 0,
        arrive_time: datetime | None = None,
        note: str = "",
        drill_id: int = 0,
        request_id: str = "",
    ) -> alert_service_pb2.AcknowledgeResponse:
        """Take a warning on. Refused with ALREADY_ACKNOWLEDGED (by, at), EPISODE_OVER, TIER_CHANGED (it has risen)."""
        request = alert_service_pb2.AcknowledgeRequest(
            request_id=request_id or new_request_id(),
            sku=sku,
            session_id=session_id,
            episode=episode,
            tier=tier,
            actor=actor,
            action=action,
            quantity=quantity,
            arrive_time=stamp(arrive_time),
            note=note,
            drill_id=drill_id,
        )
        return await self._connection.ask(self._stub.Acknowledge, request)

    async def complete_step(
        self,
        sku: str,
        *,
        episode: int,
        tier: alert_pb2.Tier.ValueType,
        step: int,
        actor: str,
        session_id: int = 0,
        drill_id: int = 0,
        request_id: str = "",
    ) -> alert_service_pb2.CompleteStepResponse:
        """Tick a step of a runbook, counted from 0."""
        request = alert_service_pb2.CompleteStepRequest(
            request_id=request_id or new_request_id(),
            sku=sku,
            session_id=session_id,
            episode=episode,
            tier=tier,
            step=step,
            actor=actor,
            drill_id=drill_id,
        )
        return await self._connection.ask(self._stub.CompleteStep, request)

    async def silence(
        self,
        *,
        end_time: datetime,
        actor: str,
        comment: str,
        skus: Sequence[str] = (),
        channels: Sequence[str] = (),
        session_ids: Sequence[int] = (),
        start_time: datetime | None = None,
        until_resolved: bool = False,
        max_tier: alert_pb2.Tier.ValueType = NO_TIER,
        request_id: str = "",
    ) -> alert_service_pb2.SilenceResponse:
        """Keep people from being notified, for 12 hours at most; streams carry everything all the same."""
        request = alert_service_pb2.SilenceRequest(
            request_id=request_id or new_request_id(),
            matcher=alert_pb2.SilenceMatcher(skus=skus, channels=channels, session_ids=session_ids),
            start_time=stamp(start_time),
            end_time=stamp(end_time),
            actor=actor,
            comment=comment,
            until_resolved=until_resolved,
            max_tier=max_tier,
        )
        return await self._connection.ask(self._stub.Silence, request)

    async def end_silence(self, silence_id: int, *, actor: str, request_id: str = "") -> alert_pb2.SilenceRecord:
        """End a silence."""
        request = alert_service_pb2.EndSilenceRequest(
            request_id=request_id or new_request_id(), silence_id=silence_id, actor=actor
        )
        return (await self._connection.ask(self._stub.EndSilence, request)).silence

    async def silences(
        self, *, include_ended: bool = False, page_size: int = 0, page_token: str = ""
    ) -> alert_service_pb2.ListSilencesResponse:
        """A page of silences, newest first."""
        request = alert_service_pb2.ListSilencesRequest(
            include_ended=include_ended, page_size=page_size, page_token=page_token
        )
        return await self._connection.ask(self._stub.ListSilences, request)

    async def announce_incoming(
        self,
        sku: str,
        quantity: int,
        *,
        arrive_time: datetime,
        actor: str,
        reference: str = "",
        request_id: str = "",
    ) -> alert_pb2.IncomingUnits:
        """Say that units are on their way: they enter the forecast."""
        request = alert_service_pb2.AnnounceIncomingRequest(
            request_id=request_id or new_request_id(),
            sku=sku,
            quantity=quantity,
            arrive_time=stamp(arrive_time),
            actor=actor,
            reference=reference,
        )
        return (await self._connection.ask(self._stub.AnnounceIncoming, request)).incoming

    async def cancel_incoming(self, incoming_id: int, *, actor: str, request_id: str = "") -> alert_pb2.IncomingUnits:
        """Say that announced units will not come."""
        request = alert_service_pb2.CancelIncomingRequest(
            request_id=request_id or new_request_id(), incoming_id=incoming_id, actor=actor
        )
        return (await self._connection.ask(self._stub.CancelIncoming, request)).incoming

    # ---- subscribers and their notices

    async def cursor(self, subscriber_id: str) -> ResumePoint | None:
        """Up to where a subscriber has said to have processed the log; None: it never has."""
        request = alert_service_pb2.GetCursorRequest(subscriber_id=subscriber_id)
        response = await self._connection.ask(self._stub.GetCursor, request)
        return ResumePoint(response.point.revision, response.point.epoch) if response.HasField("point") else None

    async def report_cursor(self, subscriber_id: str, point: ResumePoint) -> int:
        """Say up to where the log was processed, for who decides himself when that is. Returns how far behind that is.

        A watch with a subscriber_id does so by itself. Asked once: the next report says more.
        """
        request = alert_service_pb2.ReportCursorRequest(
            subscriber_id=subscriber_id, revision=point.revision, epoch=point.epoch
        )
        return (await self._connection.ask_once(self._stub.ReportCursor, request)).lag

    async def subscribers(self) -> Sequence[alert_pb2.SubscriberState]:
        """Who subscribes, and how far each is behind."""
        request = alert_service_pb2.ListSubscribersRequest()
        return (await self._connection.ask(self._stub.ListSubscribers, request)).subscribers

    async def claim_notice(
        self, revision: int, *, receiver: str, claimant: str, lease_seconds: float
    ) -> alert_service_pb2.ClaimNoticeResponse:
        """Claim the sending of a notice, so that no two notifiers send it."""
        request = alert_service_pb2.ClaimNoticeRequest(
            revision=revision, receiver=receiver, claimant=claimant, lease_ms=round(lease_seconds * 1000)
        )
        return await self._connection.ask(self._stub.ClaimNotice, request)

    async def settle_notice(self, revision: int, *, receiver: str, claimant: str, sent: bool) -> None:
        """Say what became of a claimed notice."""
        request = alert_service_pb2.SettleNoticeRequest(
            revision=revision, receiver=receiver, claimant=claimant, sent=sent
        )
        await self._connection.ask(self._stub.SettleNotice, request)


def alert_filter(
    skus: Sequence[str] = (),
    channels: Sequence[str] = (),
    session_ids: Sequence[int] = (),
    min_tier: alert_pb2.Tier.ValueType = NO_TIER,
    kinds: Sequence[alert_pb2.AlertEventKind.ValueType] = (),
) -> alert_service_pb2.AlertFilter:
    """What a stream or a list is to contain."""
    return alert_service_pb2.AlertFilter(
        skus=skus, channels=channels, session_ids=session_ids, min_tier=min_tier, kinds=kinds
    )
