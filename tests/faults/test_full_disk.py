"""The disk is full: writes fail with a clear status, nothing acknowledged is lost, and all goes on when there is room.

The small disk is a tmpfs, which only root may mount; elsewhere this is skipped, and says so.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway import app
from gateway.settings import Settings
from tests.client import Client
from tests.faults.calls import until
from tests.faults.processes import GatewayProcess, doctor, running
from tests.faults.shoppers import Crowd, compare

DISK_MIB = 192
LEFT_BYTES = 2 * 1024 * 1024
CHUNK = bytes(1024 * 1024)
FULL_SECONDS_MAX = 45.0
BACK_SECONDS_MAX = 20.0
FAILURES = 100


@pytest.fixture
def small_disk(own_data_dir: Path) -> Iterator[Path]:
    """A disk of its own, and small."""
    mount = shutil.which("mount")
    options = ["-t", "tmpfs", "-o", f"size={DISK_MIB}m,mode=755", "stockgate-fault", str(own_data_dir)]
    if os.geteuid() != 0 or mount is None or subprocess.run([mount, *options], check=False).returncode != 0:
        pytest.skip("NOT PROVEN HERE: a full disk. It takes root, and the right to mount a tmpfs")
    yield own_data_dir
    subprocess.run(["umount", "--lazy", str(own_data_dir)], check=True)


def fill(disk: Path) -> Path:
    """Fill the disk up to a little; the file to remove."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        while shutil.disk_usage(disk).free > LEFT_BYTES:
            file.write(CHUNK)
    return ballast


async def test_a_full_disk(small_disk: Path, seed: int) -> None:
    """Every call that meets it is UNAVAILABLE; what was acknowledged before, between and after is there, once."""
    token = await app.add_merchant(Settings(data_dir=small_disk), "full")
    variables = {"STOCKGATE_DATA_DIR": str(small_disk)}
    async with running(GatewayProcess(variables, small_disk / "gateway.log")) as gateway, gateway.channel() as channel:
        client = Client(channel, token)
        crowd = Crowd([client], seed)
        await crowd.open_shop()

        async def is_full() -> bool:
            return crowd.receipts.failures.total() >= FAILURES

        async with crowd.shopping(batches=6):
            await crowd.more_answers(200)
            ballast = fill(small_disk)
            await until(is_full, FULL_SECONDS_MAX)
            ballast.unlink()
            await crowd.more_answers(200, BACK_SECONDS_MAX)
        print(dict(crowd.receipts.failures), f"{crowd.receipts.seconds_max:.2f} s at most")
        assert set(crowd.receipts.failures) == {"UNAVAILABLE"}
        await compare(crowd.receipts, client)
        code, said = await doctor(variables)
        assert (code, said["healthy"]) == (0, True), said
        assert await gateway.stop() == 0
