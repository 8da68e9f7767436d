"""The person at the desk, scripted: hears the stream of warnings like any subscriber, and answers as a person would.

What the system proposes is approved after a look at it; THRESHOLD and URGENT are taken on, each with what was decided,
and the runbook's steps are ticked as they are done. Minutes are those of the case.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import Any, NamedTuple

from connectors.session.double11.plan import CaseClock, CaseSettings
from gateway.client import AlertEvent, AlertsClient, ClientError, LiveClient, Snapshot, Start
from gateway.v1 import alert_pb2

log = logging.getLogger(__name__)

ACTOR = "值班运营 operator"
CONTROL = "场控 floor manager"
SUBSCRIBER = "double11/operator"

# How long a person takes to read, decide and answer.
READ_MINUTES = 1.0
STEP_MINUTES = 2.0


class Answer(NamedTuple):
    """How a warning is taken on: what was decided, in the two words of it."""

    action: alert_pb2.AckAction.ValueType
    note: str


ANSWERS = {
    alert_pb2.TIER_THRESHOLD: Answer(
        alert_pb2.ACK_ACTION_CAP_SALES, "换口播，不再加推，上架替代款 slow down and show the substitute"
    ),
    alert_pb2.TIER_URGENT: Answer(
        alert_pb2.ACK_ACTION_WATCH, "卖完为止，不再加货 sell what is left, nothing more comes"
    ),
}
NOTES = {
    alert_pb2.PROPOSAL_KIND_MOVE_UNITS: "嘉宾来了，近仓的货全调过来 the guest is here, bring all of it",
    alert_pb2.PROPOSAL_KIND_RAISE_EXCLUSIVE: "直播间优先 the room first",
    alert_pb2.PROPOSAL_KIND_LIST_SUBSTITUTE: "可以上 list it",
    alert_pb2.PROPOSAL_KIND_SLOW_PACE: "放慢，留给老粉 slow down",
}


class Said(NamedTuple):
    """What the host was given to say in some minute."""

    minute: float
    tier: alert_pb2.Tier.ValueType
    zh: str
    en: str


class Operator:
    """Answers the warnings of one SKU in one session. `said` is what the host was given at each change of tier."""

    def __init__(
        self,
        alerts: AlertsClient,
        live: LiveClient,
        session: alert_pb2.Session,
        sku: str,
        settings: CaseSettings,
        hears: Callable[[AlertEvent], None],
    ) -> None:
        """Nothing is heard yet; `hears` is told of every event."""
        self.said: list[Said] = []
        self.refused: list[str] = []
        self.is_listening = asyncio.Event()
        self._alerts, self._live, self._session, self._sku = alerts, live, session, sku
        self._settings, self._hears = settings, hears
        self._clock = CaseClock(session.open_time.ToDatetime(UTC), settings.speed)

    async def run(self) -> None:
        """Listen and answer, until cancelled."""
        async with asyncio.TaskGroup() as group:
            watch = self._alerts.watch(subscriber_id=SUBSCRIBER, start=Start.SNAPSHOT)
            async for item in watch:
                match item:
                    case Snapshot():
                        self.is_listening.set()
                    case AlertEvent():
                        self._hears(item)
                        for answer in self._answers(item):
                            group.create_task(self._tried(answer))

    def _answers(self, event: AlertEvent) -> list[Coroutine[Any, Any, None]]:
        if event.HasField("tier_change") and event.sku == self._sku:
            return [self._hand_over_line(), *self._taken_on(event)]
        if event.kind == alert_pb2.ALERT_EVENT_KIND_PROPOSAL_CARRIED_OUT:
            return [self._hand_over_line()]
        is_open = event.proposal.state == alert_pb2.PROPOSAL_STATE_OPEN
        if event.kind == alert_pb2.ALERT_EVENT_KIND_PROPOSED and is_open:
            return [self._approve(event.proposal)]
        return []

    def _taken_on(self, event: AlertEvent) -> list[Coroutine[Any, Any, None]]:
        change = event.tier_change
        has_risen = change.to > getattr(change, "from")
        answer = ANSWERS.get(change.to)
        if not (has_risen and change.pages and answer):
            return []
        return [self._acknowledge(event, answer), self._tick(event)]

    async def _acknowledge(self, event: AlertEvent, answer: Answer) -> None:
        await self._pause(READ_MINUTES)
        await self._alerts.acknowledge(
            event.sku,
            episode=event.episode,
            tier=event.tier_change.to,
            actor=ACTOR,
            action=answer.action,
            note=answer.note,
        )

    async def _tick(self, event: AlertEvent) -> None:
        """The runbook's steps, one after the other."""
        for step, _ in enumerate(event.tier_change.runbook.steps):
            await self._pause(STEP_MINUTES)
            await self._alerts.complete_step(
                event.sku, episode=event.episode, tier=event.tier_change.to, step=step, actor=CONTROL
            )

    async def _approve(self, proposal: alert_pb2.Proposal) -> None:
        await self._pause(STEP_MINUTES)
        note = NOTES.get(proposal.kind, "")
        await self._live.decide_proposal(proposal.proposal_id, approve=True, actor=ACTOR, note=note)

    async def _hand_over_line(self) -> None:
        """Give the host the line of the moment."""
        hints = await self._live.hints(self._session.session_id, [self._sku])
        minute = self._clock.minute(datetime.now(UTC))
        self.said += [Said(minute, hint.tier, hint.host_line, hint.host_line_en) for hint in hints]

    async def _tried(self, answer: Coroutine[Any, Any, None]) -> None:
        """A refusal (somebody was first, it has risen since) is no reason to stop listening."""
        try:
            await answer
        except ClientError as error:
            log.info("an answer was refused", extra={"reason": error.reason, "code": error.code})
            self.refused.append(str(error))

    async def _pause(self, minutes: float) -> None:
        await asyncio.sleep(self._settings.seconds(minutes))
