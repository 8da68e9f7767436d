"""What happened to a SKU in sentences: one per row, in zh-CN and in English."""

from collections.abc import Mapping

from gateway.domain.alerts import Acknowledgement, DrillStep, Event, Silence, TierTold
from gateway.domain.attempts import Attempt, AttemptOutcome
from gateway.domain.audit import DONE, AuditEntry
from gateway.domain.listings import Listing, PushKind, PushResult
from gateway.domain.review.telling import TIER_NAMES, told
from gateway.domain.selling import Drift, PushRecord
from gateway.domain.stock import Movement, MovementKind, Shortfall, ShortfallCause
from gateway.domain.timeline import Entry, Kind, Place, Row, Shown, Source, name_of

Text = tuple[str, str]

_MOVED: dict[MovementKind, Text] = {
    MovementKind.RECEIVE: ("入库 {0} 件", "{0} received"),
    MovementKind.ADJUST: ("调整 {1:+} 件", "adjusted by {1:+}"),
    MovementKind.COUNT: ("盘点 {0} 件", "{0} counted"),
    MovementKind.TRANSFER_OUT: ("调出 {0} 件", "{0} moved out"),
    MovementKind.TRANSFER_IN: ("调入 {0} 件", "{0} moved in"),
    MovementKind.RESERVE: ("预占 {0} 件", "{0} reserved"),
    MovementKind.COMMIT: ("售出 {0} 件", "{0} sold"),
    MovementKind.RELEASE: ("释放 {0} 件", "{0} released"),
    MovementKind.EXPIRE: ("预占到期，释放 {0} 件", "a hold of {0} expired"),
    MovementKind.RESIZE: ("预占变动 {2:+} 件", "hold changed by {2:+}"),
    MovementKind.RETURN: ("退回 {0} 件", "{0} returned"),
    MovementKind.SAFETY_STOCK: ("安全库存改为 {3} 件", "safety stock set to {3}"),
}
_PUSHED: dict[PushKind, Text] = {
    PushKind.RAISE: ("加 {0}", "add {0}"),
    PushKind.LOWER: ("至多减 {0}", "take up to {0} away"),
    PushKind.TO_ZERO: ("归零", "show nothing"),
}
_RESULTS: dict[PushResult, Text] = {
    PushResult.APPLIED: ("平台已生效 {0}", "the platform applied {0}"),
    PushResult.NOT_SENT: ("没有发出，会重新决定", "not sent, to be decided anew"),
    PushResult.UNKNOWN: ("结果未知，等待读回", "nobody knows what became of it, to be read back"),
    PushResult.REFUSED: ("平台拒绝", "refused by the platform"),
    PushResult.READ_BACK: ("读回确认为 {0}", "read back as {0}"),
}
_OUTCOMES: dict[AttemptOutcome, Text] = {
    AttemptOutcome.APPLIED: ("成功", "applied"),
    AttemptOutcome.NOT_APPLIED: ("没有生效", "not applied"),
    AttemptOutcome.UNKNOWN: ("结果未知", "outcome unknown"),
    AttemptOutcome.REFUSED: ("平台拒绝", "refused"),
    AttemptOutcome.THROTTLED: ("被限流", "throttled"),
    AttemptOutcome.NOT_SENT: ("没有发出", "not sent"),
}
_CAUSES: dict[ShortfallCause, Text] = {
    ShortfallCause.GOODS_GONE: ("货不见了", "goods are gone"),
    ShortfallCause.PAID_TOO_LATE: ("付款太晚", "paid too late"),
    ShortfallCause.SOLD_BEYOND: ("平台多卖", "sold beyond what was shown"),
    ShortfallCause.POLICY: ("策略允许多卖", "its policy allows it"),
}
# A longer time is told in minutes.
_SECONDS_TOLD_MAX = 120
_DRILL_ZH, _DRILL_EN = "【演练】", "DRILL: "


