"""The deciders inside the gateway: from what is on hand to what was decided for a listing."""

from datetime import timedelta

from msgspec.structs import replace

from gateway.domain.division import can_change, lock_of, policy_of, share_of
from gateway.domain.explanation.cases import LOOKS_WITHIN, Case
from gateway.domain.explanation.said import (
    NOTHING,
    Decider,
    DeciderKind,
    DeciderVerdict,
    EvidenceRow,
    Said,
    lasting,
    listed,
    row,
)
from gateway.domain.listings import Listing, Push, PushKind
from gateway.domain.policies import Policy, PolicyKind

# How the allocator's brake begins the reason of its pauses (`gateway/allocator.py`).
BRAKE = "the brake"
# The allocator that has not looked for so long is not to be waited for.
STANDS_STILL = timedelta(seconds=10)


def ledger(case: Case, *, is_cause: bool) -> Decider:
    """What is on hand; the cause if that is nothing."""
    on_hand, movement = sum(level.on_hand for level in case.levels), case.facts.movement
    age = lasting(case.now - movement.record_time) if movement else NOTHING
    if movement is None:
        text = Said("账上还没有这个 SKU 的任何变动", "the journal has no movement of this SKU yet")
    else:
        text = Said(
            f"账上现有 {on_hand} 件（第 {movement.revision} 号变动，{age.zh}前）",
            f"{on_hand} units on hand (movement {movement.revision}, {age.en} ago)",
        )
    found = Decider(
        DeciderKind.LEDGER,
        text,
        since=movement.record_time if movement else None,
        evidence=_movement_of(case),
        traceparent=(movement.traceparent or "") if movement else "",
    )
    if not is_cause:
        return found
    return _without_goods(case, found)


def _without_goods(case: Case, found: Decider) -> Decider:
    elsewhere, short = case.on_hand_elsewhere, _shortest(case)
    if elsewhere:
        places = listed([f"{at} {units}" for at, units in elsewhere.items()])
        text = Said(
            f"给该渠道供货的仓没有货；货在别的仓：{places}",
            f"nothing lies where this channel is served from; there are goods elsewhere: {places}",
        )
        action = Said("把货调过来，或让这些仓给该渠道供货", "transfer goods, or let those locations serve the channel")
    else:
        text = Said(f"{short} 账上没有货了", f"nothing of {short} is on hand")
        action = Said("到货后入库（stockgate stock receive）", "receive goods (stockgate stock receive)")
    return replace(found, text=text, verdict=DeciderVerdict.BLOCKS, action=action)


def reservations(case: Case, *, is_cause: bool) -> Decider:
    """What is promised, and what is never offered; the cause if these keep most back."""
    held, safety = sum(level.reserved for level in case.levels), sum(level.safety_stock for level in case.levels)
    holds = case.facts.holds
    soonest = min(holds, key=lambda one: one.expire_time, default=None)
    text = Said(
        f"未完成的订单占着 {held} 件，安全库存 {safety} 件，还可售 {case.available} 件",
        f"open reservations keep {held} units, safety stock {safety}; {case.available} are available",
    )
    found = Decider(
        DeciderKind.RESERVATIONS, text, evidence=tuple(row("reservation", one.reservation_id) for one in holds[:5])
    )
    if held and soonest is not None:
        left = lasting(soonest.expire_time - case.now)
        following = Said(
            f"最早一笔（{soonest.units} 件）{left.zh}后不付款就释放",
            f"the first of them ({soonest.units} units) is freed in {left.en} if it is not paid",
        )
        found = replace(found, next=following, next_time=soonest.expire_time)
    if not is_cause:
        return found
    if safety > held:
        action = Said("要卖就调低安全库存（stockgate sku set --safety-stock）", "lower the safety stock to sell it")
        return replace(found, text=text, verdict=DeciderVerdict.DECIDES, action=action)
    oldest = min((one.create_time for one in holds), default=None)
    action = Said("确实不要的单，释放它的预占（stockgate stock release）", "release what nobody wants any more")
    return replace(found, since=oldest, verdict=DeciderVerdict.WAITS, action=action)


