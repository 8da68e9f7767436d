"""The calls of `AlertService` that lay down what to be warned of, and those that rehearse."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.client.alert_calls import AlertCalls
from gateway.client.connection import new_request_id
from gateway.v1 import alert_pb2, alert_service_pb2


class AlertSettings(AlertCalls):
    """Policies, runbooks, the demand profile, drills. Raises as all calls do."""

    async def set_policy(
        self, policy: alert_pb2.AlertPolicy, *, actor: str, request_id: str = ""
    ) -> alert_pb2.AlertPolicy:
        """Say what to be warned of; all of it: what is absent is as for all."""
        request = alert_service_pb2.SetAlertPolicyRequest(
            request_id=request_id or new_request_id(), policy=policy, actor=actor
        )
        return (await self._connection.ask(self._stub.SetAlertPolicy, request)).policy

    async def policies(
        self, *, sku_prefix: str = "", page_size: int = 0, page_token: str = ""
    ) -> alert_service_pb2.ListAlertPoliciesResponse:
        """A page of what to be warned of, by SKU; the one for all first."""
        request = alert_service_pb2.ListAlertPoliciesRequest(
            sku_prefix=sku_prefix, page_size=page_size, page_token=page_token
        )
        return await self._connection.ask(self._stub.ListAlertPolicies, request)

    async def set_runbook(self, runbook: alert_pb2.Runbook, *, actor: str, request_id: str = "") -> alert_pb2.Runbook:
        """Lay down what to do in a tier; all of it."""
        request = alert_service_pb2.SetRunbookRequest(
            request_id=request_id or new_request_id(), runbook=runbook, actor=actor
        )
        return (await self._connection.ask(self._stub.SetRunbook, request)).runbook

    async def runbooks(self) -> Sequence[alert_pb2.Runbook]:
        """What to do in each tier, the lowest first."""
        request = alert_service_pb2.ListRunbooksRequest()
        return (await self._connection.ask(self._stub.ListRunbooks, request)).runbooks

    async def incoming(
        self, sku: str = "", *, page_size: int = 0, page_token: str = ""
    ) -> alert_service_pb2.ListIncomingResponse:
        """A page of units on their way, by arrival."""
        request = alert_service_pb2.ListIncomingRequest(sku=sku, page_size=page_size, page_token=page_token)
        return await self._connection.ask(self._stub.ListIncoming, request)

    async def set_demand_profile(self, profile_json: str, *, request_id: str = "") -> int:
        """Store what history says, as `stockgate learn` writes it. Returns how many SKUs it knows."""
        request = alert_service_pb2.SetDemandProfileRequest(
            request_id=request_id or new_request_id(), profile_json=profile_json
        )
        return (await self._connection.ask(self._stub.SetDemandProfile, request)).skus

    async def demand_profile(self) -> alert_service_pb2.GetDemandProfileResponse:
        """What history says, and since when that is known."""
        return await self._connection.ask(self._stub.GetDemandProfile, alert_service_pb2.GetDemandProfileRequest())

    async def start_drill(
        self, script: alert_service_pb2.DrillScript, *, actor: str, request_id: str = ""
    ) -> alert_service_pb2.Drill:
        """Begin a rehearsal; it touches no stock."""
        request = alert_service_pb2.StartDrillRequest(
            request_id=request_id or new_request_id(), script=script, actor=actor
        )
        return (await self._connection.ask(self._stub.StartDrill, request)).drill

    async def rehearse(
        self, source: alert_service_pb2.RehearsalSource, *, actor: str, request_id: str = ""
    ) -> alert_service_pb2.Drill:
        """Begin a rehearsal whose script the gateway makes: of a recorded session, by chance, or one of ours."""
        request = alert_service_pb2.RehearseRequest(
            request_id=request_id or new_request_id(), source=source, actor=actor
        )
        return (await self._connection.ask(self._stub.Rehearse, request)).drill

    async def preview_rehearsal(
        self, source: alert_service_pb2.RehearsalSource
    ) -> alert_service_pb2.PreviewRehearsalResponse:
        """What would be rehearsed, without its tape."""
        request = alert_service_pb2.PreviewRehearsalRequest(source=source)
        return await self._connection.ask(self._stub.PreviewRehearsal, request)

    async def rehearsals(self) -> alert_service_pb2.ListRehearsalsResponse:
        """The gateway's own scripts."""
        return await self._connection.ask(self._stub.ListRehearsals, alert_service_pb2.ListRehearsalsRequest())

    async def stop_drill(self, drill_id: int, *, actor: str) -> alert_service_pb2.Drill:
        """End a rehearsal."""
        request = alert_service_pb2.StopDrillRequest(drill_id=drill_id, actor=actor)
        return (await self._connection.ask(self._stub.StopDrill, request)).drill

    async def drill(self, drill_id: int) -> alert_service_pb2.Drill:
        """A drill with its score."""
        request = alert_service_pb2.GetDrillRequest(drill_id=drill_id)
        return (await self._connection.ask(self._stub.GetDrill, request)).drill

    async def drills(self, *, page_size: int = 0, page_token: str = "") -> alert_service_pb2.ListDrillsResponse:
        """A page of drills, newest first."""
        request = alert_service_pb2.ListDrillsRequest(page_size=page_size, page_token=page_token)
        return await self._connection.ask(self._stub.ListDrills, request)
