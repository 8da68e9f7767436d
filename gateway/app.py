"""The composition root: builds every part, starts and stops them in order, keeps the loops alive."""

import asyncio
import gc
import logging
import secrets
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from gateway import telemetry
from gateway.domain.changes import Limits
from gateway.domain.errors import InvalidArgument
from gateway.domain.vigil import Tempo
from gateway.logs import log_to_stderr
from gateway.merchants import MerchantLimits, Merchants, require_name
from gateway.rpc.auth import DEFAULT_MERCHANT, Callers
from gateway.rpc.server import Tls
from gateway.rpc.services import build_server
from gateway.settings import Settings
from gateway.store import consistency, schema
from gateway.store.database import Clock, Database
from gateway.store.embedded import EmbeddedPostgres
from gateway.store.lineage import renew_epoch
from gateway.store.schema import Migrated
from gateway.store.tokens import forget_tokens, keep_token
from gateway.vault import Vault
from gateway.web.serving import TlsFiles, serving
from gateway.web.site import Site

log = logging.getLogger(__name__)

CHECK_TIMEOUT_SECONDS = 600.0
# Streams get so long to take their GoAway, and open calls to end.
STREAMS_SECONDS = 2.0
GRACE_SECONDS = 5.0
# A group makes thousands of objects, none of them in cycles: look for those seldom.
GC_ALLOCATIONS = 50_000


@dataclass(frozen=True)
class Diagnosis:
    """One thing `doctor` has looked at; `detail` says what to do if it is not ok."""

    merchant: str
    check: str
    ok: bool
    detail: str


@dataclass(frozen=True)
class Addresses:
    """Where a gateway serves: gRPC at `host:port`, the page at a URL; None: no page."""

    grpc: str
    page: str | None


async def serve(settings: Settings, *, ready: Callable[[Addresses], None] | None = None) -> None:
    """Serve until SIGINT or SIGTERM; `ready` is called with the bound addresses once calls are answered."""
    log_to_stderr("gateway", form=settings.logs)
    telemetry.configure("stockgate-gateway")
    if settings.is_in_the_clear:
        log.warning("other machines are served without TLS: access tokens can be read on their way")
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    async with running(settings) as addresses:
        # What has been built stays until the end: the collector need not go through it again and again, which would
        # stop the loop for a tenth of a second each time.
        gc.collect()
        gc.freeze()
        gc.set_threshold(GC_ALLOCATIONS)
        if ready is not None:
            ready(addresses)
        await stopping.wait()


@asynccontextmanager
async def running_gateway(settings: Settings, clock: Clock | None = None) -> AsyncIterator[str]:
    """A gateway without a page, that answers calls at the address it yields, and ends gracefully."""
    async with running(replace(settings, page_listen=None), clock) as addresses:
        yield addresses.grpc


@asynccontextmanager
async def running(settings: Settings, clock: Clock | None = None) -> AsyncIterator[Addresses]:
    """The same, with its page if the settings say so."""
    async with _database_url(settings) as url:
        await schema.migrate(url, create=DEFAULT_MERCHANT)
        database = Database(url, clock)
        database.observe()
        merchants = Merchants(database, _limits(settings), Vault(settings.credentials_key))
        merchants.start(await _merchant_names(database))
        try:
            server = build_server(Callers(merchants, anonymous=settings.listens_on_loopback))
            address = await server.start(settings.listen, _tls(settings))
            try:
                async with _page(settings, merchants) as page:
                    yield Addresses(address, page)
            finally:
                await server.announce_stop()
                merchants.close_streams()
                await merchants.streams_ended(STREAMS_SECONDS)
                await server.stop(GRACE_SECONDS)
        finally:
            await merchants.stop()
            await database.close()


@asynccontextmanager
async def _page(settings: Settings, merchants: Merchants) -> AsyncIterator[str | None]:
    """The page, at the address it yields; None if there is to be none."""
    if settings.page_listen is None:
        yield None
        return
    tls = None
    if settings.tls_cert_file is not None and settings.tls_key_file is not None:
        tls = TlsFiles(settings.tls_key_file, settings.tls_cert_file)
    site = Site(merchants, settings.page_listen, anonymous=settings.listens_on_loopback, is_secure=tls is not None)
    async with serving(site.app, settings.page_listen, tls, stopping=site.close) as address:
        yield address


async def migrate(settings: Settings) -> list[Migrated]:
    """Bring every merchant's schema to the newest migration, creating that of `main` if there is none."""
    async with _database_url(settings) as url:
        return await schema.migrate(url, create=DEFAULT_MERCHANT)


async def add_merchant(settings: Settings, name: str) -> str:
    """Create a merchant, and return its first access token, which is shown once."""
    require_name(name)
    async with _database_url(settings) as url:
        await schema.migrate(url, create=name)
        return await _give_token(url, name)