def allocator(case: Case, *, is_patient: bool) -> Decider:
    """Whether the allocator has looked since the last change; `is_patient`: it has as long as it ever needs."""
    age = case.now - case.facts.changed_time
    since, how_long = case.facts.changed_time, lasting(age)
    if not case.undone or (is_patient and age <= LOOKS_WITHIN):
        text = Said(
            f"最近的变动（{how_long.zh}前）已经分配过", f"the last change ({how_long.en} ago) has been allocated"
        )
        return Decider(DeciderKind.ALLOCATOR, text, since=since)
    if age <= LOOKS_WITHIN:
        text = Said(
            f"{how_long.zh}前有变动，马上分配", f"something changed {how_long.en} ago; it is about to be allocated"
        )
    else:
        text = Said(
            f"{how_long.zh}前的变动还没有分配：网关的分配器没有在工作",
            f"the change of {how_long.en} ago is not allocated: the gateway's allocator does not work",
        )
    return Decider(
        DeciderKind.ALLOCATOR,
        text,
        DeciderVerdict.BLOCKS if age > STANDS_STILL else DeciderVerdict.WAITS,
        since,
        _movement_of(case),
        next=Said("分配器每 0.25 秒看一次", "the allocator looks four times a second"),
        action=NOTHING
        if age <= LOOKS_WITHIN
        else Said(
            "看网关日志里的 allocator；没有网关在跑就启动一个",
            "see the gateway's log for the allocator; start a gateway if none runs",
        ),
    )


def policy(case: Case, *, is_cause: bool) -> Decider:
    """What the policy gives the listing; the cause if it gives less, or more, than one would expect."""
    said = [_division(case), *_refinements(case, is_cause=is_cause)]
    text = Said("；".join(one.zh for one in said), "; ".join(one.en for one in said))
    verdict = DeciderVerdict.DECIDES if is_cause else DeciderVerdict.OK
    action = Said("要改就改策略（stockgate policy set）", "change the policy to change it (stockgate policy set)")
    return Decider(
        DeciderKind.POLICY,
        text,
        verdict,
        evidence=(row("policy", case.facts.sku),),
        action=action if is_cause else NOTHING,
    )


def _division(case: Case) -> Said:
    sku, channel, wanted = case.facts.sku, case.listing.channel, case.wanted
    policy = policy_of(case.situation, sku, channel)
    sellers = len({one.channel for one in case.rivals} | {channel})
    share = share_of(policy, channel)
    given = Said(f"，这里应有 {wanted} 单", f": {wanted} sales here")
    match policy.kind:
        case PolicyKind.BY_DEMAND if sellers == 1:
            what = Said("只有这个渠道卖", "this channel alone sells it")
        case PolicyKind.BY_DEMAND:
            what = Said(f"{sellers} 个渠道按各自销速分", f"divided among {sellers} channels by their own pace")
        case PolicyKind.SHARED:
            what = Said(
                f"共享库存：各渠道显示同一批货，留缓冲 {policy.buffer} 件",
                f"shared: all channels show the same units, less a buffer of {policy.buffer}",
            )
        case PolicyKind.FIXED:
            what = Said(
                f"固定配额 {share.share if share else 0} 件", f"a fixed quota of {share.share if share else 0} units"
            )
        case PolicyKind.WEIGHTED:
            total = sum(one.share for one in policy.shares)
            what = Said(
                f"按权重分，占 {share.share if share else 0}/{total}",
                f"by weight, {share.share if share else 0} of {total}",
            )
        case PolicyKind.PRIORITY:
            order = listed([one.channel for one in policy.shares])
            what = Said(f"按优先级给：{order}", f"given by priority: {order}")
        case _:
            what = Said(f"独占给 {policy.shares[0].channel}", f"exclusively for {policy.shares[0].channel}")
    return Said(what.zh + given.zh, what.en + given.en)


