"""A picture of one session: stock, pace and tiers over time. Needs matplotlib, which comes with `stockgate[plot]`."""

from __future__ import annotations

from bisect import bisect_left
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from gateway.cli.trials.days import Day
from gateway.domain.baselines import Session, Tiers
from gateway.domain.demand import rates
from gateway.domain.tiers import Tier

UNITS_SHARE = 0.5  # of the day's orders: enough to see every tier
COLOURS = {Tier.TREND: "#9ecae1", Tier.THRESHOLD: "#fdd49e", Tier.URGENT: "#fc8d59", Tier.SOLD_OUT: "#969696"}
HOUR_SECONDS = 3_600.0


def draw(day: Day, lead_seconds: float, units: int | None, path: Path) -> None:
    """Draws the day from its opening until an hour after the stock-out. Raises OSError or ValueError for the file."""
    figure = Figure(figsize=(11, 6), layout="constrained")
    FigureCanvasAgg(figure)
    above, below = figure.subplots(2, 1, sharex=True)
    times, stock, pace, tiers = _played(day, lead_seconds, units or int(len(day.units) * UNITS_SHARE))
    hours = [time * day.compression / HOUR_SECONDS for time in times]
    above.step(hours, stock, where="post", color="black")
    above.set_ylabel("units left")
    below.plot(hours, [fast for fast, _ in pace], linewidth=0.8, label="fast")
    below.plot(hours, [slow for _, slow in pace], label="slow")
    below.set_ylabel("orders per minute")
    below.set_xlabel(
        "hour of the day" if day.compression == 1 else f"hour of the day, played {day.compression:g}x as fast"
    )
    below.legend(loc="upper left")
    for tier, colour in COLOURS.items():
        spans = [(hours[i], hours[i + 1]) for i in range(len(hours) - 1) if tiers[i] is tier]
        for place, (left, right) in enumerate(spans):
            for axes in (above, below):
                axes.axvspan(left, right, color=colour, linewidth=0, label=tier.name if place == 0 else None)
    above.legend(loc="lower left")
    figure.savefig(path)


def _played(
    day: Day, lead_seconds: float, units: int
) -> tuple[list[float], list[int], list[tuple[float, float]], list[Tier]]:
    watcher = Tiers(Session(day.history, day.opens, lead_seconds, units))
    times: list[float] = []
    stock: list[int] = []
    pace: list[tuple[float, float]] = []
    tiers: list[Tier] = []
    sold_out = day.ends
    for time, sold in day.moments[bisect_left(day.moments, (day.opens, -1)) :]:
        if time > sold_out + HOUR_SECONDS / day.compression:
            break
        if sold and units:
            units = max(0, units - sold)
            watcher.sees(time, sold)
            sold_out = time if units == 0 else sold_out
        curve = day.history.curve
        minute = curve.shop_time(time + 30) - curve.shop_time(time - 30)
        fast, slow = rates(watcher.pace, time, curve)
        times.append(time)
        stock.append(units)
        pace.append((fast * minute, slow * minute))
        tiers.append(watcher.tier(time, units))
    return times, stock, pace, tiers
