"""What people do about warnings, and how long it counts: acknowledgements, escalation, silences, what they have said.

An acknowledgement binds to a key's episode and to the tier it had. Its life, as a machine (`ENDS`):

    from   what happens                                          to
    -      acknowledged, the first to do so                      HELD
    -      the episode is over, or another; the tier is not it   refused, nothing changes
    HELD   acknowledged by somebody else                         HELD, the other is refused and told by whom
    HELD   NORMAL again, or another episode                      CLOSED: nobody need be told
    HELD   the tier is above the acknowledged one                RISEN: people are told again
    HELD   the tier is no lower, and its patience is over        TIMED_OUT: people are told again

Patience (`PATIENCE`) is 5 minutes for URGENT and SOLD_OUT, 20 for THRESHOLD, 60 for TREND. A tier below the
acknowledged one is an improvement: it may last as long as it likes. Whoever acknowledges after an end begins anew.

An URGENT that nobody has acknowledged climbs a ladder (`LADDER`): the change itself is told to the console and the
assistant, after a minute the shift lead is told, after three everybody, and everybody again every five minutes.
SOLD_OUT does not climb: the escrow holds whether anybody looks or not, so there is no minute to be won; what had to be
hurried for was the URGENT before it.

A silence keeps people from being notified and nothing else. It counts from its start to its end, for all that its
matcher names, up to its highest tier. One that is `until_resolved` ends as soon as nothing it is about stands above
NORMAL, at once if nothing does.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime, timedelta

from msgspec import Struct

from gateway.domain.alerts import (
    Acknowledgement,
    AlertPolicy,
    Escalation,
    Runbook,
    RunbookStep,
    Silence,
    SilenceMatcher,
)
from gateway.domain.demand import FALSE_RAISE_SECONDS
from gateway.domain.errors import AlreadyAcknowledged, EpisodeOver, TierChanged
from gateway.domain.tiers import SERVICE_LEVEL, Standing, Tier

# How long an acknowledged tier may go on without improvement before people are told again.
PATIENCE: dict[Tier, timedelta] = {
    Tier.TREND: timedelta(minutes=60),
    Tier.THRESHOLD: timedelta(minutes=20),
    Tier.URGENT: timedelta(minutes=5),
    Tier.SOLD_OUT: timedelta(minutes=5),
}
# After how long which level is told; level 1 is the change of tier itself.
LADDER: tuple[tuple[timedelta, int], ...] = ((timedelta(seconds=60), 2), (timedelta(seconds=180), 3))
REPEAT = timedelta(minutes=5)

SILENCE_MAX = timedelta(hours=12)

# What counts where nobody has said anything.
LEAD_SECONDS = 1_800.0
_AT_FIRST = AlertPolicy(
    service_level=SERVICE_LEVEL,
    fixed_line=0,
    hard_floor=0,
    lead_seconds=LEAD_SECONDS,
    false_raise_seconds=FALSE_RAISE_SECONDS,
    no_supply=False,
)


# ---- acknowledgements


class Held(Struct, frozen=True):
    """An acknowledgement that holds, and how its key stands now."""

    ack: Acknowledgement
    is_same_episode: bool
    tier: Tier
    now: datetime


def _is_closed(held: Held) -> bool:
    return not held.is_same_episode or held.tier is Tier.NORMAL


def _has_risen(held: Held) -> bool:
    return held.tier > held.ack.tier


def _is_out_of_patience(held: Held) -> bool:
    return held.tier >= held.ack.tier and held.now - held.ack.time >= PATIENCE[held.ack.tier]


# The first that is so counts.
ENDS: tuple[tuple[str, Callable[[Held], bool]], ...] = (
    ("CLOSED", _is_closed),
    ("RISEN", _has_risen),
    ("TIMED_OUT", _is_out_of_patience),
)


def ack_end(ack: Acknowledgement, *, is_same_episode: bool, tier: Tier, now: datetime) -> str:
    """Why an acknowledgement holds no more: CLOSED, RISEN, TIMED_OUT; empty while it does.

    `is_same_episode`: the key is still in the episode that was acknowledged; `tier` is where it stands now.
    """
    held = Held(ack, is_same_episode, tier, now)
    return next((reason for reason, is_so in ENDS if is_so(held)), "")


def require_open(standing: Standing | None, *, episode: int, tier: Tier) -> Standing:
    """The standing, if its episode is the one that is meant and lasts, and its tier no higher.

    A tier that has fallen since is still there to be taken on; one that the episode never reached is not. Raises
    `EpisodeOver`, `TierChanged`.
    """
    if standing is None or standing.tier is Tier.NORMAL or standing.episode != episode:
        now_in = 0 if standing is None else standing.episode
        raise EpisodeOver(
            f"episode {episode} is over, or never was: there is nothing to acknowledge", field="episode", episode=now_in
        )
    if standing.tier > tier or tier > max(standing.peak, standing.tier):
        raise TierChanged(
            f"it stands at {standing.tier.name} now, not at {tier.name}: look again",
            field="tier",
            tier=standing.tier.name,
        )
    return standing


def require_first(held: Acknowledgement | None) -> None:
    """Raise `AlreadyAcknowledged` if an acknowledgement holds."""
    if held is not None:
        at = held.time.isoformat()
        raise AlreadyAcknowledged(f"{held.actor} has acknowledged it before, at {at}", by=held.actor, at=at)


# ---- escalation


def escalation_due(
    *, tier: Tier, since: datetime, told: int, is_acknowledged: bool, now: datetime
) -> Escalation | None:
    """Whom to tell next of a warning that nobody has acknowledged; None if nobody yet.

    `since`: when the tier was entered. `told`: how many rungs have been told since, which is `rungs_told` of the last
    escalation. After a pause (no engine ran, an acknowledgement held) only the highest rung that is due is told, and
    those below count as told: nobody wants the calls of an hour within a minute.
    """
    if tier is not Tier.URGENT or is_acknowledged:
        return None
    due = _rungs_due(now - since)
    if due <= told:
        return None
    _, level = LADDER[min(due, len(LADDER)) - 1]
    return Escalation(level, tier, since, repeats=max(0, due - len(LADDER)))


def rungs_told(escalation: Escalation) -> int:
    """How many rungs of the ladder have been told with this one, or passed over."""
    levels = [level for _, level in LADDER]
    return levels.index(escalation.level) + 1 + escalation.repeats


def _rungs_due(elapsed: timedelta) -> int:
    last, _ = LADDER[-1]
    if elapsed >= last:
        return len(LADDER) + (elapsed - last) // REPEAT
    return sum(elapsed >= after for after, _ in LADDER)


# ---- silences


def matches(matcher: SilenceMatcher, *, sku: str, channels: Collection[str], session_ids: Collection[int]) -> bool:
    """True if the matcher is about this SKU, which is sold on these channels and in these sessions."""
    return (
        _is_named(matcher.skus, (sku,))
        and _is_named(matcher.channels, channels)
        and _is_named(matcher.session_ids, session_ids)
    )


def silenced_by(
    silences: Sequence[Silence],
    *,
    sku: str,
    channels: Collection[str],
    session_ids: Collection[int],
    tier: Tier,
    now: datetime,
) -> tuple[int, ...]:
    """The numbers of the silences under which nobody is to be notified of this tier of this SKU."""
    return tuple(
        silence.silence_id
        for silence in silences
        if silence.ended_time is None
        and silence.start_time <= now < silence.end_time
        and tier <= silence.max_tier
        and matches(silence.matcher, sku=sku, channels=channels, session_ids=session_ids)
    )


def silence_end(silence: Silence, *, matches_any_warning: bool, now: datetime) -> bool:
    """True when a silence that was not ended by hand is over.

    `matches_any_warning`: its matcher is about something above NORMAL, whatever the tier.
    """
    if silence.ended_time is not None:
        return False
    is_resolved = silence.until_resolved and not matches_any_warning and silence.start_time <= now
    return is_resolved or now >= silence.end_time


def _is_named(wanted: Collection[object], present: Iterable[object]) -> bool:
    return not wanted or any(one in wanted for one in present)


# ---- what a person has said


def filled(policy: AlertPolicy | None, for_all: AlertPolicy | None) -> AlertPolicy:
    """What counts for a SKU: its own word, that for all, what counts at first.

    Every field is set, but for `fastest_lead_seconds` where nobody has said one: then it is the lead time, which the
    catalog may know better than a policy.
    """
    said = {
        name: next((value for one in (policy, for_all, _AT_FIRST) if (value := _of(one, name)) is not None), None)
        for name in AlertPolicy.__struct_fields__[1:]
    }
    return AlertPolicy(policy.sku if policy else "", **said)  # type: ignore[arg-type]  # each has the type of its field


def _of(policy: AlertPolicy | None, name: str) -> float | None:
    value: float | None = None if policy is None else getattr(policy, name)
    return value


# ---- what to do, until the merchant says better

BUILT_IN_RUNBOOKS: dict[Tier, Runbook] = {
    Tier.TREND: Runbook(
        Tier.TREND,
        (
            RunbookStep("看现货和补货时间，判断这一波够不够卖", "Will stock and lead time carry this wave?", "运营", 5),
            RunbookStep(
                "查近仓能调多少，先把货备出来", "See what nearby warehouses can spare; get it ready", "仓库", 15
            ),
            RunbookStep("把替代款和话术准备好", "Have a substitute and its lines ready", "助播", 15),
        ),
        host_line="这款下单的宝宝越来越多，喜欢的可以先加购。",
        host_line_en="More and more of you are ordering this one; if you like it, put it in your cart.",
    ),
    Tier.THRESHOLD: Runbook(
        Tier.THRESHOLD,
        (
            RunbookStep(
                "认领预警，定下来：补货、调拨还是控量", "Take it on; decide: order, transfer or cap", "运营", 3
            ),
            RunbookStep("报数量和到货时间，登记在途", "Say how many come and when; announce them", "仓库", 10),
            RunbookStep("放慢这款的讲解，不再催单", "Speak less of it; stop urging people to buy", "主播", 2),
            RunbookStep("替代款挂上购物车，准备切换", "List the substitute, ready to switch", "助播", 5),
        ),
        host_line="这款库存不多了，想要的宝宝抓紧拍。",
        host_line_en="There is not much left of this one; if you want it, order now.",
    ),
    Tier.URGENT: Runbook(
        Tier.URGENT,
        (
            RunbookStep("停讲这款，转到替代款", "Stop showing it; go over to the substitute", "主播", 1),
            RunbookStep("认领预警，能调的货马上调", "Take it on; move now whatever can be moved", "运营", 2),
            RunbookStep("替代款置顶并弹出讲解卡", "Pin the substitute and show its card", "助播", 2),
            RunbookStep("到货架点实数，和系统对一遍", "Count what is on the shelf and compare", "仓库", 5),
        ),
        host_line="这款马上就抢完了，没拍到的宝宝看看下面这款。",
        host_line_en="This one is nearly gone; if you missed it, look at the next one.",
    ),
    Tier.SOLD_OUT: Runbook(
        Tier.SOLD_OUT,
        (
            RunbookStep("告诉大家已经抢完，不说还会有", "Say that it is gone; promise no more", "主播", 1),
            RunbookStep("撤下讲解卡，换上替代款", "Take its card down, put the substitute's up", "助播", 2),
            RunbookStep(
                "定下来：补货还是收尾，有货就登记在途", "Restock or end it; announce what will come", "运营", 5
            ),
            RunbookStep("统一口径回复没拍到的客人", "Answer those who missed it, all with one voice", "客服", 10),
            RunbookStep("核对已付订单都有货可发", "Check that every paid order can be shipped", "仓库", 30),
        ),
        host_line="这款已经抢完了，谢谢宝宝们，喜欢同款的看看替代款。",
        host_line_en="This one is sold out, thank you all; if you like it, look at what we have instead.",
    ),
}
