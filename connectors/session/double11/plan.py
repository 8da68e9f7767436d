"""What is played: the numbers of the case, and its clock. Minutes are those of the case, from its beginning."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from connectors.sandbox.city import CitySettings

MINUTES = 360.0
# So many times faster than the clock: the six hours take three minutes.
SPEED, SPEED_MIN, SPEED_MAX = 120.0, 30.0, 600.0

UNITS, UNITS_NEAR, UNITS_OF_SUBSTITUTE = 500, 200, 300
MAIN, NEAR = "main", "near"
NEAR_TITLE = "近仓 near warehouse"
TITLES = ("陶瓷马克杯", "陶瓷汤碗")

# Orders over all shops before the guest comes, and how they are shared.
ORDERS_PER_MINUTE = 1.25
SHARES = {"taobao": 0.4, "douyin": 0.35, "kuaishou": 0.25}
# From which minute on there are how many times as many. The guest comes early in the third hour, speaks for an hour,
# and most of her audience stays.
GUEST_MINUTE = 125.0
PACES = ((0.0, 1.0), (GUEST_MINUTE, 4.0), (185.0, 3.2))
PACE_MAX = max(pace for _, pace in PACES)
PAYMENT_LIMIT_MINUTES = 15.0

# How long more takes to come, and the fastest way to get it.
LEAD_MINUTES, FASTEST_LEAD_MINUTES = 60.0, 30.0
# Below that a unit that comes back from an unpaid order does not end SOLD_OUT.
HARD_FLOOR = 10
# What a warning is compared with.
FIXED_LINE = 50

ROOM, HOST, GUEST = "双11直播间", "小满", "阿朗"
AGORA_CHANNEL = "double11"


@dataclass(frozen=True)
class CaseSettings:
    """What is to be played, on the gateway at this address, which counts `speed` seconds of sales in a second."""

    gateway: str
    speed: float = SPEED
    seed: int = 1
    faults: str = "calm"

    @property
    def city(self) -> CitySettings:
        """The platforms: what is sold, and what is offered when it is gone."""
        limit = timedelta(seconds=self.seconds(PAYMENT_LIMIT_MINUTES))
        return CitySettings(seed=self.seed, weather=self.faults, skus=len(TITLES), payment_limit=limit)

    def seconds(self, minutes: float) -> float:
        """So many minutes of the case, in seconds of the clock."""
        return minutes * 60 / self.speed


@dataclass(frozen=True)
class CaseClock:
    """When the case began, by the ledger's clock, and how fast it is played."""

    start: datetime
    speed: float

    def minute(self, time: datetime) -> float:
        """Which minute of the case it was then."""
        return (time - self.start).total_seconds() * self.speed / 60


def pace_at(minute: float) -> float:
    """How many times as many orders there are as in the beginning."""
    return [pace for since, pace in PACES if since <= max(0.0, minute)][-1]


def clock_text(minute: float) -> str:
    """A minute of the case as hours and minutes: 02:07."""
    whole = max(0, int(minute))
    return f"{whole // 60:02}:{whole % 60:02}"
