"""A gateway whose merchant `main` is this test's own, as the tests of selling have it."""

from tests.selling.conftest import address as address  # noqa: PLC0414 - a fixture, to be found here
from tests.selling.conftest import empty as empty  # noqa: PLC0414 - the same
from tests.selling.conftest import seed as seed  # noqa: PLC0414 - the same
