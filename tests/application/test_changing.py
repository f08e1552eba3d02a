"""Changing an account: races, If-Match, wishes that are fulfilled already, the last admin."""

from __future__ import annotations

from uuid import uuid4

import pytest

from application import bus
from application.changing import append
from application.commands import change_tags
from application.commands.change_email import ChangeEmail
from application.commands.change_picture import ChangePicture
from application.commands.change_role import ChangeRole
from application.commands.change_secret import ChangeSecret
from application.commands.change_tags import ChangeTags
from application.commands.change_username import ChangeUsername
from application.commands.disable_user import DisableUser
from application.commands.enable_user import EnableUser
from application.commands.update_profile import UpdateProfile
from domain import events
from domain.errors import (
    AdminOnly,
    EmailTaken,
    Forbidden,
    LastAdmin,
    NotFound,
    Stale,
    UsernameTaken,
    VersionConflict,
    WrongCredentials,
)
from domain.values import Role, Status
from tests.support.memory import NOON, SECRET, World, context


async def test_every_change_reaches_the_log(world: World) -> None:
    ada = await world.user("ada")
    assert ada.id
    for command in (
        UpdateProfile(user_id=ada.id, wish=events.ProfileUpdated(by=ada.id, at=NOON, first_name="Ada")),
        ChangeTags(user_id=ada.id, tags=["x"]),
        ChangePicture(user_id=ada.id, picture="https://p.example"),
        ChangeUsername(user_id=ada.id, username="countess"),
        ChangeEmail(user_id=ada.id, email="new@example.com"),
    ):
        await world.do(command, ada)
    user = await world.load(ada)
    assert (user.first_name, user.tags, user.profile_picture) == ("Ada", ["x"], "https://p.example")
    assert (user.username, user.email, user.version) == ("countess", "new@example.com", 6)


async def test_events_say_who_asked_and_by_which_command(world: World) -> None:
    ada, admin = await world.user("ada"), await world.admin()
    assert ada.id
    await world.do(ChangeTags(user_id=ada.id, tags=["x"]), admin)
    recorded = (await world.log.timeline(ada.id))[-1]
    assert (recorded.actor, recorded.event.by, recorded.event.at) == (admin, admin.id, NOON)


async def test_a_wish_that_is_fulfilled_already_appends_nothing(world: World) -> None:
    ada = await world.user("ada")
    assert ada.id
    head = await world.log.head()
    receipt = await world.do(ChangeEmail(user_id=ada.id, email="ada@example.com"), ada)
    assert (receipt.version, receipt.position, await world.log.head()) == (1, head, head)


async def test_a_lost_race_is_decided_again_on_the_new_state(world: World) -> None:
    ada = await world.user("ada")
    assert ada.id

    async def somebody_is_faster() -> None:
        await world.do(ChangePicture(user_id=ada.id, picture="p"), ada)  # type: ignore[arg-type]

    world.log.interrupt = somebody_is_faster
    receipt = await world.do(ChangeTags(user_id=ada.id, tags=["x"]), ada)
    user = await world.load(ada)
    assert (receipt.version, user.version, user.tags, user.profile_picture) == (3, 3, ["x"], "p")


async def test_a_race_that_is_lost_for_ever_ends_with_a_conflict(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bus, "PATIENCE", 0.05)
    ada = await world.user("ada")
    assert ada.id
    numbers = iter(range(1_000_000))

    async def somebody_is_faster() -> None:
        before = await world.log.load(ada.id)  # type: ignore[arg-type]
        event = events.TagsChanged(at=NOON, tags=[str(next(numbers))])
        world.log.interrupt_always = None
        await append(before, [event], context(), world.ports)
        world.log.interrupt_always = somebody_is_faster

    world.log.interrupt_always = somebody_is_faster
    with pytest.raises(VersionConflict):
        await world.do(ChangePicture(user_id=ada.id, picture="p"), ada)
    assert next(numbers) > 1


async def test_a_stale_if_match_changes_nothing(world: World) -> None:
    ada = await world.user("ada")
    assert ada.id
    with pytest.raises(Stale):
        await world.do(ChangeTags(user_id=ada.id, tags=["x"], if_match=frozenset({2})), ada)
    assert (await world.load(ada)).version == 1
    receipt = await world.do(ChangeTags(user_id=ada.id, tags=["x"], if_match=frozenset({1, 9})), ada)
    assert receipt.version == 2


async def test_with_if_match_a_lost_race_is_stale_and_not_decided_again(world: World) -> None:
    ada = await world.user("ada")
    assert ada.id

    async def somebody_is_faster() -> None:
        await world.do(ChangePicture(user_id=ada.id, picture="p"), ada)  # type: ignore[arg-type]

    world.log.interrupt = somebody_is_faster
    with pytest.raises(Stale):
        await world.do(ChangeTags(user_id=ada.id, tags=["x"], if_match=frozenset({1})), ada)
    assert (await world.load(ada)).tags == []


