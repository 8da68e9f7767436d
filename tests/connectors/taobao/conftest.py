"""The stand, for every test that needs no other shop than the usual one."""

from collections.abc import AsyncIterator

import pytest

from tests.connectors.taobao.stand import Stand, a_stand


@pytest.fixture
async def stand() -> AsyncIterator[Stand]:
    """Both sides of the wire."""
    async with a_stand() as one:
        yield one
