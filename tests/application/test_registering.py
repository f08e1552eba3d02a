"""Registering accounts and the first admin."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from application.commands.change_email import ChangeEmail
from application.commands.create_first_admin import CreateFirstAdmin
from application.commands.register_user import RegisterUser
from domain import events
from domain.access import ANONYMOUS, OPERATOR, SYSTEM
from domain.errors import AdminOnly, EmailTaken, FirstAdminExists, UsernameTaken
from domain.user import User
from domain.values import Role
from tests.support.memory import NOON, SECRET, World


def account(**changes: Any) -> events.Registered:
    fields: dict[str, Any] = {"at": NOON, "email": "ada@example.com", "username": "ada"}
    return events.Registered(**fields | changes)


def registration(**changes: Any) -> RegisterUser:
    return RegisterUser(account=account(**changes), user=User(id=uuid4()), secret=SECRET)


async def test_a_registration_stores_the_account_and_the_hash_of_the_secret(world: World) -> None:
    command = registration()
    receipt = await world.do(command)
    assert (receipt.user_id, receipt.version, receipt.position) == (command.user.id, 1, 1)
    history = await world.log.load(command.user.id)
    assert (history.user.email, history.user.username) == ("ada@example.com", "ada")
    credential = await world.accounts.of(command.user.id)
    assert credential is not None
    assert credential.secret_hash == f"plain:{SECRET}"


async def test_no_event_holds_the_secret_or_its_hash(world: World) -> None:
    await world.do(registration())
    rows = world.recorder.select_notifications(None, 10)
    assert not any(SECRET.encode() in row.state for row in rows)


@pytest.mark.parametrize("email", ["ada@example.com", "ADA@EXAMPLE.COM", "ａｄａ@example.com"])
async def test_an_email_is_taken_in_every_spelling(world: World, email: str) -> None:
    await world.do(registration())
    with pytest.raises(EmailTaken):
        await world.do(registration(email=email, username="other"))


async def test_a_username_is_taken_without_regard_to_case(world: World) -> None:
    await world.do(registration())
    with pytest.raises(UsernameTaken):
        await world.do(registration(email="other@example.com", username="ADA"))


async def test_a_name_that_is_taken_costs_no_hash(world: World) -> None:
    await world.do(registration())
    world.hasher.hash = None  # type: ignore[method-assign, assignment]
    with pytest.raises(EmailTaken):
        await world.do(registration())


async def test_who_loses_the_race_for_an_email_is_refused_by_the_append(world: World) -> None:
    async def somebody_is_faster() -> None:
        await world.do(registration(username="faster"))

    world.log.interrupt = somebody_is_faster
    loser = registration(email="Ada@example.com")
    with pytest.raises(EmailTaken):
        await world.do(loser)
    assert (await world.log.load(loser.user.id)).user.version == 0
    assert await world.accounts.holder("username", "ada") is None


async def test_a_name_that_was_given_up_can_be_registered(world: World) -> None:
    ada = await world.user("ada")
    assert ada.id is not None
    await world.do(ChangeEmail(user_id=ada.id, email="countess@example.com"), ada)
    await world.do(registration(username="newcomer"))
    with pytest.raises(EmailTaken):
        await world.do(registration(email="countess@example.com", username="x"))


async def test_nobody_becomes_admin_by_asking(world: World) -> None:
    with pytest.raises(AdminOnly):
        await world.do(registration(role=Role.ADMIN), ANONYMOUS)
    assert await world.log.head() == 0


async def test_without_self_registration_only_admins_register() -> None:
    world = World(self_register=False)
    with pytest.raises(AdminOnly):
        await world.do(registration())
    await world.do(registration(), OPERATOR)


async def test_the_first_admin_is_made_once_and_never_again(world: World) -> None:
    def wish(name: str) -> CreateFirstAdmin:
        made = account(email=f"{name}@example.com", username=name, role=Role.ADMIN)
        return CreateFirstAdmin(account=made, user=User(id=uuid4()), secret=SECRET)

    assert not await world.accounts.had_admin()
    await world.do(wish("root"), SYSTEM)
    assert await world.accounts.had_admin()
    with pytest.raises(FirstAdminExists):
        await world.do(wish("another"), SYSTEM)


async def test_the_first_admin_is_not_made_where_somebody_was_an_admin_before(world: World) -> None:
    await world.do(registration(role=Role.ADMIN), OPERATOR)
    wish = CreateFirstAdmin(
        account=account(email="root@example.com", username="root", role=Role.ADMIN),
        user=User(id=uuid4()),
        secret=SECRET,
    )
    with pytest.raises(FirstAdminExists):
        await world.do(wish, SYSTEM)


async def test_the_receipt_of_a_registration_holds_the_account_that_the_log_holds(world: World) -> None:
    receipt = await world.do(registration())
    assert receipt.after == (await world.log.load(receipt.user_id)).user
