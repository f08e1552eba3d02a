"""This version and the next serve side by side, on one database, and then this one goes: nobody notices."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from tests.e2e import next_version
from tests.e2e.everything import check_everything
from tests.support.deployment import Deployment, Part, deployment
from tests.support.load import ADMIN, SECRET, Load, more_writes
from tests.support.servers import throw_away_folder
from tests.support.waiting import at_last

PATIENCE = 60.0

_SHAPES = "SELECT version FROM projections WHERE name = 'users' AND live ORDER BY version"
_REACHED = """
SELECT position = (SELECT max(position) FROM events) FROM projections
WHERE name = 'users' AND version = 2"""
_DIFFERENT = """
SELECT count(*) FROM users_v1 AS one FULL JOIN users_v2 AS two USING (id, version)
WHERE one.document IS DISTINCT FROM two.document"""


@pytest.fixture
def deployed(database: str) -> Iterator[Deployment]:
    with deployment(database) as made:
        yield made


@pytest.mark.system
async def test_two_versions_serve_side_by_side_and_the_old_one_goes(deployed: Deployment) -> None:
    (old,) = await asyncio.to_thread(deployed.started, "run")
    loads, stops = [Load(seed=1), Load(seed=2)], [asyncio.Event(), asyncio.Event()]
    working = [asyncio.create_task(loads[0].run(old.url, stops[0], workers=3))]
    await more_writes(loads[0], 10)
    with throw_away_folder() as folder:
        new = await asyncio.to_thread(_migrated_and_started, deployed, folder)
        # The new one has built its shape of the read model while the old one served.
        assert old.is_ready()
        assert new.rows(_SHAPES) == [(1,), (2,)]
        working.append(asyncio.create_task(loads[1].run(new.url, stops[1], workers=3)))
        for load in loads:
            await more_writes(load, 10)
        for _ in range(3):
            for here, there in ((old, new), (new, old)):
                await _read_what_was_written(here, there)
        stops[0].set()
        await working[0]
        stops[1].set()
        await working[1]
        whole = Load(seed=0)
        for load in loads:
            whole.acknowledged += load.acknowledged
            whole.attempted |= load.attempted
            whole.faults += load.faults
        await check_everything(old, whole)
        assert new.one(_DIFFERENT) == 0

        old.terminate()
        assert await asyncio.to_thread(old.wait) == 0, old.output()
        await _read_what_was_written(new, new)
        await asyncio.to_thread(at_last, lambda: new.one(_REACHED), PATIENCE)
        new.terminate()
        assert await asyncio.to_thread(new.wait) == 0, new.output()


def _migrated_and_started(deployed: Deployment, folder: Path) -> Part:
    name = next_version.make(folder)
    new = deployed.part("run", PYTHONPATH=str(folder))
    migrated = new.cli("migrate")
    assert migrated.code == 0, migrated
    assert f"migrating: {name}" in migrated.err
    new.start()
    return new


async def _read_what_was_written(here: Part, there: Part) -> None:
    """Written here, seen here at once, and there by whoever shows the position of the write."""
    name = f"w{uuid4().hex[:20]}"
    body = {
        "first_name": "Ada", "last_name": name, "email": f"{name}@example.com",
        "credentials": {"username": name, "secret": SECRET},
    }  # fmt: skip
    async with httpx.AsyncClient(timeout=30, trust_env=False) as http:
        admin = await http.post(f"{here.url}/users/tokens/issue", json=ADMIN)
        bearer = {"Authorization": f"Bearer {admin.json()['access_token']}"}
        written = await http.post(f"{here.url}/users", json=body)
        assert written.status_code == 201, written.text
        assert "usersd-read-model" not in written.headers
        shown = bearer | {"Usersd-Position": written.headers["usersd-position"]}
        for part, headers in ((here, bearer), (there, shown)):
            listed = await http.get(f"{part.url}/users?last_name={name}", headers=headers)
            assert listed.status_code == 200, listed.text
            assert [user["last_name"] for user in listed.json()["users"]] == [name]
