"""Every test here also proves that nothing of the client is left when it is over."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from gateway.settings import Settings
from tests.sdk.log import Log, log_of

# grpc ends what was cancelled in its own time.
GRPC_SECONDS_MAX = 2.0


@pytest.fixture(autouse=True)
async def no_task_is_left() -> AsyncIterator[None]:
    """Tasks that a client has begun end with it."""
    before = asyncio.all_tasks()
    yield
    left = asyncio.all_tasks() - before - {asyncio.current_task()}
    if left:
        _, left = await asyncio.wait(left, timeout=GRPC_SECONDS_MAX)
    assert not left


@pytest.fixture
async def log(settings: Settings, token: str) -> AsyncIterator[Log]:
    """The merchant's alert log, from behind."""
    async with log_of(settings, token) as log:
        yield log
