"""Logging in, going on with a session, and what an access token is worth."""

from __future__ import annotations

from datetime import timedelta

import pytest

from application.authentication import authenticate
from application.commands.change_email import ChangeEmail
from application.commands.change_role import ChangeRole
from application.commands.change_secret import ChangeSecret
from application.commands.disable_user import DisableUser
from application.commands.issue_tokens import IssueTokens
from application.commands.refresh_tokens import RefreshTokens
from application.messages import Command, Receipt
from domain.access import Actor
from domain.errors import InvalidToken, WrongCredentials
from domain.values import Role
from tests.support.memory import SECRET, World, context


async def _actor(world: World, token: str) -> Actor:
    return (await authenticate(token, context(at=world.clock.now()), world.ports)).actor


@pytest.mark.parametrize("login", ["ada", "ADA", "ada@example.com", "Ada@Example.COM"])
async def test_a_user_logs_in_with_a_name_in_any_spelling(world: World, login: str) -> None:
    ada = await world.user("ada")
    tokens = await world.do(IssueTokens(login=login, secret=SECRET))
    actor = await _actor(world, tokens.access_token)
    assert (actor.id, actor.role, actor.token) == (ada.id, Role.USER, "access")


async def test_unknown_wrong_and_disabled_get_one_answer_after_one_check_each(world: World) -> None:
    await world.user("ada")
    shut = await world.user("shut")
    assert shut.id is not None
    await world.do(DisableUser(user_id=shut.id), shut)
    answers = []
    for login, secret in [("nobody", SECRET), ("ada", "wrong"), ("shut", SECRET), ("no@body.org", SECRET)]:
        before = len(world.hasher.verified)
        with pytest.raises(WrongCredentials) as refused:
            await world.do(IssueTokens(login=login, secret=secret))
        answers.append((refused.value.code, refused.value.text, len(world.hasher.verified) - before))
    assert len(set(answers)) == 1
    assert world.sessions.asked_to_open == 0
    assert answers[0][2] == 1


async def test_a_hash_of_an_older_kind_is_replaced_at_the_next_login(world: World) -> None:
    ada = await world.user("ada")
    assert ada.id is not None
    head = await world.log.head()
    world.hasher.prefix = "stronger:"
    await world.do(IssueTokens(login="ada", secret=SECRET))
    credential = await world.accounts.of(ada.id)
    assert credential is not None
    assert credential.secret_hash == f"stronger:{SECRET}"
    assert await world.log.head() == head


async def test_refreshing_goes_on_with_the_session_and_uses_the_token_up(world: World) -> None:
    ada = await world.user("ada")
    first = await world.do(IssueTokens(login="ada", secret=SECRET))
    second = await world.do(RefreshTokens(refresh_token=first.refresh_token))
    assert second.refresh_token != first.refresh_token
    assert (await _actor(world, second.access_token)).id == ada.id
    with pytest.raises(InvalidToken):
        await world.do(RefreshTokens(refresh_token=first.refresh_token))


async def _ended_by(world: World, command: Command[Receipt], by: str) -> None:
    tokens = await world.do(IssueTokens(login="ada", secret=SECRET))
    actor = await _actor(world, tokens.access_token)
    admin = await world.admin("another")
    await world.do(command, actor if by == "self" else admin)
    with pytest.raises(InvalidToken):
        await _actor(world, tokens.access_token)
    with pytest.raises(InvalidToken):
        await world.do(RefreshTokens(refresh_token=tokens.refresh_token))


async def test_disabling_ends_every_token(world: World) -> None:
    ada = await world.user("ada")
    assert ada.id
    await _ended_by(world, DisableUser(user_id=ada.id), "admin")


async def test_a_new_secret_ends_every_token(world: World) -> None:
    ada = await world.user("ada")
    assert ada.id
    await _ended_by(world, ChangeSecret(user_id=ada.id, old_secret=SECRET, new_secret="new horses"), "self")


async def test_a_new_email_ends_every_token(world: World) -> None:
    ada = await world.user("ada")
    assert ada.id
    await _ended_by(world, ChangeEmail(user_id=ada.id, email="new@example.com"), "self")


async def test_a_demotion_ends_every_token(world: World) -> None:
    ada = await world.admin("ada")
    assert ada.id
    await _ended_by(world, ChangeRole(user_id=ada.id, role=Role.USER), "admin")


async def test_an_actor_has_the_role_that_the_account_has_now(world: World) -> None:
    ada = await world.user("ada")
    admin = await world.admin()
    assert ada.id
    tokens = await world.do(IssueTokens(login="ada", secret=SECRET))
    await world.do(ChangeRole(user_id=ada.id, role=Role.ADMIN), admin)
    assert (await _actor(world, tokens.access_token)).is_admin


async def test_an_access_token_ends_with_its_life(world: World) -> None:
    await world.user("ada")
    tokens = await world.do(IssueTokens(login="ada", secret=SECRET))
    world.clock.advance(timedelta(minutes=15))
    with pytest.raises(InvalidToken):
        await _actor(world, tokens.access_token)


async def test_a_refresh_token_is_no_access_token_and_the_reverse(world: World) -> None:
    await world.user("ada")
    tokens = await world.do(IssueTokens(login="ada", secret=SECRET))
    with pytest.raises(InvalidToken):
        await _actor(world, tokens.refresh_token)
    with pytest.raises(InvalidToken):
        await world.do(RefreshTokens(refresh_token=tokens.access_token))
