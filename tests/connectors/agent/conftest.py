"""Desks, for every test that needs no other than the usual one."""

from collections.abc import AsyncIterator

import httpx
import pytest

from connectors.transport import Transport
from tests.connectors.agent.desk import Desk, douyin_desk, kuaishou_desk, taobao_desk


@pytest.fixture
async def taobao() -> AsyncIterator[Desk]:
    """A shop on Taobao."""
    async with taobao_desk() as desk:
        yield desk


@pytest.fixture
async def kuaishou() -> AsyncIterator[Desk]:
    """A shop on Kuaishou."""
    async with kuaishou_desk() as desk:
        yield desk


@pytest.fixture
async def douyin() -> AsyncIterator[Desk]:
    """A shop on Douyin."""
    async with douyin_desk() as desk:
        yield desk


@pytest.fixture
def transport() -> Transport:
    """A way out that leads nowhere."""
    return Transport(httpx.AsyncClient())
