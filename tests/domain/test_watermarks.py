"""Whose orders do not come in: told by a watermark that rests, whatever the platform's clock says."""

from datetime import UTC, datetime, timedelta

from gateway.alerts.surroundings import Surroundings
from gateway.domain.vigil import Key
from gateway.domain.watermarks import RESTS, Watermarks
from gateway.store.desk import DeskState
from gateway.store.standings import ChannelLife, SkuFacts

START = datetime(2026, 11, 11, 20, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def test_a_watermark_that_rests_is_noticed_by_our_own_clock() -> None:
    """A platform's clock may be hours off; what counts is how long the watermark has been seen not to move."""
    seen, mark = Watermarks(), START - timedelta(hours=6)
    assert seen.resting({"tb": mark, "dy": None}, START) == frozenset()
    assert seen.resting({"tb": mark, "dy": None}, START + RESTS) == frozenset()
    assert seen.resting({"tb": mark, "dy": None}, START + RESTS + SECOND) == {"tb"}
    assert seen.resting({"tb": mark, "dy": None}, START + RESTS + SECOND, 2 * RESTS) == frozenset()
    assert seen.resting({"tb": mark + SECOND, "dy": mark}, START + RESTS + SECOND) == frozenset()


def test_a_key_whose_orders_do_not_come_in_is_stale() -> None:
    """Silence is no good news: while nobody walks through a channel's orders, nothing of its SKUs is known."""

    def judged(at: datetime, mark: datetime, before: Surroundings | None) -> Surroundings:
        desk, facts = DeskState({}, {}, (), (), (), "", None), SkuFacts("tea", "茶", None, None, ("dy",))
        return Surroundings(desk, (), {"tea": facts}, [ChannelLife("dy", at, mark)], at, before)

    first = judged(START, START, None)
    later = judged(START + 31 * SECOND, START, first)
    again = judged(START + 32 * SECOND, START + SECOND, later)
    assert [one.circumstances(Key("tea")).is_stale for one in (first, later, again)] == [False, True, False]
