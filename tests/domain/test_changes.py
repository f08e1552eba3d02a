"""Changing what an account holds: names, tags, picture, email, username, metadata."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from domain import decisions, events
from domain.access import ANONYMOUS, Actor
from domain.errors import AccountDeleted, Conflict, Forbidden, NotFound
from domain.user import User
from tests.domain.given import ADA, BY_ADA, BY_ADMIN, BY_BOB, NOON, ONE, deleted, disabled, given, registered

Decide = Callable[[User, Actor], list[events.Event]]

CHANGES: dict[str, Decide] = {
    "profile": lambda user, by: decisions.update_profile(
        user, events.ProfileUpdated(by=by.id, at=ONE, first_name="Augusta"), by=by
    ),
    "tags": lambda user, by: decisions.change_tags(user, ["poetry"], by=by, at=ONE),
    "picture": lambda user, by: decisions.change_picture(user, "https://a.example/p", by=by, at=ONE),
    "email": lambda user, by: decisions.change_email(user, "new@example.com", by=by, at=ONE),
    "username": lambda user, by: decisions.change_username(user, "countess", by=by, at=ONE),
}
every_change = pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())


@every_change
@pytest.mark.parametrize("by", [BY_ADA, BY_ADMIN])
def test_the_user_and_an_admin_may_and_the_event_says_who_and_when(change: Decide, by: Actor) -> None:
    (event,) = change(given(), by)
    assert (event.by, event.at) == (by.id, ONE)


@every_change
@pytest.mark.parametrize("by", [BY_BOB, ANONYMOUS])
def test_nobody_else_may(change: Decide, by: Actor) -> None:
    with pytest.raises(Forbidden):
        change(given(), by)


@every_change
def test_whether_an_id_exists_is_told_to_admins_only(change: Decide) -> None:
    with pytest.raises(Forbidden):
        change(User(id=ADA), BY_BOB)
    with pytest.raises(NotFound):
        change(User(id=ADA), BY_ADMIN)


@every_change
def test_a_disabled_user_may_change_nothing_and_an_admin_may(change: Decide) -> None:
    with pytest.raises(Conflict):
        change(given(registered(), disabled()), BY_ADA)
    assert change(given(registered(), disabled()), BY_ADMIN)


@every_change
@pytest.mark.parametrize("by", [BY_ADA, BY_ADMIN])
def test_a_deleted_account_is_changed_by_nobody(change: Decide, by: Actor) -> None:
    with pytest.raises(AccountDeleted):
        change(given(registered(), deleted()), by)


@every_change
def test_an_erased_account_is_not_there(change: Decide) -> None:
    with pytest.raises(NotFound):
        change(given(registered(), deleted(), events.ErasureRequested(at=NOON)), BY_ADMIN)


@every_change
def test_the_same_wish_again_changes_nothing(change: Decide) -> None:
    (event,) = change(given(), BY_ADA)
    assert change(given(registered(), event), BY_ADA) == []


def test_an_email_in_other_letters_is_a_change_because_it_is_shown_as_entered() -> None:
    (event,) = decisions.change_email(given(), "Ada@Example.com", by=BY_ADA, at=ONE)
    assert event == events.EmailChanged(by=ADA, at=ONE, email="Ada@Example.com")


def test_the_order_of_tags_counts() -> None:
    user = given(registered(tags=["a", "b"]))
    assert decisions.change_tags(user, ["b", "a"], by=BY_ADA, at=ONE)


def test_an_empty_list_clears_the_tags_and_an_empty_url_the_picture() -> None:
    user = given(registered(profile_picture="https://a.example/p"))
    assert decisions.change_tags(user, [], by=BY_ADA, at=ONE) == [events.TagsChanged(by=ADA, at=ONE, tags=[])]
    assert decisions.change_picture(user, "", by=BY_ADA, at=ONE) == [
        events.PictureChanged(by=ADA, at=ONE, profile_picture="")
    ]


def _update(**wish: Any) -> list[events.Event]:
    return decisions.update_profile(
        given(registered(private_metadata={"ward": 7})),
        events.ProfileUpdated(by=ADA, at=ONE, **wish),
        by=BY_ADA,
    )


def test_a_profile_update_holds_only_what_changed() -> None:
    assert _update(first_name="Ada", last_name="Lovelace") == [
        events.ProfileUpdated(by=ADA, at=ONE, last_name="Lovelace")
    ]


def test_empty_names_stay_and_an_empty_object_clears_metadata() -> None:
    assert _update(first_name="", last_name="", name="") == []
    assert _update(metadata={}) == [events.ProfileUpdated(by=ADA, at=ONE, metadata={})]
    assert _update(private_metadata={}) == [events.ProfileUpdated(by=ADA, at=ONE, private_metadata={})]


@pytest.mark.parametrize("value", [True, 1.0, "1", [1], None])
def test_values_that_only_python_takes_for_equal_are_a_change(value: Any) -> None:
    user = given(registered(metadata={"n": 1}))
    wish = events.ProfileUpdated(by=ADA, at=ONE, metadata={"n": value})
    assert decisions.update_profile(user, wish, by=BY_ADA) == [wish]


def test_metadata_in_another_order_is_no_change() -> None:
    user = given(registered(metadata={"a": 1, "b": {"c": 2, "d": 3}}))
    wish = events.ProfileUpdated(by=ADA, at=ONE, metadata={"b": {"d": 3, "c": 2}, "a": 1})
    assert decisions.update_profile(user, wish, by=BY_ADA) == []


@every_change
def test_an_account_that_came_from_elsewhere_changes_like_any_other(change: Decide) -> None:
    assert change(given(registered(auth_provider="google")), BY_ADA)
