"""One's own sessions over HTTP: listed, ended one by one or all at once; and the security log beside them."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import jwt
import pytest

from infrastructure.tokens.rotation import GRACE
from tests.http.answers import accepted, refused
from tests.http.conftest import checked_service
from tests.support.service import SECRET, Client, bearer
from tests.support.waiting import eventually

LIST, REVOKE, REVOKE_ALL = (f"/users/tokens/{name}" for name in ("refresh-tokens", "revoke", "revoke-all"))


async def log_in(client: Client, user: dict[str, Any], **more: Any) -> dict[str, str]:
    body = {"identity": user["email"], "secret": SECRET} | more
    headers = {"User-Agent": "gadget/1.0"}
    tokens: dict[str, str] = accepted(
        await client.http.post("/users/tokens/issue", json=body, headers=headers), 201
    )
    return tokens


def id_of(tokens: dict[str, str]) -> str:
    """The id of a session: what old clients find in the refresh token as `jti`."""
    return str(jwt.decode(tokens["refresh_token"], options={"verify_signature": False})["jti"])


async def sessions_of(client: Client, tokens: dict[str, str]) -> list[dict[str, Any]]:
    answer = await client.http.get(LIST, headers=bearer(tokens["access_token"]))
    listed: list[dict[str, Any]] = accepted(answer)["refresh_tokens"]
    return listed


async def is_dead(client: Client, tokens: dict[str, str]) -> None:
    """Its refresh token at once, its access token within a second."""
    refused(
        await client.http.post("/users/tokens/refresh", headers=bearer(tokens["refresh_token"])),
        401,
        "invalid_token",
    )

    async def refuses() -> bool:
        answer = await client.http.get("/users/profile", headers=bearer(tokens["access_token"]))
        return answer.status_code == 401

    await eventually(refuses, within=1)


async def is_alive(client: Client, tokens: dict[str, str]) -> None:
    accepted(await client.http.get("/users/profile", headers=bearer(tokens["access_token"])))
    accepted(await client.http.post("/users/tokens/refresh", headers=bearer(tokens["refresh_token"])), 201)


async def test_ones_own_sessions_are_listed_with_what_is_known_of_them(client: Client) -> None:
    user, other = await client.register(), await client.register()
    await log_in(client, other)
    first = await log_in(client, user, description="laptop")
    second = await log_in(client, user)
    newest, oldest = await sessions_of(client, second)
    assert (newest["id"], oldest["id"]) == (id_of(second), id_of(first))
    assert (newest["current"], "current" in oldest) == (True, False)
    assert (oldest["description"], "description" in newest) == ("laptop", False)
    assert oldest["user_agent"] == "gadget/1.0"
    assert oldest["created_at"] == oldest["last_used_at"]


async def test_a_list_without_sessions_is_empty_and_not_null(client: Client) -> None:
    user = await client.register()
    tokens = await log_in(client, user)
    async with client.service.pool.connection() as connection:
        await connection.execute("DELETE FROM sessions")
    assert await sessions_of(client, tokens) == []


async def test_an_account_with_an_unverified_email_may_see_and_end_its_sessions(database: str) -> None:
    async with checked_service(database, MG_ALLOW_UNVERIFIED_USER="false") as client:
        tokens = await log_in(client, await client.register())
        headers = bearer(tokens["access_token"])
        assert len(await sessions_of(client, tokens)) == 1
        answer = await client.http.post(REVOKE, json={"token_id": str(uuid4())}, headers=headers)
        assert answer.status_code == 204
        assert (await client.http.post(REVOKE_ALL, headers=headers)).status_code == 204


async def test_a_session_that_is_revoked_ends_and_the_others_go_on(client: Client) -> None:
    user = await client.register()
    ended, other = await log_in(client, user), await log_in(client, user)
    body = {"token_id": id_of(ended)}
    answer = await client.http.post(REVOKE, json=body, headers=bearer(other["access_token"]))
    assert (answer.status_code, answer.content) == (204, b"")
    await is_dead(client, ended)
    assert [session["id"] for session in await sessions_of(client, other)] == [id_of(other)]
    again = await client.http.post(REVOKE, json=body, headers=bearer(other["access_token"]))
    assert again.status_code == 204
    await is_alive(client, other)


async def test_a_revoked_sessions_access_token_stops_on_another_replica_too(
    client: Client, database: str
) -> None:
    user = await client.register()
    ended, asking = await log_in(client, user), await log_in(client, user)
    async with checked_service(database) as replica:
        await is_alive(replica, asking)
        accepted(await replica.http.get("/users/profile", headers=bearer(ended["access_token"])))
        body = {"token_id": id_of(ended)}
        answer = await client.http.post(REVOKE, json=body, headers=bearer(asking["access_token"]))
        assert answer.status_code == 204
        await is_dead(replica, ended)


async def test_the_session_of_somebody_else_is_answered_alike_and_goes_on(client: Client) -> None:
    user, thief = await client.register(), await client.register()
    tokens, thiefs = await log_in(client, user), await log_in(client, thief)
    for token_id in (id_of(tokens), str(uuid4()), "no-id-at-all"):
        answer = await client.http.post(
            REVOKE, json={"token_id": token_id}, headers=bearer(thiefs["access_token"])
        )
        assert (answer.status_code, answer.content) == (204, b"")
    await is_alive(client, tokens)


@pytest.mark.parametrize("body", [{}, {"token_id": ""}, {"token_id": None}, {"token_id": 7}])
async def test_a_revocation_names_a_session(client: Client, body: dict[str, Any]) -> None:
    headers = await client.as_admin()
    answer = await client.http.post(REVOKE, json=body, headers=headers)
    refused(answer, 400, "invalid_request", "/token_id")


async def test_every_session_ends_at_once_the_one_that_asks_too(client: Client) -> None:
    user, other = await client.register(), await client.register()
    mine, others = [await log_in(client, user) for _ in range(3)], await log_in(client, other)
    answer = await client.http.post(REVOKE_ALL, headers=bearer(mine[0]["access_token"]))
    assert (answer.status_code, answer.content) == (204, b"")
    for tokens in mine:
        await is_dead(client, tokens)
    await is_alive(client, others)
    await is_alive(client, await log_in(client, user))


async def test_every_other_session_ends_where_the_one_that_asks_is_kept(client: Client) -> None:
    user = await client.register()
    kept, *ended = [await log_in(client, user) for _ in range(3)]
    body, headers = {"keep_current": True}, bearer(kept["access_token"])
    assert (await client.http.post(REVOKE_ALL, json=body, headers=headers)).status_code == 204
    for tokens in ended:
        await is_dead(client, tokens)
    await is_alive(client, kept)
    answer = await client.http.post(REVOKE_ALL, json={"keep_current": "yes"}, headers=headers)
    refused(answer, 400, "invalid_request", "/keep_current")


async def test_the_churn_of_sessions_is_no_event(client: Client) -> None:
    user = await client.register()
    head = await client.service.bus.ports.log.head()
    tokens = await log_in(client, user)
    tokens = accepted(
        await client.http.post("/users/tokens/refresh", headers=bearer(tokens["refresh_token"])), 201
    )
    headers = bearer(tokens["access_token"])
    await client.http.post(REVOKE, json={"token_id": id_of(tokens)}, headers=headers)
    assert await client.service.bus.ports.log.head() == head


async def _log_of(client: Client, user: dict[str, Any], **query: Any) -> dict[str, Any]:
    path = f"/users/{user['id']}/security-log"
    page: dict[str, Any] = accepted(
        await client.http.get(path, params=query, headers=await client.as_admin())
    )
    return page


async def test_logins_failed_logins_thefts_and_revocations_are_in_the_security_log(client: Client) -> None:
    user = await client.register()
    wrong = {"identity": user["email"], "secret": "wrong"}
    refused(await client.http.post("/users/tokens/issue", json=wrong), 401, "wrong_credentials")
    stolen, tokens = await log_in(client, user), await log_in(client, user)
    refresh = bearer(stolen["refresh_token"])
    accepted(await client.http.post("/users/tokens/refresh", headers=refresh), 201)
    async with client.service.pool.connection() as connection:
        await connection.execute(
            "UPDATE sessions SET used_at = ARRAY[rotated_at - %s * 2] WHERE id = %s",
            (GRACE, UUID(id_of(stolen))),
        )
    refused(await client.http.post("/users/tokens/refresh", headers=refresh), 401, "invalid_token")
    headers = bearer(tokens["access_token"])
    await client.http.post(REVOKE, json={"token_id": id_of(tokens)}, headers=headers)
    page = await _log_of(client, user)
    assert {(entry["kind"], entry.get("session_id")) for entry in page["security_log"]} == {
        ("login_failed", None),
        ("login", id_of(stolen)),
        ("login", id_of(tokens)),
        ("refresh_reused", id_of(stolen)),
        ("session_revoked", id_of(tokens)),
    }
    (failed,) = [entry for entry in page["security_log"] if entry["kind"] == "login_failed"]
    assert failed["detail"] == "wrong secret"
    assert "next" not in page


async def test_a_failed_login_of_nobody_is_noted_without_the_name(client: Client) -> None:
    canary = "canary-nobody"
    for login in (canary, f"{canary}@example.com"):
        body = {"identity": login, "secret": canary}
        refused(await client.http.post("/users/tokens/issue", json=body), 401, "wrong_credentials")
    log: Any = client.service.bus.ports.security_log
    assert await log.flushed()
    async with client.service.pool.connection() as connection:
        rows = await (await connection.execute("SELECT * FROM security_log")).fetchall()
    assert len(rows) == 2
    assert canary not in str(rows)


async def test_a_security_log_is_paged_by_number_newest_first(client: Client) -> None:
    user = await client.register()
    for _ in range(7):
        await log_in(client, user)
    page = await _log_of(client, user, limit=3)
    numbers = [entry["number"] for entry in page["security_log"]]
    while "next" in page:
        page = await _log_of(client, user, limit=3, before=page["next"])
        numbers += [entry["number"] for entry in page["security_log"]]
    assert len(numbers) == 7
    assert numbers == sorted(numbers, reverse=True)


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "before=-1", "before=x"])
async def test_a_faulty_query_of_a_security_log_is_refused(client: Client, query: str) -> None:
    path = f"/users/{uuid4()}/security-log?{query}"
    answer = await client.http.get(path, headers=await client.as_admin())
    refused(answer, 400, "invalid_request", f"/{query.partition('=')[0]}")


async def test_what_a_client_calls_itself_is_cut_and_cleaned(client: Client) -> None:
    user = await client.register()
    body = {"identity": user["email"], "secret": SECRET}
    headers = {b"User-Agent": "é".encode("latin-1") + b"\x85" + b"x" * 4000}
    tokens = accepted(await client.http.post("/users/tokens/issue", json=body, headers=headers), 201)
    (session,) = await sessions_of(client, tokens)
    assert session["user_agent"].isprintable()
    assert len(session["user_agent"]) <= 254
