"""What to change next time, each with its reason in numbers.

    STOCK         a SKU ran out and would have sold more: bring that much more; or most of it was left
    LEAD_TIME     announced units took much longer or shorter to come than the lead time that warnings rest on
    POLICY        a stock-out was not warned of a lead time before; or most warnings were needless; or another way of
                  warning would have caught more with no more needless ones
    SAFETY_STOCK  units were sold that could not be served
    REACTION      nobody reacted to an URGENT within its patience, and what that cost
    SYNC          a channel's numbers came late, its calls failed, or it drifted
    PROFILE       a SKU sold much, and history knows nothing of it

Where it is a setting of one SKU, the advice says what it was and what it is to be, so that a person can accept it.

At most so many of each kind are given, the costliest first: a list of two hundred is read by nobody.
"""

from collections.abc import Iterable, Iterator, Sequence
from statistics import median

from gateway.domain.alerts import EventKind, IncomingUnits
from gateway.domain.curves import DAY_SECONDS
from gateway.domain.review.record import SessionRecord
from gateway.domain.review.stories import Story
from gateway.domain.review.values import Advice, Change, ReviewChannel, ReviewPolicy, ReviewWarning, Setting
from gateway.domain.tiers import COLD_ORDERS, Tier

EACH_MAX = 5
# Shorter spans are told in seconds.
SHORT_SECONDS = 120.0
# Less than a unit is no loss to speak of; of less than this share sold, too much was brought.
LOST_UNITS_MIN = 1.0
SOLD_SHARE_MIN, UNSOLD_UNITS_MIN = 0.2, 50
# A lead time that is off by less is as good as they get.
LEAD_FACTOR = 1.5
NEEDLESS_SHARE_MAX, NEEDLESS_MIN = 0.5, 3
# What "in time" means for a platform's number (`connectors/session`: the objective).
LAG_SECONDS_MAX = 5.0
FAILED_SHARE_MAX, FAILED_MIN = 0.1, 5
# Nobody can keep more than that: it would ask for stock without end.
SERVICE_LEVEL_MAX = 0.995
LEAD_DAYS_MIN = 0.001

Rated = tuple[float, Advice]  # what it is worth, and what


def advised(
    record: SessionRecord,
    stories: Sequence[Story],
    warnings: Sequence[ReviewWarning],
    channels: Sequence[ReviewChannel],
    policies: Sequence[ReviewPolicy],
) -> tuple[Advice, ...]:
    """What to change, the costliest of each kind first."""
    kinds: tuple[Iterable[Rated], ...] = (
        _stock(record, stories),
        _reactions(warnings),
        _safety(stories),
        _lead_times(record, stories),
        _late_warnings(record, stories, warnings),
        _better_policy(policies),
        _sync(channels),
        _profiles(stories),
    )
    return tuple(one for kind in kinds for one in _costliest(kind))


def _costliest(rated: Iterable[Rated]) -> list[Advice]:
    ordered = sorted(rated, key=lambda each: (-each[0], each[1].sku, each[1].channel))
    return [advice for _, advice in ordered[:EACH_MAX]]


def _span(record: SessionRecord, seconds: float) -> tuple[str, str]:
    """A span of the model as people say it, in Chinese and in English."""
    return _said(record.span(seconds).total_seconds())


def _said(real: float) -> tuple[str, str]:
    return (
        (f"{real:.0f} 秒", f"{real:.0f} s")
        if real < SHORT_SECONDS
        else (f"{real / 60:.0f} 分钟", f"{real / 60:.0f} min")
    )


def _stock(session: SessionRecord, stories: Sequence[Story]) -> Iterator[Rated]:
    for story in stories:
        record, had = story.record, story.begin_available + story.received
        if story.lost >= LOST_UNITS_MIN:
            more = max(1, round(story.lost))
            span, span_en = _span(session, sum(out.seconds for out in story.outs))
            yield (
                story.lost,
                Advice(
                    "STOCK",
                    f"{record.sku} 断货 {span}，约少卖 {more} 件：下次备 {had + more} 件"
                    f"（本场 {had} 件），或提前备好替代款",
                    f"{record.sku} was out for {span_en} and would have sold about {more} more: bring "
                    f"{had + more} (there were {had}), or have a substitute ready",
                    record.sku,
                ),
            )
        elif not had and len(story.outs) == 1 and story.outs[0].seconds > 0:
            yield (
                0.0,
                Advice(
                    "STOCK",
                    f"{record.sku} 整场没有库存：上架前先备货，或从场次里拿掉",
                    f"{record.sku} had nothing to sell all along: bring some, or take it out of the session",
                    record.sku,
                ),
            )
        elif had >= UNSOLD_UNITS_MIN and story.sold < SOLD_SHARE_MIN * had:
            share = 100 * story.sold / had
            yield (
                story.unsold / had,
                Advice(
                    "STOCK",
                    f"{record.sku} 只卖出 {share:.0f}%（{story.sold}/{had} 件）：下次少备，或换个位置讲解",
                    f"{record.sku} sold only {share:.0f} % ({story.sold} of {had}): bring less, or show it elsewhere",
                    record.sku,
                ),
            )


