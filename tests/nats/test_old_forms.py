"""The event forms of the services before this one, as their consumers know them."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from application.ports import Recorded
from domain import events
from domain.access import Actor
from domain.events import EVENTS, Event, personal_fields
from domain.user import User, fold
from domain.values import Role
from interfaces.events.magistrala import MAGISTRALA
from interfaces.events.mainflux import MAINFLUX
from interfaces.events.old_forms import OldForm
from tests.nats.old_consumer import decode
from tests.nats.service import AT
from tests.nats.test_published import ADMIN, SAMPLES, USER, recorded

FORMS = [MAGISTRALA, MAINFLUX]
NAMES = [form.name for form in FORMS]

TIME = "2026-01-02T03:04:05Z"
NANOSECONDS = 1_767_323_045_000_000_000
SIGNED_IN = {"token_type": "access token", "super_admin": True}

BEGUN = events.Registered(
    at=AT,
    email="ada@example.com",
    username="ada",
    first_name="Ada",
    last_name="Lovelace",
    name="Ada Lovelace",
    tags=["engine", "poet's daughter"],
    metadata={"floor": 3},
    private_metadata={"canary-key": "canary-value"},
)

MAGISTRALA_USER = {
    "first_name": "Ada",
    "last_name": "Lovelace",
    "tags": ["engine", "poet's daughter"],
    "metadata": {"floor": 3},
    "username": "ada",
    "email": "ada@example.com",
}
TOUCHED = {"id": str(USER), "updated_at": TIME, "updated_by": str(ADMIN)}
UPDATED = TOUCHED | SIGNED_IN | MAGISTRALA_USER | {"status": "enabled", "created_at": TIME}

# By the operation's name: what the original told beside operation, request_id and occurred_at.
OF_MAGISTRALA: dict[str, tuple[Event, dict[str, Any]]] = {
    "create": (
        BEGUN,
        MAGISTRALA_USER | SIGNED_IN | {"id": str(USER), "status": "enabled", "created_at": TIME},
    ),
    "send_verification": (
        events.VerificationRequested(at=AT),
        {"user_id": str(USER), "token_type": "access token"},
    ),
    "verify_email": (
        events.Verified(at=AT, email="ada@example.com"),
        {"user_id": str(USER), "email": "ada@example.com", "verified_at": TIME},
    ),
    "update": (
        events.ProfileUpdated(at=AT, by=ADMIN, first_name="Augusta", metadata={}),
        UPDATED | {"first_name": "Augusta", "metadata": {}},
    ),
    "update_tags": (events.TagsChanged(at=AT, by=ADMIN, tags=["a"]), UPDATED | {"tags": ["a"]}),
    "update_email": (
        events.EmailChanged(at=AT, by=ADMIN, email="ada@example.org"),
        UPDATED | {"email": "ada@example.org"},
    ),
    "update_role": (events.RoleChanged(at=AT, by=ADMIN, role=Role.ADMIN), UPDATED),
    "update_secret": (events.SecretChanged(at=AT, by=ADMIN), UPDATED),
    "update_username": (
        events.UsernameChanged(at=AT, by=ADMIN, username="augusta"),
        TOUCHED | SIGNED_IN | {"first_name": "Ada", "last_name": "Lovelace", "username": "augusta"},
    ),
    "update_profile_picture": (
        events.PictureChanged(at=AT, by=ADMIN, profile_picture="https://example.com/a.png"),
        TOUCHED | SIGNED_IN | {"profile_picture": "https://example.com/a.png"},
    ),
    "enable": (events.Enabled(at=AT, by=ADMIN), TOUCHED | SIGNED_IN | {"status": "enabled"}),
    "disable": (events.Disabled(at=AT, by=ADMIN), TOUCHED | SIGNED_IN | {"status": "disabled"}),
    "delete": (events.Deleted(at=AT, by=ADMIN), {"id": str(USER)} | SIGNED_IN),
    "send_password_reset": (
        events.PasswordResetRequested(at=AT),
        {"host": "", "email": "ada@example.com", "user": ""},
    ),
    "reset_secret": (events.SecretChanged(at=AT, way="reset"), {}),
}

MAINFLUX_USER = {
    "id": str(USER),
    "name": "Ada Lovelace",
    "tags": "[engine,poet's daughter]",
    "metadata": '{"floor":3}',
    "identity": "ada@example.com",
    "created_at": TIME,
    "status": "enabled",
}
CHANGED = MAINFLUX_USER | {"updated_at": TIME, "updated_by": str(ADMIN)}

OF_MAINFLUX: dict[str, tuple[Event, dict[str, Any]]] = {
    "create": (BEGUN, MAINFLUX_USER),
    "update": (
        events.ProfileUpdated(at=AT, by=ADMIN, name="Augusta", metadata={}),
        {name: value for name, value in CHANGED.items() if name != "metadata"} | {"name": "Augusta"},
    ),
    "update_tags": (events.TagsChanged(at=AT, by=ADMIN, tags=["a", "b"]), CHANGED | {"tags": "[a,b]"}),
    "update_identity": (
        events.EmailChanged(at=AT, by=ADMIN, email="ada@example.org"),
        CHANGED | {"identity": "ada@example.org"},
    ),
    "update_secret": (events.SecretChanged(at=AT, by=ADMIN), CHANGED),
    "remove": (events.Disabled(at=AT, by=ADMIN), TOUCHED | {"status": "disabled"}),
    "generate_reset_token": (
        events.PasswordResetRequested(at=AT),
        {"email": "ada@example.com", "host": ""},
    ),
    "reset_secret": (events.SecretChanged(at=AT, way="reset"), {}),
}

CASES = [(MAGISTRALA, name, *case) for name, case in OF_MAGISTRALA.items()]
CASES += [(MAINFLUX, name, *case) for name, case in OF_MAINFLUX.items()]


def told(form: OldForm, event: Event, pii: str = "full", **more: Any) -> dict[str, Any] | None:
    """What a consumer reads of an event that befell an account like that of BEGUN."""
    happened = [event] if isinstance(event, events.Profile) else [BEGUN, event]
    return told_of(form, recorded(event, **more), fold(USER, happened), pii)


def told_of(form: OldForm, event: Recorded, user: User | None, pii: str = "full") -> dict[str, Any] | None:
    telling = form.tell(event, user, "none" if pii == "none" else "full")
    if telling is None:
        return None
    payload = decode(form.name, telling.body)
    operation = payload["operation"].removeprefix("user.")
    expected = {
        "magistrala": f"events.magistrala.user.{operation}",
        "mainflux": "events.mainflux.users",
    }
    assert telling.subject == expected[form.name]
    return payload


@pytest.mark.parametrize("form", FORMS, ids=NAMES)
def test_every_stored_event_has_a_row_in_each_old_form(form: OldForm) -> None:
    assert not form.untold(), f"add a row to interfaces/events/{form.name}.py for each of these events"


@pytest.mark.parametrize(
    ("form", "name", "event", "fields"), CASES, ids=[f"{case[0].name}-{case[1]}" for case in CASES]
)
def test_an_operation_is_told_as_the_original_told_it(
    form: OldForm, name: str, event: Event, fields: dict[str, Any]
) -> None:
    expected = fields | {"operation": f"user.{name}", "occurred_at": NANOSECONDS}
    if form is MAGISTRALA:
        expected |= {"request_id": "canary-request"}
    assert told(form, event) == expected


@pytest.mark.parametrize("form", FORMS, ids=NAMES)
def test_every_operation_of_an_old_form_has_a_case_here(form: OldForm) -> None:
    cases = OF_MAGISTRALA if form is MAGISTRALA else OF_MAINFLUX
    assert {operation.name for operation in form.told()} == cases.keys()


@pytest.mark.parametrize("pii", ["full", "none"])
@pytest.mark.parametrize("stored", [event.stored_name for event in EVENTS])
@pytest.mark.parametrize("form", FORMS, ids=NAMES)
def test_private_metadata_is_in_no_old_form(form: OldForm, stored: str, pii: str) -> None:
    assert "canary-value" not in str(told(form, SAMPLES[stored], pii, request_id=""))


@pytest.mark.parametrize("stored", [event.stored_name for event in EVENTS])
@pytest.mark.parametrize("form", FORMS, ids=NAMES)
def test_without_personal_data_an_old_form_tells_ids_times_and_statuses(form: OldForm, stored: str) -> None:
    payload = told(form, SAMPLES[stored], "none") or {}
    personal = personal_fields(events.Registered) | {"identity"}
    assert not personal & payload.keys()
    assert payload.get("request_id", "") == ""
    assert "ada" not in str(payload).lower()


def test_an_imported_account_is_told_as_created_when_it_was() -> None:
    payload = told(MAGISTRALA, SAMPLES["users.imported.v1"])
    assert payload is not None
    assert payload["operation"] == "user.create"
    assert payload["created_at"] == TIME


def test_a_deleted_account_is_disabled_to_those_who_know_no_other_word() -> None:
    for event in (events.Deleted(at=AT), events.Erased(at=AT)):
        payload = told_of(MAINFLUX, recorded(event, forgotten=isinstance(event, events.Erased)), None)
        if isinstance(event, events.Deleted):
            payload = told(MAINFLUX, event)
        assert payload is not None
        assert payload["status"] == "disabled"


@pytest.mark.parametrize("form", FORMS, ids=NAMES)
def test_of_a_forgotten_user_an_old_form_tells_only_that_they_are_gone(form: OldForm) -> None:
    heard = [
        stored
        for stored, event in SAMPLES.items()
        if form.tell(recorded(event, forgotten=True), None) is not None
    ]
    assert heard == ["users.erased.v1"]


def test_the_same_event_has_another_message_id_in_each_form() -> None:
    event = recorded(events.Enabled(at=AT), actor=Actor("operator", role=Role.ADMIN))
    tellings = [form.tell(event, User(id=UUID(int=1))) for form in FORMS]
    assert len({telling.message_id for telling in tellings if telling}) == 2
