"""The bus: what it waits for and what it tells its observer; and the questions it passes on."""

from __future__ import annotations

from uuid import uuid4

import msgspec
import pytest

from application.commands.change_tags import ChangeTags
from application.commands.issue_tokens import IssueTokens
from application.paging import Paging
from application.queries.list_users import ListUsers
from application.queries.user_history import UserHistory
from application.queries.view_user import ViewUser
from domain.errors import AdminOnly, Forbidden, NotFound, WrongCredentials
from tests.support.memory import SECRET, World


async def test_a_write_waits_until_it_can_be_read(world: World) -> None:
    ada = await world.user("ada")
    assert ada.id
    receipt = await world.do(ChangeTags(user_id=ada.id, tags=["x"]), ada)
    assert world.visibility.waited_for == [receipt.position]
    assert receipt.visible


async def test_a_read_model_that_lags_is_said_and_is_no_refusal(world: World) -> None:
    ada = await world.user("ada")
    assert ada.id
    world.visibility.answer = False
    receipt = await world.do(ChangeTags(user_id=ada.id, tags=["x"]), ada)
    assert not receipt.visible
    assert (await world.load(ada)).tags == ["x"]


async def test_a_caller_who_does_not_want_to_wait_does_not(world: World) -> None:
    ada = await world.user("ada")
    assert ada.id
    receipt = await world.do(ChangeTags(user_id=ada.id, tags=["x"]), ada, wait=False)
    assert world.visibility.waited_for == []
    assert not receipt.visible


async def test_what_changes_no_user_waits_for_nothing(world: World) -> None:
    await world.user("ada")
    await world.do(IssueTokens(login="ada", secret=SECRET))
    assert world.visibility.waited_for == []


async def test_the_observer_hears_every_outcome_by_name(world: World) -> None:
    ada = await world.user("ada")
    assert ada.id
    await world.do(ChangeTags(user_id=ada.id, tags=["x"]), ada)
    with pytest.raises(WrongCredentials):
        await world.do(IssueTokens(login="ada", secret="wrong"))
    with pytest.raises(AdminOnly):
        await world.ask(ListUsers(), ada)
    world.hasher.verify = None  # type: ignore[method-assign, assignment]
    with pytest.raises(TypeError):
        await world.do(IssueTokens(login="ada", secret=SECRET))
    assert world.observed == [
        ("ChangeTags", "ok"),
        ("IssueTokens", "wrong_credentials"),
        ("ListUsers", "admin_only"),
        ("IssueTokens", "error"),
    ]


async def test_a_profile_that_the_read_model_lacks_is_folded_from_the_log(world: World) -> None:
    ada = await world.user("ada")
    assert ada.id
    view = await world.ask(ViewUser(user_id=ada.id), ada)
    assert view.version == 1
    assert msgspec.json.decode(view.body)["email"] == "ada@example.com"


async def test_a_profile_that_lags_is_folded_and_one_that_does_not_is_read(world: World) -> None:
    ada = await world.user("ada")
    assert ada.id
    row = world.directory.render(await world.load(ada))
    await world.do(ChangeTags(user_id=ada.id, tags=["x"]), ada)
    world.directory.rows[ada.id] = msgspec.structs.replace(row, behind=True)
    assert (await world.ask(ViewUser(user_id=ada.id), ada)).version == 2
    world.directory.rows[ada.id] = row
    assert (await world.ask(ViewUser(user_id=ada.id), ada)).version == 1


async def test_strangers_see_the_public_card_and_admins_the_whole(world: World) -> None:
    ada, bob, admin = await world.user("ada"), await world.user("bob"), await world.admin()
    assert ada.id
    stranger = await world.ask(ViewUser(user_id=ada.id), bob)
    assert stranger.version is None
    assert b"ada@example.com" not in stranger.body
    assert b"ada@example.com" in (await world.ask(ViewUser(user_id=ada.id), admin)).body
    with pytest.raises(NotFound):
        await world.ask(ViewUser(user_id=uuid4()), bob)


async def test_listing_is_for_admins_and_a_history_for_its_user_and_admins(world: World) -> None:
    ada, bob, admin = await world.user("ada"), await world.user("bob"), await world.admin()
    assert ada.id
    with pytest.raises(AdminOnly):
        await world.ask(ListUsers(), ada)
    assert (await world.ask(ListUsers(paging=Paging(limit=5)), admin)).limit == 5
    with pytest.raises(Forbidden):
        await world.ask(UserHistory(user_id=ada.id), bob)
    for actor in (ada, admin):
        assert (await world.ask(UserHistory(user_id=ada.id, limit=3), actor)).limit == 3