async def test_a_handler_itself_tells_a_lost_race_with_if_match_from_one_without(world: World) -> None:
    ada = await world.user("ada")
    assert ada.id

    async def somebody_is_faster() -> None:
        await world.do(ChangePicture(user_id=ada.id, picture=f"{uuid4()}"), ada)  # type: ignore[arg-type]

    for if_match, refusal in ((frozenset({1}), Stale), (None, VersionConflict)):
        world.log.interrupt = somebody_is_faster
        with pytest.raises(refusal):
            await change_tags.handle(
                ChangeTags(user_id=ada.id, tags=["x"], if_match=if_match), context(ada), world.ports
            )


async def test_changing_nobody_is_not_found_for_admins_and_forbidden_for_others(world: World) -> None:
    ada, admin = await world.user("ada"), await world.admin()
    with pytest.raises(NotFound):
        await world.do(ChangeTags(user_id=uuid4(), tags=["x"]), admin)
    with pytest.raises(Forbidden):
        await world.do(ChangeTags(user_id=uuid4(), tags=["x"]), ada)


async def test_names_of_others_are_taken_and_ones_own_may_change_its_letters(world: World) -> None:
    ada, bob = await world.user("ada"), await world.user("bob")
    assert ada.id
    assert bob.id
    with pytest.raises(EmailTaken):
        await world.do(ChangeEmail(user_id=bob.id, email="ADA@example.com"), bob)
    with pytest.raises(UsernameTaken):
        await world.do(ChangeUsername(user_id=bob.id, username="ADA"), bob)
    await world.do(ChangeUsername(user_id=ada.id, username="ADA"), ada)
    assert (await world.load(ada)).username == "ADA"
    assert await world.accounts.holder("username", "ada") == ada.id


async def test_a_new_secret_needs_the_old_one(world: World) -> None:
    ada = await world.user("ada")
    assert ada.id
    with pytest.raises(WrongCredentials):
        await world.do(ChangeSecret(user_id=ada.id, old_secret="wrong", new_secret="new horses"), ada)
    await world.do(ChangeSecret(user_id=ada.id, old_secret=SECRET, new_secret="new horses"), ada)
    credential = await world.accounts.of(ada.id)
    assert credential is not None
    assert (credential.secret_hash, credential.epoch) == ("plain:new horses", 2)


async def test_of_two_secret_changes_at_once_the_later_must_show_the_secret_that_holds(world: World) -> None:
    ada = await world.user("ada")
    assert ada.id

    async def somebody_is_faster() -> None:
        await world.do(ChangeSecret(user_id=ada.id, old_secret=SECRET, new_secret="first horses"), ada)  # type: ignore[arg-type]

    world.log.interrupt = somebody_is_faster
    with pytest.raises(WrongCredentials):
        await world.do(ChangeSecret(user_id=ada.id, old_secret=SECRET, new_secret="second horses"), ada)
    credential = await world.accounts.of(ada.id)
    assert credential is not None
    assert credential.secret_hash == "plain:first horses"


async def test_an_admin_does_not_set_somebody_elses_secret(world: World) -> None:
    ada, admin = await world.user("ada"), await world.admin()
    assert ada.id
    with pytest.raises(Forbidden):
        await world.do(ChangeSecret(user_id=ada.id, old_secret=SECRET, new_secret="new horses"), admin)


async def test_the_last_enabled_admin_stays(world: World) -> None:
    admin = await world.admin()
    assert admin.id
    for command in (DisableUser(user_id=admin.id), ChangeRole(user_id=admin.id, role=Role.USER)):
        with pytest.raises(LastAdmin):
            await world.do(command, admin)
    another = await world.admin("another")
    await world.do(DisableUser(user_id=admin.id), another)
    with pytest.raises(LastAdmin):
        await world.do(DisableUser(user_id=another.id), another)  # type: ignore[arg-type]


async def test_nobody_who_was_shut_out_lets_themselves_in_and_an_admin_does(world: World) -> None:
    ada, admin, shut = await world.user("ada"), await world.admin(), await world.admin("shut")
    for who in (ada, shut):
        assert who.id
        await world.do(DisableUser(user_id=who.id), admin)
        with pytest.raises(Forbidden):
            await world.do(EnableUser(user_id=who.id), who)
        await world.do(EnableUser(user_id=who.id), admin)
        assert (await world.load(who)).status is Status.ENABLED


async def test_asking_for_the_admins_role_is_refused(world: World) -> None:
    ada = await world.user("ada")
    assert ada.id
    with pytest.raises(AdminOnly):
        await world.do(ChangeRole(user_id=ada.id, role=Role.ADMIN), ada)
