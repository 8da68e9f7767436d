"""A client of the gateway for internal services: warnings as they come, and live rooms.

It needs `grpcio`, `protobuf` and `googleapis-common-protos`, and nothing else of the gateway. A consumer that misses
nothing, whatever is restarted when::

    import asyncio
    from gateway.client import AlertEvent, AlertsClient, Snapshot

    async def main() -> None:
        async with AlertsClient("127.0.0.1:50051", token=TOKEN) as alerts:
            async for item in alerts.watch(subscriber_id="night-shift"):
                match item:
                    case Snapshot(states=states):
                        print("not normal:", [state.sku for state in states if state.tier > 1])
                    case AlertEvent(sku=sku, tier_change=change):
                        print(item.revision, sku, change.to, change.evidence.available)

    asyncio.run(main())

**Nothing lost, nothing twice.** The log of a merchant is numbered without gaps. A watch resumes by itself after the
last revision that was *processed*, and an event is processed when your loop asks for the next one. So an event on which
your process dies comes again after its restart, and a lost connection or a restart of the gateway does not show at all.
With a `subscriber_id` the gateway keeps that point (it is told every 5 s; what you processed since then comes again).
To keep it yourself, together with what you made of the events, store `watch.point` and give it back as `start`. Who
hands events on to others, and is done with them later, leaves the name away and says `report_cursor` himself.

**What may come instead of an event.** A `Snapshot`: where everything stands, at the beginning, and, marked
`is_after_loss`, when the point was so old that the log is no longer kept. A `PassedOver`, only with `ON_LAG_COALESCE`.
Refusals that no repetition would cure (a wrong token, a wrong filter) are raised at once; so is a point of another
database (`ResumePointLost`), for after a restored backup somebody has to look. A stream without a filter is counted: a
missing number raises `LogBroken`.

**Is it alive?** The engine writes a watchdog every 30 s that passes every filter. `watch.is_alive` is False when none
was heard for 90 s. Have somebody look at it who is not the loop itself.

**How old is it?** An event may have an `expire_time`: after it, do not speak of it, do not act upon it. Hints of a room
always have one (3 s), and `LiveClient.watch_hints` never yields one that is past it.

**Mutations** (`acknowledge`, `silence`, `complete_step` ...) get a `request_id` once, and keep it while they are tried
again: they happen once. Who must survive a crash of his own between two tries chooses the id himself. Every call has a
deadline; `Connection.ask` gives the same to calls of the gateway's other services. Errors: `GatewayAway` (no answer; it
may have been applied), `GatewayRefused` with a `reason` from a closed list ("ALREADY_ACKNOWLEDGED") and its facts in
`metadata`.

**One loop, one connection.** A client belongs to the event loop it is made in and has one connection, which is closed
in the end; any number of watches and calls share it, up to 8 watches of one `subscriber_id`. A watch has one consumer.
"""

from gateway.client.alerts import AlertsClient
from gateway.client.connection import Connection
from gateway.client.errors import ClientError, GatewayAway, GatewayRefused, LogBroken, ResumePointLost
from gateway.client.hints import HintWatch
from gateway.client.live import LiveClient
from gateway.client.points import AlertItem, PassedOver, ResumePoint, Snapshot, Start, WhenLost
from gateway.client.watching import AlertWatch
from gateway.v1.alert_pb2 import AlertEvent

__all__ = [
    "AlertEvent",
    "AlertItem",
    "AlertWatch",
    "AlertsClient",
    "ClientError",
    "Connection",
    "GatewayAway",
    "GatewayRefused",
    "HintWatch",
    "LiveClient",
    "LogBroken",
    "PassedOver",
    "ResumePoint",
    "ResumePointLost",
    "Snapshot",
    "Start",
    "WhenLost",
]
