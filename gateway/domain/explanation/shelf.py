"""The deciders of what is shown: the reading, orders that are not in yet, reconciliation."""

from datetime import timedelta

from gateway.domain.explanation.cases import Case, ChannelThen
from gateway.domain.explanation.said import Decider, DeciderKind, DeciderVerdict, Said, lasting, row
from gateway.domain.exposure import has_passed
from gateway.domain.listings import PushKind, PushResult
from gateway.domain.selling import Drift, PushRecord

# A connector polls every few seconds: a watermark that rests for so long while it lives has stopped.
WATERMARK_RESTS = timedelta(seconds=15)
# A platform that shows the old number so soon after it has taken a change has not caught up with itself.
CACHED_FOR = timedelta(minutes=2)


def reading(case: Case) -> Decider:
    """What the platform showed when it was read."""
    state, name = case.state, case.listing.channel
    if state.exposure is None and not state.parked_reason:
        asked = "已经让连接器去读" if state.read_id else "还没有读过"
        return Decider(
            DeciderKind.READING,
            Said(
                f"{name} 的商品还没读过一次（{asked}），读到之前不动它",
                f"{name}'s listing was never read; nothing is done to it before",
            ),
            DeciderVerdict.WAITS,
            next=Said("连接器读到后开始分配", "it is divided once its connector has read it"),
        )
    if state.parked_reason and (case.last_settled is None or case.last_settled.result is not PushResult.REFUSED):
        listing_id = case.listing.listing_id
        return Decider(
            DeciderKind.READING,
            Said(
                f"平台上读不到这个商品：{state.parked_reason}",
                f"it cannot be read at the platform: {state.parked_reason}",
            ),
            DeciderVerdict.BLOCKS,
            state.read_time,
            action=Said(
                f"看商品是否下架、编号对不对，再 stockgate listing resync {listing_id}",
                f"see whether it is still on sale and its ids are right, then stockgate listing resync {listing_id}",
            ),
        )
    if state.read_time is None or state.shown is None:
        return Decider(DeciderKind.READING, Said("没有读数", "there is no reading"), DeciderVerdict.UNKNOWN)
    cached = cached_push(case)
    if cached is not None:
        return _cached(case, cached, state.shown)
    age = lasting(case.now - state.read_time)
    text = Said(f"{age.zh}前读到 {state.shown}", f"it showed {state.shown} {age.en} ago")
    return Decider(DeciderKind.READING, text, since=state.read_time)


def cached_push(case: Case) -> PushRecord | None:
    """The change that the platform has taken and does not show, if the drift is just that."""
    drift = case.drift
    if drift is None:
        return None
    for one in case.facts.pushes:
        if one.result is PushResult.APPLIED and one.settle_time is not None and one.settle_time <= drift.judge_time:
            moved = (one.applied or 0) * (1 if one.kind is PushKind.RAISE else -1)
            is_it = drift.judge_time - one.settle_time <= CACHED_FOR and drift.shown == drift.exposure_before - moved
            return one if is_it and moved else None
    return None


def _cached(case: Case, cached: PushRecord, shown: int) -> Decider:
    assert case.drift is not None, "what is cached has shown itself by drift"
    return Decider(
        DeciderKind.READING,
        Said(
            f"平台已经接受第 {cached.push_id} 号改动，但还显示旧的 {shown}",
            f"the platform has taken push {cached.push_id}, and shows the old {shown} still",
        ),
        DeciderVerdict.WAITS,
        case.drift.judge_time,
        (row("push", cached.push_id), row("drift", case.drift.drift_id)),
        cached.traceparent or "",
        next=Said(
            "下一轮读数会再核对；多出来的会自动降",
            "the next round reads it again; what is too much is lowered by itself",
        ),
        action=Said("等平台刷新，不要手工改", "wait for the platform; do not type a number in"),
    )


