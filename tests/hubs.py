"""Hubs of a gateway that runs in this process, found as only a test may: among everything the process holds."""

import gc
from typing import TypeVar

from gateway.alerts.hub import AlertHub
from gateway.watch import LevelHub
from tests.merchants import schema_of_token

Hub = TypeVar("Hub", AlertHub, LevelHub)


def hub_of(kind: type[Hub], token: str) -> Hub:
    """The one hub of this kind that serves the token's merchant. It looks at all objects there are: ask once."""
    schema = schema_of_token(token)
    found = [one for one in gc.get_objects() if type(one) is kind and one._database.schema == schema]
    assert len(found) == 1, f"{len(found)} hubs: this test would prove nothing"
    return found[0]
