"""The replay's own books: what was answered to each step, and so what must be on hand. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import Enum, auto

from google.rpc import status_pb2

from gateway.cli.errors import Problem
from gateway.cli.patience import WORTH_REPEATING
from gateway.cli.refusals import problem_of_status
from gateway.cli.schedule import Event, Step
from gateway.v1 import stock_service_pb2


class Verdict(Enum):
    """What an answer means for the order."""

    GOES_ON = auto()
    ENDS = auto()
    AGAIN = auto()


@dataclass
class Tally:
    """Counts of orders, by what the gateway answered. One order is one unit."""

    accepted: int = 0
    refused: int = 0
    committed: int = 0
    retaken: int = 0
    paid_too_late: int = 0
    returned: int = 0
    commands: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    first_failure: Problem | None = None
    last_delay: Problem | None = None
    unpaid_reservation_ids: set[str] = field(default_factory=set)
    _reservation_ids: dict[str, str] = field(default_factory=dict)

    @property
    def on_hand_change(self) -> int:
        """What the answers did to on hand."""
        return self.returned - self.committed

    @property
    def failed(self) -> int:
        """Commands that were answered with an error nobody expects here."""
        return self.failures.total()

    def reservation_id(self, event: Event) -> str:
        """The reservation that the event's order has now."""
        return self._reservation_ids[event.order.number]

    def enter(self, event: Event, result: stock_service_pb2.BatchResult) -> Verdict:
        """Enters one answer."""
        if result.WhichOneof("outcome") == "error":
            return self._enter_error(event, result.error)
        self.commands += 1
        match event.step:
            case Step.RESERVE:
                return self._enter_reserved(event, result.reserve.reservation.reservation_id)
            case Step.COMMIT:
                return self._enter_committed(event, result.commit)
            case Step.RETURN:
                self.returned += 1
                return Verdict.ENDS

    def _enter_reserved(self, event: Event, reservation_id: str) -> Verdict:
        self.accepted += 1
        if event.order.pay_time is None:
            self.unpaid_reservation_ids.add(reservation_id)
            return Verdict.ENDS
        self._reservation_ids[event.order.number] = reservation_id
        return Verdict.GOES_ON

    def _enter_committed(self, event: Event, response: stock_service_pb2.CommitReservationResponse) -> Verdict:
        if response.shortfalls:
            self.paid_too_late += 1
            return Verdict.ENDS
        self.committed += 1
        sold_id = response.reservation.reservation_id
        if sold_id != self._reservation_ids[event.order.number]:
            self.retaken += 1
            self._reservation_ids[event.order.number] = sold_id
        return Verdict.GOES_ON

    def _enter_error(self, event: Event, status: status_pb2.Status) -> Verdict:
        problem = problem_of_status(status)
        if problem.code in WORTH_REPEATING:
            self.last_delay = problem
            return Verdict.AGAIN
        self.commands += 1
        if event.step is Step.RESERVE and problem.reason == "INSUFFICIENT_STOCK":
            self.refused += 1
        else:
            self.failures[problem.reason or problem.code] += 1
            self.first_failure = self.first_failure or problem
        return Verdict.ENDS
