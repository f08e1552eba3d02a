"""Roles, secrets, enabling and disabling: who may, and when."""

from __future__ import annotations

import pytest

from domain import events
from domain.access import OPERATOR, Actor
from domain.decisions import change_role, change_secret, disable, enable
from domain.errors import AccountDeleted, AdminOnly, Conflict, Forbidden, NotFound, StatusAlreadySet
from domain.user import User
from domain.values import Role
from tests.domain.given import (
    ADA,
    BOB,
    BY_ADA,
    BY_ADA_ADMIN,
    BY_ADMIN,
    BY_BOB,
    ONE,
    deleted,
    disabled,
    given,
    registered,
)


@pytest.mark.parametrize("ended", [disabled(), deleted()])
def test_nobody_who_was_shut_out_enables_themselves(ended: events.Event) -> None:
    with pytest.raises(AdminOnly):
        enable(given(registered(), ended), by=BY_ADA, at=ONE)


@pytest.mark.parametrize("ended", [disabled(), deleted()])
def test_an_admin_who_was_shut_out_does_not_enable_themselves_either(ended: events.Event) -> None:
    with pytest.raises(Forbidden):
        enable(given(registered(role=Role.ADMIN), ended), by=BY_ADA_ADMIN, at=ONE)


def test_a_disabled_admin_may_change_nothing_of_their_own() -> None:
    with pytest.raises(Conflict):
        change_role(given(registered(role=Role.ADMIN), disabled()), Role.USER, by=BY_ADA_ADMIN, at=ONE)


@pytest.mark.parametrize("by", [BY_ADMIN, OPERATOR])
def test_an_admin_enables_a_disabled_and_restores_a_deleted_account(by: Actor) -> None:
    assert enable(given(registered(), disabled()), by=by, at=ONE) == [events.Enabled(by=by.id, at=ONE)]
    assert enable(given(registered(), deleted()), by=by, at=ONE) == [events.Restored(by=by.id, at=ONE)]


def test_enabling_an_enabled_or_absent_account_is_refused() -> None:
    with pytest.raises(StatusAlreadySet):
        enable(given(), by=BY_ADMIN, at=ONE)
    with pytest.raises(NotFound):
        enable(User(id=ADA), by=BY_ADMIN, at=ONE)


@pytest.mark.parametrize("by", [BY_ADA, BY_ADMIN])
def test_users_disable_themselves_and_admins_anyone(by: Actor) -> None:
    assert disable(given(), by=by, at=ONE) == [events.Disabled(by=by.id, at=ONE)]


def test_nobody_disables_somebody_else() -> None:
    with pytest.raises(Forbidden):
        disable(given(), by=BY_BOB, at=ONE)


def test_disabling_twice_or_after_deletion_is_refused() -> None:
    with pytest.raises(StatusAlreadySet):
        disable(given(registered(), disabled()), by=BY_ADMIN, at=ONE)
    with pytest.raises(AccountDeleted):
        disable(given(registered(), deleted()), by=BY_ADMIN, at=ONE)


def test_only_an_admin_changes_a_role() -> None:
    with pytest.raises(AdminOnly):
        change_role(given(), Role.ADMIN, by=BY_ADA, at=ONE)
    promoted = events.RoleChanged(by=BOB, at=ONE, role=Role.ADMIN)
    assert change_role(given(), Role.ADMIN, by=BY_ADMIN, at=ONE) == [promoted]


def test_the_role_somebody_has_is_no_change() -> None:
    assert change_role(given(), Role.USER, by=BY_ADMIN, at=ONE) == []


def test_users_change_their_own_secret() -> None:
    assert change_secret(given(), by=BY_ADA, at=ONE) == [events.SecretChanged(by=ADA, at=ONE)]


@pytest.mark.parametrize("by", [BY_BOB, BY_ADMIN, OPERATOR])
def test_nobody_changes_somebody_elses_secret_not_even_an_admin(by: Actor) -> None:
    with pytest.raises(Forbidden):
        change_secret(given(), by=by, at=ONE)


def test_a_disabled_user_does_not_change_their_secret() -> None:
    with pytest.raises(Conflict):
        change_secret(given(registered(), disabled()), by=BY_ADA, at=ONE)
