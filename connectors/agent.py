"""The agent: it serves one channel between the gateway and the platform, the same way on every platform.

It holds nothing that it could not lose. Kill it at any moment and start it again: the gateway's stream begins with all
that is under way, the walk through the orders begins at the gateway's watermark, and every report may be said twice.
"""

import asyncio
import contextlib
import logging
import os
import secrets
import socket
import time
from collections.abc import Callable, Coroutine, Iterator
from datetime import timedelta
from typing import Any, TypeVar

import httpx

from connectors.access import Access
from connectors.backoff import Backoff
from connectors.contract import (
    ChannelState,
    GatewayError,
    GatewayRefused,
    Push,
    ReadOrder,
    StreamBegins,
    StreamEnds,
    StreamEvent,
    StreamIsCurrent,
    Vitals,
)
from connectors.gateway_client import GatewayClient
from connectors.inbox import Door, Inbox
from connectors.intake import Intake
from connectors.needs import Needs
from connectors.platforms import PlatformOf, platform_of
from connectors.pushing import Pusher
from connectors.reading import Reader
from connectors.settings import AgentSettings
from connectors.transport import Transport
from gateway import metrics

log = logging.getLogger(__name__)
T = TypeVar("T")

# Calls to a sandbox on this machine never go through a proxy.
DIRECT: dict[str, httpx.AsyncBaseTransport | None] = {"all://127.0.0.1": None, "all://localhost": None}


def new_connector_id() -> str:
    """A name for one agent of this process that no other has."""
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"


