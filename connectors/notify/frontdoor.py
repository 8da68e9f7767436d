"""What a notifier asks the gateway beside its streams: titles, rooms, cursors, and who tells whom of what."""

import logging
import time
from collections import OrderedDict

from connectors.gateway_client import GatewayAddress
from connectors.notify.delivery import Claim
from connectors.notify.facts import Room
from gateway.client import AlertsClient, ClientError, GatewayRefused, LiveClient, ResumePoint
from gateway.client.connection import Connection
from gateway.v1 import alert_pb2, alert_service_pb2, catalog_service_pb2
from gateway.v1.alert_service_pb2_grpc import AlertServiceStub
from gateway.v1.catalog_service_pb2_grpc import CatalogServiceStub

log = logging.getLogger(__name__)

# A notice does not wait for a gateway that is away: a title may be missing, and a claim is granted with a warning.
DEADLINE_SECONDS, PATIENCE_SECONDS = 2.0, 3.0
# After that anybody may tell of it, with a word of doubt; a post that is answered takes less.
LEASE_SECONDS = 20.0
TITLES_MAX, TITLE_SECONDS_MAX = 5_000, 600.0
ROOMS_MAX = 1_000
PAGE_SIZE = 200


class FrontDoor:
    """One process's questions to the gateway. `claimant` tells this process from all others."""

    def __init__(self, at: GatewayAddress, claimant: str) -> None:
        """Sends nothing yet."""
        self.claimant = claimant
        self.alerts = AlertsClient(at.address, at.token or None, certificate=at.certificate)
        self.live = LiveClient(at.address, at.token or None, certificate=at.certificate)
        self._connection = Connection(
            at.address,
            at.token or None,
            certificate=at.certificate,
            deadline_seconds=DEADLINE_SECONDS,
            patience_seconds=PATIENCE_SECONDS,
        )
        self._alert_calls = AlertServiceStub(self._connection.channel)
        self._catalog = CatalogServiceStub(self._connection.channel)
        self._titles: OrderedDict[str, tuple[str, float]] = OrderedDict()
        self._rooms: OrderedDict[int, Room] = OrderedDict()

    async def close(self) -> None:
        """End the streams and the connections."""
        await self.alerts.aclose()
        await self.live.aclose()
        await self._connection.close()

    # ---- names

    async def title(self, sku: str) -> str:
        """What people call a SKU, as of some minutes ago at most; "" if nobody can say."""
        known = self._titles.get(sku)
        if not sku or (known is not None and time.monotonic() < known[1]):
            return known[0] if known else ""
        request = catalog_service_pb2.GetSkuRequest(sku=sku)
        try:
            title = (await self._connection.ask_once(self._catalog.GetSku, request)).sku.title
        except GatewayRefused:  # a drill's SKU need not be in the catalog
            title = ""
        except ClientError:
            return known[0] if known else ""
        self._titles[sku] = (title, time.monotonic() + TITLE_SECONDS_MAX)
        if len(self._titles) > TITLES_MAX:
            self._titles.popitem(last=False)
        return title

    async def room(self, session_id: int) -> Room:
        """A live session's room; one without a name if nobody can say."""
        if session_id not in self._rooms:
            try:
                self.know(await self.live.session(session_id))
            except ClientError as error:
                log.warning("a session's room is not known", extra={"session": session_id, "code": error.code})
                return Room(session_id, "")
        return self._rooms[session_id]

    async def open_sessions(self) -> list[alert_pb2.Session]:
        """The sessions that are on. Raises `ClientError`."""
        found: list[alert_pb2.Session] = []
        token = ""
        while True:
            page = await self.live.sessions(open_only=True, page_size=PAGE_SIZE, page_token=token)
            found += page.sessions
            token = page.next_page_token
            if not token:
                break
        for session in found:
            self.know(session)
        return found

    def know(self, session: alert_pb2.Session) -> None:
        """Remember a session's room."""
        self._rooms[session.session_id] = Room(session.session_id, session.room, session.agora_channel)
        if len(self._rooms) > ROOMS_MAX:
            self._rooms.popitem(last=False)

    async def runbooks(self) -> dict[int, alert_pb2.Runbook]:
        """What to do in each tier, and who is told of it; empty if nobody can say."""
        request = alert_service_pb2.ListRunbooksRequest()
        try:
            found = await self._connection.ask(self._alert_calls.ListRunbooks, request)
        except ClientError as error:
            log.warning("runbooks are not known", extra={"code": error.code})
            return {}
        return {runbook.tier: runbook for runbook in found.runbooks}

    # ---- cursors

    async def cursor(self, subscriber_id: str) -> ResumePoint | None:
        """Up to where a subscriber has seen to everything; None: it has never been here. Raises `ClientError`."""
        return await self.alerts.cursor(subscriber_id)

    async def report(self, subscriber_id: str, point: ResumePoint) -> None:
        """Say up to where a subscriber has seen to everything; one report that fails is no harm."""
        request = alert_service_pb2.ReportCursorRequest(
            subscriber_id=subscriber_id, revision=point.revision, epoch=point.epoch
        )
        try:
            await self._connection.ask_once(self._alert_calls.ReportCursor, request)
        except ClientError as error:
            log.info("cursor not reported", extra={"subscriber": subscriber_id, "code": error.code})

    # ---- claims

    async def claim(self, revision: int, receiver: str) -> Claim:
        """Ask for a notice; where the gateway cannot be asked, it is ours with a warning."""
        request = alert_service_pb2.ClaimNoticeRequest(
            revision=revision, receiver=receiver, claimant=self.claimant, lease_ms=round(LEASE_SECONDS * 1000)
        )
        try:
            answer = await self._connection.ask(self._alert_calls.ClaimNotice, request)
        except ClientError as error:
            log.warning("notice not claimed, told all the same", extra={"revision": revision, "code": error.code})
            return Claim(granted=True, possible_duplicate=True)
        return Claim(answer.granted, answer.sent, answer.possible_duplicate)

    async def settle(self, revision: int, receiver: str, *, sent: bool) -> None:
        """Say what became of a notice; unheard, it may be told a second time, with a warning."""
        request = alert_service_pb2.SettleNoticeRequest(
            revision=revision, receiver=receiver, claimant=self.claimant, sent=sent
        )
        try:
            await self._connection.ask(self._alert_calls.SettleNotice, request)
        except ClientError as error:
            log.warning("notice not settled", extra={"revision": revision, "code": error.code})
