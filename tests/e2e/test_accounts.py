"""The life of an account over HTTP."""

from __future__ import annotations

from tests.support.service import Client, bearer


async def test_a_registered_user_can_log_in_and_read_their_profile(client: Client) -> None:
    user = await client.register(email="ada@example.com")
    tokens = await client.login("ADA@example.com")
    answer = await client.http.get("/users/profile", headers=bearer(tokens["access_token"]))
    assert answer.status_code == 200
    assert answer.json() == user
    assert answer.headers["etag"] == '"1"'


async def test_an_admin_lists_users_and_a_write_is_seen_at_once(client: Client) -> None:
    admin = await client.as_admin()
    for _ in range(3):
        user = await client.register()
        page = (await client.http.get("/users?limit=1", headers=admin)).json()
        assert page["users"][0]["id"] == user["id"]
    assert page["total"] == 4
