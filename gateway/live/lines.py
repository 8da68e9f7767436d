"""Lines for the chat: made from templates, not too often, never the same twice in a row.

Platforms take frequent equal replies for a robot's. So a room gets six lines a minute at most, a question the same
answer every twenty seconds, a viewer one a minute. What was said is in the alert log; whoever takes a line looks there
while it is locked, so all gateways together keep to it. Who asked is kept for a minute, in memory, as a salted hash.
"""

import hashlib
import secrets
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from msgspec import Struct

from gateway.domain import lines
from gateway.domain.alerts import Event, EventKind, News, Session, TakenLine
from gateway.domain.demand import StockOutTimes
from gateway.domain.errors import DrillUnknown, TemplateUnknown
from gateway.domain.hints import (
    SPOKEN_WITHIN,
    RoomView,
    SkuFacts,
    TierNow,
    is_on_its_way,
    sellable,
    spoken_tier,
    substitutes,
    values,
)
from gateway.domain.lines import BUILT_IN_TEMPLATES, Template, Values
from gateway.domain.phrases import EN
from gateway.domain.tiers import Tier
from gateway.live.rooms import Rooms, require_sold
from gateway.live.sessions import require_open
from gateway.store.alert_log import Appending, begin_append
from gateway.store.alert_requests import first_answer, keep_answer
from gateway.store.database import MerchantDatabase, read_time
from gateway.store.live import is_drill, lines_taken
from gateway.store.templates import delete_template, read_templates, write_template

ROOM_LINES_MAX = 6
ROOM_SPAN = timedelta(seconds=60)
INTENT_SPAN = timedelta(seconds=20)
VIEWER_SECONDS = 60.0
# More viewers than this within a minute: the oldest are forgotten.
VIEWERS_MAX = 100_000
# What marks a line that is rehearsed.
DRILL_MARKS = {EN: "[DRILL] "}
DRILL_MARK = "【演练】"


class Asked(Struct, frozen=True):
    """A viewer's question."""

    session_id: int
    sku: str
    intent: str
    viewer: str
    language: str
    drill_id: int = 0


class Line(Struct, frozen=True):
    """What to say; or, with an empty text, why nothing, and when to ask again."""

    text: str = ""
    quiet_reason: str = ""
    retry_after_ms: int = 0
    template_id: str = ""
    expire_time: datetime | None = None
    revision: int = 0


class SetTemplate(Struct, frozen=True):
    """What SetTemplate asks for."""

    template: Template
    actor: str


class DeleteTemplate(Struct, frozen=True):
    """What DeleteTemplate asks for."""

    template_id: str
    actor: str


