"""A subscriber to be killed: `python -m tests.faults.alert_reader ADDRESS TOKEN EPOCH FILE`.

It writes the number of each event into the file when it has processed it, and goes on after the last one there.
"""

import asyncio
import os
import sys
from pathlib import Path

from gateway.client import AlertEvent, AlertsClient, ResumePoint


def processed(path: Path) -> list[int]:
    """The numbers in the file; one that a kill has cut off was not processed."""
    text = path.read_text() if path.exists() else ""
    return [int(line) for line in text[: text.rfind("\n") + 1].splitlines()]


def main(address: str, token: str, epoch: str, path: Path) -> None:
    """Go on after what was processed."""
    done = processed(path)
    path.write_text("".join(f"{revision}\n" for revision in done))
    asyncio.run(read(address, token, epoch, path, done))


async def read(address: str, token: str, epoch: str, path: Path, done: list[int]) -> None:
    """Read until killed, or until nobody is there any more who would."""
    parent = os.getppid()
    start = ResumePoint(done[-1] if done else 0, epoch)
    with path.open("a") as file:
        async with AlertsClient(address, token=token) as alerts:
            async for item in alerts.watch(start=start, include_drills=True, with_watchdogs=True):
                if isinstance(item, AlertEvent):
                    file.write(f"{item.revision}\n")
                    file.flush()
                    os.fsync(file.fileno())
                if os.getppid() != parent:
                    return


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], Path(sys.argv[4]))
