"""Whoever writes sees it in the next list, and is told where that cannot be promised."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from application.bus import VISIBLE_WITHIN
from infrastructure.reads import visibility
from tests.http.answers import accepted
from tests.http.conftest import checked_service
from tests.support.service import SECRET, Client
from tests.support.waiting import eventually


async def test_after_each_write_the_next_list_and_history_show_it(client: Client) -> None:
    admin, user = await client.as_admin(), await client.register()
    path = f"/users/{user['id']}"
    headers = await client.as_user(user["email"])
    secrets = {"old_secret": SECRET, "new_secret": SECRET + "1"}
    writes: list[tuple[str, str, dict[str, Any] | None]] = [
        ("PATCH", path, {"last_name": "Byron"}),
        ("PATCH", path, {"metadata": {"a": 1}}),
        ("PATCH", "/users/secret", secrets),
        ("PATCH", f"{path}/role", {"role": "admin"}),
        ("PATCH", f"{path}/role", {"role": "user"}),
        ("POST", f"{path}/disable", None),
        ("POST", f"{path}/enable", None),
    ]
    for number, (method, target, body) in enumerate(writes, start=2):
        by = headers if target == "/users/secret" else admin
        written = await client.http.request(method, target, json=body, headers=by)
        assert "usersd-read-model" not in written.headers
        page = accepted(await client.http.get("/users?status=all&limit=1", headers=admin))
        assert page["users"] == [accepted(written)]
        await _history_reaches(client, path, admin, number)


async def _history_reaches(client: Client, path: str, headers: dict[str, str], total: int) -> None:
    """Only the list is promised to show a write at once; the timeline follows."""

    async def reached() -> bool:
        return bool(accepted(await client.http.get(f"{path}/history", headers=headers))["total"] == total)

    await eventually(reached)


async def test_writers_at_the_same_time_each_see_their_own(client: Client) -> None:
    admin = await client.as_admin()

    async def write_and_read() -> None:
        user = await client.register()
        page = accepted(await client.http.get(f"/users?email={user['email']}", headers=admin))
        assert user in page["users"]

    await asyncio.gather(*(write_and_read() for _ in range(20)))


@pytest.fixture
async def blind(database: str) -> AsyncIterator[Client]:
    """A service whose read models stand still."""
    async with checked_service(database, project=False) as client:
        yield client


async def timed(request: Any) -> tuple[httpx.Response, float]:
    started = time.monotonic()
    return await request, time.monotonic() - started


async def test_while_the_read_model_stands_still_a_write_waits_once_and_says_so(
    blind: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(visibility, "STALLED_FOR", 60.0)  # however slow this machine is
    account = blind.account()
    answer, seconds = await timed(blind.http.post("/users", json=account))
    user = accepted(answer, 201)
    assert answer.headers["usersd-read-model"] == "behind"
    assert "preference-applied" not in answer.headers
    assert 0.9 * VISIBLE_WITHIN < seconds < 2.5 * VISIBLE_WITHIN

    headers, path = await blind.as_user(account["email"]), f"/users/{user['id']}"
    total = 0.0
    for number in range(2, 7):
        body = {"first_name": f"Name {number}"}
        answer, seconds = await timed(blind.http.patch(path, json=body, headers=headers))
        total += seconds
        assert accepted(answer)["first_name"] == f"Name {number}"
        assert answer.headers["usersd-read-model"] == "behind"
        assert answer.headers["etag"] == f'"{number}"'
        # The profile and the view by others are folded from the log meanwhile.
        profile = await blind.http.get("/users/profile", headers=headers)
        assert (profile.json(), profile.headers["etag"]) == (answer.json(), f'"{number}"')
    assert total < VISIBLE_WITHIN
    admin = await blind.as_admin()
    assert accepted(await blind.http.get(path, headers=admin))["first_name"] == "Name 6"
    assert accepted(await blind.http.get("/users", headers=admin))["total"] == 0


async def test_once_the_read_model_moves_again_writes_are_seen_again(blind: Client) -> None:
    admin = await blind.as_admin()
    answer = await blind.http.post("/users", json=blind.account())
    assert answer.headers["usersd-read-model"] == "behind"
    tasks = [asyncio.create_task(projector.run()) for projector in blind.service.projectors]

    async def caught_up() -> bool:
        return bool(accepted(await blind.http.get("/users", headers=admin))["total"] == 2)

    try:
        await eventually(caught_up)
        answer = await blind.http.post("/users", json=blind.account())
        assert accepted(await blind.http.get("/users", headers=admin))["users"][0] == answer.json()
        assert "usersd-read-model" not in answer.headers
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.parametrize("prefer", ["respond-async", "respond-async, wait=5", "Respond-Async"])
async def test_a_caller_who_prefers_so_does_not_wait(blind: Client, prefer: str) -> None:
    account = blind.account()
    answer, seconds = await timed(blind.http.post("/users", json=account, headers={"Prefer": prefer}))
    accepted(answer, 201)
    assert seconds < 0.5 * VISIBLE_WITHIN
    assert answer.headers["usersd-read-model"] == "behind"
    assert answer.headers["preference-applied"] == "respond-async"
    headers = await blind.as_user(account["email"])
    assert accepted(await blind.http.get("/users/profile", headers=headers)) == answer.json()
