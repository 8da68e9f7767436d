"""A reservation's life, as a table.

                 commit       release     expire     extend, resize   return
    HELD         COMMITTED    RELEASED    EXPIRED    HELD             -
    COMMITTED    -            -           -          -                COMMITTED
    RELEASED     -            -           -          -                -
    EXPIRED      -            -           -          -                -

"-" is an error that changes nothing and says what came first (R6); an expiry alone, which nobody asked for, then does
nothing and says nothing. A HELD reservation whose time has come counts as
EXPIRED from that instant on, whether or not the sweeper has been there (R7). `held` keeps what was promised when the
reservation was resolved; only that of HELD reservations counts as reserved.
"""

from datetime import datetime
from enum import IntEnum

from msgspec import Struct

from gateway.domain.errors import GatewayError, ReservationExpired, ReservationNotCommitted, ReservationResolved


class ReservationState(IntEnum):
    """Where a reservation is in its life. The numbers are those of the proto and are stored."""

    HELD = 1
    COMMITTED = 2
    RELEASED = 3
    EXPIRED = 4


class Allotment(Struct, frozen=True, array_like=True, gc=False):
    """Units of one line at one location: promised, of those sold, of those come back."""

    location: str
    held: int = 0
    committed: int = 0
    returned: int = 0


class Line(Struct, frozen=True, array_like=True, gc=False):
    """One line of a reservation; `line_number` from 1, `location` as asked ("" if any would do)."""

    line_number: int
    sku: str
    location: str
    requested: int
    allotments: tuple[Allotment, ...]

    @property
    def held(self) -> int:
        """Units promised."""
        return sum(allotment.held for allotment in self.allotments)

    @property
    def returnable(self) -> int:
        """Units sold that have not come back."""
        return sum(allotment.committed - allotment.returned for allotment in self.allotments)


class Reservation(Struct, frozen=True, array_like=True, gc=False):
    """A promise of units to one order."""

    reservation_id: int
    state: ReservationState
    lines: tuple[Line, ...]
    order_id: str
    create_time: datetime
    expire_time: datetime
    resolve_time: datetime | None = None
    replaces_reservation_id: int | None = None
    replaced_by_reservation_id: int | None = None
    locations: tuple[str, ...] = ()

    def state_at(self, now: datetime) -> ReservationState:
        """The state at `now`: a held one whose time has come is expired (R7)."""
        if self.state is ReservationState.HELD and now >= self.expire_time:
            return ReservationState.EXPIRED
        return self.state

    def require_open(self, now: datetime) -> None:
        """Raise what came first unless the reservation is open at `now` (R6)."""
        if self.state_at(now) is not ReservationState.HELD:
            raise self._resolved_first(now)

    def require_committed(self, now: datetime) -> None:
        """Raise `ReservationNotCommitted` unless the reservation was sold."""
        state = self.state_at(now)
        if state is not ReservationState.COMMITTED:
            raise ReservationNotCommitted(
                f"reservation {self.reservation_id} is {state.name}, not COMMITTED: nothing of it can come back",
                field="reservation_id",
                reservation_id=self.reservation_id,
                state=state.name,
            )

    def _resolved_first(self, now: datetime) -> GatewayError:
        state = self.state_at(now)
        when = (self.resolve_time or self.expire_time).isoformat()
        kind = ReservationExpired if state is ReservationState.EXPIRED else ReservationResolved
        return kind(
            f"reservation {self.reservation_id} is {state.name} since {when}",
            field="reservation_id",
            reservation_id=self.reservation_id,
            state=state.name,
            resolve_time=when,
        )
