"""Everything that a service is for, asked of a deployment of one process per role, and then proven."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx

from tests.e2e.everything import check_everything
from tests.support.deployment import Deployment, Part
from tests.support.load import SECRET, Load, more_writes
from tests.support.service import ADMIN, bearer
from tests.support.waiting import at_last

ROLES = ("api", "projector", "relay", "mailer", "sweeper")
WRITES = 60

_ERASED = "SELECT count(*) = 1 FROM events WHERE name = 'users.erased.v1'"


async def walk(deployed: Deployment, **environ: str) -> None:
    """Migrate, start every role, ask each kind of question, rebuild and verify; the log must hold it all."""
    migrating = deployed.part("api", **environ)
    migrated = await asyncio.to_thread(migrating.cli, "migrate")
    assert migrated.code == 0, migrated
    api, *_ = await asyncio.to_thread(deployed.started, *ROLES, **environ)
    load, stop = Load(seed=1), asyncio.Event()
    working = asyncio.create_task(load.run(api.url, stop, workers=4))
    await more_writes(load, WRITES)
    async with httpx.AsyncClient(base_url=api.url, timeout=30, trust_env=False) as http:
        await _ask_everything(http)
        gone = await _delete_somebody(http)
    for command in (
        ("projections", "rebuild", "users"),
        ("projections", "verify", "users"),
        ("users", "erase", gone["id"], "--yes"),
        ("events", "verify"),
        ("keys", "rotate", "--now"),
        ("events", "tail", "--json"),
        ("stats",),
    ):
        done = await asyncio.to_thread(api.cli, *command)
        assert done.code == 0, (command, done)
    await more_writes(load, 5)
    stop.set()
    await working
    await asyncio.to_thread(at_last, lambda: api.one(_ERASED), 30.0)
    await check_everything(api, load)
    await asyncio.to_thread(_all_stop, deployed)


async def _ask_everything(http: httpx.AsyncClient) -> None:
    user = await _registered(http, "walker")
    tokens = await accepted(http, "POST", "/users/tokens/issue", json=_login(user))
    headers, refreshing = bearer(tokens["access_token"]), bearer(tokens["refresh_token"])
    admin = await _admin(http)
    again = await accepted(http, "POST", "/users/tokens/refresh", headers=refreshing)
    assert again["refresh_token"] != tokens["refresh_token"]
    path = f"/users/{user['id']}"
    changed = await accepted(http, "PATCH", path, json={"metadata": {"site": 7}}, headers=headers)
    listed = await accepted(http, "GET", "/users?metadata=%7B%22site%22%3A7%7D", headers=admin)
    assert listed["users"] == [changed]
    assert (await accepted(http, "GET", "/users/search?username=walker", headers=headers))["total"] == 1
    assert (await accepted(http, "GET", "/users/profile", headers=headers))["id"] == user["id"]
    feed = await http.get("/users/feed", headers=admin)
    assert user["id"] in feed.text
    assert feed.text.splitlines()[-1].startswith('{"complete":true')
    assert (await accepted(http, "POST", f"{path}/disable", headers=admin))["status"] == "disabled"
    assert (await http.get("/users/profile", headers=headers)).status_code == 401
    assert (await http.post("/users/tokens/issue", json=_login(user))).status_code == 401
    assert (await accepted(http, "POST", f"{path}/enable", headers=admin))["status"] == "enabled"
    timeline = await accepted(http, "GET", f"{path}/history", headers=admin)
    assert timeline["total"] >= 1


async def _delete_somebody(http: httpx.AsyncClient) -> dict[str, Any]:
    user = await _registered(http, "leaver")
    deleted = await http.delete(f"/users/{user['id']}", headers=await _admin(http))
    assert deleted.status_code == 204, deleted.text
    return user


async def accepted(http: httpx.AsyncClient, verb: str, path: str, **more: Any) -> dict[str, Any]:
    """What a request that goes well answers."""
    answer = await http.request(verb, path, **more)
    assert answer.status_code in (200, 201), (verb, path, answer.text)
    body: dict[str, Any] = answer.json()
    return body


async def _registered(http: httpx.AsyncClient, name: str) -> dict[str, Any]:
    account = {
        "first_name": "Ada", "last_name": "Lovelace", "email": f"{name}@example.com",
        "credentials": {"username": name, "secret": SECRET},
    }  # fmt: skip
    return await accepted(http, "POST", "/users", json=account)


async def _admin(http: httpx.AsyncClient) -> dict[str, str]:
    return bearer((await accepted(http, "POST", "/users/tokens/issue", json=ADMIN))["access_token"])


def _login(user: dict[str, Any]) -> dict[str, str]:
    return {"identity": user["email"], "secret": SECRET}


def _all_stop(deployed: Deployment) -> None:
    running = [part for part in deployed.parts if part.runs]
    for part in running:
        part.terminate()
    for part in running:
        assert part.wait(60) == 0, part.output()
        assert _faults(part) == [], part.output()


def _faults(part: Part) -> list[str]:
    return [line for line in part.output("out").splitlines() if '"level":"ERROR"' in line]
