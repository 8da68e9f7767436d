"""Use cases of what people lay down before anything happens: policies, runbooks, units on their way, what history says.

The engine goes by all of it, and reads it anew after each change.
"""

from datetime import datetime
from hashlib import sha256

from gateway.alerts import requests as asked_for
from gateway.alerts.answering import announce, news, once, read_places, require_future
from gateway.alerts.requests import IncomingKept, PolicySet, ProfileSet, RunbookSet
from gateway.domain.alerts import AlertPolicy, EventKind, IncomingUnits, Runbook
from gateway.domain.errors import IncomingUnknown
from gateway.store import desk as store
from gateway.store.alert_log import Appending
from gateway.store.database import MerchantDatabase, ReadConnection
from gateway.store.desk import Places


class Rules:
    """What one merchant's engine goes by."""

    def __init__(self, database: MerchantDatabase) -> None:
        """Use the merchant's store."""
        self._database = database

    # ---- policies and runbooks

    async def set_policy(self, asked: asked_for.SetPolicy) -> PolicySet:
        """Say what to be warned of; raises `SkuUnknown`."""

        async def act(connection: ReadConnection, appending: Appending) -> PolicySet:
            sku = asked.policy.sku
            places = await read_places(connection, sku, "policy.sku") if sku else Places()
            await store.write_policy(connection, asked.policy, appending.now)
            told = news(EventKind.POLICY_CHANGED, asked.policy, places, appending.now, sku=sku)
            await appending.append([told], changes_settings=True)
            return PolicySet(asked.policy)

        return await once(self._database, "SetAlertPolicy", asked, PolicySet, act)

    async def list_policies(self, *, prefix: str, after: str | None, count_max: int) -> list[AlertPolicy]:
        """Up to `count_max` policies of codes that begin with `prefix`, after a code; the one for all has none."""
        async with self._database.transaction() as connection:
            return await store.list_policies(connection, prefix=prefix, after=after, count_max=count_max)

    async def set_runbook(self, asked: asked_for.SetRunbook) -> RunbookSet:
        """Lay down what to do in a tier."""

        async def act(connection: ReadConnection, appending: Appending) -> RunbookSet:
            await store.write_runbook(connection, asked.runbook)
            await appending.append([], changes_settings=True)
            return RunbookSet(asked.runbook)

        return await once(self._database, "SetRunbook", asked, RunbookSet, act)

    async def runbooks(self) -> list[Runbook]:
        """What to do in each tier above NORMAL, the lowest first."""
        async with self._database.transaction() as connection:
            found = await store.read_runbooks(connection)
        return [found[tier] for tier in sorted(found)]

    # ---- incoming units

    async def announce_incoming(self, asked: asked_for.AnnounceIncoming) -> IncomingKept:
        """Say that units are on their way; raises `SkuUnknown`, `InvalidArgument` (an arrival that is past)."""

        async def act(connection: ReadConnection, appending: Appending) -> IncomingKept:
            places = await read_places(connection, asked.sku, "sku")
            require_future(asked.arrive_time, appending.now)
            units = IncomingUnits(asked.sku, asked.quantity, asked.arrive_time, asked.actor, 0, asked.reference)
            return IncomingKept(await announce(connection, appending, units, places))

        return await once(self._database, "AnnounceIncoming", asked, IncomingKept, act)

    async def cancel_incoming(self, asked: asked_for.CancelIncoming) -> IncomingKept:
        """Say that units will not come; of what has ended the record as it is. Raises `IncomingUnknown`."""

        async def act(connection: ReadConnection, appending: Appending) -> IncomingKept:
            known = await store.read_incoming(connection, asked.incoming_id)
            if known is None:
                raise IncomingUnknown(f"no announced units have the number {asked.incoming_id}", field="incoming_id")
            ended = await store.end_incoming(connection, asked.incoming_id, known.quantity, "CANCELLED", appending.now)
            if ended is None:
                return IncomingKept(known)
            places = await store.read_places(connection, ended.sku)
            told = news(EventKind.INCOMING_ENDED, ended, places, appending.now, sku=ended.sku)
            await appending.append([told], changes_settings=True)
            return IncomingKept(ended)

        return await once(self._database, "CancelIncoming", asked, IncomingKept, act)

    async def list_incoming(
        self, *, sku: str, after: tuple[datetime, int] | None, count_max: int
    ) -> list[IncomingUnits]:
        """Up to `count_max` announced units on their way, by arrival, after (arrival, number); of one SKU, if named."""
        async with self._database.transaction() as connection:
            return await store.list_incoming(connection, sku=sku, after=after, count_max=count_max)

    # ---- what history says

    async def set_profile(self, request_id: str, profile_json: str, skus: int) -> ProfileSet:
        """Store what history says; it was found sound, and knows so many SKUs."""
        asked = asked_for.SetProfile(request_id, sha256(profile_json.encode()).hexdigest())

        async def act(connection: ReadConnection, appending: Appending) -> ProfileSet:
            await store.write_profile(connection, profile_json, appending.now)
            await appending.append([], changes_settings=True)
            return ProfileSet(skus)

        return await once(self._database, "SetDemandProfile", asked, ProfileSet, act)

    async def profile(self) -> tuple[str, datetime | None]:
        """What history says, as JSON, and since when; empty if nothing was stored."""
        async with self._database.transaction() as connection:
            return await store.read_profile(connection)