def _refinements(case: Case, *, is_cause: bool) -> list[Said]:
    """What else the policy, a session or a person says."""
    sku, channel, policy, found = case.facts.sku, case.listing.channel, case.policy, list[Said]()
    if sku in case.situation.frozen:
        found.append(Said("SKU 已冻结，各渠道都清零", "the SKU is frozen: every channel goes to zero"))
    lock = lock_of(case.situation, sku)
    if lock is not None:
        for_whom = listed(sorted(lock.channels))
        found.append(Said(f"有 {lock.units} 件只给 {for_whom} 卖", f"{lock.units} units are for {for_whom} alone"))
    share = share_of(policy, channel)
    if share is not None and share.cap is not None:
        found.append(Said(f"最多显示 {share.cap} 件", f"at most {share.cap} units may be shown"))
    if policy.stop_at:
        found.append(Said(f"剩 {policy.stop_at} 件就停卖", f"the last {policy.stop_at} units are kept"))
    if policy.shown_min:
        found.append(
            Said(
                f"至少显示 {policy.shown_min} 件（允许超卖）",
                f"at least {policy.shown_min} units are shown (overselling is allowed)",
            )
        )
    if is_cause and case.state.exposure is not None and case.state.sales_left != case.wanted:
        found.append(
            Said(
                f"现在可卖 {case.state.sales_left} 单，这点差别先不动",
                f"it can sell {case.state.sales_left} now, and the difference is not worth a call yet",
            )
        )
    return found


def exposure(case: Case) -> Decider:
    """What may still be sold elsewhere; the cause if a raise waits for another listing's lowering (R21)."""
    rivals = case.rivals
    shown = listed([f"{one.channel} {one.state.sales_left}" for one in rivals if one.state.exposure is not None])
    own = max(0, case.state.sales_left)
    text = Said(
        f"这里还可能卖 {own} 单" + (f"，别处：{shown}" if shown else ""),
        f"it may still sell {own}" + (f"; elsewhere: {shown}" if shown else ""),
    )
    found = Decider(DeciderKind.EXPOSURE, text)
    if case.needs_change or not case.can_change or case.missing <= 0 or case.state.exposure is None:
        return found
    unread = [one for one in rivals if one.state.exposure is None]
    if unread:
        names = listed([one.channel for one in unread])
        text = Said(
            f"{names} 的商品还没读过，读到之前谁都不加",
            f"a listing of {names} was never read; nothing is raised until it is",
        )
        return replace(found, text=text, verdict=DeciderVerdict.WAITS)
    lowered = [one for one in rivals if one.state.push is not None and one.state.push.kind is not PushKind.RAISE]
    stuck = [one for one in rivals if case.surplus_of(one) and not can_change(case.situation, one)]
    if lowered:
        return _waits_for(case, found, lowered)
    return _held_by(case, found, stuck) if stuck else found


def _waits_for(case: Case, found: Decider, lowered: list[Listing]) -> Decider:
    pushes = [one.state.push for one in lowered if one.state.push is not None]
    first = min(pushes, key=lambda push: push.create_time)
    names = listed([one.channel for one in lowered])
    unknown = any(push.unknown_since is not None for push in pushes)
    text = Said(
        f"还差 {case.missing} 单，等 {names} 先降下来再加" + ("（那边的结果还不知道）" if unknown else ""),
        f"{case.missing} sales wait until {names} is lowered" + (" (its outcome is not known yet)" if unknown else ""),
    )
    return replace(
        found,
        text=text,
        verdict=DeciderVerdict.WAITS,
        since=first.create_time,
        evidence=tuple(row("push", push.push_id) for push in pushes[:5]),
        next=Said(f"{names} 确认后马上加", f"it is raised as soon as {names} has confirmed"),
        action=Said(f"看 {names} 的解释（stockgate explain）", f"explain {names} too (stockgate explain)"),
    )


