"""Sessions and the security log, decided over the world in memory."""

from __future__ import annotations

from uuid import uuid4

import pytest
from msgspec.structs import replace

from application.commands.disable_user import DisableUser
from application.commands.issue_tokens import IssueTokens
from application.commands.refresh_tokens import RefreshTokens
from application.commands.revoke_all_sessions import RevokeAllSessions
from application.commands.revoke_session import RevokeSession
from application.queries.list_sessions import ListSessions
from application.queries.view_security_log import ViewSecurityLog
from application.security import SecurityFact
from domain.access import ANONYMOUS, Actor
from domain.errors import Forbidden, InvalidToken, Unauthenticated, WrongCredentials
from tests.support.memory import SECRET, World, context

NETWORK = "192.0.2.0/24"


async def _log_in(world: World, login: str, secret: str = SECRET) -> str:
    asking = replace(context(at=world.clock.now()), network=NETWORK)
    command = IssueTokens(login=login, secret=secret, description="laptop", user_agent="curl/8")
    tokens = await world.bus.dispatch(command, asking)
    return tokens.refresh_token


async def test_a_login_is_noted_with_its_session_and_network_and_opens_it_there(world: World) -> None:
    ada = await world.user("ada")
    await _log_in(world, "ada")
    (session,) = await world.ask(ListSessions(), ada)
    assert (session.description, session.user_agent, session.opened_from) == ("laptop", "curl/8", NETWORK)
    assert world.security_log.facts == [
        SecurityFact(
            kind="login", at=world.clock.now(), user_id=ada.id, session_id=session.id, network=NETWORK
        )
    ]


async def test_a_failed_login_is_noted_once_whatever_it_failed_for(world: World) -> None:
    ada, shut = await world.user("ada"), await world.user("shut")
    assert shut.id is not None
    await world.do(DisableUser(user_id=shut.id), shut)
    for login, secret in (("ada", "wrong"), ("shut", SECRET), ("shut", "wrong"), ("nobody", SECRET)):
        with pytest.raises(WrongCredentials):
            await _log_in(world, login, secret)
    assert [(fact.kind, fact.user_id, fact.detail) for fact in world.security_log.facts] == [
        ("login_failed", ada.id, "wrong secret"),
        ("login_failed", shut.id, "not enabled"),
        ("login_failed", shut.id, "wrong secret"),
        ("login_failed", None, "unknown name"),
    ]
    assert not [fact for fact in world.security_log.facts if "nobody" in str(fact)]


async def test_a_session_is_ended_by_its_owner_alone(world: World) -> None:
    ada, bob = await world.user("ada"), await world.user("bob")
    token = await _log_in(world, "ada")
    (session,) = await world.ask(ListSessions(), ada)
    for wrong in (str(session.id), str(uuid4()), "nothing", str(session.id).upper()):
        await world.do(RevokeSession(session_id=wrong), bob)
    assert len(await world.ask(ListSessions(), ada)) == 1
    await world.do(RevokeSession(session_id=str(session.id)), ada)
    assert await world.ask(ListSessions(), ada) == []
    with pytest.raises(InvalidToken):
        await world.do(RefreshTokens(refresh_token=token))


async def test_all_sessions_end_and_the_one_that_asks_only_if_it_is_not_kept(world: World) -> None:
    ada = await world.user("ada")
    for _ in range(3):
        await _log_in(world, "ada")
    kept, *_ = await world.ask(ListSessions(), ada)
    asking = replace(context(ada, world.clock.now()), session=kept.id)
    await world.bus.dispatch(RevokeAllSessions(keep_current=True), asking)
    assert await world.ask(ListSessions(), ada) == [kept]
    await world.bus.dispatch(RevokeAllSessions(), asking)
    assert await world.ask(ListSessions(), ada) == []


@pytest.mark.parametrize("actor", [ANONYMOUS, Actor("service")])
async def test_who_has_no_account_has_no_sessions(world: World, actor: Actor) -> None:
    for command in (RevokeSession(session_id=str(uuid4())), RevokeAllSessions()):
        with pytest.raises(Unauthenticated):
            await world.do(command, actor)
    with pytest.raises(Unauthenticated):
        await world.ask(ListSessions(), actor)


async def test_the_security_log_is_for_its_user_and_admins(world: World) -> None:
    ada, bob, root = await world.user("ada"), await world.user("bob"), await world.admin()
    await _log_in(world, "ada")
    assert ada.id is not None
    for actor in (ada, root):
        (entry,) = await world.ask(ViewSecurityLog(user_id=ada.id), actor)
        assert (entry.kind, entry.user_id) == ("login", ada.id)
    with pytest.raises(Forbidden):
        await world.ask(ViewSecurityLog(user_id=ada.id), bob)


async def test_the_churn_of_sessions_appends_nothing(world: World) -> None:
    ada = await world.user("ada")
    head = await world.log.head()
    await world.do(RefreshTokens(refresh_token=await _log_in(world, "ada")))
    await world.do(RevokeAllSessions(), ada)
    assert await world.log.head() == head
