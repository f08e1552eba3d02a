"""Requests for the links of mails, and until when they hold."""

from __future__ import annotations

import pytest

from domain import events
from domain.access import ANONYMOUS
from domain.errors import AlreadyVerified, Forbidden
from domain.events import Event
from domain.requests import SETTLES_IN, request_password_reset, request_verification, still_holds
from domain.user import User
from domain.values import Role
from tests.domain.given import ADA, BOB, BY_ADA, ONE, deleted, disabled, given, registered


def ada(*more: Event) -> User:
    """Somebody registered, and what came after."""
    return given(registered(), *more)


RESET = events.PasswordResetRequested(at=ONE)
VERIFICATION = events.VerificationRequested(by=ADA, at=ONE)
VERIFIED = events.Verified(by=ADA, at=ONE, email="ada@example.com")


def test_a_reset_is_requested_by_anyone_for_an_enabled_account_only() -> None:
    assert request_password_reset(ada(), by=ANONYMOUS, at=ONE) == [RESET]
    for shut in (ada(disabled()), ada(deleted()), User(id=ADA)):
        assert request_password_reset(shut, by=ANONYMOUS, at=ONE) == []


def test_a_verification_is_requested_by_the_user_and_while_there_is_need() -> None:
    assert request_verification(ada(), by=BY_ADA, at=ONE) == [VERIFICATION]
    with pytest.raises(Forbidden):
        request_verification(ada(), by=ANONYMOUS, at=ONE)
    with pytest.raises(AlreadyVerified):
        request_verification(ada(VERIFIED), by=BY_ADA, at=ONE)


NEUTRAL: list[Event] = [
    events.ProfileUpdated(at=ONE, first_name="Augusta"),
    events.UsernameChanged(at=ONE, username="countess"),
    events.RoleChanged(at=ONE, role=Role.ADMIN),
]
ENDS_A_RESET: list[Event] = [
    RESET,
    events.SecretChanged(at=ONE),
    events.SecretChanged(at=ONE, way="reset"),
    events.EmailChanged(at=ONE, email="new@example.com"),
    events.Disabled(at=ONE),
    events.Deleted(at=ONE),
    events.ErasureRequested(at=ONE),
]
ENDS_A_VERIFICATION: list[Event] = [
    VERIFICATION,
    VERIFIED,
    events.EmailChanged(at=ONE, email="new@example.com"),
    events.Disabled(at=ONE),
    events.Deleted(at=ONE),
    events.ErasureRequested(at=ONE),
]


def test_requests_hold_through_what_does_not_concern_them() -> None:
    assert still_holds(ada(RESET), RESET, [*NEUTRAL, VERIFICATION, VERIFIED])
    assert still_holds(ada(VERIFICATION), VERIFICATION, [*NEUTRAL, RESET, events.SecretChanged(at=ONE)])


@pytest.mark.parametrize("event", ENDS_A_RESET, ids=lambda event: event.stored_name)
def test_a_reset_ends_with_its_epoch_or_a_newer_one(event: Event) -> None:
    assert not still_holds(ada(RESET), RESET, [*NEUTRAL, event])


@pytest.mark.parametrize("event", ENDS_A_VERIFICATION, ids=lambda event: event.stored_name)
def test_a_verification_ends_with_its_use_its_email_or_a_newer_one(event: Event) -> None:
    assert not still_holds(ada(VERIFICATION), VERIFICATION, [*NEUTRAL, event])


def test_a_reset_does_not_come_back_with_the_account() -> None:
    """But a verification does: it says of the email alone that it is the user's."""
    back = [events.Disabled(at=ONE), events.Enabled(at=ONE)]
    assert not still_holds(ada(RESET), RESET, back)
    assert still_holds(ada(VERIFICATION), VERIFICATION, back)


def test_a_new_email_stands_in_for_the_secret_only_when_it_has_settled() -> None:
    changed = events.EmailChanged(by=ADA, at=ONE, email="thief@example.com")
    user = given(registered(), changed)
    assert request_password_reset(user, by=ANONYMOUS, at=ONE) == []
    assert request_password_reset(user, by=ANONYMOUS, at=ONE + SETTLES_IN)


def test_an_email_that_an_admin_has_set_stands_at_once() -> None:
    user = given(registered(), events.EmailChanged(by=BOB, at=ONE, email="new@example.com"))
    assert request_password_reset(user, by=ANONYMOUS, at=ONE)
