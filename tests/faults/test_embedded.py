"""The embedded PostgreSQL after a bad night: stale files, half a cluster, odd paths, a server that will not start."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import pytest

from gateway.domain.errors import DatabaseUnavailable
from gateway.store import embedded
from gateway.store.embedded import EmbeddedPostgres
from tests.faults.calls import until
from tests.faults.postgres import Postmaster

BACK_SECONDS_MAX = 20.0


async def answers(url: str) -> bool:
    """True if the server takes queries."""
    try:
        connection = await asyncpg.connect(url, timeout=1)
    except (OSError, TimeoutError, asyncpg.CannotConnectNowError):
        return False
    await connection.close()
    return True


@contextmanager
def process_of(user_id: int) -> Iterator[int]:
    """The id of a process of this user's that has nothing to do with us."""
    program = f"import os, time; os.setuid({user_id}); print(flush=True); time.sleep(600)"
    with subprocess.Popen([sys.executable, "-I", "-S", "-c", program], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process.pid
        process.kill()


async def test_stale_files_do_not_keep_it_from_starting(own_data_dir: Path) -> None:
    """After a power cut the process id in its files may be anybody's; and what was half made is made again."""
    (own_data_dir / "postgres.making").mkdir()
    (own_data_dir / "postgres.making" / "PG_VERSION").write_text("18\n")
    server = EmbeddedPostgres(own_data_dir)
    await server.start()
    pgdata, postmaster = own_data_dir / "postgres", Postmaster(own_data_dir)
    files = {pgdata / name: (pgdata / name).read_text() for name in ("postmaster.pid", ".s.PGSQL.5432.lock")}
    await postmaster.kill()
    with process_of(pgdata.stat().st_uid) as stranger:
        for path, text in files.items():
            _, *rest = text.splitlines()
            path.write_text("\n".join([str(stranger), *rest, ""]))
        await server.start()
        assert await answers(server.url)
        assert postmaster.pid != stranger
    await server.stop()
    assert not postmaster.is_running


async def test_the_last_one_to_leave_stops_it(own_data_dir: Path) -> None:
    """Who shares a data folder shares its server."""
    first, second = EmbeddedPostgres(own_data_dir), EmbeddedPostgres(own_data_dir)
    await asyncio.gather(first.start(), second.start())
    assert first.url == second.url
    await first.stop()
    assert await answers(second.url)
    await second.stop()
    assert not await answers(second.url)


async def test_any_folder_will_do(own_data_dir: Path) -> None:
    """A folder may have spaces and an apostrophe in its name, be longer than a socket's may be, and be moved."""
    odd, long = own_data_dir / "it's a shop", own_data_dir / ("x" * 120)
    for folder in (odd, long):
        server = EmbeddedPostgres(folder)
        await server.start()
        assert await answers(server.url)
        await server.stop()
        if folder is odd:
            odd.rename(long)


async def test_it_says_why_it_does_not_start_and_comes_back(
    own_data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the server complains of is in the error; who looks after it goes on trying."""
    monkeypatch.setattr(embedded, "LAUNCH_SECONDS_MAX", 0.5)
    server = EmbeddedPostgres(own_data_dir)
    await server.start()
    needed = own_data_dir / "postgres" / "global" / "pg_control"
    await Postmaster(own_data_dir).kill()
    needed.rename(needed.with_suffix(".away"))
    with pytest.raises(DatabaseUnavailable, match="pg_control"):
        await server.start()
    keeping = asyncio.create_task(server.keep_alive())
    needed.with_suffix(".away").rename(needed)
    try:
        await until(lambda: answers(server.url), BACK_SECONDS_MAX)
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
        await server.stop()
