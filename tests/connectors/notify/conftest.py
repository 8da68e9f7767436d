"""One server and one client for the whole folder; a group robot of each platform for every test that asks for one."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from connectors.sandbox.robots.hall import ROBOTS
from tests.connectors.contract.storefront import PLAIN, Stage, open_stage
from tests.connectors.notify.rig import Rig, rigged

HERE = Path(__file__).parent


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The tests of this folder run on one loop, which is the server's."""
    for item in items:
        if item.path.is_relative_to(HERE) and pytest_asyncio.is_async_test(item):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def stage() -> AsyncIterator[Stage]:
    async with open_stage() as one:
        yield one


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(verify=PLAIN, trust_env=False) as one:
        yield one


@pytest_asyncio.fixture(loop_scope="session", params=ROBOTS)
async def rig(request: pytest.FixtureRequest, stage: Stage, client: httpx.AsyncClient) -> Rig:
    """Each of the four, before its stand-in."""
    return rigged(str(request.param), stage, client)


@pytest_asyncio.fixture(loop_scope="session")
async def dingtalk(stage: Stage, client: httpx.AsyncClient) -> Rig:
    return rigged("dingtalk", stage, client)


@pytest_asyncio.fixture(loop_scope="session")
async def feishu(stage: Stage, client: httpx.AsyncClient) -> Rig:
    return rigged("feishu", stage, client)


@pytest_asyncio.fixture(loop_scope="session")
async def wecom(stage: Stage, client: httpx.AsyncClient) -> Rig:
    return rigged("wecom", stage, client)


@pytest_asyncio.fixture(loop_scope="session")
async def agora(stage: Stage, client: httpx.AsyncClient) -> Rig:
    return rigged("agora", stage, client)
