"""The published language stays what it was: messages may gain fields, never lose or change one."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest

from application.ports import Recorded
from domain import events
from domain.access import SYSTEM, Actor
from domain.events import EVENTS, Event, personal_fields
from domain.values import Role
from interfaces.events.cloudevents import header_value
from interfaces.events.published import MESSAGES, Message, message_of, render, subject_of, tell, untold
from tests.nats.service import AT

GOLDEN = Path(__file__).parents[1] / "golden" / "messages"
USER = UUID("0197c5a1-0000-7000-8000-000000000001")
ADMIN = UUID("0197c5a1-0000-7000-8000-0000000000ad")

ACCOUNT: dict[str, Any] = {
    "email": "ada@example.com",
    "username": "ada",
    "first_name": "Ada",
    "last_name": "Lovelace",
    "name": "Ada Lovelace",
    "tags": ["engine", "poet's daughter"],
    "metadata": {"site": {"floor": 3, "note": "Euro € 😀"}},
    "private_metadata": {"canary-key": "canary-value"},
    "profile_picture": "https://example.com/ada.png",
    "role": Role.ADMIN,
    "auth_provider": "google",
}

SAMPLES: dict[str, Event] = {
    event.stored_name: event
    for event in (
        events.Registered(at=AT, **ACCOUNT),
        events.Imported(at=AT, **ACCOUNT, created_at=AT, updated_at=AT, updated_by="canary", verified_at=AT),
        events.Verified(at=AT, email="ada@example.com"),
        events.ProfileUpdated(
            at=AT, first_name="Augusta", metadata={}, private_metadata={"canary-key": "canary-value"}
        ),
        events.TagsChanged(at=AT, tags=[]),
        events.PictureChanged(at=AT, profile_picture="https://example.com/ada2.png"),
        events.EmailChanged(at=AT, email="ada@example.org"),
        events.UsernameChanged(at=AT, username="augusta"),
        events.RoleChanged(at=AT, role=Role.USER),
        events.SecretChanged(at=AT, way="reset"),
        events.PasswordResetRequested(at=AT),
        events.VerificationRequested(at=AT),
        events.Enabled(at=AT),
        events.Disabled(at=AT),
        events.Deleted(at=AT),
        events.Restored(at=AT),
        events.ErasureRequested(at=AT),
        events.Erased(at=AT),
    )
}

TOLD: list[tuple[str, Message]] = [(stored, told) for stored, told in MESSAGES.items() if told is not None]
IDS = [told.name for _, told in TOLD]


def recorded(event: Event, **more: Any) -> Recorded:
    fields: dict[str, Any] = {
        "position": 4_294_967_297,
        "user_id": USER,
        "version": 3,
        "name": event.stored_name,
        "event": event,
        "event_id": UUID("0197c5a1-0000-7000-8000-0000000000e1"),
        "actor": Actor("user", ADMIN, Role.ADMIN, "access"),
        "command_id": UUID("0197c5a1-0000-7000-8000-0000000000c1"),
        "correlation_id": UUID("0197c5a1-0000-7000-8000-0000000000c2"),
        "causation_id": UUID("0197c5a1-0000-7000-8000-0000000000c3"),
        "request_id": "canary-request",
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    }
    return Recorded(**(fields | more))


def told(event: Event, pii: str = "full", **more: Any) -> dict[str, Any]:
    message: dict[str, Any] = json.loads(render(recorded(event, **more), "none" if pii == "none" else "full"))
    return message


def test_every_stored_event_has_a_row_in_the_table_of_messages() -> None:
    assert not untold(), "add a row to interfaces/events/published.py for each of these events"


def test_every_event_has_a_sample_here() -> None:
    assert SAMPLES.keys() == {event.stored_name for event in EVENTS}


@pytest.mark.parametrize("pii", ["full", "none"])
@pytest.mark.parametrize(("stored", "message"), TOLD, ids=IDS)
def test_a_message_keeps_every_field_that_was_ever_published(stored: str, message: Message, pii: str) -> None:
    file = GOLDEN / f"{message.name}{'' if pii == 'full' else '.no-pii'}.json"
    now = told(SAMPLES[stored], pii)
    if os.environ.get("USERSD_WRITE_GOLDEN") and not file.exists():
        file.write_text(json.dumps(now, indent=2, ensure_ascii=False) + "\n")
    assert file.exists(), f"a new message: run this test once with USERSD_WRITE_GOLDEN=1 to write {file.name}"
    assert_nothing_lost(json.loads(file.read_text()), now)


@pytest.mark.parametrize("pii", ["full", "none"])
@pytest.mark.parametrize(("stored", "message"), TOLD, ids=IDS)
def test_in_binary_mode_too(stored: str, message: Message, pii: str) -> None:
    file = GOLDEN / f"{message.name}.binary{'' if pii == 'full' else '.no-pii'}.json"
    telling = tell(recorded(SAMPLES[stored]), "none" if pii == "none" else "full", "binary")
    now = {"headers": dict(telling.headers), "data": json.loads(telling.body)}
    if os.environ.get("USERSD_WRITE_GOLDEN") and not file.exists():
        file.write_text(json.dumps(now, indent=2, ensure_ascii=False) + "\n")
    assert file.exists(), f"a new message: run this test once with USERSD_WRITE_GOLDEN=1 to write {file.name}"
    assert_nothing_lost(json.loads(file.read_text()), now)


def test_a_header_in_binary_mode_is_printable_ascii() -> None:
    # The example of the CloudEvents specification.
    assert header_value("Euro € 😀") == "Euro%20%E2%82%AC%20%F0%9F%98%80"
    assert header_value('50% "a"') == "50%25%20%22a%22"
    assert header_value("2026-01-02T03:04:05Z") == "2026-01-02T03:04:05Z"


def assert_nothing_lost(before: Any, now: Any, path: str = "") -> None:
    if isinstance(before, dict):
        assert before.keys() <= now.keys(), f"fields lost at {path or '/'}"
        for key, value in before.items():
            assert_nothing_lost(value, now[key], f"{path}/{key}")
    else:
        assert now == before, f"another value at {path}"


@pytest.mark.parametrize(("stored", "message"), TOLD, ids=IDS)
def test_every_message_is_a_cloud_event(stored: str, message: Message) -> None:
    now = told(SAMPLES[stored])
    assert now["specversion"] == "1.0"
    assert now["type"] == message.type
    assert now["datacontenttype"] == "application/json"
    extensions = now.keys() - {"data"}
    assert all(re.fullmatch(r"[a-z0-9]{1,20}", name) for name in extensions)
    assert -(2**31) <= now["streamversion"] < 2**31
    assert now["position"] == "4294967297"
    assert all(isinstance(now[name], str) for name in extensions - {"streamversion"})


@pytest.mark.parametrize("pii", ["full", "none"])
@pytest.mark.parametrize(("stored", "message"), TOLD, ids=IDS)
def test_private_metadata_is_in_no_message(stored: str, message: Message, pii: str) -> None:
    assert "canary" not in json.dumps(told(SAMPLES[stored], pii))


@pytest.mark.parametrize(("stored", "message"), TOLD, ids=IDS)
def test_without_personal_data_no_personal_value_is_told(stored: str, message: Message) -> None:
    event = SAMPLES[stored]
    data = told(event, "none")["data"]
    personal = personal_fields(type(event))
    assert not personal & data.keys()
    assert not personal & set(message.plain)


def test_only_what_was_given_is_named_as_changed() -> None:
    data = told(events.ProfileUpdated(at=AT, metadata={}))["data"]
    assert data == {"user_id": str(USER), "metadata": {}, "changed": ["metadata"]}
    data = told(events.Registered(at=AT, email="a@b.example"))["data"]
    assert data["changed"] == ["email"]
    assert data["tags"] == []


def test_attributes_that_have_no_value_are_left_out() -> None:
    now = told(events.Enabled(at=AT), actor=SYSTEM, causation_id=None, traceparent="")
    assert not {"actorid", "causationid", "traceparent"} & now.keys()
    assert now["actorkind"] == "system"


def test_the_subject_names_the_user_and_the_event() -> None:
    assert subject_of(recorded(events.Disabled(at=AT))) == f"users.{USER}.disabled"
    assert subject_of(recorded(SAMPLES["users.profile_updated.v1"])) == f"users.{USER}.profile_updated"


def test_an_event_read_under_an_older_name_is_told_under_its_present_one() -> None:
    assert subject_of(recorded(events.Disabled(at=AT), name="users.blocked.v1")) == f"users.{USER}.disabled"


def test_of_a_forgotten_user_only_the_erasure_is_told() -> None:
    heard = [
        stored
        for stored, event in SAMPLES.items()
        if message_of(msgspec.structs.replace(recorded(event), forgotten=True))
    ]
    assert heard == ["users.erased.v1"]
