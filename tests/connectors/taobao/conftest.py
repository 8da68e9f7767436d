"""One server for the whole folder, and the usual stand for every test that needs no other."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.connectors.taobao.stand import Stand, a_stand, an_open_door

HERE = Path(__file__).parent


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The tests of this folder run on one loop, which is the server's."""
    for item in items:
        if item.path.is_relative_to(HERE) and pytest_asyncio.is_async_test(item):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def door() -> AsyncIterator[None]:
    async with an_open_door():
        yield


@pytest.fixture(autouse=True)
def _needs_door(request: pytest.FixtureRequest) -> None:
    """Stands are built in tests too, so that every test that can wait has the door."""
    if pytest_asyncio.is_async_test(request.node):
        request.getfixturevalue("door")


@pytest_asyncio.fixture(loop_scope="session")
async def stand() -> AsyncIterator[Stand]:
    """Both sides of the wire."""
    async with a_stand() as one:
        yield one
