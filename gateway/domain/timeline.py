"""Everything that happened to a SKU as one line of time.

Entries come from several tables, each with numbers of its own. What orders them all is (time, source, numbers): two
entries never compare equal, so that a page can end between any two, and the next begins just there whatever has been
added meanwhile. Of what was recorded at one moment, the cause has the lower source.
"""

from datetime import datetime
from enum import IntEnum
from typing import Any

from msgspec import Struct

from gateway.domain.listings import Listing


class Kind(IntEnum):
    """What an entry is about. The numbers are those of the proto."""

    MOVEMENT = 1
    PUSH = 2
    ATTEMPT = 3
    READING = 4
    ORDER = 5
    EVENT = 6
    PERSON = 7
    SHORTFALL = 8


class Source(IntEnum):
    """Which rows an entry comes from, causes before effects. The numbers are in page tokens."""

    PERSON = 1
    MOVEMENT = 2
    SHORTFALL = 3
    EVENT = 4
    PUSH = 5
    ATTEMPT = 6
    RESULT = 7
    READING = 8
    DRIFT = 9
    RESOLUTION = 10


class Place(Struct, frozen=True, array_like=True, order=True):
    """Where an entry stands; the newest place is the greatest. `numbers` are those of its row."""

    time: datetime
    source: Source
    numbers: tuple[int, ...]


class Row(Struct, frozen=True):
    """The row behind an entry, as the API names it."""

    kind: str
    id: str


class Entry(Struct, frozen=True):
    """One thing that happened; `text` in Chinese, `text_en` in English. `detail` is the row itself."""

    place: Place
    kind: Kind
    row: Row
    text: str
    text_en: str
    channel: str = ""
    actor: str = ""
    traceparent: str | None = None
    detail: Any = None


class Shown(Struct, frozen=True):
    """What a listing showed when it was read, as it was recorded."""

    listing_id: int
    version: int
    record_time: datetime
    shown: int


class Wanted(Struct, frozen=True):
    """Which entries of a SKU: `since` included, `until` not; no kinds: all."""

    sku: str
    since: datetime | None = None
    until: datetime | None = None
    kinds: frozenset[Kind] = frozenset()
    include_drills: bool = False


def name_of(listing: Listing) -> str:
    """What a listing is called among people: its channel and the platform's ids."""
    variant = f"/{listing.platform_sku_id}" if listing.platform_sku_id else ""
    return f"{listing.channel} {listing.item_id}{variant}"
