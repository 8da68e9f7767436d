"""The review of a session, against figures worked out by hand."""

from datetime import timedelta

import msgspec
import pytest
from msgspec.structs import replace

from gateway.domain.alerts import AckAction, Acknowledgement, EventKind, IncomingUnits
from gateway.domain.review.looking_back import POINTS_MAX, SERIES_POINTS_MIN, points_max, review_of, thinned
from gateway.domain.review.record import PushTold, Settings
from gateway.domain.review.values import Change, Review, ReviewPolicy, ReviewSku, Series, Setting
from gateway.domain.tiers import Tier
from tests.domain.review.records import BEGIN, LEAD_SECONDS, LENGTH_SECONDS, OPENED, Tape, event, record, told

MINUTE = timedelta(minutes=1)


def an_evening() -> Tape:
    """60 units, one every 10 seconds: gone after 600 s; 30 more come at 1,200 s, and go at the same pace."""
    tape = Tape(units=60)
    for count in range(1, 61):
        tape.order(10.0 * count)
    tape.receive(1_200.0, 30)
    for count in range(1, 21):
        tape.order(1_200.0 + 10.0 * count)
    return tape


def only(review: Review) -> ReviewSku:
    """The review's one SKU."""
    (sku,) = review.skus
    return sku


def series(sku: ReviewSku, name: str) -> Series:
    """One of its series."""
    return next(one for one in sku.series if one.name == name)


def policy(review: Review, name: str) -> ReviewPolicy:
    """One of its policies."""
    return next(one for one in review.policies if one.name == name)


def test_what_was_sold_and_what_was_left() -> None:
    """60 and 30 came, 80 were sold, 10 are left; for ten minutes there was nothing, at six a minute."""
    sku = only(review_of(record(an_evening().record())))
    assert (sku.begin_available, sku.received, sku.sold, sku.unsold, sku.adjusted) == (60, 30, 80, 10, 0)
    assert sku.stock_out_time == OPENED + 10 * MINUTE
    assert sku.out_for == 10 * MINUTE
    assert sku.lost == pytest.approx(60)
    assert sku.peak_rate == pytest.approx(6.0)


def test_figures_always_add_up() -> None:
    """begin + received + adjusted - sold = unsold, whatever was corrected, released or came back of older orders."""
    tape = Tape(units=50)
    first = tape.order(10, 5)
    second = tape.order(20, 7)
    tape.commit(25, second)
    tape.release(30, first)
    tape.adjust(40, -3)
    tape.taken[999] = 4
    tape.release(50, 999)
    sku = only(review_of(record(tape.record())))
    assert (sku.sold, sku.adjusted, sku.unsold) == (7, 1, 44)
    assert sku.begin_available + sku.received + sku.adjusted - sku.sold == sku.unsold


def test_a_warning_is_early_by_so_many_lead_times() -> None:
    """A THRESHOLD 300 s before the stock-out is half of a lead time of 600 s early."""
    events = [told(300, Tier.NORMAL, Tier.THRESHOLD), told(600, Tier.THRESHOLD, Tier.SOLD_OUT)]
    review = review_of(record(an_evening().record(), events=events))
    first, second = review.warnings
    assert first.before_stock_out == 5 * MINUTE
    assert first.lead_times == pytest.approx(0.5)
    assert not first.needless
    assert second.before_stock_out == timedelta(0)


def test_a_late_reaction_costs_what_was_lost_meanwhile() -> None:
    """An URGENT at 500 s is patient until 800 s; units come at 1,200 s: 400 of the 600 lost seconds were its fault."""
    events = [told(500, Tier.NORMAL, Tier.URGENT)]
    review = review_of(record(an_evening().record(), events=events))
    (warning,) = review.warnings
    assert warning.act_after == timedelta(seconds=700)
    assert warning.act == "到货 30 件"
    assert warning.late_cost_units == pytest.approx(only(review).lost * 400 / 600)
    assert [one.kind for one in review.advice if one.kind == "REACTION"]


def test_who_acknowledges_in_time_has_cost_nothing() -> None:
    """Who takes an URGENT on within its patience is not the one who was late: the units were."""
    body = Acknowledgement(Tier.URGENT, "小王", OPENED + timedelta(seconds=520), AckAction.REPLENISH)
    events = [told(500, Tier.NORMAL, Tier.URGENT), event(520, EventKind.ACKNOWLEDGED, body)]
    (warning,) = review_of(record(an_evening().record(), events=events)).warnings
    assert warning.acknowledge_after == timedelta(seconds=20)
    assert warning.acknowledged_by == "小王"
    assert warning.late_cost_units == 0


