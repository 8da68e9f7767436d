"""Where scripts of drills come from: some of ours, one made of a recorded session, one that is made up.

What such a script expects (`expecting`) is worked out from its own sales: of each SKU that will run out, a warning of
THRESHOLD or higher before it does. A tape of a session is its own orders, at their own times; units that came are
receipts. Nothing of it is anybody's: what is played touches no stock.
"""

from collections.abc import Iterable, Sequence

from msgspec import Struct
from msgspec.structs import replace

from gateway.domain.drills import (
    EXPECTATIONS_MAX,
    INJECTS_MAX,
    SECONDS_MAX,
    SECONDS_MIN,
    SKUS_MAX,
    TAPE_MAX,
    DrillExpectation,
    DrillInject,
    DrillOrder,
    DrillScript,
    DrillSku,
    InjectKind,
    moments,
)
from gateway.domain.review.record import SessionRecord
from gateway.domain.review.stories import Story, told
from gateway.domain.tiers import Tier

# A warning that comes with the last unit is none.
EARLY_SECONDS, EARLY_SHARE = 5.0, 0.01
# A surge of a made-up drill: when it begins and how long it lasts, as shares of the whole, and of how many SKUs.
SURGE_BEGIN, SURGE_LENGTH, SURGE_SKUS = 1 / 3, 1 / 4, 1 / 3

_MINUTE = 60.0


class BuiltInDrill(Struct, frozen=True):
    """A script of ours: by which name to ask for it, and what it is for."""

    name: str
    title: str
    title_en: str
    text: str
    text_en: str
    script: DrillScript


class MadeUp(Struct, frozen=True):
    """A drill that is made up: SKUs with so many units each, at so many orders per minute.

    `surge` is a factor of the rate of the first third of them, in the middle of the drill; 1: none.
    """

    name: str
    skus: tuple[str, ...]
    units: int
    rate: float
    seconds: float
    surge: float = 1.0
    lead_seconds: float = 1_800.0
    seed: int = 0


def recorded(record: SessionRecord, speed: float) -> DrillScript:
    """A session's own sales as a drill, under the room's name; of many SKUs those that sold most."""
    stories = sorted((told(record, sku) for sku in record.skus), key=lambda story: (-story.sold, story.record.sku))
    chosen = stories[:SKUS_MAX]
    seconds = min(SECONDS_MAX, max(SECONDS_MIN, record.end - record.begin))
    session = record.session
    return DrillScript(
        name=f"{session.room[:80]} #{session.session_id}",
        speed=speed,
        seconds=seconds,
        skus=tuple(DrillSku(story.record.sku, max(0, story.begin_available), _lead(story)) for story in chosen),
        room=session.room,
        tape=tuple(_tape(record, chosen, seconds)),
        injects=tuple(_receipts(record, chosen, seconds)),
    )


def made_up(asked: MadeUp, speed: float) -> DrillScript:
    """The script of a made-up drill; the same for the same seed."""
    rising = asked.skus[: max(1, round(len(asked.skus) * SURGE_SKUS))]
    begin, lasts = asked.seconds * SURGE_BEGIN, max(SECONDS_MIN, asked.seconds * SURGE_LENGTH)
    surges = tuple(DrillInject(begin, InjectKind.SURGE, sku, asked.surge, lasts) for sku in rising[:INJECTS_MAX])
    return DrillScript(
        name=asked.name,
        speed=speed,
        seconds=asked.seconds,
        skus=tuple(DrillSku(sku, asked.units, asked.lead_seconds, asked.rate) for sku in asked.skus),
        injects=surges if asked.surge > 1 else (),
        seed=asked.seed,
    )


def expecting(script: DrillScript) -> DrillScript:
    """The script, expecting that each SKU that will run out is warned of before."""
    units = {sku.sku: sku.units for sku in script.skus}
    out: dict[str, float] = {}
    for moment in moments(script):
        match moment:
            case DrillOrder() if moment.quantity <= units[moment.sku]:
                units[moment.sku] -= moment.quantity
                if not units[moment.sku]:
                    out.setdefault(moment.sku, moment.at_seconds)
            case DrillInject(kind=InjectKind.RECEIPT):
                for sku in units:
                    units[sku] += int(moment.value) if moment.concerns(sku) else 0
            case _:
                pass
    in_time = {sku: at - max(EARLY_SECONDS, EARLY_SHARE * at) for sku, at in out.items()}
    wanted = [DrillExpectation(sku, Tier.THRESHOLD, 0.0, before) for sku, before in in_time.items() if before > 0]
    return replace(script, expectations=tuple(wanted[:EXPECTATIONS_MAX]))