def orders(case: Case) -> Decider:
    """Orders that the platform has, and the ledger has not."""
    channel = case.channel
    if channel is None:
        return _not_kept(DeciderKind.ORDERS)
    needs = channel.said.needs_by_name if channel.said is not None else {}
    troubles = [text for name, text in needs.items() if name == "orders" or name.startswith("order ")]
    if troubles:
        return Decider(
            DeciderKind.ORDERS,
            Said(f"有订单进不来：{troubles[0]}", f"orders do not get in: {troubles[0]}"),
            DeciderVerdict.BLOCKS,
            channel.since.get("needs") or channel.record_time,
            tuple(row("order", name.removeprefix("order ")) for name in needs if name.startswith("order ")),
            action=Said("看连接器日志里这个订单", "see the connector's log for that order"),
        )
    rule = case.situation.channels[case.listing.channel]
    unjudged = case.state.reading
    if unjudged is not None and case.reading_apart and not has_passed(rule, unjudged):
        return _unseen(case, case.reading_apart)
    if case.state.sales_left < 0:
        text = Said(
            "平台卖的比放给它的多，等取消单或对账",
            "the platform has sold more than it was let; a cancel may be on its way",
        )
        return Decider(DeciderKind.ORDERS, text, DeciderVerdict.WAITS, case.state.below_zero_time)
    return _watermark(case, channel)


def _unseen(case: Case, apart: int) -> Decider:
    assert case.state.reading is not None, "a reading that is apart"
    zh = (
        f"平台比我们知道的少 {-apart} 件：有没收到的订单"
        if apart < 0
        else f"平台比我们知道的多 {apart} 件：取消单在路上，或有人改过"
    )
    en = (
        f"the platform shows {-apart} fewer than we know of: orders are on their way"
        if apart < 0
        else f"the platform shows {apart} more than we know of: a cancel is on its way, or somebody has changed it"
    )
    return Decider(
        DeciderKind.ORDERS,
        Said(zh, en),
        DeciderVerdict.WAITS,
        case.state.reading.end_time,
        next=Said("这个时间之前的订单都收齐后判定", "it is judged once all orders up to that reading are in"),
    )


def _watermark(case: Case, channel: ChannelThen) -> Decider:
    if channel.watermark is None:
        text = Said("还没有收齐过一次订单", "the orders were never walked through yet")
        return Decider(DeciderKind.ORDERS, text, DeciderVerdict.UNKNOWN)
    age = lasting(channel.record_time - channel.watermark)
    since = channel.since.get("watermark")
    if since is not None and case.now - since > WATERMARK_RESTS:
        rests = lasting(case.now - since)
        return Decider(
            DeciderKind.ORDERS,
            Said(
                f"订单有 {rests.zh}没有收齐了（收到平台时间 {age.zh}前为止）",
                f"orders have not been walked through for {rests.en}",
            ),
            DeciderVerdict.WAITS,
            since,
            next=Said("连接器每 2 秒再走一遍", "the connector walks again every two seconds"),
            action=Said("看连接器的日志", "see the connector's log"),
        )
    text = Said(f"订单收齐到 {age.zh}前（平台时间）", f"orders are in up to {age.en} ago, by the platform's clock")
    return Decider(DeciderKind.ORDERS, text, since=channel.watermark)


def reconciliation(case: Case) -> Decider:
    """Whether what it shows agrees with what we know."""
    drift = case.drift
    if drift is None or cached_push(case) is not None:
        last = case.facts.drift
        if last is None:
            text = Said("没有对不上过", "there was never a drift")
            return Decider(DeciderKind.RECONCILIATION, text)
        age = lasting(case.now - last.judge_time)
        text = Said(f"上次对不上在 {age.zh}前，已处理", f"the last drift was {age.en} ago, and is settled")
        return Decider(DeciderKind.RECONCILIATION, text, evidence=(row("drift", last.drift_id),))
    return _drifted(drift)


def _drifted(drift: Drift) -> Decider:
    apart = drift.shown - drift.exposure_before
    more = Said("多", "more") if apart > 0 else Said("少", "fewer")
    return Decider(
        DeciderKind.RECONCILIATION,
        Said(
            f"平台显示 {drift.shown}，比给它的 {drift.exposure_before} {more.zh} {abs(apart)}，"
            "没有订单能解释：有人在后台改过",
            f"it showed {drift.shown}, {abs(apart)} {more.en} than the {drift.exposure_before} it was given, and no "
            "order explains it: somebody has typed a number in",
        ),
        DeciderVerdict.WAITS,
        drift.judge_time,
        (row("drift", drift.drift_id),),
        next=Said("按实际数记账，多出来的自动降", "it is booked as it is; what is too much is lowered by itself"),
        action=Said(
            "问谁在平台后台改了库存，以后只在这里改", "ask who types numbers into the console; change stock here alone"
        ),
    )


def _not_kept(kind: DeciderKind) -> Decider:
    text = Said("没有这方面的记录", "nothing is recorded of this")
    return Decider(kind, text, DeciderVerdict.UNKNOWN)
