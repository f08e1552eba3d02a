"""The published keys, and the algorithms that a setting chooses."""

from __future__ import annotations

import jwt
import pytest

from tests.http.answers import accepted
from tests.support.service import Client, bearer, running_service

PATHS = ("/.well-known/jwks.json", "/keys/.well-known/jwks.json")


@pytest.mark.parametrize("path", PATHS)
async def test_the_keys_are_cached_and_asked_for_again_only_when_they_change(
    client: Client, path: str
) -> None:
    answer = await client.http.get(path)
    accepted(answer)
    assert answer.headers["cache-control"] == "public, max-age=900, stale-while-revalidate=60"
    tag = answer.headers["etag"]
    again = await client.http.get(path, headers={"If-None-Match": tag})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    assert again.headers["cache-control"] == answer.headers["cache-control"]
    other = await client.http.get(path, headers={"If-None-Match": '"of another day"'})
    assert other.status_code == 200


async def test_the_next_key_is_published_beside_the_one_that_signs(client: Client) -> None:
    keys = (await client.http.get(PATHS[0])).json()["keys"]
    await client.register(email="ada@example.com")
    token = (await client.login("ada@example.com"))["access_token"]
    assert len(keys) == 2
    assert keys[0]["kid"] == jwt.get_unverified_header(token)["kid"]
    assert all(not key.keys() & {"d", "p", "q", "k"} for key in keys)


@pytest.mark.parametrize("algorithm", ["EdDSA", "RS256"])
async def test_a_setting_chooses_the_algorithm(database: str, algorithm: str) -> None:
    async with running_service(database, MG_USERS_SIGNING_ALGORITHM=algorithm) as client:
        await client.register(email="ada@example.com")
        token = (await client.login("ada@example.com"))["access_token"]
        published = jwt.PyJWKSet.from_dict((await client.http.get(PATHS[0])).json())
        kid = jwt.get_unverified_header(token)["kid"]
        read = jwt.decode(token, published[kid], algorithms=[algorithm], audience="magistrala")
        assert read["iss"] == "magistrala.auth"
        assert (await client.http.get("/users/profile", headers=bearer(token))).status_code == 200


async def test_with_a_shared_secret_tokens_are_mainflux_s_and_nothing_is_published(database: str) -> None:
    secret = "a secret that others have too, and longer than sixty-four bytes by now"
    environ = {"MG_USERS_SIGNING_ALGORITHM": "HS512", "MF_USERS_SECRET_KEY": secret}
    async with running_service(database, project=True, **environ) as client:  # type: ignore[arg-type]
        user = await client.register(email="ada@example.com")
        tokens = await client.login("ada@example.com")
        read = jwt.decode(tokens["access_token"], secret, algorithms=["HS512"])
        assert (read["iss"], read["sub"], read["identity"], read["type"]) == (
            "clients.auth", user["id"], "ada@example.com", "access"
        )  # fmt: skip
        for path in PATHS:
            assert (await client.http.get(path)).json() == {"keys": []}
        headers = bearer(tokens["access_token"])
        assert (await client.http.get("/users/profile", headers=headers)).status_code == 200
        again = await client.http.post("/users/tokens/refresh", headers=bearer(tokens["refresh_token"]))
        assert jwt.decode(again.json()["access_token"], secret, algorithms=["HS512"])["sub"] == user["id"]
        admin = await client.as_admin()
        await client.http.post(f"/users/{user['id']}/disable", headers=admin)
        assert (await client.http.get("/users/profile", headers=headers)).status_code == 401


async def test_the_documented_short_secret_is_warned_about(
    database: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with running_service(database, MG_USERS_SIGNING_ALGORITHM="HS512"):
        pass
    (warning,) = [record.getMessage() for record in caplog.records if record.name == "usersd.keys"]
    assert "MF_USERS_SECRET_KEY is shorter than 64 bytes" in warning
    assert "mainflux" not in warning
