"""What people lay down before anything happens: kept, told, and read by the engine."""

from datetime import timedelta

import pytest

from gateway.alerts.requests import CancelIncoming, SetPolicy, SetRunbook
from gateway.domain.alerts import AlertPolicy, EventKind, IncomingUnits, Runbook, RunbookStep
from gateway.domain.attention import BUILT_IN_RUNBOOKS
from gateway.domain.errors import IncomingUnknown, InvalidArgument, SkuUnknown
from gateway.domain.tiers import Tier
from gateway.store import desk as store
from tests.alerts.counter import HOUR, OTHER, SKU, Counter, coming, new_id

# ---- policies


async def test_a_policy_is_an_event_and_the_engines_word(counter: Counter) -> None:
    """Stored whole, told whole, instead of what was said before."""
    for policy in (AlertPolicy(SKU, 0.9, 50, 5, 600.0, 60.0, 7200.0, no_supply=True), AlertPolicy(SKU, fixed_line=0)):
        version = await counter.settings_version()
        assert (await set_policy(counter, policy)) == policy
        event = (await counter.events())[-1]
        assert (event.kind, event.body, event.sku) == (EventKind.POLICY_CHANGED, policy, SKU)
        assert event.channels == ("dy",)
        assert (await counter.state()).policies == {SKU: policy}
        assert await counter.settings_version() > version


async def test_a_policy_that_says_nothing_is_forgotten(counter: Counter) -> None:
    """Then all is as for all; and the one for all is as at first."""
    for sku in ("", SKU):
        await set_policy(counter, AlertPolicy(sku, fixed_line=5))
    await set_policy(counter, AlertPolicy(SKU))
    assert list((await counter.state()).policies) == [""]
    await set_policy(counter, AlertPolicy())
    assert (await counter.state()).policies == {}
    assert len(await counter.events(EventKind.POLICY_CHANGED)) == 4


async def test_an_unknown_sku_has_no_policy(counter: Counter) -> None:
    """A slip in the code is told, not kept."""
    with pytest.raises(SkuUnknown) as refused:
        await set_policy(counter, AlertPolicy("nope", fixed_line=1))
    assert refused.value.field == "policy.sku"
    assert (await counter.state()).policies == {}


async def test_policies_are_listed_by_code_the_one_for_all_first(counter: Counter) -> None:
    """By pages, each once; of a prefix only, if one is named, and its signs mean themselves."""
    await counter.stock("tea_1", "tea%2", "茶")
    codes = ["", OTHER, SKU, "tea%2", "tea_1", "茶"]
    for sku in reversed(codes):
        await set_policy(counter, AlertPolicy(sku, fixed_line=1))
    found: list[str] = []
    after: str | None = None
    while page := await counter.rules.list_policies(prefix="", after=after, count_max=2):
        found += [policy.sku for policy in page]
        after = found[-1]
    assert found == codes
    for prefix, wanted in (("tea", codes[2:5]), ("tea_", ["tea_1"]), ("tea%", ["tea%2"]), ("x", [])):
        listed = await counter.rules.list_policies(prefix=prefix, after=None, count_max=9)
        assert [policy.sku for policy in listed] == wanted


async def test_the_engine_reads_what_it_asks_for(counter: Counter) -> None:
    """Of some SKUs only theirs, and the one for all."""
    for sku in ("", SKU, OTHER):
        await set_policy(counter, AlertPolicy(sku, fixed_line=1))
        if sku:
            await counter.rules.announce_incoming(coming(await counter.now(), sku=sku))
    state = await counter.state([OTHER])
    assert set(state.policies) == {"", OTHER}
    assert [units.sku for units in state.incoming] == [OTHER]
    assert (await counter.state([])).incoming == ()
    assert len((await counter.state()).incoming) == 2


# ---- runbooks


async def test_a_runbook_is_built_in_until_one_is_laid_down(counter: Counter) -> None:
    """One for each tier that warns, the lowest first; the engine reads the merchant's own from then on."""
    assert await counter.rules.runbooks() == [BUILT_IN_RUNBOOKS[tier] for tier in sorted(BUILT_IN_RUNBOOKS)]
    own = Runbook(Tier.URGENT, (RunbookStep("喊人", "Shout", "助播", 1),), "手快有", "Be quick", ("ops",))
    version = await counter.settings_version()
    for runbook in (Runbook(Tier.URGENT), own):
        assert (await counter.rules.set_runbook(SetRunbook(new_id(), runbook, "li"))).runbook == runbook
    assert await counter.settings_version() > version
    found = {runbook.tier: runbook for runbook in await counter.rules.runbooks()}
    assert list(found) == [Tier.TREND, Tier.THRESHOLD, Tier.URGENT, Tier.SOLD_OUT]
    assert found == BUILT_IN_RUNBOOKS | {Tier.URGENT: own}
    assert (await counter.state()).runbooks == found


# ---- incoming units


