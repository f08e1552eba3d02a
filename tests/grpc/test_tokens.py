"""The token service: sessions for users whom the platform has made sure of, from the live account only."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import jwt
import pytest
from grpc import StatusCode

from interfaces.grpc.stubs.auth.v1.auth_pb2 import AuthNReq
from interfaces.grpc.stubs.token.v1.token_pb2 import (
    IssueReq,
    ListUserRefreshTokensReq,
    RefreshReq,
    RevokeReq,
    Token,
)
from tests.grpc.world import Metadata, World, reason_of, refusal
from tests.support.service import bearer


@pytest.fixture(scope="module")
def shows(here: World) -> Metadata:
    return here.shows("issue_tokens")


async def issued(here: World, shows: Metadata, user_id: str, **more: Any) -> Token:
    token: Token = await here.tokens.Issue(
        IssueReq(user_id=user_id, **more),
        metadata=shows,
    )
    return token


def claims(token: Token) -> dict[str, object]:
    found: dict[str, object] = jwt.decode(token.access_token, options={"verify_signature": False})
    return found


async def test_tokens_that_were_issued_are_those_of_a_login(here: World, shows: Metadata) -> None:
    user = await here.client.register()
    token = await issued(here, shows, user["id"], description="from the platform")
    assert token.access_type == "Bearer"
    assert token.HasField("refresh_token")
    profile = await here.client.http.get("/users/profile", headers=bearer(token.access_token))
    assert profile.json()["id"] == user["id"]
    listed = await here.tokens.ListUserRefreshTokens(
        ListUserRefreshTokensReq(user_id=user["id"]), metadata=shows
    )
    (session,) = listed.refresh_tokens
    assert (session.id, session.description) == (claims(token)["sid"], "from the platform")


async def test_role_and_verified_come_from_the_user_and_never_from_the_request(
    here: World, shows: Metadata
) -> None:
    user = await here.client.register()
    token = await issued(here, shows, user["id"], user_role=2, verified=True)
    assert (claims(token)["role"], claims(token)["verified"]) == (1, False)
    token = await here.tokens.Refresh(
        RefreshReq(refresh_token=token.refresh_token, verified=True), metadata=shows
    )
    assert (claims(token)["role"], claims(token)["verified"]) == (1, False)
    admin = await here.client.as_admin()
    await here.client.http.patch(f"/users/{user['id']}/role", json={"role": "admin"}, headers=admin)
    token = await issued(here, shows, user["id"], user_role=1)
    assert claims(token)["role"] == 2


async def test_a_disabled_or_deleted_or_unknown_user_gets_nothing(here: World, shows: Metadata) -> None:
    admin = await here.client.as_admin()
    disabled, deleted = [(await here.client.register())["id"] for _ in range(2)]
    before = await issued(here, shows, disabled)
    await here.client.http.post(f"/users/{disabled}/disable", headers=admin)
    await here.client.http.delete(f"/users/{deleted}", headers=admin)
    for user_id in (disabled, deleted):
        error = await refusal(issued(here, shows, user_id))
        assert (error.code(), reason_of(error)) == (StatusCode.PERMISSION_DENIED, "ACCOUNT_NOT_ENABLED")
    for user_id in (str(uuid4()), "nobody"):
        error = await refusal(issued(here, shows, user_id))
        assert error.code() is StatusCode.NOT_FOUND
    error = await refusal(here.tokens.Refresh(RefreshReq(refresh_token=before.refresh_token), metadata=shows))
    assert (error.code(), reason_of(error)) == (StatusCode.UNAUTHENTICATED, "INVALID_TOKEN")


async def test_a_session_is_revoked_only_for_the_user_it_belongs_to(here: World, shows: Metadata) -> None:
    user, other = await here.client.register(), await here.client.register()
    token = await issued(here, shows, user["id"])
    session = str(claims(token)["sid"])
    for token_id, user_id in ((session, other["id"]), (str(uuid4()), user["id"]), ("x", "y")):
        await here.tokens.Revoke(RevokeReq(token_id=token_id, user_id=user_id), metadata=shows)
    request = RefreshReq(refresh_token=token.refresh_token)
    token = await here.tokens.Refresh(request, metadata=shows)
    await here.tokens.Revoke(RevokeReq(token_id=session, user_id=user["id"]), metadata=shows)
    error = await refusal(here.tokens.Refresh(RefreshReq(refresh_token=token.refresh_token), metadata=shows))
    assert error.code() is StatusCode.UNAUTHENTICATED
    error = await refusal(
        here.auth.Authenticate(AuthNReq(token=token.access_token), metadata=here.shows("introspect"))
    )
    assert error.code() is StatusCode.UNAUTHENTICATED
    listed = await here.tokens.ListUserRefreshTokens(
        ListUserRefreshTokensReq(user_id=user["id"]), metadata=shows
    )
    assert not listed.refresh_tokens


async def test_what_is_missing_or_not_issued_here_is_an_invalid_argument(
    here: World, shows: Metadata
) -> None:
    user = (await here.client.register())["id"]
    for method, request in (
        (here.tokens.Issue, IssueReq()),
        *((here.tokens.Issue, IssueReq(user_id=user, type=kind)) for kind in (1, 2, 3, 4, 5, 4294967295)),
        (here.tokens.Issue, IssueReq(user_id=user, description="x" * 255)),
        (here.tokens.Issue, IssueReq(user_id=user, description="a\x00b")),
        (here.tokens.Refresh, RefreshReq()),
        (here.tokens.Revoke, RevokeReq(user_id=user)),
        (here.tokens.Revoke, RevokeReq(token_id=user)),
        (here.tokens.ListUserRefreshTokens, ListUserRefreshTokensReq()),
    ):
        error = await refusal(method(request, metadata=shows))
        assert error.code() is StatusCode.INVALID_ARGUMENT, request
    nobody = await here.tokens.ListUserRefreshTokens(
        ListUserRefreshTokensReq(user_id="nobody"), metadata=shows
    )
    assert not nobody.refresh_tokens


async def test_an_issued_session_stands_in_the_security_log(here: World, shows: Metadata) -> None:
    user = await here.client.register()
    await issued(here, shows, user["id"])
    headers = await here.client.as_user(user["email"])
    answer = await here.client.http.get(f"/users/{user['id']}/security-log", headers=headers)
    details = [entry.get("detail") for entry in answer.json()["security_log"]]
    assert "vouched for by a service" in details