def test_costs_are_borne_once() -> None:
    """Two warnings that waited for the same units cost no more together than was lost."""
    events = [told(100, Tier.NORMAL, Tier.URGENT), told(600, Tier.URGENT, Tier.SOLD_OUT)]
    review = review_of(record(an_evening().record(), events=events))
    assert sum(one.late_cost_units for one in review.warnings) <= only(review).lost


def test_a_warning_of_nothing_is_needless() -> None:
    """A warning after which nothing ran out and nothing came was needless, whoever gave it."""
    tape = Tape(units=1_000)
    for count in range(1, 100):
        tape.order(30.0 * count)
    events = [told(300, Tier.NORMAL, Tier.THRESHOLD), told(900, Tier.THRESHOLD, Tier.NORMAL)]
    review = review_of(record(tape.record(), events=events))
    assert [one.needless for one in review.warnings] == [True]
    assert policy(review, "as_it_was").needless == 1


def test_of_an_open_session_nothing_is_needless_yet() -> None:
    """What may still prove right is not called needless."""
    tape = Tape(units=1_000)
    tape.order(200)
    events = [told(300, Tier.NORMAL, Tier.THRESHOLD)]
    review = review_of(record(tape.record(), events=events, length=900, is_over=False))
    assert [one.needless for one in review.warnings] == [False]


def test_what_other_policies_would_have_done() -> None:
    """A line of 20 % of 60 units is passed at 480 s, two minutes before the stock-out; one of 10 % at 540 s."""
    review = review_of(record(an_evening().record()))
    fifth, tenth = policy(review, "line_20_percent"), policy(review, "line_10_percent")
    assert (fifth.caught, fifth.stock_outs) == (1, 1)
    assert fifth.minutes_before == pytest.approx(2.0)
    assert tenth.minutes_before == pytest.approx(1.0)
    assert policy(review, "as_it_was").caught == 0
    assert policy(review, "tiers").caught == 1


def test_a_better_policy_is_named() -> None:
    """Where another way of warning had caught a stock-out that was not warned of, the advice says so."""
    advice = review_of(record(an_evening().record())).advice
    assert any(one.kind == "POLICY" and "1/1" in one.text for one in advice)


def test_what_came_too_little_is_advised() -> None:
    """What ran out is to be brought more of: what there was, and what was lost."""
    review = review_of(record(an_evening().record()))
    (stock,) = [one for one in review.advice if one.kind == "STOCK"]
    assert stock.sku == "TEA"
    assert "断货 10 分钟" in stock.text


def test_a_sku_that_never_sold() -> None:
    """It is in the review, with nothing sold, nothing lost and no stock-out."""
    sku = only(review_of(record(Tape("CUP", 40).record())))
    assert (sku.sold, sku.unsold, sku.lost, sku.stock_out_time) == (0, 40, 0.0, None)
    assert sku.out_for == timedelta(0)


def test_a_sku_that_was_never_there() -> None:
    """Where there was nothing from the beginning nothing ran out, and what would have been sold nobody knows."""
    review = review_of(record(Tape("CUP", 0).record()))
    sku = only(review)
    assert sku.stock_out_time is None
    assert sku.out_for == timedelta(seconds=LENGTH_SECONDS)
    assert sku.lost == 0
    assert policy(review, "as_it_was").stock_outs == 0


def test_an_empty_session() -> None:
    """A session of which nothing was recorded has a review, and it says nothing."""
    review = review_of(record(length=0))
    assert (review.skus, review.warnings, review.advice, review.happenings) == ((), (), (), ())


def test_own_units_are_the_rooms_alone() -> None:
    """Of a room with units of its own, only what its channels sold counts; not what comes back of older orders."""
    tape = Tape(units=100)
    tape.order(10, 2, "tb")
    tape.order(20, 5, "ks")
    expired = tape.order(30, 3, "dy")
    tape.release(40, expired, None)
    tape.taken[900] = 4
    tape.release(50, 900, "tb")
    sku = only(review_of(record(tape.record(circumstances={"exclusive_units": 10}))))
    assert (sku.begin_available, sku.sold, sku.unsold, sku.adjusted) == (10, 2, 8, 0)


def test_how_channels_kept_up() -> None:
    """Nearest ranks of the lags; what was given up counts as failed calls, not as a lag."""
    pushes = [PushTold("tb", BEGIN + at, BEGIN + at + lag, True, 0) for at, lag in enumerate((1.0, 2.0, 3.0, 40.0))]
    pushes.append(PushTold("tb", BEGIN, BEGIN + 90, False, 3))
    review = review_of(record(an_evening().record(), pushes=tuple(pushes), drifts={"dy": 2}))
    taobao, douyin = review.channels
    assert (taobao.sold, taobao.pushes, taobao.attempts_failed) == (80, 4, 3)
    assert (taobao.lag_p50, taobao.lag_p99, taobao.lag_max) == tuple(timedelta(seconds=lag) for lag in (2, 40, 40))
    assert (douyin.sold, douyin.lag_p50, douyin.drifts) == (0, None, 2)
    assert {one.channel for one in review.advice if one.kind == "SYNC"} == {"tb", "dy"}


