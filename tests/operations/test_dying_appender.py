"""A process that can store nothing any more ends, so that whoever watches it starts another."""

from __future__ import annotations

import asyncio

import pytest

from infrastructure import serving
from infrastructure.event_store.appender import AppenderDied
from infrastructure.roles import Role
from infrastructure.settings import load
from infrastructure.standing import open_keys
from tests.support.databases import standing


async def test_a_process_whose_appender_has_died_ends_and_says_why(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # How the collector of garbage is tuned belongs to the process of the tests.
    monkeypatch.setattr(serving, "tune", lambda: None)
    ground = standing(database)
    settings = load(
        {"MG_USERS_HTTP_HOST": "127.0.0.1", "MG_USERS_HTTP_PORT": "0", "MG_USERS_GRPC_ENABLED": "false"}
        | {"MG_USERS_BCRYPT_COST": "4", "MG_USERS_SHUTDOWN_DELAY": "10m"}
    ).settings

    def ready(_: str) -> None:
        (task,) = [task for task in asyncio.all_tasks() if task.get_name() == "appender"]
        task.cancel()

    with pytest.raises(AppenderDied, match="to be started again"):
        async with asyncio.timeout(60):
            await serving._serve(Role.API, settings, ground, open_keys(ground), ready)
