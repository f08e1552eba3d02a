"""Who may call what: every method against every kind of credential."""

from __future__ import annotations

import base64
from datetime import timedelta
from typing import Any

import pytest
from grpc import StatusCode

from application.clients import SCOPES, Scope
from interfaces.grpc.methods import UNARY, WATCH, WATCH_SCOPE
from interfaces.grpc.services import FILES
from tests.grpc.world import Metadata, World, reason_of, refusal, shown
from tests.support.waiting import eventually

REFLECTION = "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
NEEDS: dict[str, Scope] = {rpc: method.scope for rpc, method in UNARY.items()} | {WATCH: WATCH_SCOPE}


def call(here: World, rpc: str, metadata: Metadata, sent: bytes = b"") -> Any:
    """A call of raw bytes; an empty message is one of every method."""
    channel: Any = here.channel
    if rpc == WATCH:
        return channel.unary_stream(f"/{rpc}")(sent, metadata=metadata).read()
    if rpc == REFLECTION:
        return channel.stream_stream(f"/{rpc}")(iter([b"\x3a\x01*"]), metadata=metadata).read()
    return channel.unary_unary(f"/{rpc}")(sent, metadata=metadata)


async def outcome(made: Any) -> StatusCode:
    """OK, or the status of the refusal."""
    try:
        await made
    except Exception as error:
        code: StatusCode = error.code()  # type: ignore[attr-defined]
        return code
    return StatusCode.OK


def test_every_method_of_the_protos_is_served_and_has_a_scope() -> None:
    declared = {
        f"{service.full_name}/{method.name}"
        for file in FILES
        for service in file.services_by_name.values()
        for method in service.methods
    }
    assert declared == NEEDS.keys()


@pytest.mark.parametrize("rpc", [*sorted(NEEDS), REFLECTION])
async def test_nobody_without_a_credential_is_served(here: World, rpc: str) -> None:
    account = here.account()
    wrong: list[Metadata] = [
        (),
        (("authorization", "Bearer x"),),
        (("authorization", "Basic !"),),
        (("authorization", "Basic " + base64.b64encode(b"nobody:x").decode()),),
        shown(account, "another"),
    ]
    for metadata in wrong:
        error = await refusal(call(here, rpc, metadata))
        assert (error.code(), reason_of(error)) == (StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED")
        assert error.details()


@pytest.mark.parametrize("rpc", sorted(NEEDS))
async def test_a_service_account_may_what_its_scope_says(here: World, rpc: str) -> None:
    others = [scope for scope in SCOPES if scope != NEEDS[rpc]]
    error = await refusal(call(here, rpc, here.shows(*others)))
    assert (error.code(), reason_of(error)) == (StatusCode.PERMISSION_DENIED, "ADMIN_ONLY")
    assert await outcome(call(here, rpc, here.shows(NEEDS[rpc]))) is not StatusCode.PERMISSION_DENIED


async def test_reflection_is_for_every_service_account(here: World) -> None:
    for scope in SCOPES:
        assert await outcome(call(here, REFLECTION, here.shows(scope))) is StatusCode.OK


async def test_a_revoked_account_is_served_no_more_and_a_rotated_one_by_both_secrets(here: World) -> None:
    rpc = "token.v1.TokenService/ListUserRefreshTokens"
    account = here.account("issue_tokens")
    sent = b"\x0a\x01x"
    assert await outcome(call(here, rpc, shown(account), sent)) is StatusCode.OK
    rotated = here.administration.rotate(account.id, timedelta(hours=1))

    async def the_new_one_holds() -> bool:
        return await outcome(call(here, rpc, shown(rotated), sent)) is StatusCode.OK

    await eventually(the_new_one_holds)
    assert await outcome(call(here, rpc, shown(account), sent)) is StatusCode.OK
    here.administration.revoke(account.id)

    async def it_is_refused() -> bool:
        return await outcome(call(here, rpc, shown(rotated), sent)) is StatusCode.UNAUTHENTICATED

    await eventually(it_is_refused)
    assert await outcome(call(here, rpc, shown(account), sent)) is StatusCode.UNAUTHENTICATED


@pytest.mark.parametrize("rpc", sorted(NEEDS))
async def test_what_is_no_message_is_never_a_fault_of_ours(here: World, rpc: str) -> None:
    shows = here.shows(NEEDS[rpc])
    for sent in (b"\xff", b"\x0a\xff\xff\xff\xff\x0f", b"\x0b" * 1000):
        error = await refusal(call(here, rpc, shows, sent))
        assert error.code() is StatusCode.INVALID_ARGUMENT


async def test_there_is_nothing_at_other_names(here: World) -> None:
    for rpc in ("users.v1.UsersService/Nothing", "nobody.v1.Nothing/Nothing"):
        error = await refusal(call(here, rpc, here.shows()))
        assert error.code() is StatusCode.UNIMPLEMENTED