class Lines:
    """What is said in one merchant's rooms."""

    def __init__(self, database: MerchantDatabase, rooms: Rooms, clock: Callable[[], float] = time.monotonic) -> None:
        """Ask the rooms for numbers; `clock` in seconds measures how long viewers have been quiet."""
        self._database = database
        self._rooms = rooms
        self._clock = clock
        self._salt = secrets.token_bytes(16)
        self._viewers: dict[bytes, float] = {}

    async def take(self, asked: Asked) -> Line:
        """A line to answer with, if one may be said now.

        Raises `SessionUnknown`, `SessionOver`, `SkuUnknown`, `DrillUnknown`.
        """
        # Looked at before anything is worked out or locked as well: a chat asks all the time.
        async with self._database.transaction() as connection:
            require_sold(await require_open(connection, asked.session_id), [asked.sku], "sku")
            if asked.drill_id and not await is_drill(connection, asked.drill_id):
                raise DrillUnknown(f"no drill has the number {asked.drill_id}", field="drill_id")
            now = await read_time(connection, self._database.now)
            recent = await lines_taken(connection, asked.session_id, asked.drill_id, now - ROOM_SPAN)
        if (waits := self._viewer_waits(asked)) > 0:
            return Line(quiet_reason="VIEWER_QUIET", retry_after_ms=_ms(timedelta(seconds=waits)))
        if (quiet := _quiet(recent, asked.intent, now)) is not None:
            return quiet
        session, view = await self._rooms.view(asked.session_id)
        async with self._database.transaction() as connection:
            log = await begin_append(connection, self._database)
            recent = await lines_taken(connection, asked.session_id, asked.drill_id, log.now - ROOM_SPAN)
            if (quiet := _quiet(recent, asked.intent, log.now)) is not None:
                return quiet
            line = await self._said(log, session, view, asked, recent)
        self._note_viewer(asked)
        return line

    async def _said(
        self, log: Appending, session: Session, view: RoomView, asked: Asked, recent: Sequence[Event]
    ) -> Line:
        mark = DRILL_MARKS.get(asked.language, DRILL_MARK) if asked.drill_id else ""
        before = next((e.body.text for e in recent if isinstance(e.body, TakenLine) and _is_for(e, asked)), "")
        text, template_id = speak(view, asked.sku, asked.intent, asked.language, log.next_revision, before[len(mark) :])
        expire_time = view.shelf.now + SPOKEN_WITHIN
        news = News(
            kind=EventKind.LINE_TAKEN,
            body=TakenLine(asked.intent, mark + text, template_id, asked.language),
            sku=asked.sku,
            channels=session.channels,
            session_ids=(session.session_id,),
            drill_id=asked.drill_id,
            observe_time=view.shelf.now,
            expire_time=expire_time,
        )
        (event,) = await log.append([news])
        return Line(mark + text, "", 0, template_id, expire_time, event.revision)

    # ---- viewers

    def _viewer_waits(self, asked: Asked) -> float:
        """Seconds until this viewer is answered again."""
        if not asked.viewer:
            return 0.0
        since = self._viewers.get(self._hash(asked))
        return 0.0 if since is None else max(0.0, since + VIEWER_SECONDS - self._clock())

    def _note_viewer(self, asked: Asked) -> None:
        if not asked.viewer:
            return
        now, key = self._clock(), self._hash(asked)
        self._viewers.pop(key, None)
        self._viewers[key] = now
        # Oldest first, for each is put at the end when it is answered.
        while self._viewers:
            oldest = next(iter(self._viewers))
            if self._viewers[oldest] > now - VIEWER_SECONDS and len(self._viewers) <= VIEWERS_MAX:
                break
            del self._viewers[oldest]

    def _hash(self, asked: Asked) -> bytes:
        who = f"{asked.session_id}/{asked.drill_id}/{asked.viewer}".encode()
        return hashlib.blake2b(who, key=self._salt, digest_size=16).digest()

    # ---- templates

    async def set_template(self, request_id: str, asked: SetTemplate) -> Template:
        """Store a template; raises `InvalidArgument`, `RequestIdReused`."""
        lines.require_sound(asked.template)
        async with self._database.transaction() as connection:
            await begin_append(connection, self._database)
            known = await first_answer(connection, request_id, "SetTemplate", asked, Template)
            if known is not None:
                return known
            await write_template(connection, asked.template)
            await keep_answer(connection, request_id, "SetTemplate", asked, asked.template)
            return asked.template

    async def delete_template(self, request_id: str, asked: DeleteTemplate) -> Template:
        """Go back to the built-in words, and say which; raises `TemplateUnknown`, `RequestIdReused`."""
        async with self._database.transaction() as connection:
            await begin_append(connection, self._database)
            known = await first_answer(connection, request_id, "DeleteTemplate", asked, Template)
            if known is not None:
                return known
            if not await delete_template(connection, asked.template_id):
                raise TemplateUnknown(
                    f"there is no template {asked.template_id!r} of the merchant's own", field="template_id"
                )
            built_in = BUILT_IN_TEMPLATES[asked.template_id]
            await keep_answer(connection, request_id, "DeleteTemplate", asked, built_in)
            return built_in

    async def templates(self, language: str) -> list[Template]:
        """The merchant's templates, and the built-in where there is none; of one language, if it is named."""
        async with self._database.transaction() as connection:
            own = await read_templates(connection)
        found = [own.get(name, built_in) for name, built_in in BUILT_IN_TEMPLATES.items()]
        found = [one for one in found if not language or one.language == language]
        return sorted(found, key=lambda one: (lines.INTENTS.index(one.intent), one.tier or 0, one.language))

    async def preview(self, template: Template, session_id: int, sku: str) -> list[str]:
        """What each variant would say with a room's numbers, or with made-up ones; empty where it cannot be said.

        Raises `InvalidArgument`, `SessionUnknown`, `SessionOver`, `SkuUnknown`.
        """
        lines.require_sound(template)
        known = made_up(template)
        if session_id:
            session, view = await self._rooms.view(session_id)
            require_sold(session, [sku], "sku")
            known = _values(view, sku, template.language, template.tier)
        return [lines.render(variant, known) or "" for variant in template.variants]


def speak(view: RoomView, sku: str, intent: str, language: str, turn: int, unlike: str = "") -> tuple[str, str]:
    """The words that answer a question now, and the template they are made from."""
    stands = view.tiers.get(sku) or TierNow()
    sales = sellable(view.shelf, sku)
    is_unsure = view.is_stale(sku) or is_on_its_way(view, sku, stands.tier, sales)
    tier = spoken_tier(stands.tier, sales, is_unsure=is_unsure)
    text, template = lines.line(
        view.templates, intent, tier, _values(view, sku, language, tier), language, turn, unlike
    )
    return text, template.template_id


def made_up(template: Template) -> Values:
    """Numbers to try a template with."""
    return lines.values_of(
        template.language,
        title="马克杯" if template.language != EN else "Mug",
        tier=template.tier or Tier.NORMAL,
        sellable=None if template.tier is None else 23,
        stock_out=StockOutTimes(600.0, 900.0, 1_500.0),
        restock_seconds=1_200.0,
        substitute="陶瓷杯" if template.language != EN else "Cup",
    )


def _values(view: RoomView, sku: str, language: str, tier: Tier | None) -> Values:
    facts, stands = view.skus.get(sku) or SkuFacts(sku), view.tiers.get(sku) or TierNow()
    return values(view, facts, stands, tier, sellable(view.shelf, sku), substitutes(view, facts), language)


def _quiet(recent: Sequence[Event], intent: str, now: datetime) -> Line | None:
    """Why nothing may be said now, after what was said lately, newest first; None: something may."""
    of_intent = [one.record_time for one in recent if isinstance(one.body, TakenLine) and one.body.intent == intent]
    if of_intent and now - of_intent[0] < INTENT_SPAN:
        return Line(quiet_reason="INTENT_QUIET", retry_after_ms=_ms(of_intent[0] + INTENT_SPAN - now))
    if len(recent) >= ROOM_LINES_MAX:
        free = recent[ROOM_LINES_MAX - 1].record_time + ROOM_SPAN
        return Line(quiet_reason="ROOM_QUIET", retry_after_ms=_ms(free - now))
    return None


def _is_for(event: Event, asked: Asked) -> bool:
    return isinstance(event.body, TakenLine) and event.sku == asked.sku and event.body.intent == asked.intent


def _ms(span: timedelta) -> int:
    return max(1, int(span / timedelta(milliseconds=1)) + 1)
