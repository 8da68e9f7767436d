"""What a database keeps between two groups, in memory: loads and saves what `gateway/store/groups.py` does, no more.

Only what a group's `needs` ask for is loaded, and only the columns that the store writes are kept; commands, answers
and lines go through the same encodings.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from gateway.domain.book import Book
from gateway.domain.changes import Changes, Counters, LevelKey
from gateway.domain.commands import AnyAnswer, AnyCommand, CountNeed, Recorded
from gateway.domain.groups import Needs, Outcome, Span, decide, needs
from gateway.domain.reservations import Line, Reservation
from gateway.domain.stock import Level, Movement, Shortfall, SkuRule

_encode = msgspec.msgpack.Encoder().encode
_decode_command = msgspec.msgpack.Decoder(AnyCommand).decode
_decode_answer = msgspec.msgpack.Decoder(AnyAnswer).decode
_encode_lines = msgspec.json.Encoder().encode
_decode_lines = msgspec.json.Decoder(tuple[Line, ...]).decode


class SavedLedger(Struct):
    """One merchant's tables. Two that are equal hold the same."""

    locations: tuple[str, ...]
    skus: dict[str, SkuRule]
    counters: Counters = Counters()
    levels: dict[LevelKey, Level] = {}
    journal: list[Movement] = []
    reservations: dict[int, Reservation] = {}
    requests: dict[str, tuple[bytes, bytes]] = {}
    shortfalls: list[Shortfall] = []

    def apply(self, now: datetime, commands: Sequence[AnyCommand], spans: Sequence[Span] = ()) -> list[Outcome]:
        """Decide one group on a book of its own, and save what it changed."""
        book = self.load(now, needs(commands))
        outcomes = decide(book, commands, spans)
        self.save(book.changed())
        return outcomes

    def load(self, now: datetime, needed: Needs) -> Book:
        reservations = {number: self.reservations[number] for number in needed.reservation_ids & set(self.reservations)}
        skus = needed.skus.union(line.sku for reservation in reservations.values() for line in reservation.lines)
        return Book(
            now=now,
            counters=self.counters,
            locations=self.locations,
            skus={sku: self.skus[sku] for sku in skus & set(self.skus)},
            levels={place: level for place, level in self.levels.items() if level.sku in skus},
            reservations=reservations,
            recorded={one: self._recorded(one) for one in needed.request_ids if one in self.requests},
            changed_since=self._changed_since(needed),
        )

    def save(self, changes: Changes) -> None:
        if changes.is_empty:
            return
        self.counters = changes.counters
        self.journal += changes.movements
        self.levels |= changes.levels
        self.skus |= changes.skus
        self.shortfalls += changes.shortfalls
        for recorded in changes.recorded:
            assert recorded.command.request_id not in self.requests, "a request id is kept once"
            self.requests[recorded.command.request_id] = (_encode(recorded.command), _encode(recorded.answer))
        for new in changes.reservations_new:
            assert new.reservation_id not in self.reservations, "a reservation is made once"
            self.reservations[new.reservation_id] = replace(_stored(new), replaced_by_reservation_id=None)
        for changed in changes.reservations_changed:
            kept = self.reservations[changed.reservation_id]
            columns = ("state", "lines", "expire_time", "resolve_time", "replaced_by_reservation_id")
            values = {column: getattr(_stored(changed), column) for column in columns}
            self.reservations[changed.reservation_id] = replace(kept, **values)

    def _recorded(self, request_id: str) -> Recorded:
        command, answer = self.requests[request_id]
        return Recorded(_decode_command(command), _decode_answer(answer))

    def _changed_since(self, needed: Needs) -> dict[CountNeed, int]:
        found = {}
        for count in needed.counts:
            place = (count.sku, count.location or self.locations[0])
            later = self._recorded_and_occurred_after(count.since)
            found[count] = sum(m.on_hand_change for m in later if (m.sku, m.location) == place)
        return found

    def _recorded_and_occurred_after(self, since: datetime) -> Iterable[Movement]:
        return (m for m in self.journal if m.record_time > since and m.occur_time > since)


def _stored(reservation: Reservation) -> Reservation:
    return replace(reservation, lines=_decode_lines(_encode_lines(reservation.lines)))
