"""Every key that is awake, in memory: takes movements and ticks in, and gives back what there is to tell.

Ticks lie on a grid of the ledger's clock. What is older than ten minutes is taken in but not looked at: what was so
then, and is not any more, nobody could act upon.
"""

import asyncio
from collections.abc import Iterable, Sequence
from itertools import groupby

from gateway.alerts.surroundings import Surroundings
from gateway.domain.stock import MovementKind
from gateway.domain.tiers import TierChange
from gateway.domain.vigil import Key, Moved, Tempo, Watched, begin_watch, is_awake, looked, moved, whole_orders
from gateway.store.standings import Stand

TICK_SECONDS = 5.0
LOOKED_AT_SECONDS_MAX = 600.0
# So many keys are looked at before others have their turn in this process.
KEYS_AT_ONCE = 100

Told = tuple[Key, TierChange]


class Entry:
    """A key as of a movement and a moment; `is_saved` says that its row is as it is here."""

    __slots__ = ("event_revision", "is_saved", "journal_revision", "seen", "state_version", "watched")

    def __init__(
        self, watched: Watched, journal_revision: int, seen: float, state_version: int = 0, event_revision: int = 0
    ) -> None:
        """A key, as its row has it or as it begins."""
        self.watched = watched
        self.journal_revision = journal_revision
        self.seen = seen
        self.state_version = state_version
        self.event_revision = event_revision
        self.is_saved = state_version > 0


class Lookout:
    """The keys that are awake. `revision` and `ticked` say how far the journal and the clock have been taken in."""

    def __init__(
        self,
        revision: int,
        ticked: float,
        tempo: Tempo = Tempo(),  # noqa: B008 - frozen, so one for all
    ) -> None:
        """Begin after a movement and a tick, with no keys."""
        self.entries: dict[Key, Entry] = {}
        self._tempo = tempo
        self._looked_at_seconds = LOOKED_AT_SECONDS_MAX * tempo.speed
        self.revision = revision
        self.ticked = ticked // TICK_SECONDS * TICK_SECONDS
        self.arrived: list[Moved] = []
        # Since others had their turn.
        self._looked_at = 0

    def keep(self, stands: Sequence[Stand]) -> None:
        """Know these keys as their rows have them; who is known already knows better."""
        for s in stands:
            if s.key not in self.entries:
                self.entries[s.key] = Entry(
                    s.watched, s.journal_revision, self._tempo.seconds(s.seen_time), s.state_version, s.event_revision
                )

    def begin(self, key: Key, balances: dict[str, int], surroundings: Surroundings, at: float) -> None:
        """Know a key nobody has watched before, with the units it had after `revision`; its history begins `at`."""
        watched = begin_watch(balances, surroundings.circumstances(key), at)
        self.entries[key] = Entry(watched, self.revision, 0.0)

    async def take(self, batch: Sequence[Moved], surroundings: Surroundings, now: float) -> list[Told]:
        """Take movements in, in order, with the ticks between them. What was recorded at one moment must be whole."""
        told: list[Told] = []
        for at, together in groupby(batch, key=lambda movement: movement.time):
            told += await self.tick(at, surroundings, now)
            touched: dict[Key, Entry] = {}
            for movement in whole_orders(list(together)):
                self.revision = movement.revision
                if surroundings.knows(movement.sku):
                    self._take(movement, surroundings, touched)
            if at >= now - self._looked_at_seconds:
                told += await self._look_in_turns(list(touched.items()), at, surroundings)
        return told

    async def tick(self, until: float, surroundings: Surroundings, now: float) -> list[Told]:
        """Play the ticks up to a time."""
        told: list[Told] = []
        while self.ticked + TICK_SECONDS <= until:
            self.ticked += TICK_SECONDS
            if self.ticked < now - self._looked_at_seconds:
                continue
            everybody = [(key, entry) for key, entry in self.entries.items() if entry.seen < self.ticked]
            told += await self._look_in_turns(everybody, self.ticked, surroundings)
        return told

    def look_again(self, skus: Iterable[str], surroundings: Surroundings) -> list[Told]:
        """Look at the keys of these SKUs as of the last tick: what bears on them has changed."""
        keys = [key for sku in sorted(skus) if surroundings.knows(sku) for key in surroundings.keys_of(sku)]
        return self._look_at([(key, self.entries[key]) for key in keys], self.ticked, surroundings)

    def is_awake(self, key: Key, surroundings: Surroundings) -> bool:
        """True while time alone may change what is to be told of the key."""
        if not surroundings.knows(key.sku) or not surroundings.is_current(key):
            return False
        return is_awake(self.entries[key].watched, self.ticked, surroundings.circumstances(key))

    def stand(self, key: Key) -> Stand:
        """The key's next row."""
        entry = self.entries[key]
        seen = self._tempo.time(max(entry.seen, self.ticked))
        return Stand(key, entry.watched, entry.state_version + 1, entry.event_revision, entry.journal_revision, seen)

    def saved(self, keys: Iterable[Key]) -> None:
        """The rows of these keys were written."""
        for key in keys:
            entry = self.entries[key]
            entry.state_version += 1
            entry.is_saved = True

    def _take(self, movement: Moved, surroundings: Surroundings, touched: dict[Key, Entry]) -> None:
        for key in surroundings.keys_of(movement.sku):
            entry = self.entries[key]
            if movement.revision <= entry.journal_revision:
                continue
            entry.journal_revision = movement.revision
            if not surroundings.concerns(key, movement):
                continue
            watched = moved(entry.watched, movement, surroundings.circumstances(key))
            if watched is not entry.watched:
                entry.watched, entry.is_saved = watched, False
                touched[key] = entry
            if not key.session_id and movement.kind in {MovementKind.RECEIVE, MovementKind.TRANSFER_IN}:
                self.arrived.append(movement)

    async def _look_in_turns(
        self, those: Sequence[tuple[Key, Entry]], at: float, surroundings: Surroundings
    ) -> list[Told]:
        """Look at these, and let others have their turn now and then."""
        told: list[Told] = []
        for start in range(0, len(those), KEYS_AT_ONCE):
            some = those[start : start + KEYS_AT_ONCE]
            told += self._look_at(some, at, surroundings)
            self._looked_at += len(some)
            if self._looked_at >= KEYS_AT_ONCE:
                self._looked_at = 0
                await asyncio.sleep(0)
        return told

    def _look_at(self, those: Iterable[tuple[Key, Entry]], at: float, surroundings: Surroundings) -> list[Told]:
        told = []
        for key, entry in those:
            if not surroundings.knows(key.sku) or not surroundings.is_current(key):
                continue
            entry.seen = max(at, entry.seen)
            watched, change = looked(entry.watched, entry.seen, surroundings.circumstances(key))
            if watched is not entry.watched:
                entry.watched, entry.is_saved = watched, False
            if change is not None:
                told.append((key, change))
        return told
