"""The oldest PostgreSQL that is supported carries the whole service."""

from __future__ import annotations

import pytest

from tests.scaling.walk import walk
from tests.support.databases import Databases
from tests.support.deployment import deployment

pytestmark = [pytest.mark.system, pytest.mark.timeout(900)]


async def test_the_walk_goes_through_with_every_role(databases_15: Databases) -> None:
    with databases_15.unmigrated() as conninfo, deployment(conninfo) as deployed:
        await walk(deployed)