def _lead(story: Story) -> float:
    lead = story.lead_seconds
    return 0.0 if lead < SECONDS_MIN else lead


def _tape(record: SessionRecord, stories: Sequence[Story], seconds: float) -> list[DrillOrder]:
    """The first orders of all, as many as a drill takes."""
    orders = [
        DrillOrder(moment.time - record.begin, story.record.sku, quantity)
        for story in stories
        for moment in story.moments
        for quantity in moment.orders
        if quantity > 0 and 0 <= moment.time - record.begin <= seconds
    ]
    return sorted(orders, key=lambda order: (order.at_seconds, order.sku))[:TAPE_MAX]


def _receipts(record: SessionRecord, stories: Sequence[Story], seconds: float) -> list[DrillInject]:
    """The largest receipts, by time."""
    came = [
        DrillInject(moment.time - record.begin, InjectKind.RECEIPT, story.record.sku, float(moment.came))
        for story in stories
        for moment in story.moments
        if moment.came > 0 and moment.time - record.begin <= seconds
    ]
    largest = sorted(came, key=lambda inject: -inject.value)[:INJECTS_MAX]
    return sorted(largest, key=lambda inject: (inject.at_seconds, inject.sku))


# ---- ours


def _script(
    name: str, minutes: float, skus: Iterable[DrillSku], injects: Iterable[DrillInject], seed: int
) -> DrillScript:
    return DrillScript(name, 10.0, minutes * _MINUTE, tuple(skus), injects=tuple(injects), seed=seed)


_ALL = (
    BuiltInDrill(
        "evening-peak",
        "晚高峰爆单",
        "An evening's rush",
        "主推款在第 10 分钟突然卖快五倍，持续 8 分钟：看谁先发现、谁去调货。",
        "The main item suddenly sells five times as fast from minute 10, for 8 minutes: who sees it, who brings more?",
        _script(
            "晚高峰爆单",
            30,
            (
                DrillSku("DRILL-HERO", 400, 600.0, 8.0),
                DrillSku("DRILL-SIDE", 150, 600.0, 2.0),
                DrillSku("DRILL-GIFT", 300, 600.0, 1.0),
            ),
            (DrillInject(600.0, InjectKind.SURGE, "DRILL-HERO", 5.0, 480.0),),
            11,
        ),
    ),
    BuiltInDrill(
        "supply-late",
        "补货迟到",
        "Supply is late",
        "货在路上，第 6 分钟仓库说要晚 30 分钟：预警要升级，主播要换款。",
        "Units are on their way, and at minute 6 the warehouse says: 30 minutes later. Does anybody change the plan?",
        _script(
            "补货迟到",
            40,
            (DrillSku("DRILL-HERO", 150, 600.0, 5.0), DrillSku("DRILL-SIDE", 200, 600.0, 2.0)),
            (
                DrillInject(360.0, InjectKind.SUPPLY_LATE, "DRILL-HERO", 1_800.0),
                DrillInject(2_280.0, InjectKind.RECEIPT, "DRILL-HERO", 200.0),
            ),
            12,
        ),
    ),
    BuiltInDrill(
        "channel-dead",
        "渠道失联",
        "A channel goes silent",
        "第 5 分钟渠道断线，第 15 分钟恢复：期间数字不可信，谁来稳住场面。",
        "A channel goes silent at minute 5 and is back at 15: nobody knows the numbers meanwhile.",
        _script(
            "渠道失联",
            25,
            (DrillSku("DRILL-HERO", 120, 600.0, 6.0), DrillSku("DRILL-SIDE", 160, 600.0, 3.0)),
            (DrillInject(300.0, InjectKind.CHANNEL_DEAD), DrillInject(900.0, InjectKind.CHANNEL_BACK)),
            13,
        ),
    ),
    BuiltInDrill(
        "flash-sale",
        "秒杀清空",
        "A flash sale",
        "上架一分钟后二十倍流量涌入，几分钟内卖空：看换款和话术够不够快。",
        "Twenty times the traffic a minute after listing, gone within minutes: is the substitute there in time?",
        _script(
            "秒杀清空",
            12,
            (DrillSku("DRILL-FLASH", 300, 300.0, 4.0), DrillSku("DRILL-SIDE", 200, 600.0, 3.0)),
            (DrillInject(60.0, InjectKind.SURGE, "DRILL-FLASH", 20.0, 360.0),),
            14,
        ),
    ),
)
BUILT_IN: dict[str, BuiltInDrill] = {one.name: one for one in _ALL}