async def new_token(settings: Settings, name: str, *, revoking: bool = False) -> str:
    """Return one more access token of a merchant, shown once; with `revoking` those he had are good no more.

    Raises `InvalidArgument` if there is no such merchant.
    """
    require_name(name)
    async with _database_url(settings) as url, _open(url) as database:
        if name not in await _merchant_names(database):
            raise InvalidArgument(
                f"there is no merchant {name!r}; 'stockgate merchant add {name}' makes it", field="name"
            )
        return await _give_token(url, name, revoking=revoking)


async def list_merchants(settings: Settings) -> list[str]:
    """The merchants, by name."""
    async with _database_url(settings) as url, _open(url) as database:
        return await _merchant_names(database)


async def new_epoch(settings: Settings, name: str | None = None) -> dict[str, str]:
    """Begin a new lineage of this merchant's data, or of every merchant's; returns its id by merchant.

    To be done after a backup was restored: old resume points are refused from then on. Raises `InvalidArgument`.
    """
    async with _database_url(settings) as url, _open(url) as database:
        names = await _merchant_names(database)
        if name is not None and name not in names:
            raise InvalidArgument(f"there is no merchant {name[:50]!r}", field="name")
        found = {}
        for merchant in names if name is None else [name]:
            async with database.of(merchant).transaction() as connection:
                found[merchant] = await renew_epoch(connection, database.of(merchant))
        return found


async def doctor(settings: Settings) -> list[Diagnosis]:
    """Look at the database, the schemas and every merchant's ledger."""
    async with _database_url(settings) as url, _open(url) as database:
        newest = await schema.newest_revision()
        found = []
        for name in await _merchant_names(database):
            async with database.of(name).transaction(CHECK_TIMEOUT_SECONDS) as connection:
                revision = await schema.revision_of(connection, name)
            found.append(_diagnose_schema(name, revision, newest))
            if found[-1].ok:
                async with database.of(name).transaction(CHECK_TIMEOUT_SECONDS) as connection:
                    found.append(_diagnose_ledger(name, await consistency.check_all(connection)))
        return found


def _diagnose_schema(name: str, revision: str | None, newest: str) -> Diagnosis:
    if revision == newest:
        return Diagnosis(name, "schema", True, f"at migration {newest}")
    return Diagnosis(name, "schema", False, f"at migration {revision}, not {newest}: run 'stockgate migrate'")


def _diagnose_ledger(name: str, verdict: consistency.Verdict) -> Diagnosis:
    seen = (
        f"{verdict.revision} movements, {verdict.levels_checked} levels, "
        f"{verdict.reservations_checked} open reservations"
    )
    if verdict.consistent:
        return Diagnosis(name, "ledger", True, f"adds up: {seen}")
    worst = "; ".join(
        f"{b.check} {b.sku} {b.location}: expected {b.expected}, is {b.actual}" for b in verdict.breaches[:5]
    )
    return Diagnosis(name, "ledger", False, f"does not add up ({len(verdict.breaches)} places): {worst}")


def _limits(settings: Settings) -> MerchantLimits:
    reservations = Limits(settings.reservation_ttl_default_ms, settings.reservation_ttl_max_ms)
    return MerchantLimits(reservations, settings.queue_commands_max, Tempo(settings.rehearsal_speed))


def _tls(settings: Settings) -> Tls | None:
    if settings.tls_cert_file is None or settings.tls_key_file is None:
        return None
    return Tls(settings.tls_key_file.read_bytes(), settings.tls_cert_file.read_bytes())


@asynccontextmanager
async def _database_url(settings: Settings) -> AsyncIterator[str]:
    """The configured database, or our own, kept alive meanwhile."""
    if settings.database_url is not None:
        yield settings.database_url
        return
    embedded = EmbeddedPostgres(settings.data_dir)
    await embedded.start()
    keeping = asyncio.create_task(embedded.keep_alive(), name="embedded PostgreSQL")
    try:
        yield embedded.url
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
        await embedded.stop()


@asynccontextmanager
async def _open(url: str) -> AsyncIterator[Database]:
    database = Database(url)
    try:
        yield database
    finally:
        await database.close()


async def _merchant_names(database: Database) -> list[str]:
    async with database.of(DEFAULT_MERCHANT).transaction() as connection:
        return await schema.merchants(connection)


async def _give_token(url: str, name: str, *, revoking: bool = False) -> str:
    token = f"{name}.{secrets.token_urlsafe(32)}"
    async with _open(url) as database, database.of(name).transaction() as connection:
        if revoking:
            await forget_tokens(connection)
        await keep_token(connection, token)
    return token
