"""How a mutation about warnings is done once: behind the log's lock, the request id first (R10), then the state.

So of two people who do the same at once, on whatever gateways, one is first and the other is told so.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from gateway.domain.alerts import Body, EventKind, IncomingUnits, News, Silence
from gateway.domain.errors import InvalidArgument, SkuUnknown
from gateway.store import desk as store
from gateway.store.alert_log import Appending, begin_append
from gateway.store.alert_requests import first_answer, keep_answer
from gateway.store.catalog import known_skus
from gateway.store.database import MerchantDatabase, ReadConnection
from gateway.store.desk import Places

Answer = TypeVar("Answer", bound=Struct)


async def once(
    database: MerchantDatabase,
    method: str,
    asked: Any,
    answer_type: type[Answer],
    act: Callable[[ReadConnection, Appending], Awaitable[Answer]],
) -> Answer:
    """Do it behind the log's lock, unless it was done under this id before; the first answer in either case.

    Raises what `act` raises, and `RequestIdReused` if something else was asked under this id.
    """
    async with database.transaction() as connection:
        appending = await begin_append(connection, database)
        first = await first_answer(connection, asked.request_id, method, asked, answer_type)
        if first is not None:
            return first
        answer = await act(connection, appending)
        await keep_answer(connection, asked.request_id, method, asked, answer)
        return answer


def news(kind: EventKind, body: Body, places: Places, now: datetime, **about: Any) -> News:
    """An event about a SKU that is sold at these places, and is so now."""
    return News(
        kind=kind,
        body=body,
        channels=places.channels,
        session_ids=places.session_ids,
        observe_time=now,
        **about,
    )


async def silence_news(connection: ReadConnection, kind: EventKind, silence: Silence, now: datetime) -> News:
    """An event about a silence, where that is about: an event has one SKU, so that of several has none."""
    matcher = silence.matcher
    sku = matcher.skus[0] if len(matcher.skus) == 1 else ""
    sold = await store.read_places(connection, sku) if sku else Places()
    places = Places(matcher.channels or sold.channels, matcher.session_ids or sold.session_ids)
    return news(kind, silence, places, now, sku=sku)


async def announce(
    connection: ReadConnection, appending: Appending, units: IncomingUnits, places: Places
) -> IncomingUnits:
    """Store units on their way, and tell of them; returns them with their number."""
    announced = replace(units, incoming_id=appending.next_revision, announce_time=appending.now)
    await store.add_incoming(connection, announced)
    told = news(EventKind.INCOMING_ANNOUNCED, announced, places, appending.now, sku=units.sku)
    await appending.append([told], changes_settings=True)
    return announced


def require_future(arrive_time: datetime | None, now: datetime) -> None:
    """Raise `InvalidArgument` if the units would have arrived."""
    if arrive_time is not None and arrive_time <= now:
        raise InvalidArgument("arrive_time is past: units that are here are received", field="arrive_time")


async def read_places(connection: ReadConnection, sku: str, field: str) -> Places:
    """Where a SKU is sold; raises `SkuUnknown`."""
    await require_skus(connection, {sku: field})
    return await store.read_places(connection, sku)


async def require_skus(connection: ReadConnection, fields: dict[str, str]) -> None:
    """Raise `SkuUnknown` for the first of these codes that is none, naming its field."""
    known = await known_skus(connection, fields.keys())
    for sku, field in fields.items():
        if sku not in known:
            raise SkuUnknown(f"no SKU has the code {sku!r}", field=field, sku=sku)
