"""The whole service in remote mode: what users and clients see is what they see without it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import jwt

from infrastructure.accounts.clients import PostgresClientAdministration
from tests.support.platform.auth import ACCESS
from tests.support.platform.world import Platform
from tests.support.service import SECRET, Client, bearer
from tests.support.waiting import eventually

ISSUE = "/users/tokens/issue"


async def test_a_user_registers_and_logs_in_at_once(client: Client, around: Platform) -> None:
    user = await client.register()
    tokens = await client.login(user["email"])
    said = jwt.decode(tokens["access_token"], options={"verify_signature": False})
    assert said["iss"] == "magistrala.auth"
    assert said["sub"] == user["id"]
    assert (said["type"], said["role"]) == (ACCESS, 1)
    assert around.spicedb.of(user["id"]) == {"member"}
    profile = await client.http.get("/users/profile", headers=bearer(tokens["access_token"]))
    assert profile.json()["id"] == user["id"]


async def test_the_first_admin_may_do_what_admins_may(client: Client, around: Platform) -> None:
    listed = await client.http.get("/users", headers=await client.as_admin())
    assert listed.status_code == 200
    admins = {subject for _, relation, subject in around.spicedb.tuples if relation == "administrator"}
    assert len(admins) == 1


async def test_a_wrong_secret_is_401_and_the_auth_service_hears_nothing(
    client: Client, around: Platform
) -> None:
    user = await client.register()
    around.auth.calls.clear()
    answer = await client.http.post(ISSUE, json={"identity": user["email"], "secret": "wrong-wrong"})
    assert answer.status_code == 401
    assert around.auth.calls == []


async def test_a_refresh_token_is_exchanged_once(client: Client) -> None:
    user = await client.register()
    first = await client.login(user["email"])
    second = await client.http.post("/users/tokens/refresh", headers=bearer(first["refresh_token"]))
    assert second.status_code == 201, second.text
    profile = await client.http.get("/users/profile", headers=bearer(second.json()["access_token"]))
    assert profile.status_code == 200
    again = await client.http.post("/users/tokens/refresh", headers=bearer(first["refresh_token"]))
    assert again.status_code == 401


async def test_tokens_of_another_type_are_no_access_tokens(client: Client, around: Platform) -> None:
    user = await client.register()
    tokens = await client.login(user["email"])
    forged = [tokens["refresh_token"]]
    forged += [around.auth.sign(type=kind, sub=user["id"]) for kind in (2, 3, 5)]
    for token in forged:
        answer = await client.http.get("/users/profile", headers=bearer(token))
        assert answer.status_code == 401
    answer = await client.http.post("/users/tokens/refresh", headers=bearer(tokens["access_token"]))
    assert answer.status_code == 401


async def test_sessions_are_listed_and_one_is_revoked(client: Client, around: Platform) -> None:
    user = await client.register()
    login = {"identity": user["email"], "secret": SECRET, "description": "my phone"}
    tokens = (await client.http.post(ISSUE, json=login)).json()
    headers = bearer(tokens["access_token"])
    listed = (await client.http.get("/users/tokens/refresh-tokens", headers=headers)).json()
    [session] = listed["refresh_tokens"]
    assert session["description"] == "my phone"
    other = await client.register()
    theirs = bearer((await client.login(other["email"]))["access_token"])
    for who, left in ((theirs, 1), (headers, 0)):
        answer = await client.http.post("/users/tokens/revoke", headers=who, json={"token_id": session["id"]})
        assert answer.status_code == 204
        assert len([one for one, _ in around.auth.sessions.values() if one == user["id"]]) == left
    refreshed = await client.http.post("/users/tokens/refresh", headers=bearer(tokens["refresh_token"]))
    assert refreshed.status_code == 401


async def test_all_sessions_are_revoked_and_the_token_that_asked_stops(client: Client) -> None:
    user = await client.register()
    tokens = [await client.login(user["email"]) for _ in range(3)]
    headers = bearer(tokens[0]["access_token"])
    kept = await client.http.post("/users/tokens/revoke-all", headers=headers, json={"keep_current": True})
    assert (kept.status_code, kept.json()["code"]) == (409, "issued_elsewhere")
    assert (await client.http.post("/users/tokens/revoke-all", headers=headers)).status_code == 204
    for one in tokens:
        answer = await client.http.post("/users/tokens/refresh", headers=bearer(one["refresh_token"]))
        assert answer.status_code == 401
    assert (await client.http.get("/users/profile", headers=headers)).status_code == 401


async def test_access_tokens_of_a_refreshed_session_stop_when_it_is_revoked(client: Client) -> None:
    user = await client.register()
    first = await client.login(user["email"])
    tokens = (await client.http.post("/users/tokens/refresh", headers=bearer(first["refresh_token"]))).json()
    said = jwt.decode(tokens["refresh_token"], options={"verify_signature": False})
    headers = bearer(tokens["access_token"])
    await client.http.post("/users/tokens/revoke", headers=headers, json={"token_id": said["jti"]})
    assert (await client.http.get("/users/profile", headers=headers)).status_code == 401


async def test_a_disabled_users_tokens_stop_and_those_from_before_stay_dead(client: Client) -> None:
    user = await client.register()
    tokens = await client.login(user["email"])
    headers = bearer(tokens["access_token"])
    assert (await client.http.get("/users/profile", headers=headers)).status_code == 200
    admin = await client.as_admin()
    for act, then in (("disable", 401), ("enable", 401)):
        answer = await client.http.post(f"/users/{user['id']}/{act}", headers=admin)
        assert answer.status_code == 200
        assert (await client.http.get("/users/profile", headers=headers)).status_code == then
        refreshed = await client.http.post("/users/tokens/refresh", headers=bearer(tokens["refresh_token"]))
        assert refreshed.status_code == 401
    anew = bearer((await client.login(user["email"]))["access_token"])
    assert (await client.http.get("/users/profile", headers=anew)).status_code == 200


async def test_a_new_secret_leaves_no_stray_session_and_ends_those_there_are(
    client: Client, around: Platform
) -> None:
    user = await client.register()
    tokens = await client.login(user["email"])
    headers = bearer(tokens["access_token"])
    around.auth.calls.clear()
    change = {"old_secret": SECRET, "new_secret": "anotherSecret1"}
    assert (await client.http.patch("/users/secret", headers=headers, json=change)).status_code == 200
    assert "Issue" not in around.auth.calls
    refreshed = await client.http.post("/users/tokens/refresh", headers=bearer(tokens["refresh_token"]))
    assert refreshed.status_code == 401
    anew = bearer((await client.login(user["email"], "anotherSecret1"))["access_token"])
    assert (await client.http.get("/users/profile", headers=anew)).status_code == 200


async def test_a_new_role_is_in_the_next_token_and_in_effect_at_once(
    client: Client, around: Platform
) -> None:
    user = await client.register()
    before = await client.as_user(user["email"])
    admin = await client.as_admin()
    answer = await client.http.patch(f"/users/{user['id']}/role", headers=admin, json={"role": "admin"})
    assert answer.status_code == 200, answer.text
    assert (await client.http.get("/users", headers=before)).status_code == 200
    tokens = await client.login(user["email"])
    assert jwt.decode(tokens["access_token"], options={"verify_signature": False})["role"] == 2
    assert around.spicedb.of(user["id"]) == {"member", "administrator"}
    await client.http.patch(f"/users/{user['id']}/role", headers=admin, json={"role": "user"})

    async def swapped() -> bool:
        return around.spicedb.of(user["id"]) == {"member"}

    await eventually(swapped)


async def test_a_personal_token_reads_and_changes_nothing(client: Client, around: Platform) -> None:
    admin = await client.register()
    await client.http.patch(
        f"/users/{admin['id']}/role", headers=await client.as_admin(), json={"role": "admin"}
    )
    around.auth.personal["pat_one"] = admin["id"]
    headers = bearer("pat_one")
    assert (await client.http.get("/users/profile", headers=headers)).json()["id"] == admin["id"]
    assert (await client.http.get("/users", headers=headers)).status_code == 403
    answer = await client.http.patch(f"/users/{admin['id']}", headers=headers, json={"first_name": "Eve"})
    assert answer.status_code == 403
    assert (await client.http.get("/users/profile", headers=bearer("pat_two"))).status_code == 401


async def test_forged_tokens_are_401(client: Client, around: Platform) -> None:
    user = await client.register()
    good = {"type": ACCESS, "sub": user["id"]}
    wrong: list[dict[str, Any]] = [
        {"type": "0"}, {"type": 9}, {"type": False}, {"role": 3}, {"role": None}, {"verified": 1},
        {"iss": "somebody"}, {"sub": "nobody"}, {"exp": 1}, {"exp": "x"}, {"iat": 9e12}, {"jti": "x"},
    ]  # fmt: skip
    control = await client.http.get("/users/profile", headers=bearer(around.auth.sign(**good)))
    assert control.status_code == 200
    for change in wrong:
        token = around.auth.sign(**(good | change))
        answer = await client.http.get("/users/profile", headers=bearer(token))
        assert answer.status_code == 401, change
    public = next(iter(around.auth.keys.values())).public_key().public_bytes_raw()
    said = good | {"iss": "magistrala.auth"}
    none: Any = None
    for alg, key in (("HS256", public), ("none", none)):
        token = jwt.encode(said, key, alg, {"kid": "first"})
        assert (await client.http.get("/users/profile", headers=bearer(token))).status_code == 401


async def test_the_keys_of_the_auth_service_are_shown_here_too(client: Client, around: Platform) -> None:
    await client.as_admin()
    shown = await client.http.get("/.well-known/jwks.json")
    assert shown.json() == around.auth.jwks


async def test_another_service_is_told_what_a_foreign_token_is_worth(client: Client) -> None:
    user = await client.register()
    tokens = await client.login(user["email"])
    program = introspector(client)
    for kind in ("access_token", "refresh_token"):
        told = await client.http.post("/oauth/introspect", auth=program, data={"token": tokens[kind]})
        assert told.status_code == 200, told.text
        assert (told.json()["active"], told.json()["sub"]) == (True, user["id"])
    for kind in ("access_token", "refresh_token"):
        assert (await client.http.post("/oauth/revoke", data={"token": tokens[kind]})).status_code == 200
        told = await client.http.post("/oauth/introspect", auth=program, data={"token": tokens[kind]})
        assert told.json() == {"active": False}


def introspector(client: Client) -> tuple[str, str]:
    """The credential of a service account that may ask about tokens."""
    clients = PostgresClientAdministration(client.service.pool.conninfo, lambda: datetime.now(UTC))
    account = clients.add("a program", ["introspect"])
    return str(account.id), account.secret


async def test_a_disabled_users_token_stops_on_another_replica_too(
    client: Client, around: Platform, shared_database: str
) -> None:
    async with around.service(shared_database) as other:
        user = await client.register()
        headers = await client.as_user(user["email"])
        assert (await other.http.get("/users/profile", headers=headers)).status_code == 200
        await client.http.post(f"/users/{user['id']}/disable", headers=await client.as_admin())

        async def stopped() -> bool:
            return (await other.http.get("/users/profile", headers=headers)).status_code == 401

        await eventually(stopped)