class Agent:
    """Serves one channel until told to stop. One agent is for one run."""

    def __init__(
        self,
        gateway: GatewayClient,
        channel: str,
        settings: AgentSettings | None = None,
        *,
        inbox: Inbox | None = None,
        platform_of: PlatformOf = platform_of,
    ) -> None:
        """`inbox` gets a door for the channel while the agent runs."""
        self.connector_id = new_connector_id()
        self.channel = channel
        self._gateway, self._settings = gateway, settings or AgentSettings()
        self._inbox, self._platform_of = inbox or Inbox(), platform_of
        self._needs = Needs(channel)
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Begin nothing more, finish and report what is under way, and end."""
        self._stopping.set()

    async def run(self) -> None:
        """Serve until `stop`; raises only what is a fault of this program."""
        state = await self._state()
        if state is None:
            return
        log.info("agent begins", extra={"channel": self.channel, "connector_id": self.connector_id})
        async with httpx.AsyncClient(mounts=DIRECT) as client:
            service = _Service(
                self._gateway,
                state,
                Transport(client, self._settings.limits, platform=state.platform.value, channel=self.channel),
                self._needs,
                self._settings,
                self._platform_of,
                self.connector_id,
            )
            with self._inbox.door(self.channel, service.door):
                await service.run(self._stopping)
        log.info("agent ends", extra={"channel": self.channel, "connector_id": self.connector_id})

    async def _state(self) -> ChannelState | None:
        """The channel, as soon as the gateway tells; None if the agent is stopped first."""
        backoff = Backoff(self._settings.backoff_seconds, self._settings.backoff_seconds_max)
        while not self._stopping.is_set():
            try:
                return await unless(self._stopping, self._gateway.channel(self.channel))
            except GatewayError as error:
                fields = {"channel": self.channel, "code": error.code, "said": error.message}
                log.warning("gateway does not tell of the channel", extra=fields)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), backoff.failed())
        return None


class _Service:
    """The loops of one channel, and the stream that drives them."""

    def __init__(
        self,
        gateway: GatewayClient,
        state: ChannelState,
        transport: Transport,
        needs: Needs,
        settings: AgentSettings,
        platform_of: PlatformOf,
        connector_id: str,
    ) -> None:
        """Nothing runs yet."""
        channel = self._channel = state.channel
        self._gateway, self._transport, self._needs, self._settings = gateway, transport, needs, settings
        self._connector_id = connector_id
        self._access = Access(gateway, channel, state.platform, transport, needs, settings, platform_of)
        self._intake = Intake(gateway, channel, self._access, needs, settings)
        self._intake.begin_at(state)
        self._reader = Reader(gateway, channel, self._access, settings)
        self._pusher = Pusher(gateway, channel, self._access, needs, settings, self._reader.ask)
        self.door = Door(channel, self._access, self._intake, self._reader, settings)
        # While true, the stream may tell of pushes that another process has begun; who begins one has been heard.
        self._may_have_missed = bool(state.connector_id)
        # Only who serves the channel is to be heard, but for one who cannot and says why.
        self._is_serving = False
        self._is_paused = state.paused
        self._duties: list[asyncio.Task[None]] = []

    async def run(self, stopping: asyncio.Event) -> None:
        """Serve until told to stop; then finish what is under way."""
        async with asyncio.TaskGroup() as group:
            self._begin_duties(group)
            stream = group.create_task(self._follow(group))
            others: list[Coroutine[Any, Any, None]] = [self._access.tend(), self._pusher.reports.send(), self._beat()]
            others += [self._pusher.work() for _ in range(self._settings.workers)]
            tasks = [group.create_task(each) for each in others]
            await stopping.wait()
            stream.cancel()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._settings.stop_seconds):
                    await self._pusher.finish()
            for task in (*tasks, *self._duties):
                task.cancel()

    # ---- what goes on whether there is a stream or not

    def _begin_duties(self, group: asyncio.TaskGroup) -> None:
        loops = (
            self._intake.walk(),
            self._intake.retry(),
            self._reader.answer(self._pusher),
            self._reader.go_round(self._pusher),
            self.door.listen(),
        )
        self._duties = [group.create_task(each) for each in loops]

    async def _end_duties(self) -> None:
        """Cancelling them loses nothing."""
        for task in self._duties:
            task.cancel()
        await asyncio.gather(*self._duties, return_exceptions=True)
        self._duties = []

    async def _beat(self) -> None:
        while True:
            if self._is_serving or (self._access.is_parked and self._needs.text):
                with self._said_if_refused():
                    await self._gateway.heartbeat(self._channel, self._vitals())
            await asyncio.sleep(self._settings.heartbeat_seconds)

    def _vitals(self) -> Vitals:
        limiter = self._transport.limiter
        return Vitals(
            connector_id=self._connector_id,
            breaker_open=self._transport.breaker.is_open,
            calls_per_second=limiter.rate,
            ban=timedelta(seconds=limiter.banned_seconds),
            waiting=limiter.waiting,
            needs=self._needs.text,
            calls=self._transport.calls,
            retries=self._transport.retries,
            forged=self.door.forged,
        )

    # ---- the stream

    async def _follow(self, group: asyncio.TaskGroup) -> None:
        """Follow the stream, and open it again whenever it ends; until cancelled."""
        backoff = Backoff(self._settings.backoff_seconds, self._settings.backoff_seconds_max)
        # What a platform can do must be known before the first push.
        await self._access.open()
        while True:
            end: StreamEnds | None = None
            with self._said_if_refused():
                end = await self._follow_once(group, backoff)
            self._pusher.pause()
            self._is_serving = False
            if end is not None and end.is_replaced:
                await self._stand_by()
            else:
                await backoff.pause(end.retry_after_seconds if end else 0.0)

    async def _follow_once(self, group: asyncio.TaskGroup, backoff: Backoff) -> StreamEnds | None:
        stream = self._gateway.allocations(
            self._channel,
            self._connector_id,
            progress_seconds=self._settings.progress_seconds,
            silence_seconds=self._settings.silence_seconds,
        )
        async with contextlib.aclosing(stream) as events:
            async for event in events:
                if isinstance(event, StreamEnds):
                    log.info("stream ends", extra={"channel": self._channel, "reason": event.reason})
                    return event
                if isinstance(event, StreamBegins):
                    await self._begin(event.channel, group)
                    backoff.succeeded()
                else:
                    self._hear(event)
        return None

    async def _begin(self, state: ChannelState, group: asyncio.TaskGroup) -> None:
        """This process serves the channel from now on, and says so before it begins anything."""
        self._may_have_missed |= state.connector_id not in {"", self._connector_id}
        await self._gateway.heartbeat(self._channel, self._vitals())
        self._is_serving = True
        self._intake.begin_at(state)
        if not self._duties:
            self._begin_duties(group)
        log.info("stream begins", extra={"channel": self._channel, "paused": state.paused})

    def _hear(self, event: StreamEvent) -> None:
        match event:
            case Push():
                self._reader.know(event.key, event.listing_id)
                self._pusher.receive(event, may_be_begun=self._may_have_missed)
            case ReadOrder():
                self._reader.ask(event)
            case StreamIsCurrent():
                # Only now is it known what is the most urgent.
                self._may_have_missed = False
                self._pusher.go_on()
            case ChannelState():
                if event.paused != self._is_paused:
                    log.info("channel paused or resumed", extra={"channel": self._channel, "paused": event.paused})
                self._is_paused = event.paused
            case _:
                raise AssertionError(f"{type(event).__name__} in the middle of a stream")

    async def _stand_by(self) -> None:
        """Another process serves the channel: leave it alone until nothing is heard of it any more."""
        log.warning("another process serves the channel; standing by", extra={"channel": self._channel})
        self._may_have_missed = True
        await self._end_duties()
        heard, heard_at = None, time.monotonic()
        while time.monotonic() - heard_at < self._settings.standby_seconds:
            await asyncio.sleep(self._settings.heartbeat_seconds)
            try:
                state = await self._gateway.channel(self._channel)
            except GatewayError:
                heard_at = time.monotonic()  # nothing is known of the other one
                continue
            if state.heartbeat_time != heard:
                heard, heard_at = state.heartbeat_time, time.monotonic()
        log.warning("the other process is not heard any more; taking over", extra={"channel": self._channel})

    @contextlib.contextmanager
    def _said_if_refused(self) -> Iterator[None]:
        """What the gateway does not let us do is said, and tried again later."""
        try:
            yield
        except GatewayError as error:
            level = logging.WARNING if isinstance(error, GatewayRefused) else logging.INFO
            log.log(level, "gateway lost", extra={"channel": self._channel, "code": error.code, "said": error.message})


async def run_agents(
    gateway: GatewayClient,
    wanted: Callable[[ChannelState], bool],
    stopping: asyncio.Event,
    settings: AgentSettings | None = None,
    *,
    inbox: Inbox | None = None,
    platform_of: PlatformOf = platform_of,
) -> None:
    """An agent for every channel that is `wanted`, also for those that come later; until `stopping` is set."""
    settings = settings or AgentSettings()
    running: dict[str, asyncio.Task[None]] = {}
    metrics.loop_failures.add(0, {"loop": "agent"})

    async def keep_running(channel: str) -> None:
        backoff = Backoff(settings.backoff_seconds, settings.backoff_seconds_max)
        while not stopping.is_set():
            agent = Agent(gateway, channel, settings, inbox=inbox, platform_of=platform_of)
            passing_on = asyncio.create_task(_stop_with(stopping, agent))
            try:
                await agent.run()
            # A fault of ours must not end the others' work; this agent begins anew.
            except Exception:
                log.exception("agent failed", extra={"channel": channel})
                metrics.loop_failures.add(1, {"loop": "agent"})
                await backoff.pause()
            finally:
                passing_on.cancel()

    async with asyncio.TaskGroup() as group:
        while not stopping.is_set():
            try:
                for state in await unless(stopping, gateway.channels()) or ():
                    if state.channel not in running and wanted(state):
                        running[state.channel] = group.create_task(keep_running(state.channel))
            except GatewayError as error:
                log.warning("channels not listed", extra={"code": error.code, "said": error.message})
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), settings.channels_seconds)


async def unless(stopping: asyncio.Event, doing: Coroutine[Any, Any, T]) -> T | None:
    """What `doing` brings; None, and it is given up, if `stopping` is set first."""
    task, end = asyncio.create_task(doing), asyncio.create_task(stopping.wait())
    try:
        await asyncio.wait({task, end}, return_when=asyncio.FIRST_COMPLETED)
        return task.result() if task.done() else None
    finally:
        for each in (task, end):
            each.cancel()


async def _stop_with(stopping: asyncio.Event, agent: Agent) -> None:
    await stopping.wait()
    agent.stop()