def test_equal_records_give_equal_reviews() -> None:
    """The same session with the same last revision is the same review, byte for byte."""
    events = [told(300, Tier.NORMAL, Tier.THRESHOLD)]
    one, other = (review_of(record(an_evening().record(), events=events)) for _ in range(2))
    assert msgspec.json.encode(one) == msgspec.json.encode(other)


def test_a_review_stays_one_message() -> None:
    """A thousand SKUs have as few points each as it takes to stay within what a client reads at once."""
    tapes = []
    for number in range(1_000):
        tape = Tape(f"S{number}", 500)
        for count in range(40):
            tape.order(60.0 * count + number / 100)
        tapes.append(tape.record())
    found = record(*tapes)
    assert points_max(found) == SERIES_POINTS_MIN
    points = sum(len(one.points) for sku in review_of(found).skus for one in sku.series)
    assert points < POINTS_MAX


def test_thinned_series_keep_every_stock_out() -> None:
    """However few points are kept, none of the times at which there was nothing is lost, nor the last value."""
    points = [(float(at), 0.0 if at % 100 == 50 else 5.0) for at in range(1_000)]
    kept = thinned(points, 0.0, 1_000.0, 30)
    assert [at for at, value in kept if value == 0] == [at for at, value in points if value == 0]
    assert kept[-1] == points[-1]
    assert len(kept) <= 60


def test_stock_and_tiers_over_time() -> None:
    """The series say what there was, and in which tier it stood, from when on."""
    events = [told(300, Tier.NORMAL, Tier.THRESHOLD)]
    sku = only(review_of(record(an_evening().record(), events=events)))
    assert [(one.time, one.value) for one in series(sku, "tier").points] == [
        (OPENED, float(Tier.NORMAL)),
        (OPENED + 5 * MINUTE, float(Tier.THRESHOLD)),
    ]
    stock = series(sku, "available").points
    assert (stock[0].value, stock[1].value, stock[-1].value) == (60, 59, 10)


SETTINGS = Settings(0.95, LEAD_SECONDS, None, 2)


@pytest.mark.parametrize(
    ("settings", "setting", "before", "after"),
    [
        (SETTINGS, Setting.LEAD_SECONDS, LEAD_SECONDS, 1_800.0),
        (replace(SETTINGS, lead_days=2.0), Setting.LEAD_DAYS, 2.0, round(1_800 / 86_400, 3)),
    ],
)
def test_the_lead_time_that_counts_is_the_one_to_be_changed(
    settings: Settings, setting: Setting, before: float, after: float
) -> None:
    """Units took three times as long as warnings reckon with: the catalog's lead time comes before the policy's."""
    tape = Tape("TEA", 40)
    units = IncomingUnits("TEA", 30, OPENED, "li", 1, "", "ARRIVED", OPENED)
    ended = event(1_800, EventKind.INCOMING_ENDED, units)
    [advice] = review_of(record(tape.record(settings=settings), events=[ended])).advice
    assert (advice.kind, advice.change) == ("LEAD_TIME", Change(setting, before, after))


def test_what_is_so_already_is_not_to_be_set() -> None:
    """Of three units oversold three are to be kept; who keeps as many has nothing to accept."""
    for kept, wanted in ((2, Change(Setting.SAFETY_STOCK, 2, 3)), (3, None), (9, None)):
        settings = replace(SETTINGS, safety_stock=kept)
        [advice] = review_of(record(Tape("TEA", 40).record(settings=settings, oversold=3))).advice
        assert (advice.kind, advice.change) == ("SAFETY_STOCK", wanted)


def test_a_late_warning_asks_for_half_as_many_stock_outs() -> None:
    """The service level of the SKU goes half the way to certainty; what is as high as can be stays."""
    for level, wanted in ((0.95, 0.975), (0.995, None)):
        tape = Tape("TEA", 60)
        for count in range(60):
            tape.order(10.0 * count + 1)
        settings = replace(SETTINGS, service_level=level)
        found = [one for one in review_of(record(tape.record(settings=settings))).advice if one.sku]
        expected = wanted and Change(Setting.SERVICE_LEVEL, level, wanted)
        assert [one.change for one in found if one.kind == "POLICY"] == [expected]


def test_what_was_listed_without_stock_is_said() -> None:
    """Nothing was lost that anybody could reckon, and yet it is no way to sell."""
    [advice] = review_of(record(Tape("TEA", 0).record())).advice
    assert (advice.kind, advice.sku, "整场没有库存" in advice.text) == ("STOCK", "TEA", True)
