"""A server of the generated contract that misbehaves as it is told: for what a healthy gateway never does."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc.aio
from google.protobuf.duration_pb2 import Duration
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

from gateway.client import AlertsClient, LiveClient
from gateway.v1 import alert_pb2 as nouns
from gateway.v1 import alert_service_pb2 as pb
from gateway.v1 import live_service_pb2 as live_pb
from gateway.v1.alert_service_pb2_grpc import AlertServiceServicer, add_AlertServiceServicer_to_server
from gateway.v1.live_service_pb2_grpc import LiveServiceServicer, add_LiveServiceServicer_to_server

EPOCH = "epoch-1"
Reply = pb.WatchTierChangesResponse
Act = Callable[[Any], AsyncIterator[Any]]


class Refusal(Exception):
    """Ends a call with this status."""

    def __init__(
        self, code: grpc.StatusCode, reason: str = "", retry_ms: int = 0, field: str = "", **facts: str
    ) -> None:
        super().__init__(reason)
        self.status = status_pb2.Status(code=code_pb2.Code.Value(code.name), message=f"told to be {code.name}")
        if reason:
            self.status.details.add().Pack(error_details_pb2.ErrorInfo(reason=reason, metadata=facts))
        if field:
            violation = error_details_pb2.BadRequest.FieldViolation(field=field)
            self.status.details.add().Pack(error_details_pb2.BadRequest(field_violations=[violation]))
        if retry_ms:
            delay = Duration()
            delay.FromMilliseconds(retry_ms)
            self.status.details.add().Pack(error_details_pb2.RetryInfo(retry_delay=delay))


_Services: Any = type("_Services", (AlertServiceServicer, LiveServiceServicer), {})


class Script(_Services):  # type: ignore[misc]  # the stubs want every method; those not needed answer UNIMPLEMENTED
    """Each stream plays the next act; calls answer what `answers` says, in turn. Every request is kept."""

    def __init__(self, *acts: Act) -> None:
        self.acts = list(acts)
        self.requests: list[Any] = []
        self.times: list[float] = []
        self.asked: list[Any] = []
        self.answers: list[Any] = []
        self.cursor: pb.AlertResumePoint | None = None
        self.reports: list[pb.ReportCursorRequest] = []
        self.open_streams = 0
        self.delay_seconds = 0.0

    async def WatchTierChanges(self, request: Any, context: Any) -> AsyncIterator[Any]:  # noqa: N802 - gRPC's name
        async for message in self._play(request, context):
            yield message

    async def WatchHints(self, request: Any, context: Any) -> AsyncIterator[Any]:  # noqa: N802 - gRPC's name
        async for message in self._play(request, context):
            yield message

    async def ReportCursor(self, request: Any, context: Any) -> Any:  # noqa: N802 - gRPC's name
        self.reports.append(request)
        return pb.ReportCursorResponse(lag=7)

    async def GetCursor(self, request: Any, context: Any) -> Any:  # noqa: N802 - gRPC's name
        return await self._answer(request, context, lambda: pb.GetCursorResponse(point=self.cursor))

    async def Acknowledge(self, request: Any, context: Any) -> Any:  # noqa: N802 - gRPC's name
        return await self._answer(request, context, lambda: pb.AcknowledgeResponse(revision=5))

    async def TakeLine(self, request: Any, context: Any) -> Any:  # noqa: N802 - gRPC's name
        return await self._answer(request, context, live_pb.TakeLineResponse)

    async def _answer(self, request: Any, context: Any, usual: Callable[[], Any]) -> Any:
        self.asked.append(request)
        self.times.append(asyncio.get_running_loop().time())
        await asyncio.sleep(self.delay_seconds)
        answer = self.answers.pop(0) if self.answers else None
        if isinstance(answer, Refusal):
            await context.abort_with_status(rpc_status.to_status(answer.status))
        return usual() if answer is None else answer

    async def _play(self, request: Any, context: Any) -> AsyncIterator[Any]:
        self.requests.append(request)
        self.times.append(asyncio.get_running_loop().time())
        act = self.acts.pop(0) if self.acts else silence
        self.open_streams += 1
        try:
            async for message in act(request):
                if isinstance(message, Refusal):
                    await context.abort_with_status(rpc_status.to_status(message.status))
                yield message
        finally:
            self.open_streams -= 1


def says(*messages: Any, stays: bool = False) -> Act:
    """An act: these messages, then the end; with `stays` nothing more for ever."""

    async def act(_request: Any) -> AsyncIterator[Any]:
        for message in messages:
            yield message
        if stays:
            await asyncio.Event().wait()

    return act


async def silence(_request: Any) -> AsyncIterator[Any]:
    """The act that says nothing."""
    await asyncio.Event().wait()
    yield


def created(revision: int = 0, *, resnapshot: bool = False, progress_interval_ms: int = 10_000) -> Reply:
    """How a stream begins."""
    return Reply(
        created=pb.AlertsCreated(
            epoch=EPOCH, revision=revision, resnapshot=resnapshot, progress_interval_ms=progress_interval_ms
        )
    )


def event(revision: int, kind: Any = nouns.ALERT_EVENT_KIND_TIER_CHANGE, sku: str = "TEA") -> Reply:
    """A change of tier."""
    return Reply(event=nouns.AlertEvent(revision=revision, kind=kind, sku=sku))


def watchdog(revision: int) -> Reply:
    """Proof of life."""
    return event(revision, nouns.ALERT_EVENT_KIND_WATCHDOG, "")


def progress(revision: int) -> Reply:
    """A sign of life."""
    return Reply(progress=pb.AlertProgress(revision=revision))


def standing(sku: str, tier: Any = nouns.TIER_URGENT) -> Reply:
    """An item of a snapshot."""
    return Reply(snapshot_item=pb.TierState(sku=sku, tier=tier))


def snapshot_end(revision: int) -> Reply:
    """The end of a snapshot."""
    return Reply(snapshot_end=pb.AlertSnapshotEnd(revision=revision))


def lagged(from_revision: int, to_revision: int) -> Reply:
    """Something is passed over."""
    return Reply(lagged=pb.AlertLagged(from_revision=from_revision, to_revision=to_revision))


def go_away(resume_revision: int, retry_after_ms: int = 0) -> Reply:
    """The gateway ends the stream."""
    going = pb.AlertGoAway(resume_revision=resume_revision, reason="MAX_AGE", retry_after_ms=retry_after_ms)
    return Reply(go_away=going)


def after(revision: int) -> pb.AlertResumePoint:
    """What a request to resume says."""
    return pb.AlertResumePoint(revision=revision, epoch=EPOCH)


@asynccontextmanager
async def serving(script: Script) -> AsyncIterator[str]:
    """The script on a free port."""
    server = grpc.aio.server()
    add_AlertServiceServicer_to_server(script, server)
    add_LiveServiceServicer_to_server(script, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(0)


@asynccontextmanager
async def alerts_of(script: Script, **settings: Any) -> AsyncIterator[AlertsClient]:
    """A client of the script."""
    async with serving(script) as address, AlertsClient(address, "shop.secret", **settings) as alerts:
        yield alerts


@asynccontextmanager
async def live_of(script: Script, **settings: Any) -> AsyncIterator[LiveClient]:
    """A client of the script's rooms."""
    async with serving(script) as address, LiveClient(address, "shop.secret", **settings) as live:
        yield live