def movement(row: Movement, order_id: str) -> Entry:
    """A change of the ledger; `order_id` as the reservation has it."""
    numbers = (f"{row.quantity:,}", row.on_hand_change, row.reserved_change, f"{row.safety_stock_after:,}")
    verb, verb_en = (text.format(*numbers) for text in _MOVED[row.kind])
    whose, whose_en = _whose(row, order_id)
    reason, reason_en = (f"：{row.reason}", f": {row.reason}") if row.reason else ("", "")
    return Entry(
        Place(row.record_time, Source.MOVEMENT, (row.revision,)),
        Kind.ORDER if row.channel else Kind.MOVEMENT,
        Row("movement", str(row.revision)),
        f"{whose}{verb}（{row.location}：在库 {row.on_hand_after:,}，预占 {row.reserved_after:,}）{reason}",
        f"{whose_en}{verb_en} at {row.location}: {row.on_hand_after:,} on hand, {row.reserved_after:,} reserved"
        f"{reason_en}",
        channel=row.channel or "",
        traceparent=row.traceparent,
        detail=row,
    )


def push(row: PushRecord, listings: Mapping[int, Listing]) -> Entry:
    """A change of a listing's number was decided."""
    name, channel = _named(row.listing_id, listings)
    verb, verb_en = (text.format(f"{row.sales:,}") for text in _PUSHED[row.kind])
    why, why_en = (f"，因账本 #{row.origin_revision}", f", for movement {row.origin_revision}")
    if row.origin_revision is None:
        why, why_en = "", ""
    return Entry(
        Place(row.create_time, Source.PUSH, (row.push_id,)),
        Kind.PUSH,
        Row("push", str(row.push_id)),
        f"{name}：决定{verb}{why}",
        f"{name}: decided to {verb_en}{why_en}",
        channel=channel,
        traceparent=row.traceparent,
    )


def result(row: PushRecord, listings: Mapping[int, Listing]) -> Entry:
    """What became of such a decision."""
    assert row.settle_time is not None
    name, channel = _named(row.listing_id, listings)
    done, done_en = ("不再需要", "not needed any more")
    if row.result is not None:
        done, done_en = (text.format(f"{row.applied or 0:,}") for text in _RESULTS[row.result])
    since = row.origin_time or row.create_time
    seconds = max(0.0, (row.settle_time - since).total_seconds())
    error, error_en = (f"：{row.error}", f": {row.error}") if row.error else ("", "")
    return Entry(
        Place(row.settle_time, Source.RESULT, (row.push_id,)),
        Kind.PUSH,
        Row("push", str(row.push_id)),
        f"{name}：{done}，历时 {seconds:.1f} 秒{error}",
        f"{name}: {done_en}, after {seconds:.1f} s{error_en}",
        channel=channel,
        traceparent=row.traceparent,
    )


def attempt(row: Attempt, listings: Mapping[int, Listing]) -> Entry:
    """One call to a platform."""
    assert row.record_time is not None
    name, _ = _named(row.listing_id, listings)
    outcome, outcome_en = _OUTCOMES[row.outcome]
    answer = " ".join(
        part for part in (f"HTTP {row.http_status}" if row.http_status else "", row.platform_code, row.message) if part
    )
    said, said_en = (f"：{answer}", f": {answer}") if answer and row.outcome is not AttemptOutcome.APPLIED else ("", "")
    again, again_en = "", ""
    if row.next_try_time is not None:
        seconds = max(0.0, (row.next_try_time - row.begin_time).total_seconds())
        again, again_en = f"，{seconds:.1f} 秒后再试", f", again {seconds:.1f} s later"
    return Entry(
        Place(row.record_time, Source.ATTEMPT, (row.push_id, row.number)),
        Kind.ATTEMPT,
        Row("attempt", f"{row.push_id}/{row.number}"),
        f"{name}：第 {row.number} 次调用{outcome}，{row.duration_ms:,} 毫秒{again}{said}",
        f"{name}: call {row.number} {outcome_en}, {row.duration_ms:,} ms{again_en}{said_en}",
        channel=row.channel,
        traceparent=row.traceparent,
        detail=row,
    )


def reading(row: Shown, listings: Mapping[int, Listing]) -> Entry:
    """A listing was read."""
    name, channel = _named(row.listing_id, listings)
    return Entry(
        Place(row.record_time, Source.READING, (row.version, row.listing_id)),
        Kind.READING,
        Row("reading", f"{row.listing_id}/{row.version}"),
        f"{name}：读到平台显示 {row.shown:,}",
        f"{name}: the platform shows {row.shown:,}",
        channel=channel,
    )


