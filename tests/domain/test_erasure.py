"""Deleting, restoring and erasing: who may, and when a grace is over."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from domain import events
from domain.access import OPERATOR, Actor
from domain.decisions import change_tags, delete, disable, enable, erase, sweep
from domain.errors import AdminOnly, Conflict, Forbidden, NotFound, StatusAlreadySet
from domain.user import User, evolve
from domain.values import Status
from tests.domain.given import ADA, BY_ADA, BY_ADMIN, BY_BOB, NOON, ONE, deleted, disabled, given, registered


@pytest.mark.parametrize("by", [BY_ADA, BY_ADMIN])
def test_users_delete_themselves_and_admins_anyone(by: Actor) -> None:
    assert delete(given(), by=by, at=ONE) == [events.Deleted(by=by.id, at=ONE)]


def test_nobody_deletes_somebody_else() -> None:
    with pytest.raises(Forbidden):
        delete(given(), by=BY_BOB, at=ONE)


def test_an_admin_deletes_a_disabled_account_and_its_user_does_not() -> None:
    assert delete(given(registered(), disabled()), by=BY_ADMIN, at=ONE)
    with pytest.raises(Conflict):
        delete(given(registered(), disabled()), by=BY_ADA, at=ONE)


def test_what_is_deleted_is_deleted() -> None:
    with pytest.raises(StatusAlreadySet):
        delete(given(registered(), deleted()), by=BY_ADMIN, at=ONE)


def test_deleting_ends_every_session_and_keeps_the_names() -> None:
    user = given(registered())
    after = evolve(user, delete(user, by=BY_ADA, at=ONE)[0])
    assert (after.status, after.epoch) == (Status.DELETED, user.epoch + 1)
    assert (after.email, after.username) == (user.email, user.username)


@pytest.mark.parametrize("history", [(), (registered(), disabled()), (registered(), deleted())])
def test_an_operator_erases_an_account_of_any_status(history: tuple[events.Event, ...]) -> None:
    (event,) = erase(given(*history), "ticket-7", by=OPERATOR, at=ONE)
    assert event == events.ErasureRequested(by=None, at=ONE, reason="ticket-7")
    after = evolve(given(*history), event)
    assert (after.status, after.email, after.username, after.metadata) == (Status.ERASED, "", None, {})


def test_nobody_asks_for_an_erasure_but_admins() -> None:
    with pytest.raises(AdminOnly):
        erase(given(), "", by=BY_ADA, at=ONE)


def test_of_an_erased_user_there_is_nothing_to_decide() -> None:
    erased = evolve(given(), events.ErasureRequested(at=NOON))
    decisions: list[Callable[[User], list[events.Event]]] = [
        lambda user: erase(user, "", by=BY_ADMIN, at=ONE),
        lambda user: delete(user, by=BY_ADMIN, at=ONE),
        lambda user: enable(user, by=BY_ADMIN, at=ONE),
        lambda user: disable(user, by=BY_ADMIN, at=ONE),
        lambda user: change_tags(user, ["x"], by=BY_ADMIN, at=ONE),
    ]
    for decide in decisions:
        with pytest.raises(NotFound):
            decide(erased)
    with pytest.raises(NotFound):
        erase(User(id=ADA), "", by=BY_ADMIN, at=ONE)


def test_the_sweep_erases_whose_grace_is_over_and_nobody_else() -> None:
    gone = given(registered(), deleted())

    def swept(user: User, status: Status, before: timedelta) -> list[events.Event]:
        return sweep(user, status, NOON, NOON + before, by=OPERATOR, at=ONE)

    (event,) = swept(gone, Status.DELETED, timedelta(seconds=1))
    assert isinstance(event, events.ErasureRequested)
    assert event.reason == "deleted"
    assert not swept(gone, Status.DELETED, timedelta(0)), "not due yet"
    assert not swept(gone, Status.DISABLED, timedelta(seconds=1)), "of another kind"
    assert not swept(given(), Status.DELETED, timedelta(seconds=1)), "restored meanwhile"
