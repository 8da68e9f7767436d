"""What the tests of the Douyin connector stand on."""

from collections.abc import AsyncIterator

import pytest

from tests.connectors.douyin.rig import Rig, rigged


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    """A shop with the sandbox's default choices, and a connector to it."""
    async with rigged() as rig:
        yield rig