def _held_by(case: Case, found: Decider, stuck: list[Listing]) -> Decider:
    names = listed([one.channel for one in stuck])
    text = Said(
        f"还差 {case.missing} 单，货在 {names} 那里，那边现在改不了",
        f"{case.missing} sales are with {names}, whose number cannot be changed now",
    )
    action = Said(
        f"先让 {names} 恢复（stockgate explain 看原因）", f"bring {names} back first (stockgate explain says why)"
    )
    return replace(found, text=text, verdict=DeciderVerdict.BLOCKS, action=action)


def guard(case: Case) -> Decider:
    """Whether a person has to allow it: a pause, or the brake's (R31). While it lasts, the number stays as it is."""
    channel = case.channel
    if channel is None:
        return _not_kept(DeciderKind.GUARD)
    if not channel.paused:
        return Decider(DeciderKind.GUARD, Said("渠道没有暂停", "the channel is not paused"))
    reason = channel.pause_reason
    is_brake = reason.startswith(BRAKE)
    text = (
        Said(
            "刹车：太多商品要一起清零，等人确认",
            "the brake: too many listings would go to zero at once; a person is asked",
        )
        if is_brake
        else Said(f"渠道已暂停：{reason or '没写原因'}", f"the channel is paused: {reason or 'no reason given'}")
    )
    found = Decider(
        DeciderKind.GUARD, text, since=channel.since.get("paused"), evidence=(row("channel", channel.channel),)
    )
    code = channel.channel
    action = (
        Said(
            f"确认没错就放行：stockgate channel resume {code} --allow-many-to-zero",
            f"if it is right: stockgate channel resume {code} --allow-many-to-zero",
        )
        if is_brake
        else Said(f"恢复：stockgate channel resume {code}", f"resume it: stockgate channel resume {code}")
    )
    return replace(found, text=text, verdict=DeciderVerdict.BLOCKS, action=action)


def push(case: Case, *, is_cause: bool) -> Decider:
    """What was decided for this listing, and is not over yet."""
    under_way = case.push
    if under_way is None:
        text = Said("没有正在进行的改动", "no change is under way")
        return Decider(DeciderKind.PUSH, text)
    age, what = lasting(case.now - under_way.create_time), _change(under_way)
    text = Said(
        f"第 {under_way.push_id} 号改动（{what.zh}）{age.zh}前下发，还没有回报",
        f"push {under_way.push_id} ({what.en}) was decided {age.en} ago and is not reported yet",
    )
    return Decider(
        DeciderKind.PUSH,
        text,
        DeciderVerdict.WAITS if is_cause else DeciderVerdict.OK,
        under_way.create_time,
        (row("push", under_way.push_id),),
        under_way.traceparent,
        next=Said("连接器调用平台后回报", "the connector calls the platform and reports"),
    )


def _change(under_way: Push) -> Said:
    match under_way.kind:
        case PushKind.RAISE:
            return Said(f"加 {under_way.sales}", f"raise by {under_way.sales}")
        case PushKind.LOWER:
            return Said(f"减 {under_way.sales}", f"lower by {under_way.sales}")
        case PushKind.TO_ZERO:
            return Said("清零", "to zero")


def _shortest(case: Case) -> str:
    """Of a kit, the component there is least of."""
    return min(
        case.listing.components,
        key=lambda one: sum(case.level_at(one.sku, at).on_hand for at in case.locations) / one.units,
    ).sku


def is_shared(case: Case) -> bool:
    """True if the policy lets the listing show what others show too."""
    kind: PolicyKind = (case.situation.policies.get(case.facts.sku) or Policy(case.facts.sku)).kind
    return case.is_permitted or case.state.permitted or kind is PolicyKind.SHARED


def _movement_of(case: Case) -> tuple[EvidenceRow, ...]:
    return (row("movement", case.facts.movement.revision),) if case.facts.movement else ()


def _not_kept(kind: DeciderKind) -> Decider:
    text = Said("那时的渠道状态没有留下", "how the channel was then is not kept")
    return Decider(kind, text, DeciderVerdict.UNKNOWN)