async def test_what_is_announced_comes_by_arrival(counter: Counter) -> None:
    """Told, numbered by its event, listed and read in the order in which it arrives."""
    now = await counter.now()
    hours = (3, 1, 2, 1)
    made = [
        (await counter.rules.announce_incoming(coming(now, arrive_time=now + hour * HOUR, reference="PO 7"))).incoming
        for hour in hours
    ]
    events = await counter.events(EventKind.INCOMING_ANNOUNCED)
    assert [event.body for event in events] == made
    assert [event.revision for event in events] == [units.incoming_id for units in made]
    by_arrival = [made[1], made[3], made[2], made[0]]
    assert list((await counter.state()).incoming) == by_arrival
    found: list[IncomingUnits] = []
    while True:
        after = (found[-1].arrive_time, found[-1].incoming_id) if found else None
        page = await counter.rules.list_incoming(sku="", after=after, count_max=3)
        if not page:
            break
        found += page
    assert found == by_arrival
    assert await counter.rules.list_incoming(sku=OTHER, after=None, count_max=9) == []
    assert len(await counter.rules.list_incoming(sku=SKU, after=None, count_max=9)) == 4


@pytest.mark.parametrize("late", [timedelta(), timedelta(seconds=1), 1000 * HOUR])
async def test_what_should_have_come_is_not_announced(counter: Counter, late: timedelta) -> None:
    """An arrival that is past says nothing of the future."""
    now = await counter.now()
    with pytest.raises(InvalidArgument) as refused:
        await counter.rules.announce_incoming(coming(now, arrive_time=now - late))
    assert refused.value.field == "arrive_time"
    assert await counter.events() == []


async def test_what_will_not_come_counts_no_more(counter: Counter) -> None:
    """Cancelled with an event, once; what has ended another way stays as it was."""
    now = await counter.now()
    first, second = [(await counter.rules.announce_incoming(coming(now))).incoming for _ in range(2)]
    cancelled = (await counter.rules.cancel_incoming(CancelIncoming(new_id(), first.incoming_id, "li"))).incoming
    assert (cancelled.end_reason, cancelled.quantity) == ("CANCELLED", 200)
    (event,) = await counter.events(EventKind.INCOMING_ENDED)
    assert (event.body, event.sku) == (cancelled, SKU)
    assert (await counter.state()).incoming == (second,)
    async with counter.database.transaction() as connection:
        await store.end_incoming(connection, second.incoming_id, 0, "ARRIVED")
    for units, reason in ((first, "CANCELLED"), (second, "ARRIVED")):
        again = (await counter.rules.cancel_incoming(CancelIncoming(new_id(), units.incoming_id, "li"))).incoming
        assert again.end_reason == reason
    assert len(await counter.events(EventKind.INCOMING_ENDED)) == 1
    with pytest.raises(IncomingUnknown) as refused:
        await counter.rules.cancel_incoming(CancelIncoming(new_id(), 999, "li"))
    assert refused.value.field == "incoming_id"


async def test_what_has_come_in_part_is_still_on_its_way(counter: Counter) -> None:
    """Fewer are left, until none is; then there is nothing to end any more."""
    number = (await counter.rules.announce_incoming(coming(await counter.now()))).incoming.incoming_id
    async with counter.database.transaction() as connection:
        fewer = await store.end_incoming(connection, number, 50, "")
    assert (await counter.state()).incoming == (fewer,)
    assert fewer is not None
    assert (fewer.quantity, fewer.end_reason) == (50, "")
    now = await counter.now()
    async with counter.database.transaction() as connection:
        gone = await store.end_incoming(connection, number, 50, "LATE", now)
        assert gone is not None
        assert (gone.quantity, gone.end_reason) == (50, "LATE")
        assert await store.end_incoming(connection, number, 0, "ARRIVED", now) is None
    assert (await counter.state()).incoming == ()


# ---- what history says


async def test_a_profile_is_kept_as_it_was_sent(counter: Counter) -> None:
    """Text and time; the engine reads it once, not with everything else that changes."""
    assert await counter.rules.profile() == ("", None)
    state = await counter.state()
    assert (state.profile, state.profile_time) == ("", None)
    for text in ('{"hours": [1.0]}', '{"hours": [2.0], "skus": {"茶": 1}}'):
        version = await counter.settings_version()
        assert (await counter.rules.set_profile(new_id(), text, 3)).skus == 3
        assert await counter.settings_version() > version
        found, time = await counter.rules.profile()
        assert found == text
        state = await counter.state()
        assert (state.profile, state.profile_time) == (text, time)
        async with counter.database.transaction() as connection:
            known = await store.read_desk(connection, None, known_profile_time=time)
        assert (known.profile, known.profile_time) == ("", time)
        async with counter.database.transaction() as connection:
            older = await store.read_desk(connection, None, known_profile_time=(time or await counter.now()) - HOUR)
        assert older.profile == text


async def set_policy(counter: Counter, policy: AlertPolicy) -> AlertPolicy:
    """Set a policy."""
    return (await counter.rules.set_policy(SetPolicy(new_id(), policy, "li"))).policy
