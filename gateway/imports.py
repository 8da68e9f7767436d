"""Use cases of many lines at once: SKUs and listings, in and out.

An import is judged whole before anything is changed, and changes nothing if one line is refused. Listings are written
in one transaction. Of SKUs the ledger's writer takes what it decides by (safety stock) first, some hundred at a time so
that sales go on meanwhile; if the database is lost underway, the same import again does the rest.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Sequence
from enum import StrEnum
from uuid import uuid4

from msgspec import Struct
from msgspec.structs import replace

from gateway.domain.commands import SetSafetyStock
from gateway.domain.errors import AlreadyExists, ChannelUnknown, GatewayError, InvalidArgument, SkuUnknown
from gateway.domain.listings import Listing
from gateway.shops import is_same, require_idle
from gateway.store import catalog, shops
from gateway.store.catalog import Sku
from gateway.store.database import MerchantDatabase, ReadConnection
from gateway.writer import Writer

# Ten thousand lines take a second or two; a busy database may need longer.
TIMEOUT_SECONDS = 30.0
# So many safety stocks are one group of the writer: small enough to be no hindrance to who sells.
COMMANDS_AT_ONCE = 200
# So many lines are judged before the loop turns to others.
LINES_AT_ONCE = 250
PAGE_ROWS = 1_000


class ImportResult(StrEnum):
    """What happens to a line."""

    CREATED = "CREATED"
    UPDATED = "UPDATED"
    UNCHANGED = "UNCHANGED"
    REFUSED = "REFUSED"


class Line(Struct, frozen=True):
    """One line as it was read: what it wants, or why it cannot be read. `key` is for people."""

    number: int
    key: str
    wanted: Sku | Listing | None
    refusal: GatewayError | None = None


class Judged(Struct, frozen=True):
    """What happens to a line; `stored` is what will be there, None if it was refused."""

    line: Line
    result: ImportResult
    stored: Sku | Listing | None = None
    refusal: GatewayError | None = None


class Report(Struct, frozen=True):
    """What happened, or would, line by line."""

    lines: Sequence[Judged]
    applied: bool


class Imports:
    """Imports and exports of one merchant."""

    def __init__(self, database: MerchantDatabase, writer: Writer) -> None:
        """Use the merchant's store, and its writer for what the ledger decides by."""
        self._database = database
        self._writer = writer

    async def import_skus(self, lines: Sequence[Line], columns: Collection[str], *, dry_run: bool) -> Report:
        """Create SKUs, and change those columns of the ones there are; raises `AlreadyExists`, as a race."""
        async with self._database.transaction(TIMEOUT_SECONDS) as connection:
            judged, before = await _judge_skus(connection, lines, columns)
        if dry_run or _any_refused(judged):
            return Report(judged, applied=False)
        changed = _stored_skus(judged, ImportResult.UPDATED)
        await self._set_safety_stocks([sku for sku in changed if sku.safety_stock != before[sku.sku].safety_stock])
        async with self._database.transaction(TIMEOUT_SECONDS) as connection:
            new = _stored_skus(judged, ImportResult.CREATED)
            if await catalog.create_skus(connection, new) < len(new):
                raise AlreadyExists("somebody else has created one of these SKUs just now; import again", field="csv")
            await catalog.update_skus(connection, changed, columns)
        return Report(judged, applied=True)

    async def import_listings(self, lines: Sequence[Line], columns: Collection[str], *, dry_run: bool) -> Report:
        """Link listings, and link those anew that are made of something else now."""
        async with self._database.transaction(TIMEOUT_SECONDS) as connection:
            judged = await _judge_listings(connection, lines, columns)
        if dry_run or _any_refused(judged):
            return Report(judged, applied=False)
        if all(one.result is ImportResult.UNCHANGED for one in judged):
            return Report(judged, applied=True)
        async with self._database.transaction(TIMEOUT_SECONDS) as connection:
            version = await shops.begin_change(connection, self._database.schema)
            # Nobody can change what decides from here on, nor sell anything; meanwhile somebody may have.
            changing = [one.line for one in judged if one.result is not ImportResult.UNCHANGED]
            anew = {one.line.number: one for one in await _judge_listings(connection, changing, columns)}
            judged = [anew.get(one.line.number, one) for one in judged]
            if _any_refused(judged):
                return Report(judged, applied=False)
            await shops.link_listings(connection, _stored_listings(judged, ImportResult.CREATED), version)
            await shops.relink_listings(connection, _stored_listings(judged, ImportResult.UPDATED), version)
        return Report(judged, applied=True)

    async def export_skus(self) -> AsyncIterator[list[Sku]]:
        """All SKUs, by code, some at a time."""
        after = ""
        while True:
            async with self._database.transaction() as connection:
                page = await catalog.list_skus(connection, prefix="", after=after, count_max=PAGE_ROWS)
            if not page:
                return
            yield page
            after = page[-1].sku

    async def export_listings(self) -> AsyncIterator[list[Listing]]:
        """All listings, by number, some at a time."""
        after = 0
        while True:
            async with self._database.transaction() as connection:
                page = await shops.list_listings(connection, after=after, count_max=PAGE_ROWS)
            if not page:
                return
            yield page
            after = page[-1].listing_id

    async def _set_safety_stocks(self, changed: list[Sku]) -> None:
        for begin in range(0, len(changed), COMMANDS_AT_ONCE):
            some = changed[begin : begin + COMMANDS_AT_ONCE]
            commands = [SetSafetyStock(f"import-{uuid4()}", sku.sku, sku.safety_stock) for sku in some]
            for outcome in await self._writer.apply(commands):
                if isinstance(outcome, GatewayError):
                    raise outcome


