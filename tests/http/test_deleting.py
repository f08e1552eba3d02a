"""DELETE /users/{id}: closes an account, and an admin may open it again."""

from __future__ import annotations

import asyncio

import pytest

from tests.http.answers import refused
from tests.http.conftest import Cast
from tests.support.service import Client


async def test_a_user_deletes_their_own_account_and_is_out_at_once(client: Client) -> None:
    user = await client.register()
    tokens = await client.login(user["email"])
    owner = {"Authorization": f"Bearer {tokens['access_token']}"}
    answer = await client.http.delete(f"/users/{user['id']}", headers=owner)
    assert (answer.status_code, answer.content) == (204, b"")
    assert int(answer.headers["usersd-position"]) > 0
    refused(await client.http.get("/users/profile", headers=owner), 401, "invalid_token")
    refresh = {"Authorization": f"Bearer {tokens['refresh_token']}"}
    refused(await client.http.post("/users/tokens/refresh", headers=refresh), 401, "invalid_token")
    login = {"identity": user["email"], "secret": "changeMe123"}
    refused(await client.http.post("/users/tokens/issue", json=login), 401, "wrong_credentials")


async def test_the_names_of_a_deleted_account_stay_taken_and_an_admin_restores_it(client: Client) -> None:
    account = client.account()
    user = (await client.http.post("/users", json=account)).json()
    admin = await client.as_admin()
    assert (await client.http.delete(f"/users/{user['id']}", headers=admin)).status_code == 204
    refused(await client.http.post("/users", json=account), 409, "email_taken")
    shown = (await client.http.get(f"/users/{user['id']}", headers=admin)).json()
    assert shown["status"] == "deleted"
    restored = await client.http.post(f"/users/{user['id']}/enable", headers=admin)
    assert restored.json()["status"] == "enabled"
    await client.login(account["email"])


async def test_what_is_deleted_is_deleted_and_nobody_deletes_somebody_else(cast: Cast) -> None:
    refused(await cast.client.http.delete(cast.path, headers=cast.other_headers), 403, "forbidden")
    assert (await cast.client.http.delete(cast.path, headers=cast.admin)).status_code == 204
    refused(await cast.client.http.delete(cast.path, headers=cast.admin), 409, "status_already_set")
    nobody = "/users/00000000-0000-4000-8000-000000000000"
    refused(await cast.client.http.delete(nobody, headers=cast.admin), 404, "not_found")
    refused(await cast.client.http.delete(cast.path), 401, "unauthenticated")


async def test_the_last_admin_is_not_deleted_not_even_by_two_who_delete_each_other(client: Client) -> None:
    admin = await client.as_admin()
    profile = (await client.http.get("/users/profile", headers=admin)).json()
    refused(await client.http.delete(f"/users/{profile['id']}", headers=admin), 409, "last_admin")
    other = await client.register()
    role = {"role": "admin"}
    await client.http.patch(f"/users/{other['id']}/role", json=role, headers=admin)
    second = await client.as_user(other["email"])
    answers = await asyncio.gather(
        client.http.delete(f"/users/{other['id']}", headers=admin),
        client.http.delete(f"/users/{profile['id']}", headers=second),
    )
    codes = sorted(answer.status_code for answer in answers)
    assert codes[0] == 204
    assert codes[1] in (401, 409)


@pytest.mark.parametrize(("tags", "status"), [('"1"', 204), ('"9"', 412), ("*", 204), ("1", 400)])
async def test_a_deletion_hears_if_match(cast: Cast, tags: str, status: int) -> None:
    user = await cast.client.register()
    answer = await cast.client.http.delete(f"/users/{user['id']}", headers=cast.admin | {"If-Match": tags})
    assert answer.status_code == status