def drift(row: Drift, listings: Mapping[int, Listing]) -> Entry:
    """A reading fits nothing we know."""
    name, _ = _named(row.listing_id, listings)
    proves = f"{row.exposure_least:,}"
    proves_zh = proves
    if row.exposure_most != row.exposure_least:
        proves, proves_zh = f"{proves} to {row.exposure_most:,}", f"{proves} 到 {row.exposure_most:,}"
    return Entry(
        Place(row.judge_time, Source.DRIFT, (row.drift_id,)),
        Kind.READING,
        Row("drift", str(row.drift_id)),
        f"{name}：偏差，平台显示 {row.shown:,}，说明还能卖 {proves_zh}，我们记的是 {row.exposure_before:,}",
        f"{name}: drift, the platform shows {row.shown:,}, so {proves} can be sold, where we believed "
        f"{row.exposure_before:,}",
        channel=row.channel,
        detail=row,
    )


def event(row: Event) -> Entry:
    """What the alert log tells."""
    text, text_en, actor = told(row) or _of_engine(row)
    if row.drill_id:
        text, text_en = f"{_DRILL_ZH}{text}", f"{_DRILL_EN}{text_en}"
    return Entry(
        Place(row.record_time, Source.EVENT, (row.revision,)),
        Kind.EVENT,
        Row("event", str(row.revision)),
        text,
        text_en,
        actor=actor,
        traceparent=row.traceparent,
        detail=row,
    )


def shortfall(row: Shortfall) -> Entry:
    """Units were sold that cannot be served."""
    cause, cause_en = _CAUSES[row.cause]
    order, order_en = (f"，订单 {row.order_id}", f", order {row.order_id}") if row.order_id else ("", "")
    return Entry(
        Place(row.open_time, Source.SHORTFALL, (row.shortfall_id,)),
        Kind.SHORTFALL,
        Row("shortfall", str(row.shortfall_id)),
        f"缺货 {row.quantity:,} 件（{row.location}，{cause}{order}）",
        f"{row.quantity:,} units short at {row.location}: {cause_en}{order_en}",
        detail=row,
    )


def resolution(row: Shortfall) -> Entry:
    """A shortfall was resolved."""
    assert row.resolve_time is not None
    return Entry(
        Place(row.resolve_time, Source.RESOLUTION, (row.shortfall_id,)),
        Kind.SHORTFALL,
        Row("shortfall", str(row.shortfall_id)),
        f"缺货 {row.quantity:,} 件已处理：{row.resolution}",
        f"{row.quantity:,} units short, resolved: {row.resolution}",
        actor=row.owner,
        detail=row,
    )


def person(row: AuditEntry) -> Entry:
    """What a person asked for."""
    who, who_en = (row.actor, row.actor) if row.actor else ("某人", "somebody")
    name = row.method.rpartition("/")[2]
    match row.outcome:
        case str() as outcome if outcome == DONE:
            came, came_en = "", ""
        case "":
            came, came_en = "，结果未知", ", outcome unknown"
        case reason:
            came, came_en = f"，被拒绝（{reason}）", f", refused: {reason}"
    why, why_en = (f"。理由：{row.reason}", f". Reason: {row.reason}") if row.reason else ("", "")
    return Entry(
        Place(row.record_time, Source.PERSON, (row.audit_id,)),
        Kind.PERSON,
        Row("audit", str(row.audit_id)),
        f"{who} 请求{_DEEDS.get(name, name)}{came}{why}",
        f"{who_en} asked for {name}{came_en}{why_en}",
        channel=row.channel,
        actor=row.actor,
        traceparent=row.traceparent,
        detail=row,
    )


