"""What a review advises, done: a setting of a SKU is set by the same use case as by hand, if somebody accepts it.

What the advice rests on is the setting as it was when the session was looked back upon. Whoever has set something else
since knew more: then it is refused, and a person decides.
"""

from collections.abc import Iterable

from msgspec import Struct
from msgspec.structs import replace

from gateway.alerts import requests as asked_for
from gateway.alerts.rules import Rules
from gateway.alerts.surroundings import Surroundings, read_surroundings
from gateway.catalog import Catalog
from gateway.domain.alerts import AlertPolicy
from gateway.domain.errors import AdviceUnknown, SettingChanged
from gateway.domain.review.record import Settings
from gateway.domain.review.values import Advice, Change, Setting
from gateway.reviewing import Reviewing, read_settings
from gateway.store.catalog import Sku
from gateway.store.database import MerchantDatabase, read_time


class Accept(Struct, frozen=True):
    """Somebody accepts what a session's review advises: which kind, of which SKU."""

    request_id: str
    session_id: int
    kind: str
    sku: str
    actor: str


class Advising:
    """Carries out one merchant's accepted advice."""

    def __init__(self, database: MerchantDatabase, reviewing: Reviewing, catalog: Catalog, rules: Rules) -> None:
        """By these use cases."""
        self._database = database
        self._reviewing = reviewing
        self._catalog = catalog
        self._rules = rules

    async def accept(self, asked: Accept) -> Change:
        """Set what is advised; what is so already stays. Raises `SessionUnknown`, `AdviceUnknown`, `SettingChanged`."""
        review = await self._reviewing.review(asked.session_id)
        advised = (one.change for one in review.advice if (one.kind, one.sku) == (asked.kind, asked.sku))
        change = next((one for one in advised if one is not None), None)
        if change is None:
            message = f"the review of session {asked.session_id} advises nothing to be set: {asked.kind} {asked.sku}"
            raise AdviceUnknown(message, field="kind")
        around, settings = await self._look([asked.sku])
        value = None if asked.sku not in settings else settings[asked.sku].value(change.setting)
        if value == change.after:
            return change
        if value != change.before:
            known = "gone" if value is None else f"{value:g}"
            raise SettingChanged(
                f"{change.setting.name.lower()} of {asked.sku} is {known} by now, and was {change.before:g}",
                field="kind",
                value=known,
            )
        await self._set(asked, change, around.desk.policies.get(asked.sku) or AlertPolicy(asked.sku))
        return change

    async def values(self, advice: Iterable[Advice]) -> list[tuple[Advice, float]]:
        """What the settings are now that this advice would change; those of SKUs that are gone are left out."""
        changing = [(one, one.change) for one in advice if one.change is not None]
        _, settings = await self._look([one.sku for one, _ in changing]) if changing else (None, {})
        found = []
        for one, change in changing:
            value = settings[one.sku].value(change.setting) if one.sku in settings else None
            if value is not None:
                found.append((one, value))
        return found

    async def _look(self, codes: list[str]) -> tuple[Surroundings, dict[str, Settings]]:
        async with self._database.transaction() as connection:
            around = await read_surroundings(connection, codes, await read_time(connection, self._database.now))
            return around, await read_settings(connection, codes, around)

    async def _set(self, asked: Accept, change: Change, policy: AlertPolicy) -> None:
        match change.setting:
            case Setting.SAFETY_STOCK:
                await self._catalog.update_sku(Sku(asked.sku, safety_stock=int(change.after)), {"safety_stock"})
            case Setting.LEAD_DAYS:
                days = {"lead_time_mean_days"}
                await self._catalog.update_sku(Sku(asked.sku, lead_time_mean_days=change.after), days)
            case Setting.LEAD_SECONDS:
                # The fastest way is no slower than the usual one.
                fastest = policy.fastest_lead_seconds
                fastest = None if fastest is None else min(fastest, change.after)
                await self._lay_down(asked, replace(policy, lead_seconds=change.after, fastest_lead_seconds=fastest))
            case Setting.SERVICE_LEVEL:
                await self._lay_down(asked, replace(policy, service_level=change.after))

    async def _lay_down(self, asked: Accept, policy: AlertPolicy) -> None:
        await self._rules.set_policy(asked_for.SetPolicy(asked.request_id, policy, asked.actor))
