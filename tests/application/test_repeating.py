"""A command that its caller may repeat has its effect once, whichever of the repeats is stored."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from msgspec.structs import replace

from application.commands.change_tags import ChangeTags
from application.commands.disable_user import DisableUser
from application.commands.register_user import RegisterUser
from application.messages import Receipt
from domain import events
from domain.access import ANONYMOUS, Actor
from domain.errors import EmailTaken, KeyReused, Stale, Unavailable
from domain.user import User
from tests.support.memory import SECRET, World, context


async def repeatable(
    world: World, command: Any, actor: Actor = ANONYMOUS, key: str = "k", body: str = "body"
) -> Receipt:
    mark = world.ports.repeats.mark(actor.id, key, (body.encode(),), 200)
    asking = replace(context(actor, world.clock.now()), repeat=mark)
    receipt: Receipt = await world.bus.dispatch(command, asking)
    return receipt


def registration(world: World, name: str = "ada") -> RegisterUser:
    account = events.Registered(at=world.clock.now(), email=f"{name}@example.com", username=name)
    return RegisterUser(account=account, user=User(id=uuid4()), secret=SECRET)


async def test_a_repeat_gets_the_receipt_of_the_first_and_stores_nothing(world: World) -> None:
    first = await repeatable(world, registration(world))
    again = await repeatable(world, registration(world))
    assert first.replayed is None
    assert again == replace(first, replayed=200, after=None)
    assert await world.log.head() == 1


async def test_a_repeat_that_would_be_refused_by_now_is_not(world: World) -> None:
    ada, admin = await world.user("ada"), await world.admin()
    assert ada.id
    first = await repeatable(world, DisableUser(user_id=ada.id, if_match=frozenset({1})), admin)
    again = await repeatable(world, DisableUser(user_id=ada.id, if_match=frozenset({1})), admin)
    assert again == replace(first, replayed=200, after=None)


async def test_a_repeat_does_not_undo_what_came_after_the_first(world: World) -> None:
    ada = await world.user("ada")
    assert ada.id
    first = await repeatable(world, ChangeTags(user_id=ada.id, tags=["first"]), ada)
    await world.do(ChangeTags(user_id=ada.id, tags=["later"]), ada)
    assert (await repeatable(world, ChangeTags(user_id=ada.id, tags=["first"]), ada)).version == first.version
    assert (await world.load(ada)).tags == ["later"]


async def test_a_repeat_that_races_its_first_gets_its_outcome_instead_of_a_refusal(world: World) -> None:
    async def first() -> None:
        await repeatable(world, registration(world))

    world.log.interrupt = first
    assert (await repeatable(world, registration(world))).replayed == 200
    assert await world.log.head() == 1


@pytest.mark.parametrize("if_match", [None, frozenset({1})])
async def test_a_change_that_races_its_repeat_is_made_once(
    world: World, if_match: frozenset[int] | None
) -> None:
    ada = await world.user("ada")
    assert ada.id
    command = ChangeTags(user_id=ada.id, tags=["x"], if_match=if_match)

    async def first() -> None:
        await repeatable(world, command, ada)

    world.log.interrupt = first
    assert (await repeatable(world, command, ada)).replayed == 200
    assert await world.log.head() == 2


async def test_a_repeat_that_finds_its_wish_fulfilled_meanwhile_answers_as_the_first(world: World) -> None:
    ada = await world.user("ada")
    assert ada.id
    command = ChangeTags(user_id=ada.id, tags=["x"])
    load = world.log.load

    async def first_comes_between(user_id: Any) -> Any:
        world.log.load = load  # type: ignore[method-assign]
        await repeatable(world, command, ada)
        return await load(user_id)

    world.log.load = first_comes_between  # type: ignore[method-assign]
    assert (await repeatable(world, command, ada)).replayed == 200
    assert await world.log.head() == 2


@pytest.mark.parametrize("racing", [False, True])
async def test_a_key_that_was_used_for_something_else_is_refused(world: World, racing: bool) -> None:
    ada = await world.user("ada")
    assert ada.id
    command = ChangeTags(user_id=ada.id, tags=["x"])

    async def first() -> None:
        await repeatable(world, command, ada, body="x")

    if racing:
        world.log.interrupt = first
    else:
        await first()
    with pytest.raises(KeyReused):
        await repeatable(world, ChangeTags(user_id=ada.id, tags=["y"]), ada, body="y")
    assert (await world.load(ada)).tags == ["x"]


async def test_the_keys_of_two_callers_have_nothing_to_do_with_each_other(world: World) -> None:
    ada, bob, admin = await world.user("ada"), await world.user("bob"), await world.admin()
    assert ada.id
    assert bob.id
    for user_id, who in ((ada.id, ada), (bob.id, bob), (ada.id, admin)):
        receipt = await repeatable(world, ChangeTags(user_id=user_id, tags=[str(who.id)]), who)
        assert receipt.replayed is None


async def test_a_refusal_is_not_remembered(world: World) -> None:
    ada = await world.user("ada")
    assert ada.id
    with pytest.raises(EmailTaken):
        await repeatable(world, registration(world, "ada"))
    with pytest.raises(Stale):
        await repeatable(world, ChangeTags(user_id=ada.id, tags=["x"], if_match=frozenset({7})), ada)
    assert world.recorder.repeats == {}
    assert (await repeatable(world, registration(world, "bob"))).replayed is None


async def test_a_change_of_nothing_is_not_remembered(world: World) -> None:
    ada = await world.user("ada")
    assert ada.id
    for body in ("one", "another"):
        receipt = await repeatable(world, ChangeTags(user_id=ada.id, tags=[]), ada, body=body)
        assert (receipt.replayed, receipt.stored) == (None, False)
    assert world.recorder.repeats == {}


async def test_after_24_hours_a_key_is_new(world: World) -> None:
    ada = await world.user("ada")
    assert ada.id
    await repeatable(world, ChangeTags(user_id=ada.id, tags=["x"]), ada)
    world.clock.advance(timedelta(hours=24) - timedelta(seconds=1))
    with pytest.raises(KeyReused):
        await repeatable(world, ChangeTags(user_id=ada.id, tags=["y"]), ada, body="y")
    world.clock.advance(timedelta(seconds=1))
    assert (await repeatable(world, ChangeTags(user_id=ada.id, tags=["y"]), ada, body="y")).replayed is None


async def test_what_an_outage_left_unknown_is_said_and_not_looked_up(world: World) -> None:
    async def not_to_be_asked(repeat: Any, at: Any) -> None:
        raise Unavailable("while looking")

    async def away() -> None:
        world.ports.repeats.find = not_to_be_asked  # type: ignore[method-assign]
        raise Unavailable("while storing")

    world.log.interrupt = away
    with pytest.raises(Unavailable, match="while storing"):
        await repeatable(world, registration(world))