_DEEDS = {
    "ReserveStock": "预占",
    "CommitReservation": "确认售出",
    "ReleaseReservation": "释放预占",
    "ExtendReservation": "延长预占",
    "ResizeReservation": "改预占数量",
    "CreateLocation": "新建仓位",
    "UpdateLocation": "修改仓位",
    "ImportCatalog": "导入目录",
    "SetRunbook": "修改预案",
    "SetDemandProfile": "更新销售规律",
    "StartDrill": "开始演练",
    "StopDrill": "结束演练",
    "Rehearse": "排练场次",
    "SetTemplate": "修改话术",
    "DeleteTemplate": "删除话术",
    "ReceiveStock": "入库",
    "AdjustStock": "调整库存",
    "CountStock": "盘点",
    "TransferStock": "调拨",
    "ReturnStock": "退货入库",
    "CreateSku": "新建商品",
    "UpdateSku": "修改商品",
    "FreezeSku": "冻结商品",
    "UnfreezeSku": "解冻商品",
    "CreateChannel": "新建渠道",
    "UpdateChannel": "修改渠道",
    "SetCredentials": "更换渠道凭证",
    "LinkListing": "关联链接",
    "UnlinkListing": "解除关联",
    "SetPolicy": "修改分配策略",
    "PauseChannel": "暂停渠道",
    "ResumeChannel": "恢复渠道",
    "ResyncListing": "重新读回",
    "ResolveShortfall": "处理缺货",
    "Acknowledge": "认领预警",
    "CompleteStep": "完成步骤",
    "Silence": "静音",
    "EndSilence": "结束静音",
    "SetAlertPolicy": "修改预警设置",
    "AnnounceIncoming": "登记在途",
    "CancelIncoming": "取消在途",
    "OpenSession": "开播",
    "UpdateSession": "调整场次",
    "CloseSession": "下播",
    "DecideProposal": "决定建议",
    "AcceptAdvice": "采纳复盘建议",
    "TraceSku": "跟踪商品",
}


def _of_engine(row: Event) -> tuple[str, str, str]:
    """What no person did."""
    match row.body:
        case TierTold() as change:
            return (*_tier_change(change), "")
        case Acknowledgement() as ack:
            reason, reason_en = _ENDED.get(ack.end_reason, ("", ""))
            return f"认领结束{reason}", f"acknowledgement ended{reason_en}", ""
        case Silence() as silence:
            return f"静音结束：{silence.comment}", f"silence ended: {silence.comment}", ""
        case DrillStep() as step:
            what = " ".join(part for part in (step.name, step.inject, step.detail) if part)
            return f"演练：{what}", f"drill: {what}", step.actor
        case _:
            name = row.kind.name
            return name, name.lower().replace("_", " "), ""


_ENDED: dict[str, Text] = {
    "CLOSED": ("：已恢复正常", ": the warning is over"),
    "RISEN": ("：情况变重", ": it has become worse"),
    "TIMED_OUT": ("：超时", ": its time is over"),
}


def _tier_change(change: TierTold) -> Text:
    before, before_en = TIER_NAMES[change.before]
    after, after_en = TIER_NAMES[change.after]
    moved, moved_en = f"{before} → {after}", f"{before_en} → {after_en}"
    if change.before == change.after:
        known, known_en = ("数据过时", "our knowledge is old") if change.is_stale else ("数据已恢复", "known again")
        moved, moved_en = f"{after}，{known}", f"{after_en}, {known_en}"
    evidence = change.evidence
    left, left_en = "", ""
    if change.stock_out.p50 is not None and evidence.sellable > 0:
        seconds = change.stock_out.p50
        left, left_en = f"，约 {seconds:.0f} 秒后卖完", f", gone in about {seconds:.0f} s"
        if seconds >= _SECONDS_TOLD_MAX:
            left, left_en = f"，约 {seconds / 60:.0f} 分钟后卖完", f", gone in about {seconds / 60:.0f} min"
    return (
        f"{moved}：可售 {evidence.sellable:,} 件，每分钟 {evidence.fast_rate:.1f} 单{left}",
        f"{moved_en}: {evidence.sellable:,} can be sold, {evidence.fast_rate:.1f} orders a minute{left_en}",
    )


def _named(listing_id: int, listings: Mapping[int, Listing]) -> tuple[str, str]:
    listing = listings[listing_id]
    return name_of(listing), listing.channel


def _whose(row: Movement, order_id: str) -> Text:
    if row.channel:
        number = order_id.removeprefix(f"{row.channel}/")
        return f"{row.channel} 订单 {number}：", f"{row.channel} order {number}: "
    return (f"订单 {order_id}：", f"order {order_id}: ") if order_id else ("", "")
