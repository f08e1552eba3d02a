"""Who is asking, and who may do what."""

from __future__ import annotations

import pytest

from domain.access import (
    ANONYMOUS,
    OPERATOR,
    SYSTEM,
    Actor,
    require_admin,
    require_self_or_admin,
    require_verified,
)
from domain.errors import AdminOnly, EmailNotVerified, Forbidden
from domain.values import Role
from tests.domain.given import ADA, BY_ADA, BY_ADMIN, BY_BOB


@pytest.mark.parametrize("actor", [BY_ADMIN, OPERATOR, SYSTEM])
def test_admins_operators_and_the_service_itself_may_what_admins_may(actor: Actor) -> None:
    require_admin(actor)
    require_self_or_admin(actor, ADA)
    require_verified(actor, unverified_allowed=False)


@pytest.mark.parametrize("actor", [ANONYMOUS, BY_BOB])
def test_everybody_else_may_not(actor: Actor) -> None:
    with pytest.raises(AdminOnly):
        require_admin(actor)
    with pytest.raises(Forbidden):
        require_self_or_admin(actor, ADA)


def test_everyone_may_what_concerns_themselves() -> None:
    require_self_or_admin(BY_ADA, ADA)


def test_an_unverified_user_passes_only_where_that_is_allowed() -> None:
    require_verified(BY_ADA, unverified_allowed=True)
    require_verified(Actor("user", ADA, Role.USER, "access", verified=True), unverified_allowed=False)
    with pytest.raises(EmailNotVerified):
        require_verified(BY_ADA, unverified_allowed=False)
