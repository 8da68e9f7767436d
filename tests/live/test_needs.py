"""What rooms will be short of: the time until their end, in the time in which sales are counted."""

from datetime import timedelta

import pytest

from gateway.domain.alerts import Session, SessionSku
from gateway.domain.vigil import Tempo
from gateway.live.needs import seconds_left
from tests.selling.timeline import START


@pytest.mark.parametrize(
    ("minutes", "speed", "seconds"),
    [
        (120.0, 1.0, 7_200.0),
        (2.0, 120.0, 14_400.0),  # a case that is played fast
        (1.0, 1.0, 900.0),  # it will go on for a while
        (-30.0, 1.0, 900.0),
        (-121.0, 1.0, 3_600.0),  # nobody has closed it
    ],
)
def test_the_end_is_as_far_as_sales_are_counted(minutes: float, speed: float, seconds: float) -> None:
    """Where an hour of sales passes in seconds, so does an hour of the session; nobody ends within a moment."""
    room = Session("room", ("tb",), (SessionSku("CUP", 0, 0),), START, START + timedelta(minutes=minutes))
    assert seconds_left(room, START, Tempo(speed)) == pytest.approx(seconds)


def test_where_no_session_ends_an_hour_is_looked_ahead() -> None:
    """Units that are sold without a live room are needed, too."""
    assert seconds_left(None, START, Tempo()) == 3_600.0