def _reactions(warnings: Sequence[ReviewWarning]) -> Iterator[Rated]:
    for warning in warnings:
        if warning.late_cost_units >= LOST_UNITS_MIN:
            after = [each for each in (warning.acknowledge_after, warning.act_after) if each is not None]
            zh, en = "一直无人处理", "had no reaction at all"
            if after:
                late, late_en = _said(min(after).total_seconds())
                zh, en = f"{late}后才有人处理", f"waited {late_en} for a reaction"
            cost = round(warning.late_cost_units)
            yield (
                warning.late_cost_units,
                Advice(
                    "REACTION",
                    f"{warning.sku} 的{_tier(warning.tier)}预警{zh}，约损失 {cost} 件：定好谁在场上认领",
                    f"{warning.sku}: the {warning.tier.name} warning {en}, about {cost} units lost: name who takes it",
                    warning.sku,
                ),
            )


def _tier(tier: Tier) -> str:
    return {Tier.THRESHOLD: "", Tier.URGENT: "紧急", Tier.SOLD_OUT: "售罄"}.get(tier, "")


def _safety(stories: Sequence[Story]) -> Iterator[Rated]:
    for story in stories:
        short, sku = story.record.oversold, story.record.sku
        if short:
            yield (
                short,
                Advice(
                    "SAFETY_STOCK",
                    f"{sku} 超卖 {short} 件：先查超卖单的原因，安全库存至少留 {short} 件",
                    f"{sku} was oversold by {short}: look at the shortfalls, and keep {short} as safety stock at least",
                    sku,
                    change=_change(story, Setting.SAFETY_STOCK, short, is_least=True),
                ),
            )


def _lead_times(record: SessionRecord, stories: Sequence[Story]) -> Iterator[Rated]:
    taken: dict[str, list[float]] = {}
    for event in record.events:
        units = event.body
        if event.kind is EventKind.INCOMING_ENDED and isinstance(units, IncomingUnits) and units.announce_time:
            seconds = record.seconds(event.record_time) - record.seconds(units.announce_time)
            taken.setdefault(units.sku, []).extend([seconds] if units.end_reason == "ARRIVED" else [])
    for story in stories:
        known, sku = story.lead_seconds, story.record.sku
        if not taken.get(sku) or known <= 0:
            continue
        real = median(taken[sku])
        if known / LEAD_FACTOR < real < known * LEAD_FACTOR:
            continue
        (now, now_en), (then, then_en) = _span(record, real), _span(record, known)
        yield (
            abs(real - known),
            Advice(
                "LEAD_TIME",
                f"{sku} 补货实际用了 {now}，预警按 {then} 算：把补货时间改成 {now}",
                f"{sku}: units took {now_en} to come, warnings reckon with {then_en}: set {now_en}",
                sku,
                change=_lead_change(story, real),
            ),
        )


def _lead_change(story: Story, seconds: float) -> Change | None:
    """The catalog's lead time where it has one, the policy's where it has none."""
    if story.record.settings is not None and story.record.settings.lead_days is not None:
        return _change(story, Setting.LEAD_DAYS, max(LEAD_DAYS_MIN, round(seconds / DAY_SECONDS, 3)))
    return _change(story, Setting.LEAD_SECONDS, max(1.0, float(round(seconds))))


def _service_change(story: Story) -> Change | None:
    """Half as many stock-outs as now are accepted."""
    settings = story.record.settings
    if settings is None:
        return None
    better = min(SERVICE_LEVEL_MAX, round(1 - (1 - settings.service_level) / 2, 4))
    return _change(story, Setting.SERVICE_LEVEL, better, is_least=True)


