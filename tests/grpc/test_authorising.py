"""Both Auth services: whose token this is and what its user is, against the account as it stands now."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from grpc import StatusCode

from interfaces.grpc.stubs.auth.v1.auth_pb2 import AuthNReq, AuthZReq, PATReq, PolicyReq
from interfaces.grpc.stubs.mainflux.users.policies.auth_pb2 import AuthorizeReq, IdentifyReq
from tests.grpc.world import Metadata, World, reason_of, refusal
from tests.support.service import ADMIN


@pytest.fixture(scope="module")
def shows(here: World) -> Metadata:
    return here.shows("introspect")


def both(here: World, token: str, shows: Metadata) -> list[Any]:
    return [
        here.policies.Identify(IdentifyReq(token=token), metadata=shows),
        here.auth.Authenticate(AuthNReq(token=token), metadata=shows),
    ]


def platform(subject: str, permission: str, **more: str) -> AuthZReq:
    """A question about the platform, as the services of Magistrala ask it."""
    asked = {"subject_type": "user", "object_type": "platform", "object": "magistrala"} | more
    return AuthZReq(policy_req=PolicyReq(subject=subject, permission=permission, **asked))


async def test_an_access_token_tells_whose_it_is(here: World, shows: Metadata) -> None:
    user = await here.client.register()
    token = (await here.client.login(user["email"]))["access_token"]
    identified, authenticated = [await call for call in both(here, token, shows)]
    assert identified.id == user["id"]
    assert (authenticated.user_id, authenticated.user_role) == (user["id"], 1)
    assert (authenticated.verified, authenticated.token_type) == (False, 0)
    headers = {"Authorization": f"Bearer {token}"}
    sessions = await here.client.http.get("/users/tokens/refresh-tokens", headers=headers)
    assert authenticated.id == sessions.json()["refresh_tokens"][0]["id"]
    admin = (await here.client.login(**ADMIN))["access_token"]
    assert (await both(here, admin, shows)[1]).user_role == 2


async def test_nothing_else_is_a_token(here: World, shows: Metadata) -> None:
    user = await here.client.register()
    refresh = (await here.client.login(user["email"]))["refresh_token"]
    for token in ("", "garbage", "a.b.c", refresh, "pat_1234", "x" * 10_000, "ü"):
        for call in both(here, token, shows):
            error = await refusal(call)
            assert (error.code(), reason_of(error)) == (StatusCode.UNAUTHENTICATED, "INVALID_TOKEN")
            assert token == "" or token not in str(error)


async def test_a_disabled_user_is_identified_no_more(here: World, shows: Metadata) -> None:
    user = await here.client.register()
    token = (await here.client.login(user["email"]))["access_token"]
    for call in both(here, token, shows):
        await call
    await here.client.http.post(f"/users/{user['id']}/disable", headers=await here.client.as_admin())
    for call in both(here, token, shows):
        assert (await refusal(call)).code() is StatusCode.UNAUTHENTICATED


async def test_admins_may_everything_and_others_nothing_in_mainflux(here: World, shows: Metadata) -> None:
    admin, user = [(await here.client.register())["id"] for _ in range(2)]
    headers = await here.client.as_admin()
    await here.client.http.patch(f"/users/{admin}/role", json={"role": "admin"}, headers=headers)

    def asks(subject: str, entity: str = "client", object: str = "o", action: str = "a") -> Any:
        request = AuthorizeReq(subject=subject, object=object, action=action, entityType=entity)
        return here.policies.Authorize(request, metadata=shows)

    for entity in ("client", "group", "", "anything"):
        assert (await asks(admin, entity)).authorized
    for subject in (user, str(uuid4()), "nobody"):
        for entity in ("client", "group"):
            assert (await refusal(asks(subject, entity))).code() is StatusCode.PERMISSION_DENIED
        for entity in ("", "anything"):
            assert (await refusal(asks(subject, entity))).code() is StatusCode.INVALID_ARGUMENT
    assert (await refusal(asks(user, object=user))).code() is StatusCode.PERMISSION_DENIED
    for fields in ({"subject": ""}, {"subject": user, "object": ""}, {"subject": user, "action": ""}):
        assert (await refusal(asks(**fields))).code() is StatusCode.INVALID_ARGUMENT
    await here.client.http.post(f"/users/{admin}/disable", headers=headers)
    assert (await refusal(asks(admin))).code() is StatusCode.PERMISSION_DENIED


async def test_the_platform_knows_its_members_and_its_admins(here: World, shows: Metadata) -> None:
    headers = await here.client.as_admin()
    admin = (await here.client.http.get("/users/profile", headers=headers)).json()["id"]
    user = await here.client.register()
    token = (await here.client.login(user["email"]))["access_token"]

    def asks(request: AuthZReq) -> Any:
        return here.auth.Authorize(request, metadata=shows)

    for request, subject in (
        (platform(admin, "admin"), admin),
        (platform(admin, "membership", subject_kind="users"), admin),
        (platform(user["id"], "membership", domain="d"), user["id"]),
        (platform(token, "membership", subject_kind="token"), user["id"]),
    ):
        answer = await asks(request)
        assert (answer.authorized, answer.id) == (True, subject)
    for request in (
        platform(user["id"], "admin"),
        platform(token, "admin", subject_kind="token"),
        platform(str(uuid4()), "membership"),
        platform("nobody", "membership"),
        platform(admin, "admin", subject_type="group"),
        platform(admin, "admin", subject_kind="policies"),
        platform(admin, "admin", object="another"),
        platform(admin, "admin", object_type="domain"),
        platform(admin, "read"),
        AuthZReq(policy_req=platform(admin, "admin").policy_req, pat_req=PATReq(pat_id="x")),
    ):
        assert (await refusal(asks(request))).code() is StatusCode.PERMISSION_DENIED, request
    error = await refusal(asks(platform("garbage", "admin", subject_kind="token")))
    assert error.code() is StatusCode.UNAUTHENTICATED
    assert (await refusal(asks(AuthZReq()))).code() is StatusCode.INVALID_ARGUMENT
    await here.client.http.post(f"/users/{user['id']}/disable", headers=headers)
    assert (await refusal(asks(platform(user["id"], "membership")))).code() is StatusCode.PERMISSION_DENIED
