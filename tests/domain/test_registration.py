"""Who may open which account."""

from __future__ import annotations

import pytest

from domain.access import ANONYMOUS, OPERATOR, Actor
from domain.decisions import register
from domain.errors import AdminOnly
from domain.values import Role, Status
from tests.domain.given import BY_ADA, BY_ADMIN, registered


@pytest.mark.parametrize("by", [ANONYMOUS, BY_ADA, BY_ADMIN])
def test_anyone_registers_a_plain_account_where_that_is_allowed(by: Actor) -> None:
    new = registered()
    assert register(new, by=by, self_register=True) == [new]


@pytest.mark.parametrize("by", [ANONYMOUS, BY_ADA])
def test_without_self_registration_it_takes_an_admin(by: Actor) -> None:
    with pytest.raises(AdminOnly):
        register(registered(), by=by, self_register=False)


@pytest.mark.parametrize("by", [BY_ADMIN, OPERATOR])
def test_without_self_registration_an_admin_still_registers_others(by: Actor) -> None:
    assert register(registered(), by=by, self_register=False) == [registered()]


@pytest.mark.parametrize("by", [ANONYMOUS, BY_ADA])
def test_nobody_becomes_admin_by_asking(by: Actor) -> None:
    with pytest.raises(AdminOnly):
        register(registered(role=Role.ADMIN), by=by, self_register=True)


def test_an_admin_registers_another_admin() -> None:
    new = registered(role=Role.ADMIN)
    assert register(new, by=BY_ADMIN, self_register=True) == [new]


@pytest.mark.parametrize("status", [Status.DISABLED, Status.DELETED, Status.ERASED])
def test_only_an_admin_registers_an_account_that_is_not_enabled(status: Status) -> None:
    with pytest.raises(AdminOnly):
        register(registered(status=status), by=ANONYMOUS, self_register=True)
    assert register(registered(status=Status.DISABLED), by=BY_ADMIN, self_register=True)