def _change(story: Story, setting: Setting, after: float, *, is_least: bool = False) -> Change | None:
    """None if it is so already, or better where that is the least."""
    before = None if story.record.settings is None else story.record.settings.value(setting)
    if before is None or before == after or (is_least and before > after):
        return None
    return Change(setting, before, after)


def _late_warnings(
    record: SessionRecord, stories: Sequence[Story], warnings: Sequence[ReviewWarning]
) -> Iterator[Rated]:
    for story in stories:
        sku = story.record.sku
        early = [one for one in warnings if one.sku == sku and one.before_stock_out is not None]
        if not story.ran_out or not story.lead_seconds:
            continue
        best = max((one.lead_times or 0.0 for one in early), default=0.0)
        if best < 1.0:
            lead, lead_en = _span(record, story.lead_seconds)
            yield (
                story.lost + 1 - best,
                Advice(
                    "POLICY",
                    f"{sku} 的预警只早了 {best:.1f} 个补货周期（一个 {lead}）："
                    "提高服务水平或加一条固定线，或找更快的补货办法",
                    f"{sku}: the warning came {best:.1f} lead times ({lead_en} each) before it was gone: raise "
                    "the service level, add a fixed line, or find faster supply",
                    sku,
                    change=_service_change(story),
                ),
            )
    judged = [one for one in warnings if one.tier < Tier.SOLD_OUT]
    needless = sum(one.needless for one in judged)
    if needless >= NEEDLESS_MIN and needless > NEEDLESS_SHARE_MAX * len(judged):
        yield (
            needless,
            Advice(
                "POLICY",
                f"{len(judged)} 次预警里 {needless} 次没有断货：服务水平可以调低一点，或核对补货时间",
                f"{needless} of {len(judged)} warnings were of nothing: a lower service level will do, or the lead "
                "times are too long",
            ),
        )


def _better_policy(policies: Sequence[ReviewPolicy]) -> Iterator[Rated]:
    if not policies:
        return
    real, others = policies[0], policies[1:]
    for other in others:
        if other.caught > real.caught and other.needless <= real.needless:
            yield (
                other.caught - real.caught,
                Advice(
                    "POLICY",
                    f"“{other.title}”本场能提前发现 {other.caught}/{other.stock_outs} 次断货（当时 {real.caught} 次），"
                    f"误报 {other.needless} 次（当时 {real.needless} 次）",
                    f"'{other.title_en}' would have caught {other.caught} of {other.stock_outs} stock-outs (it were "
                    f"{real.caught}) with {other.needless} needless warnings (it were {real.needless})",
                ),
            )


def _sync(channels: Sequence[ReviewChannel]) -> Iterator[Rated]:
    for one in channels:
        lag = one.lag_p99.total_seconds() if one.lag_p99 is not None else 0.0
        tried = one.pushes + one.attempts_failed
        if lag > LAG_SECONDS_MAX:
            zh, en = f"改数最慢的 1% 超过 {lag:.1f} 秒", f"one number in a hundred took more than {lag:.1f} s"
        elif one.attempts_failed >= FAILED_MIN and one.attempts_failed > FAILED_SHARE_MAX * tried:
            zh = f"{tried} 次调用失败 {one.attempts_failed} 次"
            en = f"{one.attempts_failed} of {tried} calls failed"
        elif one.drifts:
            zh, en = f"对账出现 {one.drifts} 次偏差", f"its number was not what we had left {one.drifts} times"
        else:
            continue
        yield (
            lag + one.attempts_failed + one.drifts,
            Advice(
                "SYNC",
                f"{one.channel}：{zh}，看平台限流和授权，开播前少做整店改动",
                f"{one.channel}: {en}: look at its rate limit and access, and change less of the shop before a session",
                channel=one.channel,
            ),
        )


def _profiles(stories: Sequence[Story]) -> Iterator[Rated]:
    unknown = [story for story in stories if not story.record.circumstances.is_known and story.orders >= COLD_ORDERS]
    if unknown:
        most = max(unknown, key=lambda story: story.orders)
        yield (
            float(most.orders),
            Advice(
                "PROFILE",
                f"{len(unknown)} 个热卖商品没有历史销速（最多的 {most.record.sku} 有 {most.orders} 单）："
                "用本场订单学一次，下次开播就认得",
                f"{len(unknown)} SKUs that sell have no history (most orders: {most.record.sku}, {most.orders}): learn "
                "a profile from these sales, so that the next session knows them",
            ),
        )
