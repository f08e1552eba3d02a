"""How each event changes the state of a user."""

from __future__ import annotations

from datetime import timedelta

import pytest

from domain import events
from domain.events import EVENTS, Event
from domain.user import _EVOLVERS, evolve, fold
from domain.values import Role, Status
from tests.domain.given import ADA, BOB, NOON, ONE, deleted, disabled, given, registered

ENDS_SESSIONS = [
    events.SecretChanged(at=ONE),
    events.SecretChanged(at=ONE, way="reset"),
    events.Disabled(at=ONE),
    events.Deleted(at=ONE),
    events.EmailChanged(at=ONE, email="new@example.com"),
    events.ErasureRequested(at=ONE),
]
LEAVES_SESSIONS = [
    events.Verified(at=ONE, email="ada@example.com"),
    events.ProfileUpdated(at=ONE, first_name="Augusta"),
    events.TagsChanged(at=ONE, tags=[]),
    events.PictureChanged(at=ONE, profile_picture="p"),
    events.UsernameChanged(at=ONE, username="countess"),
    events.RoleChanged(at=ONE, role=Role.ADMIN),
    events.PasswordResetRequested(at=ONE),
    events.VerificationRequested(at=ONE),
    events.Enabled(at=ONE),
    events.Restored(at=ONE),
    events.Erased(at=ONE),
]


def test_every_event_has_a_way_to_change_the_state() -> None:
    assert set(_EVOLVERS) == set(EVENTS)


@pytest.mark.parametrize("event", ENDS_SESSIONS, ids=lambda event: event.stored_name)
def test_the_epoch_rises_with_what_ends_every_session(event: Event) -> None:
    assert evolve(given(), event).epoch == given().epoch + 1


@pytest.mark.parametrize("event", LEAVES_SESSIONS, ids=lambda event: event.stored_name)
def test_the_epoch_stays_with_everything_else(event: Event) -> None:
    assert evolve(given(), event).epoch == given().epoch


def test_every_event_is_known_to_end_sessions_or_not() -> None:
    named = {type(event) for event in (*ENDS_SESSIONS, *LEAVES_SESSIONS)}
    assert named == set(EVENTS) - {events.Registered, events.Imported}


def test_demotion_ends_sessions_and_promotion_does_not() -> None:
    admin = given(registered(role=Role.ADMIN))
    assert evolve(admin, events.RoleChanged(at=ONE, role=Role.USER)).epoch == admin.epoch + 1
    assert evolve(admin, events.RoleChanged(at=ONE, role=Role.ADMIN)).epoch == admin.epoch


@pytest.mark.parametrize("event", [*ENDS_SESSIONS, *LEAVES_SESSIONS], ids=lambda event: event.stored_name)
def test_every_event_is_one_version(event: Event) -> None:
    assert evolve(given(), event).version == 2


def test_registration_begins_an_account_that_was_never_updated() -> None:
    user = given(registered(first_name="Ada", status=Status.DISABLED, role=Role.ADMIN))
    assert (user.version, user.epoch, user.created_at, user.updated_at) == (1, 1, NOON, None)
    assert (user.email, user.username, user.first_name) == ("ada@example.com", "ada", "Ada")
    assert (user.status, user.role, user.is_verified) == (Status.DISABLED, Role.ADMIN, False)


def test_an_import_keeps_the_times_of_the_other_service() -> None:
    long_ago = NOON - timedelta(days=900)
    user = given(
        events.Imported(
            at=NOON, email="a@b.example", created_at=long_ago, verified_at=long_ago, updated_by="x"
        )
    )
    assert (user.created_at, user.verified_at, user.updated_at, user.updated_by) == (
        long_ago,
        long_ago,
        None,
        "x",
    )


def test_a_change_says_who_made_it_and_when() -> None:
    user = evolve(given(), events.TagsChanged(by=BOB, at=ONE, tags=["x"]))
    assert (user.tags, user.updated_by, user.updated_at) == (["x"], str(BOB), ONE)
    assert evolve(user, events.TagsChanged(at=ONE)).updated_by == ""


def test_a_new_email_is_not_verified_yet() -> None:
    verified = evolve(given(), events.Verified(at=ONE, email="ada@example.com"))
    assert verified.is_verified
    assert not evolve(verified, events.EmailChanged(at=ONE, email="new@example.com")).is_verified


def test_a_profile_update_leaves_what_it_does_not_name() -> None:
    user = evolve(given(), events.ProfileUpdated(at=ONE, last_name="Lovelace", metadata={}))
    assert (user.first_name, user.last_name, user.metadata) == ("Ada", "Lovelace", {})


def test_enabled_and_restored_accounts_are_enabled() -> None:
    assert given(registered(), disabled(), events.Enabled(at=ONE)).status is Status.ENABLED
    assert given(registered(), deleted(), events.Restored(at=ONE)).status is Status.ENABLED
    assert given(registered(), deleted()).exists


def test_nothing_personal_is_left_after_erasure_is_asked_for() -> None:
    user = given(registered(role=Role.ADMIN), deleted(), events.ErasureRequested(at=ONE))
    assert not user.exists
    assert (user.email, user.username, user.first_name, user.tags, user.metadata) == ("", None, "", [], {})
    assert (user.status, user.role, user.version) == (Status.ERASED, Role.USER, 3)
    assert not evolve(user, events.Erased(at=ONE)).exists


def test_no_history_is_no_user() -> None:
    assert fold(ADA, []).version == 0
    assert not fold(ADA, []).exists
