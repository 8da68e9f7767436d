"""Every figure of warnings, in order: the engine, then its streams."""

from functools import partial
from pathlib import Path

from tests.bench.alert_engine import order_cost, sale_to_tier_change
from tests.bench.alert_streams import last_of_a_thousand, one_stops_reading, weight_of_subscribers
from tests.bench.selling import Step


def steps(folder: Path, rounds: int, *, quick: bool) -> dict[str, Step]:
    """What can be measured, by name; each makes what it needs in the folder, and takes it down again."""
    return {
        "order_cost": partial(order_cost, rounds),
        "sale_to_tier_change": partial(sale_to_tier_change, folder, quick=quick),
        "last_of_a_thousand": partial(last_of_a_thousand, folder, rounds),
        "one_stops_reading": partial(one_stops_reading, folder, rounds),
        "weight_of_subscribers": partial(weight_of_subscribers, folder, quick=quick),
    }