# ---- judging


async def _judge_skus(
    connection: ReadConnection, lines: Sequence[Line], columns: Collection[str]
) -> tuple[list[Judged], dict[str, Sku]]:
    """What happens to each line, and the SKUs that are there already."""
    wanted = [line.wanted for line in lines if isinstance(line.wanted, Sku)]
    known = await catalog.read_skus(connection, [sku.sku for sku in wanted])
    substitutes = {code for sku in wanted for code in sku.substitutes}
    there = await catalog.known_skus(connection, substitutes) | {sku.sku for sku in wanted}

    def judge(line: Line) -> Judged:
        assert isinstance(line.wanted, Sku)
        for code in line.wanted.substitutes:
            if code not in there:
                raise SkuUnknown(f"no SKU has the code {code!r}, and no line makes it", field="substitutes")
        before = known.get(line.wanted.sku)
        if before is None:
            return Judged(line, ImportResult.CREATED, line.wanted)
        after = replace(before, **{name: getattr(line.wanted, name) for name in columns})
        return Judged(line, ImportResult.UNCHANGED if after == before else ImportResult.UPDATED, after)

    return await _judge_all(lines, judge), known


async def _judge_listings(connection: ReadConnection, lines: Sequence[Line], columns: Collection[str]) -> list[Judged]:
    wanted = [line.wanted for line in lines if isinstance(line.wanted, Listing)]
    known = await shops.read_listings(connection, [listing.key for listing in wanted])
    channels = await shops.known_channels(connection, {listing.channel for listing in wanted})
    codes = {component.sku for listing in wanted for component in listing.components}
    there = await catalog.known_skus(connection, codes)

    def judge(line: Line) -> Judged:
        listing = line.wanted
        assert isinstance(listing, Listing)
        if listing.channel not in channels:
            raise ChannelUnknown(f"no channel has the code {listing.channel!r}", field="channel")
        for component in listing.components:
            if component.sku not in there:
                raise SkuUnknown(f"no SKU has the code {component.sku!r}", field="components")
        before = known.get(listing.key)
        if before is None:
            return Judged(line, ImportResult.CREATED, listing)
        takes_on = listing.takes_on if "takes_on" in columns else before.takes_on
        after = replace(before, components=listing.components, takes_on=takes_on)
        if is_same(after, before):
            return Judged(line, ImportResult.UNCHANGED, before)
        require_idle(before, "components")
        return Judged(line, ImportResult.UPDATED, after)

    return await _judge_all(lines, judge)


def _without_repeats(lines: Iterable[Line]) -> list[Line]:
    """The lines, those refused that name what an earlier one has named."""
    first: dict[object, int] = {}
    kept = []
    for line in lines:
        if line.wanted is not None:
            name = line.wanted.sku if isinstance(line.wanted, Sku) else line.wanted.key
            number = first.setdefault(name, line.number)
            if number != line.number:
                field = "sku" if isinstance(line.wanted, Sku) else "item_id"
                line = replace(line, refusal=InvalidArgument(f"line {number} says it already", field=field))
        kept.append(line)
    return kept


async def _judge_all(lines: Iterable[Line], judge: Callable[[Line], Judged]) -> list[Judged]:
    judged = []
    for line in _without_repeats(lines):
        judged.append(_judged(line, judge))
        if len(judged) % LINES_AT_ONCE == 0:
            await asyncio.sleep(0)
    return judged


def _judged(line: Line, judge: Callable[[Line], Judged]) -> Judged:
    refusal = line.refusal
    if refusal is None:
        try:
            return judge(line)
        except GatewayError as error:
            refusal = error
    return Judged(line, ImportResult.REFUSED, refusal=refusal)


def _any_refused(judged: Iterable[Judged]) -> bool:
    return any(one.result is ImportResult.REFUSED for one in judged)


def _stored_skus(judged: Iterable[Judged], result: ImportResult) -> list[Sku]:
    return [one.stored for one in judged if one.result is result and isinstance(one.stored, Sku)]


def _stored_listings(judged: Iterable[Judged], result: ImportResult) -> list[Listing]:
    return [one.stored for one in judged if one.result is result and isinstance(one.stored, Listing)]
